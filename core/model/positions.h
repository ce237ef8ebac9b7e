/* Resizes learned image positions to another resolution: training on small images and tuning or
 * evaluating on full ones (RECLIP, CLIPA), and published weights at another size. Sine-cosine
 * positions need no resizing: they are computed for the actual grid. */
#ifndef FLIP_MODEL_POSITIONS_H
#define FLIP_MODEL_POSITIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* from [from_rows, width] to [rows, width], each in row order of a square grid, preceded by one row
 * of the class token if has_class, which is copied. Bicubic (a = -0.5), antialiased when the grid
 * shrinks: equal to torch's interpolate(mode="bicubic", antialias=True), which open_clip uses. An
 * error if either is not square. */
err positions_resize(const float *from, int64_t from_rows, bool has_class, int64_t width,
                     int64_t rows, float *to) ERR_MUST_CHECK;

/* The same in double. */
err positions_resize_wide(const double *from, int64_t from_rows, bool has_class, int64_t width,
                          int64_t rows, double *to) ERR_MUST_CHECK;

/* That filter in one dimension: weights [to, from], the contribution of each old position to each
 * new one. */
void positions_weights(int64_t from, int64_t to, double *weights);

#endif
