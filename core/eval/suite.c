#include "eval/suite.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/shipped.h"
#include "config/yaml.h"
#include "eval/description.h"
#include "eval/eval.h"
#include "eval/interval.h"
#include "eval/outcomes.h"
#include "eval/share.h"

static const char *const row_keys[] = {"file", "task", "metric", "corruption", "reference"};
static const char *const suite_keys[] = {"title", "mean", "sets"};

/* The column of this name, created if new; -1 when out of memory. */
static int64_t find_column(suite *s, const char *name) {
  for (size_t i = 0; i < s->column_count; i++)
    if (strcmp(s->columns[i], name) == 0) return (int64_t)i;
  char **grown = mem_resize(s->columns, s->column_count + 1, sizeof *grown);
  if (!grown) return -1;
  s->columns = grown;
  s->columns[s->column_count] = mem_copy_string(name);
  if (!s->columns[s->column_count]) return -1;
  return (int64_t)s->column_count++;
}

/* A path relative to the suite's file if it exists there, else unchanged. */
static char *resolve(const char *suite_path, const char *name) {
  size_t folder = (size_t)(fs_name(suite_path) - suite_path);
  strbuf beside = {0};
  strbuf_append_bytes(&beside, suite_path, folder);
  strbuf_append(&beside, name);
  if (name[0] != '/' && !beside.is_broken && fs_exists(beside.data)) return strbuf_take(&beside);
  strbuf_free(&beside);
  return mem_copy_string(name);
}

static void read_references(const yml_node *map, suite *s, suite_row *row, size_t most,
                            yml_problems *problems) {
  if (map->kind != YML_MAP) {
    yml_problem(problems, map, NULL, 0, "reference: expected a map of names to percentages");
    return;
  }
  for (size_t i = 0; i < map->count; i++) {
    double value;
    int64_t column = find_column(s, map->keys[i]->scalar);
    if (map->items[i]->kind != YML_SCALAR || !yml_as_real(map->items[i]->scalar, &value))
      yml_problem(problems, map->items[i], NULL, 0, "expected a percentage");
    else if (column >= 0 && (size_t)column < most)
      row->references[column] = value;
  }
}

/* The metric that a set's own file selects; top1 if it selects none or cannot be read: errors are
 * reported when the set is opened. */
static char *metric_of_file(const char *file) {
  yml_document *document = NULL;
  const yml_node *metric = NULL, *several = NULL;
  bool is_multilabel = false;
  char *found = file ? shipped_or_given(file) : NULL;
  err error = found ? yml_load(found, &document) : NULL;
  if (!error && document && yml_root(document)->kind == YML_MAP)
    metric = yml_get(yml_root(document), "metric");
  if (!error && document && yml_root(document)->kind == YML_MAP)
    several = yml_get(yml_root(document), "multilabel");
  if (several && several->kind == YML_SCALAR && !yml_as_bool(several->scalar, &is_multilabel))
    is_multilabel = false; /* reported when the set is opened */
  char *name = mem_copy_string(metric && metric->kind == YML_SCALAR ? metric->scalar
                               : is_multilabel                      ? "map_11point"
                                                                    : "top1");
  err_free(error);
  yml_free(document);
  free(found);
  return name;
}

/* Names of metrics in the JSON output of a task, which has counts and chance too. */
static void check_metric(const yml_node *metric, bool is_retrieval, yml_problems *problems) {
  enum { RANKS = 3 }; /* R@1, R@5, R@10 in each direction */
  const char *names[EVAL_METRICS + 2 * RANKS];
  size_t count = is_retrieval ? 2 * RANKS : (size_t)EVAL_METRICS;
  for (size_t i = 0; i < count; i++) {
    const char *own = is_retrieval
                          ? (i < RANKS ? outcomes_to_text[i] : outcomes_to_image[i - RANKS])
                          : eval_metric_name((eval_metric)i);
    if (strcmp(metric->scalar, own) == 0) return;
    names[i] = own;
  }
  yml_problem(problems, metric, names, count, "task %s: unknown metric '%s'",
              is_retrieval ? "retrieval" : "zeroshot", metric->scalar);
}

