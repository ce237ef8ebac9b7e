#include "train/attentive.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "image/image.h"
#include "model/mask.h"

err attentive_make(attentive *a, const settings *s, clip_model *model, int64_t batch) {
  *a = (attentive){.s = s,
                   .model = model,
                   .batch = batch,
                   .size = s->attentive_size ? s->attentive_size : s->image_size};
  size_t scores = (size_t)(batch * clip_scored_patches(model));
  a->scores = mem_zeroed(scores, sizeof *a->scores);
  if (!a->scores) return mem_error(scores * sizeof *a->scores, "scores of patches");
  if (a->size == s->image_size) return NULL;
  size_t pixels = (size_t)(batch * a->size * a->size * 3);
  a->small = mem_aligned(pixels);
  return a->small ? NULL : mem_error(pixels, "images to score");
}

void attentive_free(attentive *a) {
  free(a->small);
  free(a->scores);
  *a = (attentive){0};
}

double attentive_momentum(double first, int64_t update, int64_t total) {
  double through = (double)update / (double)total;
  return 1 - (1 - first) * 0.5 * (1 + cos(3.141592653589793 * through));
}

/* Resizes as the loader does: bicubic, antialiased. */
static err shrink(const attentive *a, int64_t count, const uint8_t *images) {
  const int64_t whole = a->s->image_size, side = a->size;
  err first = NULL;
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < count; i++) {
    image from = {(int32_t)whole, (int32_t)whole, (uint8_t *)images + i * whole * whole * 3};
    const image_resizing how = {.box = {0, 0, (double)whole, (double)whole},
                                .width = (int32_t)side,
                                .height = (int32_t)side,
                                .columns = (int32_t)side,
                                .rows = (int32_t)side,
                                .filter = IMAGE_BICUBIC};
    err error = image_resize(&from, &how, a->small + i * side * side * 3);
    if (!error) continue;
#pragma omp critical(attentive_shrink)
    {
      if (first)
        err_free(error);
      else
        first = error;
    }
  }
  return first;
}

err attentive_choose(attentive *a, int64_t count, const uint8_t *images, double momentum,
                     int32_t *index) {
  const settings *s = a->s;
  const mask_config mask = {s->mask_mode, s->mask_ratio, s->image_size / s->image_patch, false};
  err error = clip_average_update(a->model, momentum);
  if (!error && a->small) error = shrink(a, count, images);
  if (!error) error = clip_score_patches(a->model, count, a->small ? a->small : images, a->scores);
  if (error) return error;
  return mask_keep_attended(&mask, a->scores, a->size / s->image_patch, s->attentive_cell, count,
                            index);
}
