#include "model/mask.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "config/settings.h"

typedef struct {
  double key; /* the smallest are kept */
  int32_t patch;
} ranked;

static int by_key(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->key != y->key) return x->key < y->key ? -1 : 1;
  return x->patch - y->patch;
}

int64_t mask_keep_count(int64_t patches, double ratio) {
  int64_t keep = (int64_t)((double)patches * (1.0 - ratio));
  return keep > 0 ? keep : 1;
}

int64_t mask_encoded_count(const mask_config *config) {
  int64_t patches = config->grid * config->grid;
  return config->mode == MASK_ZERO ? patches : mask_keep_count(patches, config->ratio);
}

static void rank_random(int64_t grid, rng *r, ranked *order) {
  for (int32_t i = 0; i < grid * grid; i++) order[i] = (ranked){rng_double(r), i};
}

static void rank_grid(int64_t grid, rng *r, ranked *order) {
  static const int dither[4][4] = {{0, 8, 2, 10}, {12, 4, 14, 6}, {3, 11, 1, 9}, {15, 7, 13, 5}};
  int64_t x0 = rng_below(r, 4), y0 = rng_below(r, 4);
  for (int32_t i = 0; i < grid * grid; i++) {
    int64_t x = i % grid + x0, y = i / grid + y0;
    order[i] = (ranked){dither[y % 4][x % 4] + rng_double(r), i};
  }
}

static void rank_gaussian(int64_t grid, rng *r, ranked *order) {
  double centre = 0.5 * (double)(grid - 1), sigma = 0.25 * (double)grid;
  for (int32_t i = 0; i < grid * grid; i++) {
    double x = (double)(i % grid) - centre, y = (double)(i / grid) - centre;
    double weight = exp(-(x * x + y * y) / (2 * sigma * sigma));
    /* exponential keys: sorting them gives weighted sampling without replacement */
    order[i] = (ranked){-log(1.0 - rng_double(r)) / weight, i};
  }
}

/* GLIP's released code: a normal density of covariance 0.2 on [-1, 1]² added to uniform noise; the
 * largest sums are kept. */
static void rank_density(int64_t grid, rng *r, ranked *order) {
  const double covariance = 0.2, peak = 1 / (2 * 3.141592653589793 * covariance);
  double step = grid > 1 ? 2.0 / (double)(grid - 1) : 0;
  for (int32_t i = 0; i < grid * grid; i++) {
    double x = -1 + step * (double)(i % grid), y = -1 + step * (double)(i / grid);
    double density = peak * exp(-(x * x + y * y) / (2 * covariance));
    order[i] = (ranked){-(rng_double(r) + density), i};
  }
}

/* Keeps one block at a uniform position: as close to a square as the count allows; if its last row
 * would exceed the count, it is shortened. */
static void rank_kept_block(int64_t grid, int64_t keep, rng *r, ranked *order) {
  int64_t wide = (int64_t)ceil(sqrt((double)keep)), high = (keep + wide - 1) / wide;
  int64_t left = rng_below(r, (uint32_t)(grid - wide + 1));
  int64_t top = rng_below(r, (uint32_t)(grid - high + 1)), kept = 0;
  for (int32_t i = 0; i < grid * grid; i++) {
    int64_t x = i % grid - left, y = i / grid - top;
    bool is_inside = x >= 0 && x < wide && y >= 0 && y < high && kept < keep;
    kept += is_inside;
    order[i] = (ranked){is_inside ? 0 : 1, i};
  }
}

/* Drops rectangles of random area and aspect; the last one is shortened so that the count is
 * exact. */
static void rank_block(int64_t grid, int64_t drop, rng *r, ranked *order) {
  for (int32_t i = 0; i < grid * grid; i++) order[i] = (ranked){0, i};
  int64_t left = drop;
  while (left > 0) {
    double most = (double)left, least = most < 4 ? most : 4;
    double area = least + (most - least) * rng_double(r);
    double aspect = exp(log(0.3) + (log(1 / 0.3) - log(0.3)) * rng_double(r));
    int64_t high = (int64_t)(sqrt(area * aspect) + 0.5),
            wide = (int64_t)(sqrt(area / aspect) + 0.5);
    high = high < 1 ? 1 : high > grid ? grid : high;
    wide = wide < 1 ? 1 : wide > grid ? grid : wide;
    int64_t top = rng_below(r, (uint32_t)(grid - high + 1));
    int64_t start = rng_below(r, (uint32_t)(grid - wide + 1));
    for (int64_t y = top; y < top + high; y++)
      for (int64_t x = start; x < start + wide && left > 0; x++)
        if (order[y * grid + x].key == 0) {
          order[y * grid + x].key = 1;
          left--;
        }
  }
}

