/* The metrics of eval.h, computed from embeddings. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "eval/eval.h"
#include "eval/outcomes.h"
#include "eval/share.h"
#include "eval/topk.h"

enum { MOST_COUNTED = 5 }; /* top-5 */

static float dot(const float *a, const float *b, int64_t width) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < width; i++) sum += a[i] * b[i];
  return sum;
}

enum { AT_ONCE = 4 };

/* The same of four rows [4, width], whose sums do not wait for each other. */
static void dot_four(const float *a, const float *rows, int64_t width, float out[AT_ONCE]) {
  const float *b0 = rows, *b1 = b0 + width, *b2 = b1 + width, *b3 = b2 + width;
  float sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
#pragma omp simd reduction(+ : sum0, sum1, sum2, sum3)
  for (int64_t i = 0; i < width; i++) {
    sum0 += a[i] * b0[i];
    sum1 += a[i] * b1[i];
    sum2 += a[i] * b2[i];
    sum3 += a[i] * b3[i];
  }
  out[0] = sum0, out[1] = sum1, out[2] = sum2, out[3] = sum3;
}

/* Scores of rows [at, at + n) of rows [count, width] for `query`; returns n, at most AT_ONCE. Equal
 * rows have equal scores: all are added up by the same loop. */
static int64_t score_some(const float *query, const float *rows, int64_t count, int64_t width,
                          int64_t at, float out[AT_ONCE]) {
  if (count < AT_ONCE) {
    out[0] = dot(query, rows + at * width, width);
    return 1;
  }
  const int64_t first = at + AT_ONCE <= count ? at : count - AT_ONCE;
  dot_four(query, rows + first * width, width, out);
  for (int64_t i = at - first; i > 0 && i < AT_ONCE; i++) out[i - (at - first)] = out[i];
  return AT_ONCE - (at - first);
}

/* The number of `candidates` that score at least as high for `query` as the one at `own`. NaN
 * scores count as higher, so that a broken model never looks good. */
static int64_t rank_of(const float *query, const float *candidates, int64_t count, int64_t own,
                       int64_t width) {
  float scores[AT_ONCE];
  score_some(query, candidates, count, width, own, scores);
  const float score = scores[0];
  int64_t better = 0;
  for (int64_t at = 0, n; at < count; at += n) {
    n = score_some(query, candidates, count, width, at, scores);
    for (int64_t i = 0; i < n; i++)
      if (at + i != own && !(scores[i] < score)) better++;
  }
  return better;
}

/* classes NULL: the query holds the scores themselves, and width is their count.
 * The rank of class `own` among the five best (or only the best one, if there are fewer than five
 * classes), by torch's selection, as open_clip and clip_benchmark count; 5 if it is not among
 * them. */
static int64_t place_of(const float *query, const float *classes, int64_t count, int64_t own,
                        int64_t width, topk_entry *entries) {
  int64_t most = count < MOST_COUNTED ? 1 : MOST_COUNTED;
  float scores[AT_ONCE];
  for (int64_t i = 0; i < count && !classes; i++) entries[i] = (topk_entry){query[i], (int32_t)i};
  for (int64_t at = 0, n; at < count && classes; at += n) {
    n = score_some(query, classes, count, width, at, scores);
    for (int64_t i = 0; i < n; i++) entries[at + i] = (topk_entry){scores[i], (int32_t)(at + i)};
  }
  if (isnan(entries[own].score)) return MOST_COUNTED; /* a broken model never counts as right */
  topk_select(entries, count, most);
  for (int64_t i = 0; i < most; i++)
    if (entries[i].index == own) return i;
  return count < MOST_COUNTED ? 1 : MOST_COUNTED;
}

/* places [image_count]: NULL is an error of this rank. */
static err place_all(comm *ranks, const float *images, const int32_t *labels, int64_t image_count,
                     const float *classes, int64_t class_count, int64_t width, int64_t *places) {
  const comm_slice own = share_of(image_count, 1, comm_size(ranks), comm_rank(ranks));
  bool is_short = !places;
#pragma omp parallel
  {
    topk_entry *entries = places ? mem_zeroed((size_t)class_count, sizeof *entries) : NULL;
    if (!entries) {
#pragma omp atomic write
      is_short = true;
    }
#pragma omp for schedule(static)
    for (int64_t i = own.first; i < own.first + own.count; i++)
      if (entries)
        places[i] = place_of(images + i * width, classes, class_count, labels[i], width, entries);
    free(entries);
  }
  err error =
      is_short ? mem_error((size_t)class_count * sizeof(topk_entry), "zero-shot scores") : NULL;
  return share_gather(ranks, error, image_count, 1, sizeof *places, places);
}

err eval_score_zeroshot(const float *images, const int32_t *labels, int64_t image_count,
                        const float *classes, int64_t class_count, int64_t width,
                        eval_zeroshot *z) {
  return eval_score_zeroshot_items(NULL, images, labels, image_count, classes, class_count, width,
                                   z, NULL);
}

