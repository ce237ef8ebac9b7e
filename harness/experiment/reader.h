/* State shared by the parts of the parser while one file is read. Internal to experiment/. */
#ifndef FLIPBENCH_EXPERIMENT_READER_H
#define FLIPBENCH_EXPERIMENT_READER_H

#include "experiment/format.h"
#include "experiment/nodes.h"
#include "experiment/spec.h"

/* One --set-cell. */
typedef struct {
  spec_pairs where;
  const char *assignment; /* "KEY=VALUE" */
  const setting *row;     /* KEY; NULL: a base or the like */
  bool is_used;
} spec_change;

typedef struct {
  spec_experiment *e;
  const spec_options *options;
  const yml_node *root; /* the file with its profile merged in */
  nodes_pool pool;
  yml_problems problems;
  settings shared;  /* base and settings of the file: the defaults of every cell */
  settings scratch; /* scratch settings to validate single values */
  spec_names axes;  /* every key that distinguishes cells, in order of appearance */
  spec_change *changes;
  size_t change_count;
  strbuf last_check; /* the last message of spec_check_cell: reported once, not once per cell */
} spec_reader;

/* matrix, include, exclude and tuning into e->cells. Problems are collected. */
err spec_expand(spec_reader *r) ERR_MUST_CHECK;
err spec_make_tunings(spec_reader *r) ERR_MUST_CHECK;
/* environment, requires, limits and slurm; after spec_expand. */
err spec_read_needs(spec_reader *r) ERR_MUST_CHECK;
/* report into e->report; after spec_expand. */
err spec_read_report(spec_reader *r) ERR_MUST_CHECK;

/* A row's seeds are averaged, so that one of them is no row: a problem where a condition on rows
 * (`what`) names the seed and it is none of their keys. */
void spec_refuse_seed(spec_reader *r, const yml_node *key, const char *what);

/* claims into e->claims; after spec_read_report. */
err spec_read_claims(spec_reader *r) ERR_MUST_CHECK;
void spec_free_claims(spec_experiment *e);
/* Problems for names of evaluation sets that no cell has; nothing where a cell's sets cannot be
 * read. After spec_read_claims. */
err spec_check_sets(spec_reader *r) ERR_MUST_CHECK;

/* Room for one more cell after e->cells; the caller increments the count once its settings are
 * made. */
err spec_add_cell(spec_experiment *e, spec_cell **made) ERR_MUST_CHECK;
/* Settings fingerprint, and the ranks where the matrix gives them. */
err spec_make_id(spec_cell *cell) ERR_MUST_CHECK;
/* ranks and nodes of every cell from the matrix and `requires`; checks them. */
err spec_read_ranks(spec_reader *r) ERR_MUST_CHECK;
/* Reports the findings of settings_check for a cell as a problem at `where`. */
void spec_check_cell(spec_reader *r, const spec_cell *cell, const yml_node *where);

/* Conditions are a flat map of settings, axes or `tuning` to a value or a list of values; NULL
 * when `node` is missing. */
err spec_read_conditions(spec_reader *r, const yml_node *node, const char *what,
                         const yml_node **conditions) ERR_MUST_CHECK;
err spec_conditions_hold(spec_reader *r, const yml_node *conditions, const spec_cell *cell,
                         bool *hold) ERR_MUST_CHECK;
/* A problem for each value in `conditions` (may be NULL) that none of the cells [first, first +
 * count) has, in files without profiles, whose values may be another profile's. */
err spec_check_conditions(spec_reader *r, const yml_node *conditions, const char *what,
                          size_t first, size_t count) ERR_MUST_CHECK;
/* True when `node` (a value or a list of values) contains `value` under `key`. */
err spec_value_is_among(spec_reader *r, const char *key, const yml_node *node, const char *value,
                        bool *is_among) ERR_MUST_CHECK;

/* --set-cell: parsed once the axes are known, applied to each cell; each must match at least
 * one. */
err spec_read_changes(spec_reader *r) ERR_MUST_CHECK;
err spec_apply_changes(spec_reader *r, spec_cell *cell) ERR_MUST_CHECK;
err spec_finish_changes(const spec_reader *r) ERR_MUST_CHECK;

/* The plain values of a map into the struct of its group (format.h); unknown keys are problems. */
err spec_read_group(spec_reader *r, format_group group, const yml_node *map,
                    void *into) ERR_MUST_CHECK;

/* The value of a key for comparison: a setting in its canonical form, other text as it is. A value
 * of the wrong type is a problem. */
err spec_canonical(spec_reader *r, const char *key, const yml_node *node,
                   char **text) ERR_MUST_CHECK;
err spec_pairs_add(spec_pairs *pairs, const char *key, const char *value,
                   bool is_labeled) ERR_MUST_CHECK;
void spec_pairs_free(spec_pairs *pairs);
/* A scalar or a list of scalars as names; anything else is a problem that mentions `what`. */
err spec_read_names(spec_reader *r, const yml_node *node, const char *what,
                    spec_names *names) ERR_MUST_CHECK;
/* A copy of a scalar's text; NULL for a missing one, a problem for a list or map. */
err spec_read_text(spec_reader *r, const char *key, char **text) ERR_MUST_CHECK;
/* Every key must be one of `names`; others are reported with their location: "unknown key 'x' in
 * report". */
void spec_check_keys(spec_reader *r, const yml_node *map, const char *where,
                     const char *const *names, size_t count);
void spec_check_group(spec_reader *r, const yml_node *map, const char *where, format_group group);

#endif
