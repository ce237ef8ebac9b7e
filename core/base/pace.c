#include "base/pace.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

/* A thread that could run waits for a CPU only while another thread runs there. On a quiet machine
 * that is the kernel's own work: a few tenths of a percent. */
static const double most_delay = 0.02, most_stolen = 0.02;
/* Where the kernel does not tell delays: all CPUs are in use, by others too. */
static const double full_share = 0.95, others_share = 0.05;
/* Less than this is within the noise of a quiet machine. */
static const double least_lost = 0.05;
/* So many undisturbed rows, and this share of all, tell the steady pace. */
enum { LEAST_UNDISTURBED = 5, MOST_WARM_UP = 20, BLOCKS = 10, LEAST_FOR_BLOCKS = 20 };
static const double least_undisturbed_share = 0.02;
static const double shortest_step = 1e-9;

typedef struct {
  double step_seconds;
  int64_t steps;
} timed;

static int at_least_one(int count) {
  return count > 0 ? count : 1;
}

bool pace_is_row_disturbed(const pace_row *row, int threads, int cpus) {
  double wall = row->seconds, all = at_least_one(cpus) * wall;
  if (!(wall > 0)) return false;
  if (row->stolen_seconds > most_stolen * all) return true; /* false for NaN */
  if (!isnan(row->delay_seconds))
    return row->delay_seconds > most_delay * at_least_one(threads) * wall;
  return row->other_cpu_seconds > others_share * all &&
         row->other_cpu_seconds + row->cpu_seconds > full_share * all;
}

/* What a disturbed row lost by its own evidence, for runs without undisturbed rows to compare with.
 * Delays of threads at different times add up, since the others wait for the delayed one at the
 * next barrier; delays at the same time do not. What the threads did not compute is a bound. */
static double lost_by_evidence(const pace_row *row, int threads, int cpus) {
  double wall = row->seconds, lost = 0, stolen = row->stolen_seconds / at_least_one(cpus);
  if (!isnan(row->delay_seconds)) {
    double idle = wall - row->cpu_seconds / at_least_one(threads);
    lost = row->delay_seconds / at_least_one(threads);
    if (idle > lost) lost = fmin(row->delay_seconds, idle); /* false for NaN */
  } else if (!isnan(row->other_cpu_seconds)) {
    lost = wall * row->other_cpu_seconds / (row->other_cpu_seconds + row->cpu_seconds);
  }
  if (stolen > lost || isnan(lost)) lost = stolen;
  return lost > wall ? wall : lost > 0 ? lost : 0;
}

static bool is_usable(const pace_row *row) {
  return row->steps > 0 && isfinite(row->seconds) && row->seconds >= 0;
}

/* Marks the rows after each process's warm-up; all rows when none would be left. */
static void mark_steady(const pace_row *rows, size_t count, bool *is_steady) {
  size_t left = 0;
  for (size_t first = 0, next; first < count; first = next) {
    size_t usable = 0, seen = 0;
    for (next = first; next < count && rows[next].process == rows[first].process; next++)
      usable += is_usable(&rows[next]);
    size_t skipped = (usable + 9) / 10;
    if (skipped > MOST_WARM_UP) skipped = MOST_WARM_UP;
    for (size_t i = first; i < next; i++) {
      is_steady[i] = is_usable(&rows[i]) && seen++ >= skipped;
      left += is_steady[i];
    }
  }
  for (size_t i = 0; i < count && left == 0; i++) is_steady[i] = is_usable(&rows[i]);
}

static int by_time(const void *a, const void *b) {
  double x = ((const timed *)a)->step_seconds, y = ((const timed *)b)->step_seconds;
  return (x > y) - (x < y);
}

/* Sorts and takes the weighted median: with equal weights the ordinary one. */
static double sort_for_median(timed *times, size_t count) {
  int64_t total = 0, below = 0;
  qsort(times, count, sizeof *times, by_time);
  for (size_t i = 0; i < count; i++) total += times[i].steps;
  for (size_t i = 0; i < count; i++) {
    below += times[i].steps;
    if (2 * below == total && i + 1 < count)
      return (times[i].step_seconds + times[i + 1].step_seconds) / 2;
    if (2 * below >= total) return times[i].step_seconds;
  }
  return 0;
}

/* The k of the order statistics k and n + 1 - k that hold the median with 95 % probability: the
 * largest with P(Binomial(n, 1/2) < k) <= 2.5 %; at least 1. */
static size_t rank_of_low(size_t n) {
  double chance = pow(0.5, (double)n), sum = 0;
  size_t k = 0;
  while (k < n && sum + chance <= 0.025) {
    sum += chance;
    chance *= (double)(n - k) / (double)(k + 1);
    k++;
  }
  return k ? k : 1;
}

/* Half the 95 % interval by the medians of ten blocks: neighbouring steps are alike, so that only
 * blocks tell how far the pace wanders. Sorts within the blocks. */
