#include "base/pace.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"

/* Evidence of disturbance: the run's threads waited for CPUs, and other processes used them. Both
 * are required. A run's own threads compete with each other: on an idle machine with two CPUs, two
 * computing threads and a loader thread waited for 3 to 5 % of the time (others: 1 to 2 % of the
 * CPUs), next to two busy loops for 30 to 65 % (others: 50 to 70 %). And others may use CPUs that
 * this run does not wait for. Shares of the threads' and the CPUs' time, or, with many, of a single
 * one's: with 64 threads one busy neighbour halves the speed, since 63 wait at the barrier. */
static const double most_delay = 0.02, most_delay_of_one = 0.1;
static const double others_share = 0.05, others_of_one = 0.5;
static const double most_stolen = 0.02;
/* Where the kernel does not report delays: all CPUs are in use, partly by others. */
static const double full_share = 0.95;
/* The machine's time is counted in ticks of 10 ms: shorter rows are averaged with their
 * neighbours. */
static const double window_seconds = 0.5;
/* Less than this is within the noise of an idle machine. */
static const double least_lost = 0.05;
/* The number and share of undisturbed rows needed to estimate the steady pace. */
enum { LEAST_UNDISTURBED = 5, MOST_WARM_UP = 20, BLOCKS = 10, LEAST_FOR_BLOCKS = 20 };
static const double least_undisturbed_share = 0.02;

typedef struct {
  double step_seconds;
  int64_t steps;
} timed;

/* What is known about each row. */
typedef struct {
  bool *is_steady;  /* after the warm-up */
  bool *is_held_up; /* with evidence of disturbance */
  bool *is_skipped; /* such evidence for the part whose time counts: the row itself, or the drawn */
  double *lost;     /* seconds, according to the row's evidence */
} marks;

static int at_least_one(int count) {
  return count > 0 ? count : 1;
}

bool pace_is_row_disturbed(const pace_row *row, int threads, int cpus) {
  double wall = row->seconds, all = at_least_one(cpus) * wall;
  if (!(wall > 0)) return false;
  if (row->stolen_seconds > most_stolen * all) return true; /* false for NaN */
  bool has_others =
      !(row->other_cpu_seconds <= fmin(others_share * all, others_of_one * wall)); /* or unknown */
  if (!isnan(row->delay_seconds))
    return has_others && row->delay_seconds > fmin(most_delay * at_least_one(threads) * wall,
                                                   most_delay_of_one * wall);
  return row->other_cpu_seconds > others_share * all &&
         row->other_cpu_seconds + row->cpu_seconds > full_share * all;
}

/* The time that a disturbed row lost according to its own evidence, for runs without undisturbed
 * rows to compare with. Delays of threads at different times add up, since the others wait for the
 * delayed one at the next barrier; simultaneous delays do not. The time that the threads did not
 * compute is one bound, the time that others computed another: the rest of the delay was caused by
 * the run itself. Delays and CPU time are also those of a thread that loads data: where it computes
 * so much that the threads seem never idle, the mean over all of them says more. */
static double lost_by_evidence(const pace_row *row, int threads, int cpus) {
  double wall = row->seconds, lost = 0, stolen = row->stolen_seconds / at_least_one(cpus);
  if (!isnan(row->delay_seconds)) {
    const double computing = at_least_one(threads), all = computing + 1;
    double idle = wall - row->cpu_seconds / computing; /* of NaN and a number fmin has the number */
    double mean = fmin(row->delay_seconds, wall * all - row->cpu_seconds) / all;
    lost = fmin(row->delay_seconds, fmax(idle, mean));
    lost = fmin(lost, row->other_cpu_seconds);
  } else if (!isnan(row->other_cpu_seconds)) {
    lost = wall * row->other_cpu_seconds / (row->other_cpu_seconds + row->cpu_seconds);
  }
  if (stolen > lost || isnan(lost)) lost = stolen;
  return lost > wall ? wall : lost > 0 ? lost : 0;
}

/* ---- merged rows ---- */

static pace_drawn all_of(const pace_row *row) {
  return (pace_drawn){row->steps,         row->seconds,        row->cpu_seconds,
                      row->delay_seconds, row->stolen_seconds, row->other_cpu_seconds};
}

static pace_drawn drawn_of(const pace_row *row) {
  return row->drawn.steps > 0 ? row->drawn : all_of(row);
}

static pace_row row_of(const pace_drawn *part) {
  return (pace_row){.steps = part->steps,
                    .seconds = part->seconds,
                    .cpu_seconds = part->cpu_seconds,
                    .delay_seconds = part->delay_seconds,
                    .stolen_seconds = part->stolen_seconds,
                    .other_cpu_seconds = part->other_cpu_seconds};
}

