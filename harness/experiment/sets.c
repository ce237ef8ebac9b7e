/* The names of evaluation sets that a report and its claims use, against those of the cells. */
#include <stdlib.h>
#include <string.h>

#include "experiment/reader.h"

typedef struct {
  spec_reader *r;
  spec_names known;
  bool has_looked;  /* for them: only once a name is to be compared */
  bool is_complete; /* every set of every cell could be read here */
  err error;
} known_sets;

static err add_set(known_sets *s, const char *path) {
  yml_document *document = NULL;
  err error = yml_load(path, &document);
  if (error && err_kind_of(error) == ERR_MEMORY) return error;
  if (error) { /* it belongs to another machine, or the run will say what is wrong with it */
    s->is_complete = false;
    err_free(error);
    return NULL;
  }
  const yml_node *name = yml_get(yml_root(document), "name");
  const char *found = name && name->kind == YML_SCALAR ? name->scalar : path;
  if (!spec_names_has(&s->known, found)) error = spec_names_add(&s->known, found);
  yml_free(document);
  return error;
}

static err find_sets(known_sets *s) {
  spec_names paths = {0};
  err error = NULL;
  for (size_t i = 0; i < s->r->e->cell_count && !error; i++) {
    const settings *of = &s->r->e->cells[i].settings;
    for (size_t k = 0; k < of->eval_sets.count && !error; k++) {
      if (spec_names_has(&paths, of->eval_sets.items[k])) continue;
      error = spec_names_add(&paths, of->eval_sets.items[k]);
      if (!error) error = add_set(s, of->eval_sets.items[k]);
    }
  }
  spec_names_free(&paths);
  return error;
}

static void check_set(known_sets *s, const yml_node *node, const char *name) {
  strbuf all = {0};
  if (!s->has_looked) s->error = find_sets(s);
  s->has_looked = true;
  if (s->error || !s->is_complete || !s->known.count || spec_names_has(&s->known, name)) return;
  for (size_t i = 0; i < s->known.count; i++)
    strbuf_format(&all, "%s%s", i ? ", " : "", s->known.items[i]);
  yml_problem(&s->r->problems, node, NULL, 0, "no cell has an evaluation set called '%s' (%s)",
              name, strbuf_string(&all));
  strbuf_free(&all);
}

static void check_column(known_sets *s, const yml_node *node, const char *name) {
  const column *c = columns_find(name);
  if (c && c->set) check_set(s, node, c->set);
}

/* Columns are named as keys and as values, by plots in pairs ("Y against X"). */
static void check_columns(known_sets *s, const yml_node *node) {
  if (node->kind == YML_SCALAR) {
    const char *at = strstr(node->scalar, " against ");
    char *first = at ? strndup(node->scalar, (size_t)(at - node->scalar)) : NULL;
    check_column(s, node, first ? first : node->scalar);
    if (at) check_column(s, node, at + strlen(" against "));
    free(first);
    return;
  }
  for (size_t i = 0; i < node->count; i++) {
    if (node->kind == YML_MAP) check_columns(s, node->keys[i]);
    check_columns(s, node->items[i]);
  }
}

/* Those of other profiles may name sets that only these have. */
static void check_claims(known_sets *s, const yml_node *claims) {
  const spec_experiment *e = s->r->e;
  size_t at = 0;
  for (size_t i = 0; i < claims->count && claims->kind == YML_SEQUENCE; i++) {
    if (claims->items[i]->kind != YML_MAP || at >= e->claim_count) continue;
    if (spec_claim_is_judged(e, &e->claims[at++])) check_columns(s, claims->items[i]);
  }
}

err spec_check_sets(spec_reader *r) {
  static const char *const keys[] = {"main_set", "shifted_set"};
  known_sets s = {.r = r, .is_complete = true};
  const yml_node *report = yml_get(r->root, "report"), *claims = yml_get(r->root, "claims");
  for (int k = 0; k < 2 && report && report->kind == YML_MAP; k++) {
    const yml_node *set = yml_get(report, keys[k]);
    if (!yml_is_null(set) && set->kind == YML_SCALAR) check_set(&s, set, set->scalar);
  }
  if (report) check_columns(&s, report);
  if (claims) check_claims(&s, claims);
  spec_names_free(&s.known);
  return s.error;
}
