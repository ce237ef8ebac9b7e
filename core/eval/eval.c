#include "eval/eval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "eval/copies.h"
#include "eval/feed.h"
#include "eval/finite.h"
#include "eval/probe_inside.h"
#include "eval/set.h"
#include "eval/share.h"
#include "eval/texts.h"
#include "eval/views.h"

enum { BATCH = 256 };
static const size_t most_pixel_bytes = (size_t)512 << 20;

/* Images that are encoded together, as by a single rank. */
static int64_t image_batch(const clip_model *model) {
  int64_t batch = clip_eval_batch(model);
  return BATCH % batch ? BATCH : batch;
}

static comm_slice own_images(const eval_set *set, const clip_model *model, const eval_how *how) {
  return share_of(set->rows, image_batch(model), comm_size(how->ranks), comm_rank(how->ranks));
}

/* Space for the decoded images of this rank if the set fits and has not been decoded yet. */
static void keep_pixels(eval_set *set, comm_slice own) {
  int64_t size = set->preparation.size * set->preparation.size * 3;
  size_t bytes = (size_t)(set->rows * size);
  if (own.first != set->decoded.first || own.count != set->decoded.count) set->is_decoded = false;
  if (set->is_decoded || bytes > most_pixel_bytes) return;
  /* without memory it is no error: images are decoded at each evaluation instead */
  if (!set->pixels) set->pixels = mem_aligned(bytes);
}

/* The pixels of some rows: kept, or decoded now. */
static err find_pixels(eval_set *set, int64_t first, int64_t count, const eval_how *how,
                       int64_t epoch, feed *images, uint8_t **pixels) {
  int64_t size = set->preparation.size * set->preparation.size * 3;
  bool is_kept = epoch < 0 && set->pixels;
  *pixels = is_kept ? set->pixels + first * size : feed_next(images);
  if (is_kept && set->is_decoded) return NULL;
  return epoch < 0 ? eval_set_decode(set, first, count, *pixels)
                   : eval_set_decode_augmented(set, first, count, how->seed, epoch, *pixels);
}

/* The part of this rank; epoch below 0: prepared as in evaluation, else augmented as in that epoch.
 * digests [rows] of the pixels, or NULL. */
static err embed_own(eval_set *set, clip_model *model, const eval_how *how, int64_t epoch,
                     float *embeddings, char (*digests)[HASH_SIZE]) {
  int64_t width = clip_image_features(model);
  int64_t size = set->preparation.size * set->preparation.size * 3;
  const comm_slice own = own_images(set, model, how);
  const int64_t end = own.first + own.count;
  eval_views views;
  feed images = {0};
  err error = views_plan(clip_get_config(model), how, &views);
  if (error) return error;
  if (epoch < 0) keep_pixels(set, own);
  if (epoch >= 0 || !set->pixels) TRY(feed_open(&images, model, (size_t)(BATCH * size)));
  for (int64_t at = own.first, count; at < end; at += count) {
    uint8_t *pixels;
    count = BATCH - at % BATCH;
    if (count > end - at) count = end - at;
    TRY(find_pixels(set, at, count, how, epoch, &images, &pixels));
    if (digests) copies_hash(pixels, count, size, digests + at);
    TRY(views_queue(&views, model, at, count, pixels, embeddings + at * width));
  }
  if (epoch < 0 && set->pixels) {
    set->is_decoded = true;
    set->decoded = own;
  }
cleanup:
  error = clip_queue_finish(model, error);
  return feed_close(&images, error);
}

/* Embeddings [rows, width] of all images, as embed_own makes them; NULL is an error of this rank.
 * ERR_NUMERIC, on all of them, where those of images that were decoded are not finite. In retrieval
 * copies of an image have one embedding; with a mask each shows other patches. */