pace_drawn pace_draw(const pace_drawn *a, int64_t steps, const pace_drawn *b, int64_t more,
                     uint64_t place) {
  rng draw = rng_at(0, RNG_PACE, place, 0);
  return rng_double(&draw) * (double)(steps + more) < (double)steps ? *a : *b;
}

pace_row pace_merge(const pace_row *a, const pace_row *b, uint64_t place) {
  pace_drawn of_a = drawn_of(a), of_b = drawn_of(b);
  return (pace_row){.process = a->process,
                    .steps = a->steps + b->steps,
                    .seconds = a->seconds + b->seconds,
                    .cpu_seconds = a->cpu_seconds + b->cpu_seconds,
                    .delay_seconds = a->delay_seconds + b->delay_seconds,
                    .stolen_seconds = a->stolen_seconds + b->stolen_seconds,
                    .other_cpu_seconds = a->other_cpu_seconds + b->other_cpu_seconds,
                    .drawn = pace_draw(&of_a, a->steps, &of_b, b->steps, place)};
}

/* ---- statistics ---- */

static bool is_usable(const pace_row *row) {
  return row->steps > 0 && isfinite(row->seconds) && row->seconds >= 0;
}

/* Marks the rows after each process's warm-up; all rows if none would be left. */
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

/* The k for which the order statistics k and n + 1 - k enclose the median with 95 % probability:
 * the largest with P(Binomial(n, 1/2) < k) <= 2.5 %; 0 for fewer than 6, whose extremes enclose it
 * with less. */
static size_t rank_of_low(size_t n) {
  double chance = pow(0.5, (double)n), sum = 0;
  size_t k = 0;
  while (k < n && sum + chance <= 0.025) {
    sum += chance;
    chance *= (double)(n - k) / (double)(k + 1);
    k++;
  }
  return k;
}

/* Half the 95 % interval by Student's distribution, for few rows; NaN for one, which shows nothing
 * of how much the pace varies. */
static double half_width_of_few(const timed *times, size_t count) {
  static const double t95[] = {NAN, 12.706, 4.303, 3.182, 2.776}; /* count - 1 degrees of freedom */
  double mean = 0, square = 0;
  for (size_t i = 0; i < count; i++) mean += times[i].step_seconds / (double)count;
  for (size_t i = 0; i < count; i++)
    square += (times[i].step_seconds - mean) * (times[i].step_seconds - mean);
  return count < 2 ? NAN : t95[count - 1] * sqrt(square / (double)((count - 1) * count));
}

/* Half the 95 % interval from the medians of ten blocks: neighbouring steps are correlated, so only
 * blocks show how much the pace varies. Sorts within the blocks. */
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

/* The median of `times`, in run order, and its interval. */
static void find_steady(timed *times, size_t count, pace *p) {
  size_t k = count < LEAST_FOR_BLOCKS ? rank_of_low(count) : 0;
  double half = count >= LEAST_FOR_BLOCKS ? half_width_by_blocks(times, count)
                : k                       ? 0
                                          : half_width_of_few(times, count);
  double median = sort_for_median(times, count);
  p->steady_step_seconds = median;
  p->steady_low = p->steady_high = NAN;
  if (isnan(half)) return;
  p->steady_low = k ? times[k - 1].step_seconds : fmax(median - half, PACE_SHORTEST);
  p->steady_high = k ? times[count - k].step_seconds : median + half;
  p->steady_low = fmin(p->steady_low, median); /* the median is weighted, the ranks are not */
  p->steady_high = fmax(p->steady_high, median);
}

/* Takes the times of the steady rows, all or the undisturbed ones; returns their number. */
static size_t take_times(const pace_row *rows, size_t count, const marks *m, bool takes_all,
                         timed *times) {
  size_t taken = 0;
  for (size_t i = 0; i < count; i++) {
    if (!m->is_steady[i] || (m->is_skipped[i] && !takes_all)) continue;
    pace_drawn part = drawn_of(&rows[i]);
    double seconds = part.seconds / (double)part.steps;
    times[taken++] = (timed){seconds > PACE_SHORTEST ? seconds : PACE_SHORTEST, rows[i].steps};
  }
  return taken;
}

