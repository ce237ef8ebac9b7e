#include "eval/outcomes.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"

const int64_t outcomes_depths[3] = {1, 5, 10};
const char *const outcomes_to_text[3] = {"image_to_text_r1", "image_to_text_r5",
                                         "image_to_text_r10"};
const char *const outcomes_to_image[3] = {"text_to_image_r1", "text_to_image_r5",
                                          "text_to_image_r10"};
enum { MOST_CLASSES = UINT16_MAX + 1 };

static size_t bytes_of(int64_t items) {
  return ((size_t)items + 7) / 8;
}

/* Sets the bits of the items whose rank is below `depth`. */
static err take_hits(const int64_t *ranks, int64_t count, int64_t depth, uint8_t **bits) {
  *bits = mem_zeroed(bytes_of(count), 1);
  if (!*bits) return mem_error(bytes_of(count), "outcomes");
  for (int64_t i = 0; i < count; i++)
    if (ranks[i] < depth) (*bits)[i / 8] |= (uint8_t)(1u << i % 8);
  return NULL;
}

err outcomes_take_zeroshot(eval_outcomes *outcomes, const int64_t *ranks, const int32_t *labels,
                           int64_t count, int64_t class_count) {
  outcomes->labelled = count;
  for (int k = 0; k < 2; k++) {
    err error = take_hits(ranks, count, outcomes_depths[k], &outcomes->top[k]);
    if (error) return error;
  }
  if (class_count > MOST_CLASSES) return NULL;
  outcomes->labels = mem_zeroed((size_t)count, sizeof *outcomes->labels);
  if (!outcomes->labels) return mem_error((size_t)count * sizeof *outcomes->labels, "outcomes");
  for (int64_t i = 0; i < count; i++) outcomes->labels[i] = (uint16_t)labels[i];
  return NULL;
}

err outcomes_take_retrieval(eval_outcomes *outcomes, const int64_t *image_ranks, int64_t images,
                            const int64_t *text_ranks, int64_t texts) {
  err error = NULL;
  outcomes->images = images;
  outcomes->texts = texts;
  for (int k = 0; k < 3 && !error; k++) {
    error = take_hits(image_ranks, images, outcomes_depths[k], &outcomes->image_to_text[k]);
    if (!error)
      error = take_hits(text_ranks, texts, outcomes_depths[k], &outcomes->text_to_image[k]);
  }
  return error;
}

void eval_outcomes_free(eval_outcomes *outcomes) {
  for (int k = 0; k < 2; k++) free(outcomes->top[k]);
  for (int k = 0; k < 3; k++) {
    free(outcomes->image_to_text[k]);
    free(outcomes->text_to_image[k]);
  }
  free(outcomes->labels);
  free(outcomes->resampled);
  *outcomes = (eval_outcomes){0};
}

static void write_base64(json_writer *w, const char *key, const void *bytes, size_t count) {
  strbuf text = {0};
  base64_encode(bytes, count, &text);
  jsonw_string(w, key, text.is_broken ? NULL : strbuf_string(&text));
  strbuf_free(&text);
}

void eval_write_zeroshot_hits(json_writer *w, const char *key, const eval_outcomes *outcomes) {
  static const char *const names[2] = {"top1", "top5"};
  jsonw_object(w, key);
  for (int k = 0; k < 2 && outcomes->top[k]; k++) /* multilabel sets have no per-item hits */
    write_base64(w, names[k], outcomes->top[k], bytes_of(outcomes->labelled));
  jsonw_end(w);
}

void eval_write_retrieval_hits(json_writer *w, const char *key, const eval_outcomes *outcomes) {
  jsonw_object(w, key);
  for (int k = 0; k < 3; k++)
    write_base64(w, outcomes_to_text[k], outcomes->image_to_text[k], bytes_of(outcomes->images));
  for (int k = 0; k < 3; k++)
    write_base64(w, outcomes_to_image[k], outcomes->text_to_image[k], bytes_of(outcomes->texts));
  jsonw_end(w);
}

void eval_write_resampled(json_writer *w, const char *key, const eval_zeroshot *z,
                          const eval_outcomes *outcomes) {
  if (!outcomes->resampled) return;
  strbuf bytes = {0};
  for (int k = 0; k < EVAL_RESAMPLES; k++) {
    uint32_t bits;
    memcpy(&bits, &outcomes->resampled[k], sizeof bits);
    for (int shift = 0; shift < 32; shift += 8)
      strbuf_append_char(&bytes, (char)(bits >> shift & 0xff));
  }
  jsonw_object(w, key);
  if (!bytes.is_broken) write_base64(w, eval_metric_name(z->metric), bytes.data, bytes.length);
  jsonw_end(w);
  strbuf_free(&bytes);
}

void eval_write_labels(json_writer *w, const char *key, const eval_outcomes *outcomes) {
  strbuf bytes = {0};
  for (int64_t i = 0; i < outcomes->labelled && outcomes->labels; i++) {
    strbuf_append_char(&bytes, (char)(outcomes->labels[i] & 0xff));
    strbuf_append_char(&bytes, (char)(outcomes->labels[i] >> 8));
  }
  if (bytes.length && !bytes.is_broken) write_base64(w, key, bytes.data, bytes.length);
  strbuf_free(&bytes);
}
