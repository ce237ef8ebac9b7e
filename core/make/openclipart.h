/* Real data without internet access: Debian's openclipart-png and openclipart-svg, 8,121 drawings
 * by people, each with a title, keywords and a category, packed into shards. docs/data.md describes
 * the rules. */
#ifndef FLIP_MAKE_OPENCLIPART_H
#define FLIP_MAKE_OPENCLIPART_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

typedef struct {
  const char *source; /* folder with png/ and svg/ */
  const char *out;
  int64_t size;       /* longest side in pixels */
  int64_t shard_size; /* samples per shard */
  double heldout;     /* share of the drawings */
  bool as_png;
  int threads; /* 0: all */
  bool has_progress;
} openclipart_options;

typedef struct {
  int64_t drawings, train, heldout, duplicates, skipped, train_shards, heldout_shards;
} openclipart_result;

/* Writes OUT/train-*.tar, OUT/heldout-*.tar and OUT/manifest.json. The output does not depend on
 * the number of threads. */
err openclipart_pack(const openclipart_options *options, openclipart_result *result) ERR_MUST_CHECK;

#endif
