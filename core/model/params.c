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

int64_t param_padded(const param *p) {
  return (param_elements(p) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

err param_table_lay_out(param_table *table) {
  if (table->total < 0 || !table->items) return mem_error(sizeof(param), "the parameter table");
  int64_t at = 0;
  for (int pass = 0; pass < 2; pass++) {
    for (size_t i = 0; i < table->count; i++) {
      param *p = &table->items[i];
      if (p->is_decayed != (pass == 0)) continue;
      p->offset = at;
      at += param_padded(p);
    }
    if (pass == 0) table->decayed = at;
  }
  table->total = at;
  return NULL;
}

err param_table_check_name(const param_table *table, const char *name) {
  bool is_tower = strncmp(name, "image.", 6) == 0 || strncmp(name, "text.", 5) == 0;
  if (!is_tower || param_table_find(table, name)) return NULL;
  return err_new(ERR_INPUT,
                 "tensor '%s' has no place in the model that the settings describe: were other "
                 "settings (layers, class token, positions, …) trained?",
                 name);
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

/* Up to RNG_PLACES elements from `first` on. */
static void draw(const param *p, double limit, size_t index, uint64_t seed, int64_t first,
                 int64_t count, double *values) {
  uint32_t w[4][RNG_PLACES];
  rng_first_words(seed, RNG_INIT, index, (uint64_t)first, w);
  if (p->rule == PARAM_NORMAL)
    for (int64_t i = 0; i < count; i++)
      values[i] = p->scale *
                  rng_normal_of(rng_double_of(w[0][i], w[1][i]), rng_double_of(w[2][i], w[3][i]));
  else
    for (int64_t i = 0; i < count; i++)
      values[i] = limit * (2.0 * rng_double_of(w[0][i], w[1][i]) - 1.0);
}

void param_initial_part(const param *p, size_t index, uint64_t seed, int64_t first, int64_t count,
                        double *values) {
  const double fan = (double)(p->rows + p->columns);
  double limit = 0;
  switch (p->rule) {
  case PARAM_ZERO:
  case PARAM_ONE:
  case PARAM_CONSTANT: {
    const double value = p->rule == PARAM_CONSTANT ? p->scale : p->rule == PARAM_ONE;
    for (int64_t i = 0; i < count; i++) values[i] = value;
    return;
  }
  case PARAM_XAVIER:
    limit = sqrt(6.0 / fan);
    break;
  case PARAM_ATTENTION: /* q, k and v are [columns, columns] each, stacked: variance 0.5 / columns
                         */
    limit = sqrt(3.0 * 0.5 / (double)p->columns);
    break;
  case PARAM_NORMAL:
    break;
  }
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < count; i += RNG_PLACES)
    draw(p, limit, index, seed, first + i, count - i < RNG_PLACES ? count - i : RNG_PLACES,
         values + i);
}

void param_initial(const param *p, size_t index, uint64_t seed, double *values) {
  param_initial_part(p, index, seed, 0, param_elements(p), values);
}
