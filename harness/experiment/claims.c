/* The `claims` part of an experiment file: statements that the report judges. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "experiment/reader.h"

static const char *const compares[] = {"difference", "ratio", "speedup"};
static const char *const relations[] = {"greater", "smaller", "equal"};

/* The text under `key`; a problem if it is missing, unless there is a `fallback`. */
static int choose(spec_reader *r, const yml_node *map, const char *key, const char *const *names,
                  int fallback) {
  const yml_node *node = yml_get(map, key);
  for (int i = 0; node && node->kind == YML_SCALAR && i < 3; i++)
    if (strcmp(node->scalar, names[i]) == 0) return i;
  if (!yml_is_null(node) || fallback < 0)
    yml_problem(&r->problems, yml_is_null(node) ? map : node, names, 3, "%s is %s, %s or %s", key,
                names[0], names[1], names[2]);
  return fallback < 0 ? 0 : fallback;
}

static void read_real(spec_reader *r, const yml_node *map, const char *key, double *value) {
  const yml_node *node = yml_get(map, key);
  if (yml_is_null(node)) return;
  if (node->kind != YML_SCALAR || !yml_as_real(node->scalar, value) || !isfinite(*value))
    yml_problem(&r->problems, node, NULL, 0, "%s takes a number", key);
}

static void read_column(spec_reader *r, const yml_node *map, const char *key, const column **c) {
  size_t count;
  const char *const *names = columns_names(&count);
  const yml_node *node = yml_get(map, key);
  if (yml_is_null(node)) return;
  *c = node->kind == YML_SCALAR ? columns_find(node->scalar) : NULL;
  if (!*c) yml_problem(&r->problems, node, names, count, "%s takes the name of a column", key);
}

/* Axis values that match cells of the matrix. */
static err read_row(spec_reader *r, const yml_node *map, const char *key, spec_pairs *pairs) {
  const yml_node *node = yml_get(map, key);
  yml_node *flat;
  if (yml_is_null(node)) return NULL;
  if (node->kind != YML_MAP || !node->count) {
    yml_problem(&r->problems, node, NULL, 0, "%s takes a map of axis values", key);
    return NULL;
  }
  err error = nodes_flatten(&r->pool, node, &flat);
  for (size_t i = 0; !error && i < flat->count; i++) {
    const char *name = flat->keys[i]->scalar;
    char *value = NULL;
    if (!spec_names_has(&r->axes, name) && !settings_find(name)) {
      yml_problem(&r->problems, flat->keys[i], (const char *const *)r->axes.items, r->axes.count,
                  "%s: '%s' is not an axis", key, name);
      continue;
    }
    error = spec_canonical(r, name, flat->items[i], &value);
    if (!error && value) error = spec_pairs_add(pairs, name, value, false);
    spec_refuse_seed(r, flat->keys[i], key);
    free(value);
  }
  return error;
}

/* How many tunings continue the cell, one after another. */
static size_t count_tunings(const spec_experiment *e, size_t cell) {
  size_t count = 0;
  for (size_t i = 0; i < e->cell_count; i++) {
    if (!e->cells[i].tuning || (size_t)e->cells[i].parent != cell ||
        spec_use_of(&e->cells[i]) != SPEC_CONTINUES)
      continue;
    cell = i; /* its own tunings follow it */
    count++;
  }
  return count;
}

/* A number of whole curves, or of the last run of each, is not averaged over seeds of which only
 * some are tuned. */
static void check_tuned_seeds(spec_reader *r, const yml_node *node, const char *key,
                              const spec_pairs *pairs) {
  const spec_experiment *e = r->e;
  const spec_cell *first = NULL;
  size_t wanted = 0;
  for (size_t i = 0; i < e->cell_count; i++) {
    if (e->cells[i].tuning || !spec_cell_matches(&e->cells[i], pairs)) continue;
    size_t count = count_tunings(e, i);
    if (!first) wanted = count;
    if (!first) first = &e->cells[i];
    if (count == wanted) continue;
    yml_problem(
        &r->problems, node, NULL, 0,
        "%s: only one of '%s' and '%s' is tuned, so that a mean of them would mix tuned and "
        "untuned runs; tune every seed of the row, or none",
        key, first->label, e->cells[i].label);
    return;
  }
}

