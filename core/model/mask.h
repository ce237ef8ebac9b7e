/* Which patches of an image enter the encoder in training. FLIP section 3; MAE section 4. */
#ifndef FLIP_MODEL_MASK_H
#define FLIP_MODEL_MASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

typedef struct {
  int mode;              /* MASK_* of config/settings.h */
  double ratio;          /* fraction dropped */
  int64_t grid;          /* patches per side */
  bool with_replacement; /* mode zero: a patch may be drawn, and dropped, more than once */
} mask_config;

/* Patches that are kept: int(patches * (1 - ratio)) as in the released code, at least one. */
int64_t mask_keep_count(int64_t patches, double ratio);
/* Patches that enter the encoder: the kept ones, or all of them in mode zero. */
int64_t mask_encoded_count(const mask_config *config);

/* Keep-lists for one batch.
 *
 * index [batch, encoded_count] i32, ascending by patch within a row, in [0, grid * grid); in mode
 * zero all patches are listed and a dropped patch v appears as ~v.
 * A row depends on (seed, sample) alone: the same for any number of threads and ranks.
 *   random    uniform without replacement, by sorting uniform noise (FLIP)
 *   grid      evenly spread: a 4x4 dither order with a random offset
 *   block     random rectangles are dropped until enough are gone (BEiT's rule; ours)
 *   block_kept        one block is kept, as near to a square as the count allows (CLIPA's "block")
 *   gaussian  without replacement, weight exp(-distance² / (2 σ²)) from the centre, σ = half the
 *             half-side: the centre is kept more often (ours)
 *   gaussian_density  the largest of uniform noise + normal density of covariance 0.2 on [-1, 1]²
 *             (GLIP's released code)
 *   attentive  not drawn: mask_keep_attended (ERR_INTERNAL here, unless nothing is dropped)
 *   zero      as random, but the dropped are encoded as zeros: the control; with_replacement:
 *             patches - keep_count numbers are drawn, of which some are equal */
err mask_draw(const mask_config *config, uint64_t seed, int64_t first_sample, int64_t batch,
              int32_t *index) ERR_MUST_CHECK;

/* Keep-lists of mode attentive: the patches with the largest scores; of equal ones, those with the
 * lower number; deterministic.
 * scores [batch, scored_grid²]: a patch has the score of the scored patch at its centre, and with
 * cell > 1 the mean of those in its cell of cell x cell patches; cell divides grid. */
err mask_keep_attended(const mask_config *config, const double *scores, int64_t scored_grid,
                       int64_t cell, int64_t batch, int32_t *index) ERR_MUST_CHECK;

#endif