static err embed_images(eval_set *set, clip_model *model, const eval_how *how, int64_t epoch,
                        float *embeddings) {
  int64_t batch = image_batch(model), width = clip_image_features(model), rows = set->rows;
  size_t row_bytes = (size_t)width * sizeof *embeddings;
  const bool shares = epoch < 0 && set->has_retrieval && how->mask_ratio == 0;
  char(*digests)[HASH_SIZE] = shares ? mem_zeroed((size_t)rows, sizeof *digests) : NULL;
  err error = embeddings && (digests || !shares)
                  ? NULL
                  : mem_error((size_t)rows * row_bytes, "image embeddings");
  if (!error) error = embed_own(set, model, how, epoch, embeddings, digests);
  TRY(share_gather(how->ranks, error, rows, batch, row_bytes, embeddings));
  TRY(share_gather(how->ranks, NULL, rows, batch, sizeof *set->is_bad, set->is_bad));
  if (shares) TRY(share_gather(how->ranks, NULL, rows, batch, sizeof *digests, digests));
  TRY(finite_check(set->name, "images", embeddings, rows, width, set->is_bad));
  if (shares)
    error = share_agree(how->ranks, copies_share_embeddings((const char(*)[HASH_SIZE])digests, rows,
                                                            width, embeddings));
cleanup:
  free(digests);
  return error;
}

/* Moves the rows that take part to the front and returns their number: those with a class, or those
 * with a text. labels may be NULL. */
static int64_t compact(const eval_set *set, bool needs_label, int64_t width, float *rows,
                       int32_t *labels) {
  int64_t used = 0;
  for (int64_t i = 0; i < set->rows; i++) {
    bool is_without = needs_label ? set->labels[i] < 0 : set->lacks_text[i];
    if (set->is_bad[i] || is_without) continue;
    memmove(rows + used * width, rows + i * width, (size_t)width * sizeof *rows);
    if (labels) labels[used] = set->labels[i];
    used++;
  }
  return used;
}

/* The same for texts: those of the images that take part, renumbered in owners. */
static int64_t compact_texts(const eval_set *set, int64_t width, float *texts, int32_t *owners) {
  int64_t used = 0, number = -1;
  for (int64_t t = 0, row = -1; t < set->text_count; t++) {
    while (row < set->owners[t]) {
      row++;
      number += !set->is_bad[row] && !set->lacks_text[row];
    }
    if (set->is_bad[row]) continue;
    memmove(texts + used * width, texts + t * width, (size_t)width * sizeof *texts);
    owners[used++] = (int32_t)number;
  }
  return used;
}

/* The rows that take part are the first `used` of images, in their order. */
static err score_multilabel(comm *ranks, const eval_set *set, const float *images, int64_t used,
                            const float *classes, int64_t width, eval_zeroshot *z,
                            eval_outcomes *outcomes) {
  int64_t count = set->class_count, at = 0;
  int8_t *truths = mem_zeroed((size_t)(used * count), sizeof *truths);
  err error = share_agree(ranks, truths ? NULL : mem_error((size_t)(used * count), "labels"));
  for (int64_t row = 0; row < set->rows && !error; row++) {
    if (set->is_bad[row] || set->labels[row] < 0) continue;
    memcpy(truths + at++ * count, set->truths + row * count, (size_t)count);
  }
  if (!error)
    error = eval_score_multilabel(ranks, images, truths, used, classes, count, width, z, outcomes);
  free(truths);
  return error;
}

/* The score margin of the second class over the first, for each image. */
static err score_two_classes(comm *ranks, const float *images, const int32_t *labels, int64_t used,
                             const float *classes, int64_t width, eval_zeroshot *z,
                             eval_outcomes *outcomes) {
  float *margins = mem_zeroed((size_t)used, sizeof *margins);
  err error =
      share_agree(ranks, margins ? NULL : mem_error((size_t)used * sizeof *margins, "scores"));
  for (int64_t i = 0; i < used && !error; i++) {
    double margin = 0;
    for (int64_t k = 0; k < width; k++)
      margin += (double)images[i * width + k] * ((double)classes[width + k] - (double)classes[k]);
    margins[i] = (float)margin;
  }
  if (!error)
    error = eval_score_auc(ranks, margins, labels, used, &z->roc_auc, z->bounds, outcomes);
  free(margins);
  return error;
}

