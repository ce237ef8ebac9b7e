/* What the parts of spec/ share while one file is read. Internal to spec/. */
#ifndef FLIPBENCH_SPEC_READER_H
#define FLIPBENCH_SPEC_READER_H

#include "spec/nodes.h"
#include "spec/spec.h"

typedef struct {
  spec_experiment *e;
  const spec_options *options;
  const yml_node *root; /* the file with its profile merged in */
  nodes_pool pool;
  yml_problems problems;
  settings shared;  /* base and settings of the file: what every cell starts from */
  settings scratch; /* where single values are tried */
  spec_names axes;  /* every key that tells cells apart, in order of appearance */
} spec_reader;

/* matrix, include, exclude and tuning into e->cells. Problems are collected. */
err spec_expand(spec_reader *r) ERR_MUST_CHECK;
/* report into e->report; after spec_expand. */
err spec_read_report(spec_reader *r) ERR_MUST_CHECK;

/* The value of a key as it is compared: a setting in its canonical form, else the text itself.
 * A value of the wrong type is a problem. */
err spec_canonical(spec_reader *r, const char *key, const yml_node *node,
                   char **text) ERR_MUST_CHECK;
err spec_pairs_add(spec_pairs *pairs, const char *key, const char *value,
                   bool is_labeled) ERR_MUST_CHECK;
void spec_pairs_free(spec_pairs *pairs);
bool spec_names_has(const spec_names *names, const char *name);
/* A scalar or a list of scalars into names; anything else is a problem about `what`. */
err spec_read_names(spec_reader *r, const yml_node *node, const char *what,
                    spec_names *names) ERR_MUST_CHECK;
/* A copy of a scalar's text; NULL for a missing one, a problem for a list or map. */
err spec_read_text(spec_reader *r, const char *key, char **text) ERR_MUST_CHECK;
/* Every key must be one of `names`; the others are problems that say where: "unknown key 'x' in
 * report". */
void spec_check_keys(spec_reader *r, const yml_node *map, const char *where,
                     const char *const *names, size_t count);

#endif
