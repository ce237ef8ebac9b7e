#include "report/paper.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/fs.h"
#include "base/json_read.h"
#include "base/mem.h"
#include "report/results.h"
#include "report/table.h"

/* The fields of a line and of a table, by their names in JSON. */
static const struct {
  const char *name;
  size_t offset;
} line_parts[] = {{"table", offsetof(paper_line, table)},
                  {"from", offsetof(paper_line, from)},
                  {"claim", offsetof(paper_line, claim)},
                  {"quantity", offsetof(paper_line, quantity)},
                  {"measured", offsetof(paper_line, measured)},
                  {"basis", offsetof(paper_line, basis)},
                  {"published", offsetof(paper_line, published)},
                  {"verdict", offsetof(paper_line, verdict)},
                  {"note", offsetof(paper_line, note)}},
  table_parts[] = {{"name", offsetof(paper_table, name)},
                   {"title", offsetof(paper_table, title)},
                   {"provenance", offsetof(paper_table, provenance)}};
enum {
  LINE_PARTS = sizeof line_parts / sizeof *line_parts,
  TABLE_PARTS = sizeof table_parts / sizeof *table_parts
};

static char **part_of(void *item, size_t offset) {
  return (char **)((char *)item + offset);
}

void paper_free(paper_report *p) {
  if (!p) return;
  for (size_t i = 0; i < p->line_count; i++)
    for (size_t k = 0; k < LINE_PARTS; k++) free(*part_of(&p->lines[i], line_parts[k].offset));
  for (size_t i = 0; i < p->table_count; i++)
    for (size_t k = 0; k < TABLE_PARTS; k++) free(*part_of(&p->tables[i], table_parts[k].offset));
  free(p->lines);
  free(p->tables);
  free(p->profile);
  free(p);
}

static err keep(const char *text, char **to) {
  *to = mem_copy_string(text ? text : "");
  return *to ? NULL : mem_error(0, "the report of the paper");
}

static err keep_built(strbuf *text, char **to) {
  err error =
      text->is_broken ? mem_error(0, "the report of the paper") : keep(strbuf_string(text), to);
  strbuf_free(text);
  return error;
}

/* Room for `count` more items behind `*count_now`. */
static err grow(void **items, size_t count_now, size_t count, size_t size) {
  char *grown = mem_zeroed(count_now + count + 1, size);
  if (!grown) return mem_error(size, "the report of the paper");
  if (count_now) memcpy(grown, *items, count_now * size);
  free(*items);
  *items = grown;
  return NULL;
}

/* ---- from the store ---- */

static err add_line(paper_report *p, const char *table, const claim_result *j) {
  strbuf measured = {0}, basis = {0}, published = {0}, note = {0};
  paper_line *line = &p->lines[p->line_count++];
  claims_write_measured(j, &measured);
  claims_write_basis(j, &basis);
  claims_write_published(j, &published);
  claims_write_note(j, &note);
  err error = keep_built(&measured, &line->measured);
  if (!error) error = keep_built(&basis, &line->basis);
  if (!error) error = keep_built(&published, &line->published);
  if (!error) error = keep_built(&note, &line->note);
  if (!error) error = keep(table, &line->table);
  if (!error) error = keep(j->claim->from, &line->from);
  if (!error) error = keep(j->claim->sentence, &line->claim);
  if (!error) error = keep(j->quantity, &line->quantity);
  if (!error) error = keep(claims_verdict_name(j->verdict), &line->verdict);
  strbuf_free(&measured);
  strbuf_free(&basis);
  strbuf_free(&published);
  strbuf_free(&note);
  return error;
}

static err add_file(paper_report *p, store *s, const char *path, const char *name) {
  spec_experiment *e = NULL;
  report_table *table = NULL;
  claim_results all = {0};
  err error = NULL;
  TRY(spec_load(path, &(spec_options){.profile = p->profile}, &e));
  TRY(grow((void **)&p->tables, p->table_count, 1, sizeof *p->tables));
  paper_table *t = &p->tables[p->table_count++];
  TRY(report_build(e, s, &table));
  TRY(results_find_last_event(e, s, p->recorded));
  TRY(keep(name, &t->name));
  TRY(keep(e->title ? e->title : e->name, &t->title));
  TRY(keep(table->notes.provenance, &t->provenance));
  t->cells = table->cells;
  t->finished = table->finished;
  TRY(claims_judge_all(e, s, &all));
  TRY(grow((void **)&p->lines, p->line_count, all.count, sizeof *p->lines));
  for (size_t i = 0; i < all.count; i++) TRY(add_line(p, name, &all.items[i]));
cleanup:
  claims_free(&all);
  report_free(table);
  spec_free(e);
  return error;
}

/* The length of a file's name without .yaml or .yml; 0: it is not an experiment file. */
static size_t stem_length(const char *name) {
  static const char *const endings[] = {".yaml", ".yml"};
  size_t length = strlen(name);
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
    size_t own = strlen(endings[i]);
    if (length > own && strcmp(name + length - own, endings[i]) == 0) return length - own;
  }
  return 0;
}

static const paper_table *find_table(const paper_report *p, const char *name) {
  for (size_t i = 0; i < p->table_count; i++)
    if (strcmp(p->tables[i].name, name) == 0) return &p->tables[i];
  return NULL;
}