/* Must match exactly one row: all matching cells agree in every row key. */
static void check_row(spec_reader *r, const yml_node *node, const char *key,
                      const spec_pairs *pairs) {
  const spec_experiment *e = r->e;
  const spec_cell *first = NULL;
  strbuf one = {0}, other = {0};
  for (size_t i = 0; i < e->cell_count; i++) {
    if (e->cells[i].tuning || !spec_cell_matches(&e->cells[i], pairs)) continue;
    if (!first) first = &e->cells[i];
    for (size_t k = 0; k < e->report.rows.count; k++) {
      const char *name = e->report.rows.items[k];
      const char *x = spec_cell_value(first, name, &one);
      const char *y = spec_cell_value(&e->cells[i], name, &other);
      if (x && y && strcmp(x, y) == 0) continue;
      yml_problem(&r->problems, node, NULL, 0,
                  "%s matches more than one row ('%s' and '%s'): name %s in it too", key,
                  first->label, e->cells[i].label, name);
      goto cleanup;
    }
  }
  if (!first && e->cell_count)
    yml_problem(&r->problems, node, NULL, 0, "%s matches no cell of the matrix", key);
cleanup:
  strbuf_free(&one);
  strbuf_free(&other);
}

/* Would be 0, or 1, whatever was measured. */
static bool compares_with_itself(const spec_experiment *e, const spec_claim *c) {
  if (c->against_metric && strcmp(c->against_metric->name, c->metric->name) != 0) return false;
  if (!c->against.count) return c->against_metric != NULL;
  for (size_t i = 0; i < e->cell_count; i++)
    if (!e->cells[i].tuning && spec_cell_matches(&e->cells[i], &c->of) &&
        spec_cell_matches(&e->cells[i], &c->against))
      return true;
  return false;
}

/* Rows are compared seed by seed. */
static bool have_common_seed(const spec_experiment *e, const spec_claim *c) {
  for (size_t i = 0; i < e->cell_count; i++)
    for (size_t k = 0; k < e->cell_count && spec_cell_matches(&e->cells[i], &c->of); k++)
      if (!e->cells[i].tuning && !e->cells[k].tuning &&
          spec_cell_matches(&e->cells[k], &c->against) &&
          e->cells[i].settings.seed == e->cells[k].settings.seed)
        return true;
  return false;
}

static bool is_accuracy(const column *c) {
  return c->kind == COLUMN_EVAL || c->kind == COLUMN_CHANCE || c->kind == COLUMN_SHIFTED ||
         column_is_of_tuning(c->kind);
}

static bool is_of_chance(const column *c) {
  return c && c->kind == COLUMN_CHANCE;
}

static bool is_final(const column *c) {
  return c && c->kind == COLUMN_FINAL;
}

static void check_claim(spec_reader *r, const yml_node *map, const spec_claim *c) {
  yml_problems *p = &r->problems;
  const yml_node *metric = yml_get(map, "metric"), *against = yml_get(map, "against");
  if (!c->sentence) yml_problem(p, map, NULL, 0, "a claim needs 'claim': the sentence");
  if (c->compare == CLAIM_SPEEDUP ? metric != NULL : metric == NULL)
    yml_problem(p, map, NULL, 0,
                c->compare == CLAIM_SPEEDUP ? "a speedup uses report.iso: remove 'metric'"
                                            : "a claim needs 'metric': the column");
  if (c->metric && c->compare == CLAIM_DIFFERENCE && !is_accuracy(c->metric))
    yml_problem(p, metric, NULL, 0, "'%s' is not an accuracy: use compare: ratio", c->metric->name);
  if (c->metric && c->compare == CLAIM_RATIO && c->metric->kind != COLUMN_SUMMARY)
    yml_problem(p, metric, NULL, 0,
                "'%s' is not a time, speed or amount, as compare: ratio requires", c->metric->name);
  if (c->against_metric &&
      (c->compare != CLAIM_DIFFERENCE || !is_accuracy(c->against_metric) ||
       (c->metric && strcmp(c->metric->argument, c->against_metric->argument) != 0)))
    yml_problem(p, yml_get(map, "against_metric"), NULL, 0,
                "against_metric takes an accuracy of the same task, with compare: difference");
  else if (c->against_metric && (is_of_chance(c->metric) || is_of_chance(c->against_metric)))
    yml_problem(p, yml_get(map, "against_metric"), NULL, 0,
                "multiples of chance on two sets are of two scales: compare the accuracies "
                "themselves");
  if (!(c->relation == CLAIM_EQUAL ? c->within > 0 : isnan(c->within)))
    yml_problem(p, map, NULL, 0, "'within' requires expect: equal and must be above zero");
  if (!yml_get(map, "of")) yml_problem(p, map, NULL, 0, "a claim needs 'of': the row");
  if (!spec_claim_is_judged(r->e, c)) return; /* the profile may omit its rows */
  const size_t before = p->count;
  if (c->of.count) check_row(r, yml_get(map, "of"), "of", &c->of);
  if (c->against.count) check_row(r, against, "against", &c->against);
  if (compares_with_itself(r->e, c))
    yml_problem(p, against ? against : map, NULL, 0, "the claim compares a row with itself");
  else if (p->count == before && c->against.count && !have_common_seed(r->e, c))
    yml_problem(p, against, NULL, 0,
                "the rows of the claim have no seed in common: they are compared seed by seed");
  if (c->compare != CLAIM_SPEEDUP && !is_final(c->metric) && !is_final(c->against_metric)) return;
  if (c->of.count) check_tuned_seeds(r, yml_get(map, "of"), "of", &c->of);
  if (c->against.count) check_tuned_seeds(r, against, "against", &c->against);
}