static void read_row(const char *path, const yml_node *node, suite *s, suite_row *row, size_t most,
                     yml_problems *problems) {
  const yml_node *metric = NULL;
  row->references = mem_zeroed(most, sizeof *row->references);
  row->value = row->bounds[0] = row->bounds[1] = NAN;
  for (size_t i = 0; row->references && i < most; i++) row->references[i] = NAN;
  if (node->kind != YML_MAP || !yml_get(node, "file")) {
    yml_problem(problems, node, NULL, 0, "a set is a map with a file");
    return;
  }
  for (size_t i = 0; i < node->count; i++) {
    const char *key = node->keys[i]->scalar;
    const yml_node *value = node->items[i];
    bool is_text = value->kind == YML_SCALAR;
    if (strcmp(key, "file") == 0 && is_text)
      row->file = resolve(path, value->scalar);
    else if (strcmp(key, "metric") == 0 && is_text)
      metric = value;
    else if (strcmp(key, "task") == 0 && is_text && strcmp(value->scalar, "retrieval") == 0)
      row->is_retrieval = true;
    else if (strcmp(key, "task") == 0 && is_text && strcmp(value->scalar, "zeroshot") == 0)
      row->is_retrieval = false;
    else if (strcmp(key, "corruption") == 0)
      description_read_corruption(value, &row->corruption, problems);
    else if (strcmp(key, "reference") == 0 && row->references)
      read_references(value, s, row, most, problems);
    else
      yml_problem(problems, node->keys[i], row_keys, 5, "unknown or misused key '%s'", key);
  }
  if (metric) check_metric(metric, row->is_retrieval, problems);
  row->metric = metric              ? mem_copy_string(metric->scalar)
                : row->is_retrieval ? mem_copy_string("image_to_text_r1")
                                    : metric_of_file(row->file);
  row->name = mem_copy_string(row->file ? fs_name(row->file) : "");
  char *dot = row->name ? strrchr(row->name, '.') : NULL;
  if (dot) *dot = '\0';
}

/* No more columns than references in the whole file. */
static size_t count_references(const yml_node *sets) {
  size_t count = 0;
  for (size_t i = 0; i < sets->count; i++) {
    const yml_node *map =
        sets->items[i]->kind == YML_MAP ? yml_get(sets->items[i], "reference") : NULL;
    if (map && map->kind == YML_MAP) count += map->count;
  }
  return count;
}

err suite_load(const char *path, suite *s) {
  yml_document *document = NULL;
  yml_problems problems = {0};
  *s = (suite){0};
  char *found = shipped_or_given(path);
  err error = found ? yml_load(found, &document) : mem_error(strlen(path), "a path");
  if (error) {
    free(found);
    return error;
  }
  const yml_node *root = yml_root(document), *sets = NULL;
  if (root->kind == YML_MAP) sets = yml_get(root, "sets");
  for (size_t i = 0; root->kind == YML_MAP && i < root->count; i++) {
    const char *key = root->keys[i]->scalar;
    if (strcmp(key, "title") == 0 && root->items[i]->kind == YML_SCALAR)
      s->title = mem_copy_string(root->items[i]->scalar);
    else if (strcmp(key, "mean") == 0 && root->items[i]->kind == YML_SCALAR)
      s->mean_name = mem_copy_string(root->items[i]->scalar);
    else if (strcmp(key, "sets") != 0)
      yml_problem(&problems, root->keys[i], suite_keys, 3, "unknown or misused key '%s'", key);
  }
  if (!sets || sets->kind != YML_SEQUENCE || !sets->count) {
    yml_problem(&problems, root, NULL, 0, "sets: expected a list of evaluation sets");
  } else {
    size_t most = count_references(sets);
    s->rows = mem_zeroed(sets->count, sizeof *s->rows);
    for (size_t i = 0; s->rows && i < sets->count; i++)
      read_row(found, sets->items[i], s, &s->rows[s->row_count++], most, &problems);
  }
  error = yml_problems_take(&problems);
  for (size_t i = 0; i < s->row_count && !error; i++)
    if (!s->rows[i].file || !s->rows[i].name || !s->rows[i].metric || !s->rows[i].references)
      error = mem_error(0, "a suite");
  if (!error && (!s->rows || (!s->title && !(s->title = mem_copy_string("")))))
    error = mem_error(0, "a suite");
  free(found);
  yml_free(document);
  if (error) suite_free(s);
  return error;
}