static double half_width_by_blocks(timed *times, size_t count) {
  static const double t95_of_9 = 2.262;
  double medians[BLOCKS], mean = 0, square = 0;
  for (size_t b = 0; b < BLOCKS; b++) {
    size_t first = b * count / BLOCKS, next = (b + 1) * count / BLOCKS;
    medians[b] = sort_for_median(times + first, next - first);
    mean += medians[b] / BLOCKS;
  }
  for (size_t b = 0; b < BLOCKS; b++) square += (medians[b] - mean) * (medians[b] - mean);
  return t95_of_9 * sqrt(square / (BLOCKS - 1) / BLOCKS);
}

/* The median of `times`, which come in the order of the run, and its interval. */
static void find_steady(timed *times, size_t count, pace *p) {
  double half = count < LEAST_FOR_BLOCKS ? 0 : half_width_by_blocks(times, count);
  double median = sort_for_median(times, count);
  size_t k = rank_of_low(count);
  bool is_short = count < LEAST_FOR_BLOCKS;
  p->steady_step_seconds = median;
  p->steady_low = is_short ? times[k - 1].step_seconds : fmax(median - half, shortest_step);
  p->steady_high = is_short ? times[count - k].step_seconds : median + half;
  p->steady_low = fmin(p->steady_low, median); /* the median is weighted, the ranks are not */
  p->steady_high = fmax(p->steady_high, median);
}

/* Takes the times of the steady rows, all or the undisturbed; returns how many. */
static size_t take_times(const pace_row *rows, size_t count, const bool *is_steady,
                         const bool *is_held_up, bool takes_all, timed *times) {
  size_t taken = 0;
  for (size_t i = 0; i < count; i++) {
    if (!is_steady[i] || (is_held_up[i] && !takes_all)) continue;
    double seconds = rows[i].seconds / (double)rows[i].steps;
    times[taken++] = (timed){seconds > shortest_step ? seconds : shortest_step, rows[i].steps};
  }
  return taken;
}

/* Seconds beyond the steady pace in the disturbed rows, or what their evidence says. */
static double lost_seconds(const pace_row *rows, size_t count, const bool *is_steady,
                           const bool *is_held_up, int threads, int cpus, const pace *p) {
  double lost = 0;
  for (size_t i = 0; i < count; i++) {
    if (!is_held_up[i]) continue;
    if (!p->has_undisturbed)
      lost += lost_by_evidence(&rows[i], threads, cpus);
    else if (is_steady[i])
      lost += rows[i].seconds - (double)rows[i].steps * p->steady_step_seconds;
  }
  return lost;
}

/* The pace from the marks; `times` is room for `count`. */
static void measure(const pace_row *rows, size_t count, const bool *is_steady,
                    const bool *is_held_up, int threads, int cpus, timed *times, pace *p) {
  size_t usable = 0, held_up = 0, steady = 0;
  for (size_t i = 0; i < count; i++) {
    if (!is_usable(&rows[i])) continue;
    usable++;
    steady += is_steady[i];
    held_up += is_held_up[i];
    p->steps += rows[i].steps;
    p->train_seconds += rows[i].seconds;
  }
  if (usable == 0) return;
  size_t taken = take_times(rows, count, is_steady, is_held_up, false, times);
  p->has_undisturbed =
      taken == steady ||
      (taken >= LEAST_UNDISTURBED && (double)taken >= least_undisturbed_share * (double)steady);
  if (!p->has_undisturbed) taken = take_times(rows, count, is_steady, is_held_up, true, times);
  find_steady(times, taken, p);
  double lost = lost_seconds(rows, count, is_steady, is_held_up, threads, cpus, p);
  p->lost_share = p->train_seconds > 0 ? fmin(fmax(lost / p->train_seconds, 0), 1) : 0;
  p->disturbed_share = (double)held_up / (double)usable;
  p->is_disturbed = held_up > 0 && p->lost_share > least_lost;
  if (!p->has_undisturbed)
    p->steady_low =
        fmin(p->steady_low, fmax(p->steady_step_seconds * (1 - p->lost_share), shortest_step));
}

err pace_of(const pace_row *rows, size_t count, int threads, int cpus, pace *out) {
  err error = NULL;
  *out = (pace){0};
  if (count == 0) return NULL;
  timed *times = mem_zeroed(count, sizeof *times);
  bool *is_steady = mem_zeroed(count, sizeof *is_steady);
  bool *is_held_up = mem_zeroed(count, sizeof *is_held_up);
  if (!times || !is_steady || !is_held_up) {
    error = mem_error(count * sizeof *times, "times of steps");
    goto cleanup;
  }
  for (size_t i = 0; i < count; i++)
    is_held_up[i] = is_usable(&rows[i]) && pace_is_row_disturbed(&rows[i], threads, cpus);
  mark_steady(rows, count, is_steady);
  measure(rows, count, is_steady, is_held_up, threads, cpus, times, out);
cleanup:
  free(times);
  free(is_steady);
  free(is_held_up);
  return error;
}
