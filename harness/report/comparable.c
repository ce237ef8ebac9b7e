/* Which runs' results, times and memory are compared, and which have a mean. */
#include <math.h>
#include <string.h>

#include "report/data.h"

const input_kind data_time_inputs[DATA_TIME_INPUTS] = {INPUT_MACHINE, INPUT_RANKS, INPUT_THREADS,
                                                       INPUT_PRECISION};

/* A cell without a finished run has no time, and its inputs are not known. */
static bool has_comparable_times(const data_cell *a, const data_cell *b) {
  if (!a->is_finished || !b->is_finished) return true;
  for (size_t i = 0; i < DATA_TIME_INPUTS; i++)
    if (a->inputs[data_time_inputs[i]] != b->inputs[data_time_inputs[i]]) return false;
  return !data_has_mixed_paces(a) && !data_has_mixed_paces(b);
}

bool data_is_comparable(const report_data *d, size_t row, size_t other, bool is_of_time) {
  const data_row *a = &d->rows[row], *b = &d->rows[other];
  if (a->group != b->group) return false;
  for (size_t i = 0; i < a->count && is_of_time; i++)
    for (size_t k = 0; k < b->count; k++)
      if (!has_comparable_times(&d->cells[a->cells[i]], &d->cells[b->cells[k]])) return false;
  return true;
}

static bool has_other_ranks(const data_cell *a, const data_cell *b) {
  return a->inputs[INPUT_RANKS] != b->inputs[INPUT_RANKS];
}

static bool has_other_threads(const data_cell *a, const data_cell *b) {
  return a->inputs[INPUT_THREADS] != b->inputs[INPUT_THREADS];
}

/* Nodes of a cluster that are alike may share a mean. */
static bool has_other_processor(const data_cell *a, const data_cell *b) {
  return strcmp(a->environment.device_name, b->environment.device_name) != 0 ||
         strcmp(a->environment.cpu, b->environment.cpu) != 0;
}

/* A virtual machine may hide its processor's name, and FLIP_CPU_KERNELS chooses too. */
static bool has_other_kernels(const data_cell *a, const data_cell *b) {
  return strcmp(a->environment.kernels, b->environment.kernels) != 0;
}

/* precision: auto measures, and may have chosen otherwise under other load. */
static bool has_other_precision(const data_cell *a, const data_cell *b) {
  return a->inputs[INPUT_PRECISION] != b->inputs[INPUT_PRECISION];
}

static bool is_any_other(const report_data *d, size_t row,
                         bool (*is_other)(const data_cell *, const data_cell *)) {
  const data_cell *first = NULL;
  for (size_t i = 0; i < d->rows[row].count; i++) {
    const data_cell *c = &d->cells[d->rows[row].cells[i]];
    if (!c->is_finished || !c->environment.is_known) continue;
    if (first && is_other(first, c)) return true;
    first = first ? first : c;
  }
  return false;
}

bool data_has_several_ranks(const report_data *d, size_t row) {
  return is_any_other(d, row, has_other_ranks);
}

const char *data_differing_pace(const report_data *d, size_t row) {
  return is_any_other(d, row, has_other_processor) ? "its runs were made on different processors"
         : is_any_other(d, row, has_other_kernels)
             ? "its runs were made with kernels for different processors"
         : data_has_several_ranks(d, row) ? "its runs were made on different numbers of ranks"
         : is_any_other(d, row, has_other_threads)
             ? "its runs were made with different numbers of threads"
         : is_any_other(d, row, has_other_precision) ? "its runs computed in different precisions"
                                                     : NULL;
}

/* Those of the matrix, too. Runs of older versions, which had one, did not record it. */
static double ranks_of(const data_cell *c) {
  const double ranks = data_number_of(c, "ranks");
  return isnan(ranks) ? 1 : ranks;
}

/* It is the memory of one rank, which has a smaller part of the batch the more there are. */
static bool has_comparable_memory(const data_cell *a, const data_cell *b) {
  const char *own = a->environment.device, *other = b->environment.device;
  if (!a->is_finished || !b->is_finished) return true;
  return a->inputs[INPUT_RANKS] == b->inputs[INPUT_RANKS] && ranks_of(a) == ranks_of(b) &&
         (!*own || !*other || strcmp(own, other) == 0);
}

bool data_has_comparable_memory(const report_data *d, size_t row, size_t other) {
  const data_row *a = &d->rows[row], *b = &d->rows[other];
  for (size_t i = 0; i < a->count; i++)
    for (size_t k = 0; k < b->count; k++)
      if (!has_comparable_memory(&d->cells[a->cells[i]], &d->cells[b->cells[k]])) return false;
  return true;
}

/* Were the runs of the row's curves trained as `like` was? */
static bool has_curves_like(const report_data *d, size_t row, const data_cell *like) {
  for (size_t i = 0; i < d->rows[row].count; i++)
    for (ptrdiff_t at = (ptrdiff_t)d->rows[row].cells[i]; at >= 0;
         at = data_continued_by(d, (size_t)at))
      if (!has_comparable_times(&d->cells[at], like)) return false;
  return true;
}

bool data_has_comparable_curves(const report_data *d, size_t row, size_t other) {
  const data_row *theirs = &d->rows[other];
  size_t first = 0;
  while (first + 1 < theirs->count && !d->cells[theirs->cells[first]].is_finished) first++;
  const data_cell *like = &d->cells[theirs->cells[first]];
  return data_is_comparable(d, row, other, true) && has_curves_like(d, row, like) &&
         has_curves_like(d, other, like);
}
