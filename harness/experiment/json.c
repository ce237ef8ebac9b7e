#include "base/json.h"
#include "experiment/spec.h"

static void write_pairs(json_writer *w, const char *key, const spec_pairs *pairs) {
  jsonw_object(w, key);
  for (size_t i = 0; i < pairs->count; i++)
    jsonw_string(w, pairs->items[i].key, pairs->items[i].value);
  jsonw_end(w);
}

static void write_names(json_writer *w, const char *key, const spec_names *names) {
  jsonw_array(w, key);
  for (size_t i = 0; i < names->count; i++) jsonw_string(w, NULL, names->items[i]);
  jsonw_end(w);
}

static void write_cell(json_writer *w, const spec_experiment *e, const spec_cell *cell) {
  strbuf own = {0};
  jsonw_object(w, NULL);
  jsonw_string(w, "id", cell->id);
  jsonw_string(w, "label", cell->label);
  jsonw_string(w, "tuning", cell->tuning);
  jsonw_string(w, "parent", cell->parent == SPEC_NO_PARENT ? NULL : e->cells[cell->parent].id);
  if (cell->ranks.is_axis) jsonw_integer(w, "ranks", cell->ranks.ranks);
  if (cell->ranks.is_axis) jsonw_integer(w, "nodes", cell->ranks.nodes);
  write_pairs(w, "axes", &cell->axes);
  settings_write_json(&cell->settings, &own);
  jsonw_raw(w, "settings", strbuf_string(&own));
  jsonw_end(w);
  strbuf_free(&own);
}

static void write_reference(json_writer *w, const spec_experiment *e, const spec_reference *r) {
  jsonw_object(w, NULL);
  write_pairs(w, "axes", &r->where);
  jsonw_string(w, "metric", r->column->name);
  jsonw_number(w, "value", r->value);
  jsonw_bool(w, "verified", r->is_verified);
  jsonw_string(w, "source", r->source ? r->source : e->source ? e->source : "");
  jsonw_end(w);
}

void spec_write_json(const spec_experiment *e, strbuf *out) {
  json_writer w = jsonw_start(out);
  jsonw_object(&w, NULL);
  jsonw_integer(&w, "version", 1);
  jsonw_string(&w, "name", e->name);
  jsonw_string(&w, "title", e->title ? e->title : e->name);
  jsonw_string(&w, "source", e->source ? e->source : "");
  jsonw_string(&w, "path", e->path);
  jsonw_string(&w, "profile", e->profile ? e->profile : "");
  jsonw_string(&w, "text", e->text);
  write_names(&w, "set", &e->set);
  write_names(&w, "set_cell", &e->set_cell);
  if (e->report.main_set) jsonw_string(&w, "main_set", e->report.main_set);
  if (e->report.shifted_set) jsonw_string(&w, "shifted_set", e->report.shifted_set);
  jsonw_array(&w, "cells");
  for (size_t i = 0; i < e->cell_count; i++) write_cell(&w, e, &e->cells[i]);
  jsonw_end(&w);
  jsonw_array(&w, "references");
  for (size_t i = 0; i < e->report.reference_count; i++)
    write_reference(&w, e, &e->report.references[i]);
  jsonw_end(&w);
  jsonw_end(&w);
  strbuf_append_char(out, '\n');
}
