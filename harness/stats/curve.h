/* Accuracy against training time, and how much sooner one curve reaches an accuracy than another.
 *
 * A curve is a list of evaluations in order of time. It is interpreted as follows: it starts at
 * time 0 with the accuracy of an untrained model, chance (0 where that is not known), and is linear
 * between evaluations. An accuracy is reached where the curve first crosses it: what it loses
 * afterwards does not count against it. The interval of the speed-up (stats/iso.h) reads the curves
 * in the same way; otherwise the estimate could lie outside.
 *
 * Iso-accuracy speed-up of a curve against a baseline: let A be the highest accuracy that both
 * reach (the smaller of the two best ones); the speed-up is the time at which the baseline
 * reaches A divided by the time at which the curve does. Above 1, the curve is faster. */
#ifndef FLIPBENCH_STATS_CURVE_H
#define FLIPBENCH_STATS_CURVE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
  double seconds, accuracy;
} curve_point;

typedef struct {
  curve_point *points; /* ascending in seconds */
  size_t count;
  double start; /* accuracy at time 0 */
} accuracy_curve;

/* Is accuracy `a` above `b` by more than rounding? Of equal means the sums differ in their last
 * digits. */
bool curve_is_above(double a, double b);
/* The best accuracy of the curve; NaN for an empty one. */
double curve_best(const accuracy_curve *c);
/* When the curve first reaches `accuracy`: 0 for one that it starts with, NaN when it never does.
 */
double curve_time_to(const accuracy_curve *c, double accuracy);

typedef struct {
  double accuracy;         /* A */
  double baseline_seconds; /* the baseline's time to A */
  double seconds;          /* the curve's time to A */
  double speedup;          /* their ratio; NaN when either is empty, or A no more than a start */
} curve_iso;
curve_iso curve_compare(const accuracy_curve *baseline, const accuracy_curve *c);

#endif