err eval_score_zeroshot_items(comm *ranks, const float *images, const int32_t *labels,
                              int64_t image_count, const float *classes, int64_t class_count,
                              int64_t width, eval_zeroshot *z, eval_outcomes *outcomes) {
  int64_t *seen = mem_zeroed((size_t)class_count, sizeof *seen);
  int64_t *right = mem_zeroed((size_t)class_count, sizeof *right);
  int64_t *places = mem_zeroed((size_t)image_count, sizeof *places);
  int64_t top1 = 0, top5 = 0, most = 0, present = 0;
  err error = NULL;
  *z = (eval_zeroshot){.images = image_count, .classes = class_count, .bounds = {NAN, NAN}};
  TRY(place_all(ranks, images, labels, image_count, classes, class_count, width,
                seen && right ? places : NULL));
  for (int64_t i = 0; i < image_count; i++) {
    seen[labels[i]]++;
    right[labels[i]] += places[i] == 0;
    top1 += places[i] == 0;
    top5 += places[i] < MOST_COUNTED;
  }
  for (int64_t c = 0; c < class_count; c++) {
    if (!seen[c]) continue;
    present++;
    if (seen[c] > most) most = seen[c];
    z->mean_per_class += (double)right[c] / (double)seen[c];
  }
  z->top1 = (double)top1 / (double)image_count;
  z->top5 = (double)top5 / (double)image_count;
  z->mean_per_class /= (double)(present ? present : 1);
  z->majority = (double)most / (double)image_count;
  z->chance = 1.0 / (double)class_count;
  if (outcomes) error = outcomes_take_zeroshot(outcomes, places, labels, image_count, class_count);
  error = share_agree(ranks, error);
cleanup:
  free(seen);
  free(right);
  free(places);
  return error;
}

err eval_score_classes(comm *ranks, const float *scores, const int32_t *labels, int64_t count,
                       int64_t class_count, eval_zeroshot *z, eval_outcomes *outcomes) {
  return eval_score_zeroshot_items(ranks, scores, labels, count, NULL, class_count, class_count, z,
                                   outcomes);
}

/* The rank of each image of `part`: the number of other images' texts that score at least as high
 * as its own best. `first` [images + 1]: start of each image's texts. */
static void rank_images(comm_slice part, const float *images, int64_t image_count,
                        const float *texts, const int64_t *first, int64_t width, int64_t *ranks) {
  int64_t total = first[image_count];
#pragma omp parallel for schedule(static)
  for (int64_t i = part.first; i < part.first + part.count; i++) {
    const float *query = images + i * width;
    const int64_t own = first[i], end = first[i + 1];
    int64_t better = 0;
    float scores[AT_ONCE], best = 0;
    for (int64_t t = own; t < end; t++) {
      score_some(query, texts, total, width, t, scores);
      if (t == own || !(scores[0] <= best)) best = scores[0];
    }
    for (int64_t at = 0, n; at < total; at += n) {
      n = score_some(query, texts, total, width, at, scores);
      for (int64_t k = 0; k < n; k++)
        if ((at + k < own || at + k >= end) && !(scores[k] < best)) better++;
    }
    if (own == end) better = total; /* an image without texts cannot be right */
    ranks[i] = better;
  }
}

static void rank_texts(comm_slice part, const float *images, int64_t image_count,
                       const float *texts, const int32_t *owners, int64_t width, int64_t *ranks) {
#pragma omp parallel for schedule(static)
  for (int64_t t = part.first; t < part.first + part.count; t++)
    ranks[t] = rank_of(texts + t * width, images, image_count, owners[t], width);
}

static void recalls_of(const int64_t *ranks, int64_t count, double recall[3]) {
  for (int k = 0; k < 3; k++) {
    int64_t hits = 0;
    for (int64_t i = 0; i < count; i++) hits += ranks[i] < outcomes_depths[k];
    recall[k] = (double)hits / (double)count;
  }
}

err eval_score_retrieval(const float *images, int64_t image_count, const float *texts,
                         const int32_t *owners, int64_t text_count, int64_t width,
                         eval_retrieval *r) {
  return eval_score_retrieval_items(NULL, images, image_count, texts, owners, text_count, width, r,
                                    NULL);
}

err eval_score_retrieval_items(comm *ranks, const float *images, int64_t image_count,
                               const float *texts, const int32_t *owners, int64_t text_count,
                               int64_t width, eval_retrieval *r, eval_outcomes *outcomes) {
  const int size = comm_size(ranks), rank = comm_rank(ranks);
  int64_t *first = mem_zeroed((size_t)image_count + 1, sizeof *first);
  int64_t *of_images = mem_zeroed((size_t)image_count, sizeof *of_images);
  int64_t *of_texts = mem_zeroed((size_t)text_count, sizeof *of_texts);
  err error = NULL;
  if (!first || !of_images || !of_texts)
    error = mem_error(((size_t)image_count + 1) * sizeof *first, "caption places");
  error = share_agree(ranks, error);
  if (error) goto cleanup;
  for (int64_t t = 0; t < text_count; t++) first[owners[t] + 1]++;
  for (int64_t i = 0; i < image_count; i++) first[i + 1] += first[i];
  *r = (eval_retrieval){
      .images = image_count, .texts = text_count, .chance_r1 = 1.0 / (double)image_count};
  rank_images(share_of(image_count, 1, size, rank), images, image_count, texts, first, width,
              of_images);
  rank_texts(share_of(text_count, 1, size, rank), images, image_count, texts, owners, width,
             of_texts);
  TRY(share_gather(ranks, NULL, image_count, 1, sizeof *of_images, of_images));
  TRY(share_gather(ranks, NULL, text_count, 1, sizeof *of_texts, of_texts));
  recalls_of(of_images, image_count, r->image_to_text);
  recalls_of(of_texts, text_count, r->text_to_image);
  if (outcomes)
    error = outcomes_take_retrieval(outcomes, of_images, image_count, of_texts, text_count);
  error = share_agree(ranks, error);
cleanup:
  free(first);
  free(of_images);
  free(of_texts);
  return error;
}