static err collect(store *s, const char *folder, const char *profile, paper_report **report) {
  char **names = NULL;
  size_t count = 0;
  err error = NULL;
  paper_report *p = mem_zeroed(1, sizeof *p);
  if (!p) return mem_error(sizeof *p, "the report of the paper");
  TRY(keep(profile, &p->profile));
  TRY(fs_list(folder, &names, &count));
  for (size_t i = 0; i < count; i++) {
    size_t length = stem_length(names[i]);
    strbuf path = {0};
    if (!length) continue;
    strbuf_format(&path, "%s/%s", folder, names[i]);
    names[i][length] = '\0';
    if (find_table(p, names[i]))
      error = err_new(ERR_INPUT, "%s: another file there is called '%s' too; rename one of them",
                      strbuf_string(&path), names[i]);
    if (!error) error = add_file(p, s, strbuf_string(&path), names[i]);
    strbuf_free(&path);
    if (error) goto cleanup;
  }
  if (!p->line_count)
    FAIL(ERR_INPUT,
         "%s: no experiment file there states claims; run 'flipbench report --paper' "
         "without an experiments/paper of your own to use the shipped files",
         folder);
  *report = p;
cleanup:
  fs_free_names(names, count);
  if (error) paper_free(p);
  return error;
}

/* All tables and claims are those of one moment. */
err paper_collect(store *s, const char *folder, const char *profile, paper_report **report) {
  err error = store_begin_reading(s);
  return error ? error : store_end(s, collect(s, folder, profile, report));
}

/* ---- as JSON, and back ---- */

void paper_write_json(const paper_report *p, strbuf *out) {
  json_writer w = jsonw_start(out);
  jsonw_object(&w, NULL);
  jsonw_string(&w, "profile", p->profile);
  if (*p->recorded) jsonw_string(&w, "recorded", p->recorded);
  jsonw_array(&w, "tables");
  for (size_t i = 0; i < p->table_count; i++) {
    jsonw_object(&w, NULL);
    for (size_t k = 0; k < TABLE_PARTS; k++)
      jsonw_string(&w, table_parts[k].name, *part_of(&p->tables[i], table_parts[k].offset));
    jsonw_integer(&w, "cells", (int64_t)p->tables[i].cells);
    jsonw_integer(&w, "finished", (int64_t)p->tables[i].finished);
    jsonw_end(&w);
  }
  jsonw_end(&w);
  jsonw_array(&w, "claims");
  for (size_t i = 0; i < p->line_count; i++) {
    jsonw_object(&w, NULL);
    for (size_t k = 0; k < LINE_PARTS; k++)
      jsonw_string(&w, line_parts[k].name, *part_of(&p->lines[i], line_parts[k].offset));
    jsonw_end(&w);
  }
  jsonw_end(&w);
  jsonw_end(&w);
  strbuf_append_char(out, '\n');
}

static err read_text(const json_t *object, const char *key, const char *path, char **to) {
  const char *text = json_string_value(json_object_get(object, key));
  bool is_optional = strcmp(key, "quantity") == 0; /* older versions did not write it */
  if (!text && is_optional) text = "";
  if (!text)
    return err_new(ERR_INPUT,
                   "%s: '%s' is missing or not a string: not written by 'flipbench report --paper "
                   "--format json'",
                   path, key);
  return keep(text, to);
}

/* A line of no known table or verdict would be in the totals and nowhere else, or the other way
 * round. */
static err check_line(const paper_report *p, const paper_line *line, const char *path) {
  if (!find_table(p, line->table))
    return err_new(ERR_INPUT, "%s: the claim '%s' is of table '%s', which is not among its tables",
                   path, line->claim, line->table);
  for (claim_verdict v = 0; v < CLAIM_VERDICTS; v++)
    if (strcmp(line->verdict, claims_verdict_name(v)) == 0) return NULL;
  return err_new(
      ERR_INPUT,
      "%s: the claim '%s' has the unknown verdict '%s'; another version of flipbench may "
      "have written it",
      path, line->claim, line->verdict);
}

static err read_items(const json_t *root, const char *path, paper_report *p) {
  const json_t *tables = json_object_get(root, "tables"), *lines = json_object_get(root, "claims");
  err error = NULL;
  TRY(read_text(root, "profile", path, &p->profile));
  snprintf(p->recorded, sizeof p->recorded, "%s", json_text_of(root, "recorded"));
  TRY(grow((void **)&p->tables, 0, json_array_size(tables), sizeof *p->tables));
  TRY(grow((void **)&p->lines, 0, json_array_size(lines), sizeof *p->lines));
  for (size_t i = 0; i < json_array_size(tables); i++) {
    const json_t *from = json_array_get(tables, i);
    paper_table *t = &p->tables[p->table_count++];
    for (size_t k = 0; k < TABLE_PARTS; k++)
      TRY(read_text(from, table_parts[k].name, path, part_of(t, table_parts[k].offset)));
    t->cells = (size_t)json_integer_value(json_object_get(from, "cells"));
    t->finished = (size_t)json_integer_value(json_object_get(from, "finished"));
  }
  for (size_t i = 0; i < json_array_size(lines); i++) {
    paper_line *line = &p->lines[p->line_count++];
    for (size_t k = 0; k < LINE_PARTS; k++)
      TRY(read_text(json_array_get(lines, i), line_parts[k].name, path,
                    part_of(line, line_parts[k].offset)));
    TRY(check_line(p, line, path));
  }
  if (!p->line_count) FAIL(ERR_INPUT, "%s: no claims in it", path);
cleanup:
  return error;
}

err paper_read_json(const char *path, paper_report **report) {
  json_error_t why;
  char *text = NULL;
  size_t length;
  json_t *root = NULL;
  err error = NULL;
  paper_report *p = mem_zeroed(1, sizeof *p);
  if (!p) return mem_error(sizeof *p, "the report of the paper");
  TRY(fs_read(path, &text, &length));
  root = json_loadb(text, length, 0, &why);
  if (!root) FAIL(ERR_INPUT, "%s:%d: not JSON: %s", path, why.line, why.text);
  TRY(read_items(root, path, p));
  *report = p;
cleanup:
  json_decref(root);
  free(text);
  if (error) paper_free(p);
  return error;
}
