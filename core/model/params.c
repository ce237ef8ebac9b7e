#include "model/params.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

enum { ALIGNMENT = 16 }; /* elements: every tensor starts on a cache line in fp32 */

size_t param_table_add(param_table *table, const char *name, int64_t rows, int64_t columns,
                       bool is_decayed, param_rule rule, double scale) {
  if (table->count == table->capacity) {
    size_t capacity = table->capacity ? table->capacity * 2 : 64;
    param *items = mem_resize(table->items, capacity, sizeof *items);
    if (!items) {
      table->total = -1; /* lay_out reports it */
      return table->count ? table->count - 1 : 0;
    }
    table->items = items;
    table->capacity = capacity;
  }
  param *p = &table->items[table->count];
  *p = (param){
      .rows = rows, .columns = columns, .is_decayed = is_decayed, .rule = rule, .scale = scale};
  snprintf(p->name, sizeof p->name, "%s", name);
  return table->count++;
}

err param_table_lay_out(param_table *table) {
  if (table->total < 0 || !table->items) return mem_error(sizeof(param), "the parameter table");
  int64_t at = 0;
  for (int pass = 0; pass < 2; pass++) {
    for (size_t i = 0; i < table->count; i++) {
      param *p = &table->items[i];
      if (p->is_decayed != (pass == 0)) continue;
      p->offset = at;
      at += (param_elements(p) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    if (pass == 0) table->decayed = at;
  }
  table->total = at;
  return NULL;
}

const param *param_table_find(const param_table *table, const char *name) {
  for (size_t i = 0; i < table->count; i++)
    if (strcmp(table->items[i].name, name) == 0) return &table->items[i];
  return NULL;
}

void param_table_free(param_table *table) {
  free(table->items);
  *table = (param_table){0};
}

void param_initial(const param *p, size_t index, uint64_t seed, double *values) {
  int64_t count = param_elements(p);
  double fan = (double)(p->rows + p->columns), limit = 0;
  if (p->rule == PARAM_XAVIER) limit = sqrt(6.0 / fan);
  /* q, k and v are [columns, columns] each, stacked: variance 0.5 / columns */
  if (p->rule == PARAM_ATTENTION) limit = sqrt(3.0 * 0.5 / (double)p->columns);
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < count; i++) {
    rng r = rng_at(seed, RNG_INIT, index, (uint64_t)i);
    switch (p->rule) {
    case PARAM_ZERO:
      values[i] = 0;
      break;
    case PARAM_ONE:
      values[i] = 1;
      break;
    case PARAM_CONSTANT:
      values[i] = p->scale;
      break;
    case PARAM_NORMAL:
      values[i] = p->scale * rng_normal(&r);
      break;
    case PARAM_XAVIER:
    case PARAM_ATTENTION:
      values[i] = limit * (2.0 * rng_double(&r) - 1.0);
      break;
    }
  }
}