void suite_free(suite *s) {
  for (size_t i = 0; i < s->row_count; i++) {
    free(s->rows[i].file);
    free(s->rows[i].name);
    free(s->rows[i].metric);
    free(s->rows[i].references);
    free(s->rows[i].problem);
    free(s->rows[i].warnings);
  }
  for (size_t i = 0; i < s->column_count; i++) free(s->columns[i]);
  free(s->rows);
  free(s->columns);
  free(s->title);
  free(s->mean_name);
  *s = (suite){0};
}

/* The metric by its name in the JSON output of a task: one table for both. */
static err pick_metric(const eval_result *result, suite_row *row) {
  strbuf text = {0};
  json_writer w = jsonw_start(&text);
  jsonw_object(&w, NULL);
  if (row->is_retrieval)
    eval_write_retrieval(&w, "task", &result->retrieval);
  else
    eval_write_zeroshot(&w, "task", &result->zeroshot);
  jsonw_end(&w);
  json_t *root = json_loads(strbuf_string(&text), 0, NULL);
  const json_t *value = json_object_get(json_object_get(root, "task"), row->metric);
  err error = value ? NULL : err_new(ERR_INPUT, "has no metric '%s'", row->metric);
  if (json_is_number(value)) row->value = json_number_value(value); /* null: it is not defined */
  json_decref(root);
  strbuf_free(&text);
  return error;
}

/* That of roc_auc and map_11point came with the number; the others' is of the hits. */
static err find_bounds(comm *ranks, const eval_result *result, const eval_outcomes *outcomes,
                       suite_row *row) {
  const eval_zeroshot *z = &result->zeroshot;
  bool is_own = !row->is_retrieval && strcmp(row->metric, eval_metric_name(z->metric)) == 0;
  if (is_own && (z->metric == EVAL_ROC_AUC || z->metric == EVAL_MAP_11POINT)) {
    memcpy(row->bounds, z->bounds, sizeof row->bounds);
    return NULL;
  }
  return interval_of_hits(ranks, outcomes, row->metric, row->bounds);
}

/* The samples that any rank left out. */
static err take_warnings(comm *ranks, eval_set *set, suite_row *row) {
  strbuf lines = {0};
  strbuf_append(&lines, eval_set_new_warnings(set));
  err error = share_lines(ranks, &lines);
  if (!error) row->warnings = mem_copy_string(strbuf_string(&lines));
  strbuf_free(&lines);
  return error;
}

static err open_row(const suite_row *row, const settings *run, const tokenizer *words, comm *ranks,
                    eval_set **set) {
  err error =
      eval_set_open(row->file, row->is_retrieval ? "retrieval" : "zeroshot", run, words, set);
  if (!error && row->corruption.kind) error = eval_set_corrupt(*set, &row->corruption);
  if (!error && comm_rank(ranks)) eval_set_new_warnings(*set); /* rank 0 has the same */
  return share_same(ranks, error, error ? "" : eval_set_fingerprint(*set),
                    "other data of this set");
}

static err run_row(suite_row *row, const settings *run, const tokenizer *words, clip_model *model,
                   comm *ranks, eval_prompts *prompts) {
  eval_set *set = NULL;
  eval_result result;
  eval_outcomes outcomes = {0};
  eval_how how = eval_how_of(run);
  err error = NULL;
  how.ranks = ranks;
  how.prompts = prompts;
  TRY(open_row(row, run, words, ranks, &set));
  TRY(eval_run_items(set, model, &how, &result, &outcomes));
  TRY(take_warnings(ranks, set, row));
  TRY(err_context(pick_metric(&result, row), "%s", row->file));
  error = find_bounds(ranks, &result, &outcomes, row);
cleanup:
  eval_outcomes_free(&outcomes);
  eval_set_close(set);
  return error;
}

err suite_run(suite *s, const settings *run, const tokenizer *words, clip_model *model,
              comm *ranks) {
  eval_prompts prompts = {0};
  err error = NULL;
  for (size_t i = 0; i < s->row_count && !error; i++) {
    error = run_row(&s->rows[i], run, words, model, ranks, &prompts);
    if (!error || err_kind_of(error) == ERR_MEMORY || err_kind_of(error) == ERR_LOST ||
        err_kind_of(error) == ERR_NUMERIC) /* the model's fault, not the set's */
      continue;
    s->rows[i].problem = mem_copy_string(err_message(error));
    err_free(error);
    error = NULL;
  }
  eval_prompts_free(&prompts);
  return error;
}

