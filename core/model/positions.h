/* Learned image positions at another resolution: training on small images, tuning or measuring on
 * whole ones (RECLIP, CLIPA), and published weights at another size. Sine-cosine positions need
 * nothing: they are computed for the grid at hand. */
#ifndef FLIP_MODEL_POSITIONS_H
#define FLIP_MODEL_POSITIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* from [from_rows, width] to [rows, width], row by row of a square grid each, behind one row of the
 * class token if has_class, which is copied. Bicubic (a = -0.5), antialiased where the grid
 * shrinks: torch's interpolate(mode="bicubic", antialias=True), as open_clip resizes them. An error
 * when either is no square. */
err positions_resize(const float *from, int64_t from_rows, bool has_class, int64_t width,
                     int64_t rows, float *to) ERR_MUST_CHECK;

/* That filter in one dimension: weights [to, from], of each old place in a new one. */
void positions_weights(int64_t from, int64_t to, double *weights);

#endif
