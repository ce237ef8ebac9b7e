#include "base/json.h"
#include "spec/spec.h"

static void write_pairs(json_writer *w, const char *key, const spec_pairs *pairs) {
  json_object(w, key);
  for (size_t i = 0; i < pairs->count; i++)
    json_string(w, pairs->items[i].key, pairs->items[i].value);
  json_end(w);
}

static void write_cell(json_writer *w, const spec_experiment *e, const spec_cell *cell) {
  strbuf own = {0};
  json_object(w, NULL);
  json_string(w, "id", cell->id);
  json_string(w, "label", cell->label);
  json_string(w, "tuning", cell->tuning);
  json_string(w, "parent", cell->parent == SPEC_NO_PARENT ? NULL : e->cells[cell->parent].id);
  write_pairs(w, "axes", &cell->axes);
  settings_write_json(&cell->settings, &own);
  json_raw(w, "settings", strbuf_string(&own));
  json_end(w);
  strbuf_free(&own);
}

static void write_reference(json_writer *w, const spec_experiment *e, const spec_reference *r) {
  json_object(w, NULL);
  write_pairs(w, "axes", &r->where);
  json_string(w, "metric", r->column->name);
  json_number(w, "value", r->value);
  json_bool(w, "verified", r->is_verified);
  json_string(w, "source", r->source ? r->source : e->source ? e->source : "");
  json_end(w);
}

void spec_write_json(const spec_experiment *e, strbuf *out) {
  json_writer w = json_start(out);
  json_object(&w, NULL);
  json_integer(&w, "version", 1);
  json_string(&w, "name", e->name);
  json_string(&w, "title", e->title ? e->title : e->name);
  json_string(&w, "source", e->source ? e->source : "");
  json_string(&w, "path", e->path);
  json_string(&w, "profile", e->profile ? e->profile : "");
  json_string(&w, "text", e->text);
  json_array(&w, "cells");
  for (size_t i = 0; i < e->cell_count; i++) write_cell(&w, e, &e->cells[i]);
  json_end(&w);
  json_array(&w, "references");
  for (size_t i = 0; i < e->report.reference_count; i++)
    write_reference(&w, e, &e->report.references[i]);
  json_end(&w);
  json_end(&w);
  strbuf_append_char(out, '\n');
}