double suite_mean(const suite *s) {
  double sum = 0;
  size_t count = 0;
  for (size_t i = 0; i < s->row_count; i++) {
    if (!s->rows[i].corruption.kind) continue;
    sum += s->rows[i].value; /* NaN: not measured */
    count++;
  }
  return count ? sum / (double)count : (double)NAN;
}

/* "scenes, jpeg 3" */
static void write_name(strbuf *out, const suite_row *row) {
  strbuf_append(out, row->name);
  if (!row->corruption.kind) return;
  strbuf_format(out, ", %s", corrupt_name(row->corruption.kind));
  if (row->corruption.strength) strbuf_format(out, " %d", row->corruption.strength);
}

static void write_cell(strbuf *out, double value) {
  if (isnan(value))
    strbuf_append(out, " – |");
  else
    strbuf_format(out, " %.1f |", value);
}

static bool has_bounds(const suite *s) {
  for (size_t i = 0; i < s->row_count; i++)
    if (!isnan(s->rows[i].bounds[0])) return true;
  return false;
}

void suite_write_table(const suite *s, strbuf *out) {
  if (*s->title) strbuf_format(out, "**%s**\n\n", s->title);
  strbuf_append(out, "| set | metric | this model (%) |");
  for (size_t c = 0; c < s->column_count; c++) strbuf_format(out, " %s (%%) |", s->columns[c]);
  strbuf_append(out, "\n|---|---|---:|");
  for (size_t c = 0; c < s->column_count; c++) strbuf_append(out, "---:|");
  for (size_t i = 0; i < s->row_count; i++) {
    const suite_row *row = &s->rows[i];
    strbuf_append(out, "\n| ");
    write_name(out, row);
    strbuf_format(out, " | %s |", row->metric);
    if (isnan(row->bounds[0]))
      write_cell(out, 100 * row->value);
    else
      strbuf_format(out, " %.1f [%.1f, %.1f] |", 100 * row->value, 100 * row->bounds[0],
                    100 * row->bounds[1]);
    for (size_t c = 0; c < s->column_count; c++) write_cell(out, row->references[c]);
  }
  if (s->mean_name) {
    strbuf_format(out, "\n| %s | |", s->mean_name);
    write_cell(out, 100 * suite_mean(s));
    for (size_t c = 0; c < s->column_count; c++) write_cell(out, NAN);
  }
  strbuf_append_char(out, '\n');
  if (has_bounds(s))
    strbuf_append(
        out, "\n[low, high]: 95 % over the set's images (captions, for text_to_image), of this "
             "one model; bootstrap, shares in Wilson's form\n");
  for (size_t i = 0; i < s->row_count; i++)
    if (s->rows[i].problem)
      strbuf_format(out, "\n%s was not measured: %s\n", s->rows[i].name, s->rows[i].problem);
  for (size_t i = 0; i < s->row_count; i++)
    if (s->rows[i].warnings && *s->rows[i].warnings)
      strbuf_format(out, "\n%s\n", s->rows[i].warnings); /* each names its set or shard */
}

void suite_write_json(const suite *s, strbuf *out) {
  json_writer writer = jsonw_start(out), *w = &writer;
  jsonw_object(w, NULL);
  jsonw_string(w, "title", s->title);
  jsonw_array(w, "sets");
  for (size_t i = 0; i < s->row_count; i++) {
    const suite_row *row = &s->rows[i];
    jsonw_object(w, NULL);
    jsonw_string(w, "set", row->name);
    jsonw_string(w, "task", row->is_retrieval ? "retrieval" : "zeroshot");
    jsonw_string(w, "metric", row->metric);
    if (row->corruption.kind) {
      jsonw_string(w, "corruption", corrupt_name(row->corruption.kind));
      jsonw_integer(w, "strength", row->corruption.strength); /* 0: each image its own */
    }
    jsonw_number(w, "value", row->value);
    jsonw_number(w, "low", row->bounds[0]);
    jsonw_number(w, "high", row->bounds[1]);
    jsonw_object(w, "reference");
    for (size_t c = 0; c < s->column_count; c++)
      if (!isnan(row->references[c])) jsonw_number(w, s->columns[c], row->references[c] / 100);
    jsonw_end(w);
    if (row->problem) jsonw_string(w, "problem", row->problem);
    if (row->warnings && *row->warnings) jsonw_string(w, "warnings", row->warnings);
    jsonw_end(w);
  }
  jsonw_end(w);
  if (s->mean_name) jsonw_number(w, "mean", suite_mean(s));
  jsonw_end(w);
}