static err run_zeroshot(eval_set *set, clip_model *model, const eval_how *how, float *images,
                        eval_zeroshot *z, eval_outcomes *outcomes) {
  int64_t width = clip_get_config(model)->image.embed;
  float *classes = mem_zeroed((size_t)(set->class_count * width), sizeof *classes);
  int32_t *labels = mem_zeroed((size_t)set->rows, sizeof *labels);
  err error = NULL;
  TRY(texts_embed_classes(set, model, how, labels ? classes : NULL));
  int64_t used = compact(set, true, width, images, labels);
  if (!used) FAIL(ERR_INPUT, "%s: no image of any class can be read", set->name);
  if (set->is_multilabel)
    error = score_multilabel(how->ranks, set, images, used, classes, width, z, outcomes);
  else
    error = eval_score_zeroshot_items(how->ranks, images, labels, used, classes, set->class_count,
                                      width, z, outcomes);
  z->metric = set->metric;
  if (!error && set->metric == EVAL_ROC_AUC)
    error = score_two_classes(how->ranks, images, labels, used, classes, width, z, outcomes);
  if (!error && isnan(eval_zeroshot_value(z, z->metric))) /* no fault of finite scores */
    FAIL(ERR_INPUT, "%s: metric %s: the images that can be read are not of %s", set->name,
         eval_metric_name(z->metric), set->is_multilabel ? "any of the classes" : "both classes");
cleanup:
  free(classes);
  free(labels);
  return error;
}

static err run_retrieval(eval_set *set, clip_model *model, const eval_how *how, const float *images,
                         eval_retrieval *r, eval_outcomes *outcomes) {
  int64_t width = clip_get_config(model)->image.embed;
  size_t bytes = (size_t)(set->rows * width) * sizeof(float);
  float *texts = mem_aligned((size_t)(set->text_count * width) * sizeof(float));
  float *own = mem_aligned(bytes);
  int32_t *owners = mem_zeroed((size_t)set->text_count, sizeof *owners);
  err error = NULL;
  TRY(texts_embed(set->name, model, how, set->text_count, set->ids, set->id_counts,
                  own && owners ? texts : NULL));
  memcpy(own, images, bytes);
  int64_t used = compact(set, false, width, own, NULL);
  if (!used) FAIL(ERR_INPUT, "%s: no image could be decoded", set->name);
  TRY(share_agree(how->ranks, copies_warn(set, own, used, width)));
  int64_t text_count = compact_texts(set, width, texts, owners);
  TRY(eval_score_retrieval_items(how->ranks, own, used, texts, owners, text_count, width, r,
                                 outcomes));
cleanup:
  free(texts);
  free(own);
  free(owners);
  return error;
}

static err take_features(eval_set *set, clip_model *model, const eval_how *how, int64_t epoch,
                         float *rows, int32_t *labels, int64_t *count) {
  err error = probe_check_labels(set);
  if (error) return error;
  clip_take_encoder_output(model, how->takes_output);
  error = embed_images(set, model, how, epoch, rows);
  clip_take_encoder_output(model, false);
  if (error) return error;
  *count = compact(set, true, eval_feature_width(model, how), rows, labels);
  return *count ? NULL : err_new(ERR_INPUT, "%s: no image of any class was decoded", set->name);
}

int64_t eval_feature_width(const clip_model *model, const eval_how *how) {
  const tower_shape *shape = &clip_get_config(model)->image;
  return how->takes_output ? shape->width : shape->embed;
}

err eval_features(eval_set *set, clip_model *model, const eval_how *how, float *rows,
                  int32_t *labels, int64_t *count) {
  return take_features(set, model, how, -1, rows, labels, count);
}

err eval_features_augmented(eval_set *set, clip_model *model, const eval_how *how, int64_t epoch,
                            float *rows, int32_t *labels, int64_t *count) {
  return take_features(set, model, how, epoch, rows, labels, count);
}

err eval_run(eval_set *set, clip_model *model, const eval_how *how, eval_result *result) {
  return eval_run_items(set, model, how, result, NULL);
}

err eval_run_items(eval_set *set, clip_model *model, const eval_how *how, eval_result *result,
                   eval_outcomes *outcomes) {
  int64_t width = clip_get_config(model)->image.embed;
  *result = (eval_result){.has_zeroshot = set->has_zeroshot, .has_retrieval = set->has_retrieval};
  float *images = mem_aligned((size_t)(set->rows * width) * sizeof *images);
  err error = embed_images(set, model, how, -1, images);
  /* retrieval first: zero-shot compacts the images in place */
  if (!error && set->has_retrieval)
    error = run_retrieval(set, model, how, images, &result->retrieval, outcomes);
  if (!error && set->has_zeroshot)
    error = run_zeroshot(set, model, how, images, &result->zeroshot, outcomes);
  free(images);
  return error;
}
