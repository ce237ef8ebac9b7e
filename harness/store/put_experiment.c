#include <string.h>

#include <jansson.h>

#include "base/json_read.h"
#include "store/sql.h"

/* A JSON value serialised into the strbuf, which owns it. */
static const char *dump(const json_t *value, strbuf *out) {
  strbuf_clear(out);
  char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
  strbuf_append(out, text ? text : "{}");
  free(text);
  return strbuf_string(out);
}

static err put_cell(store *s, int64_t experiment, const json_t *cell, int64_t position) {
  strbuf settings = {0}, axes = {0};
  const char *id = json_text_of(cell, "id");
  dump(json_object_get(cell, "settings"), &settings);
  dump(json_object_get(cell, "axes"), &axes);
  err error = sql_run(s,
                      "INSERT INTO cell (id, parent, settings, ranks, nodes)"
                      " VALUES (?, ?, ?, ?, ?)"
                      " ON CONFLICT (id) DO UPDATE SET parent = excluded.parent,"
                      " settings = excluded.settings, ranks = excluded.ranks,"
                      " nodes = excluded.nodes",
                      "tttdd", id, json_string_value(json_object_get(cell, "parent")),
                      strbuf_string(&settings), json_number_of(cell, "ranks"),
                      json_number_of(cell, "nodes"));
  if (!error)
    error = sql_run(s,
                    "INSERT INTO experiment_cell"
                    " (experiment_id, cell_id, position, label, tuning, axes)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    "itittt", experiment, id, position, json_text_of(cell, "label"),
                    json_string_value(json_object_get(cell, "tuning")), strbuf_string(&axes));
  strbuf_free(&settings);
  strbuf_free(&axes);
  return error;
}

static err put_reference(store *s, int64_t experiment, const json_t *reference) {
  strbuf axes = {0};
  const json_t *value = json_object_get(reference, "value");
  if (!json_is_number(value)) return NULL; /* null: no published value */
  dump(json_object_get(reference, "axes"), &axes);
  err error = sql_run(s,
                      "INSERT INTO reference_value"
                      " (experiment_id, axes, metric, value, is_verified, source)"
                      " VALUES (?, ?, ?, ?, ?, ?)",
                      "ittdit", experiment, strbuf_string(&axes), json_text_of(reference, "metric"),
                      json_number_value(value),
                      (int64_t)json_is_true(json_object_get(reference, "verified")),
                      json_text_of(reference, "source"));
  strbuf_free(&axes);
  return error;
}

static err put_parts(store *s, int64_t experiment, const json_t *document) {
  err error = NULL;
  size_t i;
  json_t *item;
  TRY(sql_run(s, "DELETE FROM experiment_cell WHERE experiment_id = ?", "i", experiment));
  TRY(sql_run(s, "DELETE FROM reference_value WHERE experiment_id = ?", "i", experiment));
  json_array_foreach(json_object_get(document, "cells"), i, item)
      TRY(put_cell(s, experiment, item, (int64_t)i));
  json_array_foreach(json_object_get(document, "references"), i, item)
      TRY(put_reference(s, experiment, item));
cleanup:
  return error;
}

static err put_head(store *s, const json_t *document, const char *digest) {
  strbuf set = {0}, set_cell = {0};
  const json_t *words = json_object_get(document, "set");
  const json_t *cell_words = json_object_get(document, "set_cell");
  if (words) dump(words, &set);
  if (cell_words) dump(cell_words, &set_cell);
  err error = sql_run(
      s,
      "INSERT INTO experiment (name, title, source, path, profile, digest, text, set_words,"
      " set_cell_words, main_set, shifted_set) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
      " ON CONFLICT (name) DO UPDATE SET"
      " title = excluded.title, source = excluded.source, path = excluded.path,"
      " profile = excluded.profile, digest = excluded.digest, text = excluded.text,"
      " set_words = excluded.set_words, set_cell_words = excluded.set_cell_words,"
      " main_set = excluded.main_set, shifted_set = excluded.shifted_set",
      "ttttttttttt", json_text_of(document, "name"), json_text_of(document, "title"),
      json_text_of(document, "source"), json_text_of(document, "path"),
      json_text_of(document, "profile"), digest, json_text_of(document, "text"),
      set.length ? strbuf_string(&set) : "[]", set_cell.length ? strbuf_string(&set_cell) : "[]",
      json_text_of(document, "main_set"), json_text_of(document, "shifted_set"));
  strbuf_free(&set);
  strbuf_free(&set_cell);
  return error;
}

err store_put_experiment(store *s, const char *json, size_t length) {
  char digest[HASH_SIZE];
  int64_t is_known, id = 0;
  json_t *document = NULL;
  hash_bytes(json, length, digest);
  err error =
      sql_integer(s, 0, &is_known, "SELECT 1 FROM experiment WHERE digest = ?", "t", digest);
  if (error || is_known) return error;
  json_error_t problem;
  document = json_loadb(json, length, 0, &problem);
  if (!document || !*json_text_of(document, "name"))
    FAIL(ERR_INPUT, "not an experiment record: %s", document ? "no name" : problem.text);
  TRY(sql_begin(s));
  error = put_head(s, document, digest);
  if (!error)
    error = sql_integer(s, 0, &id, "SELECT id FROM experiment WHERE name = ?", "t",
                        json_text_of(document, "name"));
  if (!error) error = put_parts(s, id, document);
  error = sql_end(s, error);
cleanup:
  json_decref(document);
  return error;
}
