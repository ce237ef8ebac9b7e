/* Student's t distribution for integer degrees of freedom. */
#ifndef FLIPBENCH_STATS_STUDENT_H
#define FLIPBENCH_STATS_STUDENT_H

#include <stddef.h>

/* P(|T| >= |t|), two-sided. 0 for an infinite t; NaN for zero degrees of freedom. */
double student_tail(double t, size_t degrees);
/* The t whose two-sided tail is `tail`: student_quantile(0.05, 10) = 2.228. */
double student_quantile(double tail, size_t degrees);

#endif
