#include "stats/linked.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/numbers.h"

enum { NO_PARTNER = -1 };

typedef struct {
  const linked_sample *samples;
  size_t count, items;
  int64_t *partner;      /* [count]: the other sample of the round, or NO_PARTNER */
  size_t *of_item;       /* [count]: the samples, by item */
  size_t *first;         /* [items + 1]: where those of an item begin in of_item */
  double *level, *found; /* [items]: NaN: not known; found: in this pass */
  double *scratch;       /* [count] */
} links;

static int by_round(const void *a, const void *b, void *samples) {
  const linked_sample *x = (const linked_sample *)samples + *(const size_t *)a;
  const linked_sample *y = (const linked_sample *)samples + *(const size_t *)b;
  return (x->round > y->round) - (x->round < y->round);
}

/* The first two samples of a round, if they are of two items. */
static err find_partners(links *l) {
  size_t *order = mem_zeroed(l->count, sizeof *order);
  if (!order) return mem_error(l->count * sizeof *order, "samples");
  for (size_t i = 0; i < l->count; i++) {
    order[i] = i;
    l->partner[i] = NO_PARTNER;
  }
  qsort_r(order, l->count, sizeof *order, by_round, (void *)l->samples);
  for (size_t i = 0; i + 1 < l->count; i++) {
    const linked_sample *a = &l->samples[order[i]], *b = &l->samples[order[i + 1]];
    if (a->round != b->round || l->partner[order[i]] != NO_PARTNER || a->item == b->item) continue;
    l->partner[order[i]] = (int64_t)order[i + 1];
    l->partner[order[i + 1]] = (int64_t)order[i];
  }
  free(order);
  return NULL;
}

/* Counted into place: a pass over all items then reads every sample once. */
static void sort_by_item(links *l) {
  for (size_t i = 0; i < l->count; i++) l->first[l->samples[i].item + 1]++;
  for (size_t i = 0; i < l->items; i++) l->first[i + 1] += l->first[i];
  for (size_t i = l->count; i-- > 0;) { /* moves the ends to the beginnings, one item on */
    size_t *end = &l->first[l->samples[i].item + 1];
    l->of_item[--*end] = i;
  }
  for (size_t i = 0; i < l->items; i++) l->first[i] = l->first[i + 1];
  l->first[l->items] = l->count;
}

/* The median of an item's samples that have a partner: as measured, or relative to partners of
 * known level. */
static double level_of(const links *l, size_t item, bool is_relative, size_t *used) {
  *used = 0;
  for (size_t k = l->first[item]; k < l->first[item + 1]; k++) {
    const size_t i = l->of_item[k];
    if (l->partner[i] == NO_PARTNER) continue;
    const linked_sample *other = &l->samples[l->partner[i]];
    double scale = is_relative ? l->level[other->item] / other->value : 1;
    if (!isnan(scale)) l->scratch[(*used)++] = l->samples[i].value * scale;
  }
  return numbers_median(l->scratch, *used);
}

/* The levels of items whose partners' were known before this pass. */
static bool spread(links *l) {
  bool has_found = false;
  size_t used;
  for (size_t i = 0; i < l->items; i++) {
    l->found[i] = isnan(l->level[i]) ? level_of(l, i, true, &used) : l->level[i];
    has_found = has_found || (isnan(l->level[i]) && !isnan(l->found[i]));
  }
  for (size_t i = 0; i < l->items; i++) l->level[i] = l->found[i];
  return has_found;
}

static void find_levels(links *l) {
  size_t most = 0, reference = 0, used;
  for (size_t i = 0; i < l->items; i++) {
    l->level[i] = NAN;
    (void)level_of(l, i, false, &used);
    if (used <= most) continue;
    most = used;
    reference = i;
  }
  if (!most) return;
  l->level[reference] = level_of(l, reference, false, &used);
  while (spread(l)) continue;
}

err stats_linked(const linked_sample *samples, size_t count, size_t items, double *corrected) {
  links l = {.samples = samples, .count = count, .items = items};
  err error = NULL;
  if (!count) return NULL;
  l.partner = mem_zeroed(count, sizeof *l.partner);
  l.of_item = mem_zeroed(count, sizeof *l.of_item);
  l.first = mem_zeroed(items + 1, sizeof *l.first);
  l.scratch = mem_zeroed(count, sizeof *l.scratch);
  l.level = mem_zeroed(items, sizeof *l.level);
  l.found = mem_zeroed(items, sizeof *l.found);
  if (!l.partner || !l.of_item || !l.first || !l.scratch || !l.level || !l.found)
    FAIL(ERR_MEMORY, "out of memory: %zu samples", count);
  TRY(find_partners(&l));
  sort_by_item(&l);
  find_levels(&l);
  for (size_t i = 0; i < count; i++) {
    corrected[i] = NAN;
    if (l.partner[i] == NO_PARTNER) continue;
    const linked_sample *other = &samples[l.partner[i]];
    corrected[i] = samples[i].value * l.level[other->item] / other->value;
  }
cleanup:
  free(l.partner);
  free(l.of_item);
  free(l.first);
  free(l.scratch);
  free(l.level);
  free(l.found);
  return error;
}
