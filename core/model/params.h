/* The parameter table: every learned tensor of a model by name, in one flat array.
 *
 * Tensors with weight decay come first, so that AdamW needs two calls: [0, decayed) and the rest.
 * Dense weights are [out, in], as in PyTorch. */
#ifndef FLIP_MODEL_PARAMS_H
#define FLIP_MODEL_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef enum {
  PARAM_ZERO,
  PARAM_ONE,
  PARAM_NORMAL,    /* deviation `scale` */
  PARAM_XAVIER,    /* uniform, limit sqrt(6 / (in + out)) */
  PARAM_ATTENTION, /* q, k, v: uniform, variance 0.5 / mean fan of each [width, width] part */
  PARAM_CONSTANT   /* `scale` itself */
} param_rule;

enum { PARAM_NAME_SIZE = 64 };

typedef struct {
  char name[PARAM_NAME_SIZE];
  int64_t rows, columns; /* a vector has rows 0 */
  int64_t offset;        /* elements from the start of the flat array */
  bool is_decayed;
  param_rule rule;
  double scale;
} param;

typedef struct {
  param *items;
  size_t count, capacity;
  int64_t total;   /* elements, padding included */
  int64_t decayed; /* elements of the part under weight decay */
} param_table;

static inline int64_t param_elements(const param *p) {
  return (p->rows ? p->rows : 1) * p->columns;
}

/* The same including the padding after it in the flat array. */
int64_t param_padded(const param *p);

/* A callback of the backward pass: called after the last op that adds to the gradients of tensors
 * [first, first + count) of the table was called. branch: the branch (ops.branch) in which these
 * ops were called. */
typedef struct param_watch param_watch;
struct param_watch {
  err (*complete)(const param_watch *watcher, size_t first, size_t count);
  void *state;
  int branch;
};

/* Does nothing if watcher is NULL. */
static inline err param_complete(const param_watch *watcher, size_t first, size_t count) {
  return watcher && count ? watcher->complete(watcher, first, count) : NULL;
}

/* Adds a tensor and returns its index; offsets are not set before param_table_lay_out. On memory
 * failure returns a valid index and lay_out reports. */
size_t param_table_add(param_table *table, const char *name, int64_t rows, int64_t columns,
                       bool is_decayed, param_rule rule, double scale);
err param_table_lay_out(param_table *table) ERR_MUST_CHECK;
const param *param_table_find(const param_table *table, const char *name);
/* ERR_INPUT for the name of a tower's weights that the table lacks: a model of the table would be
 * another than the one that was trained. Other names are not judged. */
err param_table_check_name(const param_table *table, const char *name) ERR_MUST_CHECK;
void param_table_free(param_table *table);

/* Initial values of one tensor as doubles, from Philox (seed, RNG_INIT, table index, element):
 * the same for every precision and device. `values` [param_elements]. */
void param_initial(const param *p, size_t index, uint64_t seed, double *values);
/* The same of elements [first, first + count). */
void param_initial_part(const param *p, size_t index, uint64_t seed, int64_t first, int64_t count,
                        double *values);

#endif
