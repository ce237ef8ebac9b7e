/* Two safetensors files, tensor by tensor. Internal to exchange/. */
#ifndef FLIPBENCH_EXCHANGE_WEIGHTS_H
#define FLIPBENCH_EXCHANGE_WEIGHTS_H

#include "base/err.h"
#include <stddef.h>

typedef struct {
  size_t tensors, different; /* a tensor that exists in only one file counts as different */
  double greatest; /* of numbers of fp32 tensors; NaN: a number is NaN or infinite in one file */
  char worst[128];
} weights_comparison;

/* Identical files need not be safetensors; files that differ must be. */
err weights_compare(const char *path_a, const char *path_b,
                    weights_comparison *result) ERR_MUST_CHECK;
/* ERR_INPUT, without the path, when the file differs from the checksums in it. One without them, or
 * of another format, is accepted. */
err weights_check(const char *path) ERR_MUST_CHECK;

#endif
