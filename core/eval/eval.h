/* Evaluation sets and what is measured on them: zero-shot classification and retrieval.
 *
 * A set is a YAML file (docs/data.md):
 *   name: openclipart
 *   images: [data/openclipart/heldout-*.tar]
 *   tasks: [zeroshot, retrieval]
 *   label: leaf              # which label of a sample's JSON names its class
 *   min_images: 5            # classes with fewer images are left out
 *   templates: ["a drawing of {}"]        # {} or {c}: the class name, underscores as spaces
 *   classes: [cat, dog]      # optional: only these, in this order
 *   limit: 10000             # optional: the first so many samples */
#ifndef FLIP_EVAL_EVAL_H
#define FLIP_EVAL_EVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "config/settings.h"
#include "data/tokenizer.h"
#include "model/clip.h"

typedef struct eval_set eval_set;

/* Opens a set and tokenizes its captions and prompts. Images are decoded and resized when first
 * evaluated, and kept when they fit in memory (512 MiB). `words` must outlive the set. */
err eval_set_open(const char *path, const settings *s, const tokenizer *words,
                  eval_set **set) ERR_MUST_CHECK;
void eval_set_close(eval_set *set);
const char *eval_set_name(const eval_set *set);
bool eval_set_has_zeroshot(const eval_set *set);
bool eval_set_has_retrieval(const eval_set *set);
/* Samples that could not be decoded so far, one a line ("" when none); valid until the next call.
 */
const char *eval_set_warnings(const eval_set *set);

/* Zero-shot classification: a class's embedding is the normalised mean of its normalised prompt
 * embeddings (docs/method.md). All rates in [0, 1]. */
typedef struct {
  int64_t images, classes;
  double top1, top5, mean_per_class, majority, chance;
} eval_zeroshot;

/* Retrieval among `images` images and their captions, one each. R@k: the own one is among the k
 * best; equal scores count against. */
typedef struct {
  int64_t images, texts;
  double image_to_text[3], text_to_image[3]; /* R@1, R@5, R@10 */
  double chance_r1;
} eval_retrieval;

typedef struct {
  bool has_zeroshot, has_retrieval;
  eval_zeroshot zeroshot;
  eval_retrieval retrieval;
} eval_result;

/* Runs the set's tasks on a model. mask_ratio > 0 evaluates on random patches (seeded). */
err eval_run(eval_set *set, clip_model *model, double mask_ratio, uint64_t seed,
             eval_result *result) ERR_MUST_CHECK;

/* The metrics of one task as an object under `key`, named as docs/events.md names them. */
void eval_write_zeroshot(json_writer *w, const char *key, const eval_zeroshot *z);
void eval_write_retrieval(json_writer *w, const char *key, const eval_retrieval *r);

/* The measures themselves, on embeddings; unit-length rows of `width` floats. */
err eval_score_zeroshot(const float *images, const int32_t *labels, int64_t image_count,
                        const float *classes, int64_t class_count, int64_t width,
                        eval_zeroshot *z) ERR_MUST_CHECK;
void eval_score_retrieval(const float *images, const float *texts, int64_t count, int64_t width,
                          eval_retrieval *r);

#endif