static err read_claim(spec_reader *r, const yml_node *map, spec_claim *c) {
  *c = (spec_claim){.within = NAN, .published = NAN};
  size_t before = r->problems.count;
  err error = spec_read_group(r, FORMAT_CLAIM, map, c);
  if (error) return error;
  c->compare = (claim_compare)choose(r, map, "compare", compares, 0);
  c->relation = (claim_relation)choose(r, map, "expect", relations, -1);
  c->than = c->compare == CLAIM_DIFFERENCE ? 0 : 1;
  read_column(r, map, "metric", &c->metric);
  read_column(r, map, "against_metric", &c->against_metric);
  read_real(r, map, "than", &c->than);
  read_real(r, map, "within", &c->within);
  read_real(r, map, "published", &c->published);
  for (size_t i = 0; i < c->profiles.count; i++)
    if (!spec_names_has(&r->e->profiles, c->profiles.items[i]))
      yml_problem(&r->problems, yml_get(map, "profiles"), (const char *const *)r->e->profiles.items,
                  r->e->profiles.count, "profiles: the file has no profile '%s'",
                  c->profiles.items[i]);
  error = read_row(r, map, "of", &c->of);
  if (!error) error = read_row(r, map, "against", &c->against);
  if (!error && r->problems.count == before) check_claim(r, map, c);
  return error;
}

err spec_read_claims(spec_reader *r) {
  const yml_node *list = yml_get(r->root, "claims");
  spec_experiment *e = r->e;
  err error = NULL;
  if (yml_is_null(list)) return NULL;
  if (list->kind != YML_SEQUENCE) {
    yml_problem(&r->problems, list, NULL, 0, "claims takes a list of maps");
    return NULL;
  }
  e->claims = mem_zeroed(list->count, sizeof *e->claims);
  if (!e->claims) return mem_error(0, "the experiment");
  for (size_t i = 0; i < list->count && !error; i++) {
    if (list->items[i]->kind == YML_MAP)
      error = read_claim(r, list->items[i], &e->claims[e->claim_count++]);
    else
      yml_problem(&r->problems, list->items[i], NULL, 0, "claims takes a list of maps");
  }
  return error;
}

void spec_free_claims(spec_experiment *e) {
  for (size_t i = 0; i < e->claim_count; i++) {
    spec_claim *c = &e->claims[i];
    free(c->sentence);
    free(c->from);
    free(c->compare_name);
    free(c->expect_name);
    spec_pairs_free(&c->of);
    spec_pairs_free(&c->against);
    spec_names_free(&c->profiles);
  }
  free(e->claims);
}

bool spec_claim_is_judged(const spec_experiment *e, const spec_claim *claim) {
  return !claim->profiles.count || (e->profile && spec_names_has(&claim->profiles, e->profile));
}
