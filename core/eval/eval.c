#include "eval/eval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "eval/set.h"
#include "model/mask.h"

enum { BATCH = 256 };
static const size_t most_pixel_bytes = (size_t)512 << 20;

/* Decodes the whole set once if it fits. */
static err keep_pixels(eval_set *set) {
  if (set->is_decoded) return NULL;
  set->is_decoded = true;
  size_t bytes = (size_t)(set->rows * set->image_size * set->image_size * 3);
  if (bytes > most_pixel_bytes) return NULL;
  set->pixels = mem_aligned(bytes);
  if (!set->pixels) return NULL; /* no harm: decoded batch by batch instead */
  return eval_set_decode(set, 0, set->rows, set->pixels);
}

/* Embeddings [rows, width] of every image. */
static err embed_images(eval_set *set, clip_model *model, double mask_ratio, uint64_t seed,
                        float *embeddings) {
  const clip_config *c = clip_get_config(model);
  int64_t size = set->image_size * set->image_size * 3;
  mask_config mask = {MASK_RANDOM, mask_ratio, c->image_size / c->patch, false};
  int64_t keep = mask_encoded_count(&mask);
  uint8_t *batch = set->pixels ? NULL : mem_aligned((size_t)(BATCH * size));
  int32_t *index = mask_ratio > 0 ? mem_zeroed((size_t)(BATCH * keep), sizeof *index) : NULL;
  err error = NULL;
  if ((!set->pixels && !batch) || (mask_ratio > 0 && !index))
    FAIL(ERR_MEMORY, "out of memory: evaluation images");
  for (int64_t at = 0; at < set->rows; at += BATCH) {
    int64_t count = set->rows - at < BATCH ? set->rows - at : BATCH;
    if (batch) TRY(eval_set_decode(set, at, count, batch));
    if (index) TRY(mask_draw(&mask, seed, at, count, index));
    TRY(clip_embed_images(model, count, batch ? batch : set->pixels + at * size, index,
                          embeddings + at * c->image.embed));
  }
cleanup:
  free(batch);
  free(index);
  return error;
}

static void normalise(float *row, int64_t width) {
  double square = 0;
  for (int64_t i = 0; i < width; i++) square += (double)row[i] * (double)row[i];
  for (int64_t i = 0; i < width && square > 0; i++) row[i] /= (float)sqrt(square);
}

/* [classes, width]: the normalised mean of each class's prompts. */
static err embed_classes(const eval_set *set, clip_model *model, float *classes) {
  int64_t width = clip_get_config(model)->text.embed, templates = (int64_t)set->template_count;
  float *prompts = mem_zeroed((size_t)(set->class_count * templates * width), sizeof *prompts);
  if (!prompts) return err_new(ERR_MEMORY, "out of memory: prompt embeddings");
  err error = clip_embed_texts(model, set->class_count * templates, set->prompt_ids,
                               set->prompt_id_counts, prompts);
  for (int64_t c = 0; c < set->class_count && !error; c++) {
    float *row = classes + c * width;
    memset(row, 0, (size_t)width * sizeof *row);
    for (int64_t t = 0; t < templates; t++)
      for (int64_t i = 0; i < width; i++) row[i] += prompts[(c * templates + t) * width + i];
    normalise(row, width);
  }
  free(prompts);
  return error;
}

/* Moves the rows that take part to the front and returns how many; labels may be NULL. */
static int64_t compact(const eval_set *set, bool needs_label, int64_t width, float *rows,
                       int32_t *labels) {
  int64_t used = 0;
  for (int64_t i = 0; i < set->rows; i++) {
    if (set->is_bad[i] || (needs_label && set->labels[i] < 0)) continue;
    memmove(rows + used * width, rows + i * width, (size_t)width * sizeof *rows);
    if (labels) labels[used] = set->labels[i];
    used++;
  }
  return used;
}