/* Seconds beyond the steady pace in the disturbed rows, or as estimated from their evidence. */
static double lost_seconds(const pace_row *rows, size_t count, const marks *m, const pace *p) {
  double lost = 0;
  for (size_t i = 0; i < count; i++) {
    if (!p->has_undisturbed)
      lost += m->lost[i];
    else if (m->is_held_up[i] && m->is_steady[i])
      lost += rows[i].seconds - (double)rows[i].steps * p->steady_step_seconds;
  }
  return lost;
}

/* A copy of the row with the mean share of other load and stolen time over its neighbours. */
static pace_row smoothed(const pace_row *row, double seconds, double others, double stolen) {
  pace_row smooth = *row;
  smooth.other_cpu_seconds = others * row->seconds / seconds;
  smooth.stolen_seconds = stolen * row->seconds / seconds;
  return smooth;
}

/* Whether the part was held up that was drawn from a merged row, whose window has these sums. A
 * part of a window's length has readings of its own. */
static bool is_drawn_held_up(const pace_drawn *drawn, double seconds, double others, double stolen,
                             int threads, int cpus) {
  pace_row part = row_of(drawn);
  if (part.seconds < window_seconds) part = smoothed(&part, seconds, others, stolen);
  return pace_is_row_disturbed(&part, threads, cpus);
}

/* Judges each row by windows of neighbours within one process. */
static void judge(const pace_row *rows, size_t count, int threads, int cpus, marks *m) {
  for (size_t first = 0, next; first < count; first = next) {
    double seconds = 0, others = 0, stolen = 0;
    for (next = first;
         next < count && rows[next].process == rows[first].process && seconds < window_seconds;
         next++) {
      if (!is_usable(&rows[next])) continue;
      seconds += rows[next].seconds;
      others += rows[next].other_cpu_seconds;
      stolen += rows[next].stolen_seconds;
    }
    for (size_t i = first; i < next; i++) {
      if (!is_usable(&rows[i]) || !(seconds > 0)) continue;
      pace_row smooth = smoothed(&rows[i], seconds, others, stolen);
      m->is_held_up[i] = pace_is_row_disturbed(&smooth, threads, cpus);
      if (m->is_held_up[i]) m->lost[i] = lost_by_evidence(&smooth, threads, cpus);
      m->is_skipped[i] = rows[i].drawn.steps > 0 ? is_drawn_held_up(&rows[i].drawn, seconds, others,
                                                                    stolen, threads, cpus)
                                                 : m->is_held_up[i];
    }
  }
}

/* Computes the pace from the marks; `times` has room for `count`. */
static void measure(const pace_row *rows, size_t count, const marks *m, timed *times, pace *p) {
  size_t usable = 0, held_up = 0, steady = 0;
  for (size_t i = 0; i < count; i++) {
    if (!is_usable(&rows[i])) continue;
    usable++;
    steady += m->is_steady[i];
    held_up += m->is_held_up[i];
    p->steps += rows[i].steps;
    p->train_seconds += rows[i].seconds;
  }
  if (usable == 0) return;
  size_t taken = take_times(rows, count, m, false, times);
  p->has_undisturbed =
      taken == steady ||
      (taken >= LEAST_UNDISTURBED && (double)taken >= least_undisturbed_share * (double)steady);
  if (!p->has_undisturbed) taken = take_times(rows, count, m, true, times);
  find_steady(times, taken, p);
  double lost = lost_seconds(rows, count, m, p);
  p->lost_share = p->train_seconds > 0 ? fmin(fmax(lost / p->train_seconds, 0), 1) : 0;
  p->disturbed_share = (double)held_up / (double)usable;
  p->is_disturbed = held_up > 0 && p->lost_share > least_lost;
  if (!p->has_undisturbed)
    p->steady_low =
        fmin(p->steady_low, fmax(p->steady_step_seconds * (1 - p->lost_share), PACE_SHORTEST));
}

err pace_of(const pace_row *rows, size_t count, int threads, int cpus, pace *out) {
  err error = NULL;
  *out = (pace){0};
  if (count == 0) return NULL;
  timed *times = mem_zeroed(count, sizeof *times);
  marks m = {mem_zeroed(count, 1), mem_zeroed(count, 1), mem_zeroed(count, 1),
             mem_zeroed(count, sizeof *m.lost)};
  if (!times || !m.is_steady || !m.is_held_up || !m.is_skipped || !m.lost) {
    error = mem_error(count * sizeof *times, "times of steps");
    goto cleanup;
  }
  judge(rows, count, threads, cpus, &m);
  mark_steady(rows, count, m.is_steady);
  measure(rows, count, &m, times, out);
cleanup:
  free(times);
  free(m.is_steady);
  free(m.is_held_up);
  free(m.is_skipped);
  free(m.lost);
  return error;
}
