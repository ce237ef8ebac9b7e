#include "eval/views.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "model/mask.h"

eval_how eval_how_of(const settings *s) {
  return (eval_how){.takes_output = s->eval_probe_features == EVAL_PROBE_ENCODER,
                    .mask_ratio = s->eval_mask_ratio,
                    .is_ensemble = s->eval_views == EVAL_VIEWS_COMPLEMENTARY,
                    .seed = (uint64_t)s->seed};
}

err views_plan(const clip_config *config, const eval_how *how, eval_views *views) {
  int64_t patches = config->patches;
  int64_t keep = how->mask_ratio > 0 ? mask_keep_count(patches, how->mask_ratio) : patches;
  *views = (eval_views){.patches = patches, .keep = keep, .count = 1, .how = *how};
  if (!how->is_ensemble) return NULL;
  err error = settings_check_views(patches, keep, how->mask_ratio);
  if (error) return error;
  views->count = patches / keep;
  return NULL;
}

static int by_number(const void *a, const void *b) {
  return *(const int32_t *)a - *(const int32_t *)b;
}

/* The remaining views of one image, from the patches that its first view leaves out. */
static void share_out(const eval_views *v, int64_t image, int64_t stride, int32_t *first,
                      int32_t *rest) {
  int64_t left = 0, at = 0;
  for (int32_t patch = 0; patch < v->patches; patch++) {
    if (at < v->keep && first[at] == patch)
      at++;
    else
      rest[left++] = patch;
  }
  rng random = rng_at(v->how.seed, RNG_MASK, 1, (uint64_t)image);
  for (int64_t i = left - 1; i > 0; i--) {
    int64_t other = rng_below(&random, (uint32_t)(i + 1));
    int32_t kept = rest[i];
    rest[i] = rest[other];
    rest[other] = kept;
  }
  for (int64_t view = 1; view < v->count; view++) {
    int32_t *row = first + view * stride;
    memcpy(row, rest + (view - 1) * v->keep, (size_t)v->keep * sizeof *row);
    qsort(row, (size_t)v->keep, sizeof *row, by_number);
  }
}

err views_draw(const eval_views *v, int64_t first, int64_t images, int32_t *index) {
  int64_t grid = 1;
  while (grid * grid < v->patches) grid++;
  const mask_config mask = {MASK_RANDOM, v->how.mask_ratio, grid, false};
  err error = mask_draw(&mask, v->how.seed, first, images, index);
  if (error || v->count == 1) return error;
  int32_t *rest = mem_zeroed((size_t)v->patches, sizeof *rest);
  if (!rest) return mem_error((size_t)v->patches * sizeof *rest, "views");
  for (int64_t i = 0; i < images; i++)
    share_out(v, first + i, images * v->keep, index + i * v->keep, rest);
  free(rest);
  return NULL;
}

void views_join(const float *rows, int64_t count, int64_t stride, int64_t width, bool is_unit,
                float *row) {
  double square = 0;
  for (int64_t k = 0; k < width; k++) {
    double sum = 0;
    for (int64_t view = 0; view < count; view++) sum += (double)rows[view * stride + k];
    row[k] = (float)(sum / (double)count);
    square += (double)row[k] * (double)row[k];
  }
  for (int64_t k = 0; k < width && is_unit && square > 0; k++)
    row[k] = (float)((double)row[k] / sqrt(square));
}

err views_queue(const eval_views *v, clip_model *model, int64_t first, int64_t images,
                const uint8_t *pixels, float *embeddings) {
  if (v->keep == v->patches) return clip_queue_images(model, images, pixels, NULL, embeddings);
  return views_embed(v, model, first, images, pixels, embeddings);
}

err views_embed(const eval_views *v, clip_model *model, int64_t first, int64_t images,
                const uint8_t *pixels, float *embeddings) {
  const clip_config *c = clip_get_config(model);
  int64_t width = clip_image_features(model), stride = images * width;
  const bool is_unit = c->normalizes && !clip_takes_encoder_output(model);
  int32_t *index = NULL;
  float *parts = NULL;
  err error = NULL;
  if (v->keep == v->patches) return clip_embed_images(model, images, pixels, NULL, embeddings);
  index = mem_zeroed((size_t)(v->count * images * v->keep), sizeof *index);
  if (v->count > 1) parts = mem_aligned((size_t)(v->count * stride) * sizeof *parts);
  if (!index || (v->count > 1 && !parts)) FAIL(ERR_MEMORY, "out of memory: views of images");
  TRY(views_draw(v, first, images, index));
  for (int64_t view = 0; view < v->count; view++)
    TRY(clip_embed_images(model, images, pixels, index + view * images * v->keep,
                          parts ? parts + view * stride : embeddings));
  for (int64_t i = 0; parts && i < images; i++)
    views_join(parts + i * width, v->count, stride, width, is_unit, embeddings + i * width);
cleanup:
  free(index);
  free(parts);
  return error;
}