/* The same for texts: those of the images that take part, which get their new numbers in owners. */
static int64_t compact_texts(const eval_set *set, int64_t width, float *texts, int32_t *owners) {
  int64_t used = 0, image = -1;
  for (int64_t t = 0, row = -1; t < set->text_count; t++) {
    while (row < set->owners[t]) image += !set->is_bad[++row];
    if (set->is_bad[row]) continue;
    memmove(texts + used * width, texts + t * width, (size_t)width * sizeof *texts);
    owners[used++] = (int32_t)image;
  }
  return used;
}

static err run_zeroshot(eval_set *set, clip_model *model, float *images, eval_zeroshot *z,
                        eval_outcomes *outcomes) {
  int64_t width = clip_get_config(model)->image.embed;
  float *classes = mem_zeroed((size_t)(set->class_count * width), sizeof *classes);
  int32_t *labels = mem_zeroed((size_t)set->rows, sizeof *labels);
  err error = NULL;
  if (!classes || !labels) FAIL(ERR_MEMORY, "out of memory: class embeddings");
  TRY(embed_classes(set, model, classes));
  int64_t used = compact(set, true, width, images, labels);
  if (!used) FAIL(ERR_INPUT, "%s: no image of any class could be decoded", set->name);
  TRY(eval_score_zeroshot_items(images, labels, used, classes, set->class_count, width, z,
                                outcomes));
cleanup:
  free(classes);
  free(labels);
  return error;
}

static err run_retrieval(eval_set *set, clip_model *model, const float *images, eval_retrieval *r,
                         eval_outcomes *outcomes) {
  int64_t width = clip_get_config(model)->image.embed;
  size_t bytes = (size_t)(set->rows * width) * sizeof(float);
  float *texts = mem_aligned((size_t)(set->text_count * width) * sizeof(float));
  float *own = mem_aligned(bytes);
  int32_t *owners = mem_zeroed((size_t)set->text_count, sizeof *owners);
  err error = NULL;
  if (!texts || !own || !owners) FAIL(ERR_MEMORY, "out of memory: caption embeddings");
  TRY(clip_embed_texts(model, set->text_count, set->ids, set->id_counts, texts));
  memcpy(own, images, bytes);
  int64_t used = compact(set, false, width, own, NULL);
  if (!used) FAIL(ERR_INPUT, "%s: no image could be decoded", set->name);
  int64_t text_count = compact_texts(set, width, texts, owners);
  TRY(eval_score_retrieval_items(own, used, texts, owners, text_count, width, r, outcomes));
cleanup:
  free(texts);
  free(own);
  free(owners);
  return error;
}

err eval_features(eval_set *set, clip_model *model, double mask_ratio, uint64_t seed, float *rows,
                  int32_t *labels, int64_t *count) {
  if (!set->has_labels)
    return err_new(ERR_INPUT, "%s: has no labels (tasks: zeroshot or probe)", set->name);
  err error = keep_pixels(set);
  if (!error) error = embed_images(set, model, mask_ratio, seed, rows);
  if (error) return error;
  *count = compact(set, true, clip_get_config(model)->image.embed, rows, labels);
  return *count ? NULL : err_new(ERR_INPUT, "%s: no image of any class was decoded", set->name);
}

err eval_run(eval_set *set, clip_model *model, double mask_ratio, uint64_t seed,
             eval_result *result) {
  return eval_run_items(set, model, mask_ratio, seed, result, NULL);
}

err eval_run_items(eval_set *set, clip_model *model, double mask_ratio, uint64_t seed,
                   eval_result *result, eval_outcomes *outcomes) {
  int64_t width = clip_get_config(model)->image.embed;
  *result = (eval_result){.has_zeroshot = set->has_zeroshot, .has_retrieval = set->has_retrieval};
  float *images = mem_aligned((size_t)(set->rows * width) * sizeof *images);
  if (!images) return err_new(ERR_MEMORY, "out of memory: image embeddings");
  err error = keep_pixels(set);
  if (!error) error = embed_images(set, model, mask_ratio, seed, images);
  /* retrieval first: zero-shot compacts the images in place */
  if (!error && set->has_retrieval)
    error = run_retrieval(set, model, images, &result->retrieval, outcomes);
  if (!error && set->has_zeroshot)
    error = run_zeroshot(set, model, images, &result->zeroshot, outcomes);
  free(images);
  return error;
}
