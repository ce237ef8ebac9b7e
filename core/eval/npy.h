/* NumPy's .npy files (format 1.0, little-endian fp32, row-major), as numpy.load reads them. */
#ifndef FLIP_EVAL_NPY_H
#define FLIP_EVAL_NPY_H

#include <stdint.h>

#include "base/err.h"

/* values [rows, columns]; the write is atomic. The bytes equal those written by numpy.save. */
err npy_write(const char *path, int64_t rows, int64_t columns, const float *values) ERR_MUST_CHECK;

#endif