static void drop_with_replacement(const mask_config *c, rng *r, bool *is_kept) {
  int64_t patches = c->grid * c->grid, draws = patches - mask_keep_count(patches, c->ratio);
  for (int64_t i = 0; i < patches; i++) is_kept[i] = true;
  for (int64_t i = 0; i < draws; i++) is_kept[rng_below(r, (uint32_t)patches)] = false;
}

static void keep_smallest(const mask_config *c, rng *r, ranked *order, bool *is_kept) {
  int64_t patches = c->grid * c->grid, keep = mask_keep_count(patches, c->ratio);
  switch (c->mode) {
  case MASK_GRID:
    rank_grid(c->grid, r, order);
    break;
  case MASK_BLOCK:
    rank_block(c->grid, patches - keep, r, order);
    break;
  case MASK_GAUSSIAN:
    rank_gaussian(c->grid, r, order);
    break;
  case MASK_GAUSSIAN_DENSITY:
    rank_density(c->grid, r, order);
    break;
  case MASK_BLOCK_KEPT:
    rank_kept_block(c->grid, keep, r, order);
    break;
  default:
    rank_random(c->grid, r, order);
    break;
  }
  qsort(order, (size_t)patches, sizeof *order, by_key);
  memset(is_kept, 0, (size_t)patches * sizeof *is_kept);
  for (int64_t i = 0; i < keep; i++) is_kept[order[i].patch] = true;
}

static void draw_row(const mask_config *c, rng *r, ranked *order, bool *is_kept, int32_t *row) {
  if (c->with_replacement)
    drop_with_replacement(c, r, is_kept);
  else
    keep_smallest(c, r, order, is_kept);
  for (int32_t i = 0; i < c->grid * c->grid; i++) {
    if (is_kept[i])
      *row++ = i;
    else if (c->mode == MASK_ZERO)
      *row++ = ~i;
  }
}

err mask_draw(const mask_config *config, uint64_t seed, int64_t first_sample, int64_t batch,
              int32_t *index) {
  int64_t patches = config->grid * config->grid, encoded = mask_encoded_count(config);
  ranked *order = mem_zeroed((size_t)patches, sizeof *order);
  bool *is_kept = mem_zeroed((size_t)patches, sizeof *is_kept);
  err error = NULL;
  if (!order || !is_kept) error = mem_error((size_t)patches * sizeof *order, "drawing masks");
  if (!error && config->mode == MASK_ATTENTIVE && encoded < patches)
    error = err_new(ERR_INTERNAL, "mask_mode: attentive chooses patches by their scores");
  for (int64_t i = 0; i < batch && !error; i++) {
    rng r = rng_at(seed, RNG_MASK, 0, (uint64_t)(first_sample + i));
    draw_row(config, &r, order, is_kept, index + i * encoded);
  }
  free(order);
  free(is_kept);
  return error;
}

/* Sort keys of an image's patches, the smallest of which are kept. */
static void rank_scores(int64_t grid, const double *scores, int64_t scored, int64_t cell,
                        double *own, ranked *order) {
  for (int64_t i = 0; i < grid * grid; i++) {
    int64_t x = (2 * (i % grid) + 1) * scored / (2 * grid);
    int64_t y = (2 * (i / grid) + 1) * scored / (2 * grid);
    own[i] = scores[y * scored + x];
  }
  for (int32_t i = 0; i < grid * grid; i++) {
    int64_t left = i % grid / cell * cell, top = i / grid / cell * cell;
    double sum = 0;
    for (int64_t y = top; y < top + cell; y++)
      for (int64_t x = left; x < left + cell; x++) sum += own[y * grid + x];
    order[i] = (ranked){-sum, i};
  }
}

err mask_keep_attended(const mask_config *config, const double *scores, int64_t scored_grid,
                       int64_t cell, int64_t batch, int32_t *index) {
  int64_t patches = config->grid * config->grid, keep = mask_keep_count(patches, config->ratio);
  ranked *order = mem_zeroed((size_t)patches, sizeof *order);
  bool *is_kept = mem_zeroed((size_t)patches, sizeof *is_kept);
  double *own = mem_zeroed((size_t)patches, sizeof *own);
  err error = NULL;
  if (!order || !is_kept || !own)
    error = mem_error((size_t)patches * sizeof *order, "choosing patches");
  for (int64_t i = 0; i < batch && !error; i++, scores += scored_grid * scored_grid) {
    rank_scores(config->grid, scores, scored_grid, cell, own, order);
    qsort(order, (size_t)patches, sizeof *order, by_key);
    memset(is_kept, 0, (size_t)patches * sizeof *is_kept);
    for (int64_t j = 0; j < keep; j++) is_kept[order[j].patch] = true;
    for (int32_t j = 0; j < patches; j++)
      if (is_kept[j]) *index++ = j;
  }
  free(order);
  free(is_kept);
  free(own);
  return error;
}
