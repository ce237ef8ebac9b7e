/* L-BFGS (Nocedal & Wright, algorithm 7.5) with a strong-Wolfe line search (3.5, 3.6). */
#ifndef FLIP_EVAL_LBFGS_H
#define FLIP_EVAL_LBFGS_H

#include <stdint.h>

#include "base/err.h"

/* The value at x [count]; fills the gradient. */
typedef double (*lbfgs_function)(void *context, const double *x, double *gradient);

/* Minimises from x, which receives the result. Stops when no component of the gradient is above
 * `tolerance`, after most_iterations, or when the line search finds nothing lower. */
err lbfgs_minimise(lbfgs_function function, void *context, int64_t count, double tolerance,
                   int most_iterations, double *x) ERR_MUST_CHECK;

#endif
