#include "eval/texts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "eval/copies.h"
#include "eval/finite.h"
#include "eval/share.h"

err texts_share_embeddings(const int32_t *ids, const int32_t *id_counts, int64_t count,
                           int64_t length, int64_t width, float *embeddings) {
  char(*digests)[HASH_SIZE] = mem_zeroed((size_t)count, sizeof *digests);
  err error = digests ? NULL : mem_error((size_t)count * sizeof *digests, "texts");
  for (int64_t i = 0; i < count && !error; i++) {
    hash_state *text = hash_begin();
    if (!text) error = mem_error(0, "a text's digest");
    if (!text) break;
    hash_add(text, ids + i * length, (size_t)length * sizeof *ids);
    hash_add(text, &id_counts[i], sizeof *id_counts);
    hash_finish(text, digests[i]);
  }
  if (!error)
    error = copies_share_embeddings((const char(*)[HASH_SIZE])digests, count, width, embeddings);
  free(digests);
  return error;
}

err texts_embed(const char *name, clip_model *model, const eval_how *how, int64_t count,
                const int32_t *ids, const int32_t *id_counts, float *embeddings) {
  const clip_config *c = clip_get_config(model);
  int64_t batch = clip_text_batch(model), width = c->text.embed;
  const comm_slice own = share_of(count, batch, comm_size(how->ranks), comm_rank(how->ranks));
  size_t row_bytes = (size_t)width * sizeof *embeddings;
  err error = embeddings ? clip_embed_texts(model, own.count, ids + own.first * c->text_length,
                                            id_counts + own.first, embeddings + own.first * width)
                         : mem_error((size_t)count * row_bytes, "text embeddings");
  error = share_gather(how->ranks, error, count, batch, row_bytes, embeddings);
  if (!error) error = finite_check(name, "texts", embeddings, count, width, NULL);
  if (error) return error;
  return share_agree(
      how->ranks, texts_share_embeddings(ids, id_counts, count, c->text_length, width, embeddings));
}

static void normalise(float *row, int64_t width) {
  double square = 0;
  for (int64_t i = 0; i < width; i++) square += (double)row[i] * (double)row[i];
  for (int64_t i = 0; i < width && square > 0; i++) row[i] /= (float)sqrt(square);
}

/* [classes, width]: the normalised mean of each class's prompts; NULL is an error of this rank. */
static err embed_classes(const eval_set *set, clip_model *model, const eval_how *how,
                         float *classes) {
  int64_t width = clip_get_config(model)->text.embed, templates = (int64_t)set->template_count;
  size_t values = (size_t)(set->class_count * templates * width);
  float *prompts = classes ? mem_zeroed(values, sizeof *prompts) : NULL;
  err error = texts_embed(set->name, model, how, set->class_count * templates, set->prompt_ids,
                          set->prompt_id_counts, prompts);
#pragma omp parallel for schedule(static)
  for (int64_t c = 0; c < (error ? 0 : set->class_count); c++) {
    float *row = classes + c * width;
    memset(row, 0, (size_t)width * sizeof *row);
    for (int64_t t = 0; t < templates; t++)
      for (int64_t i = 0; i < width; i++) row[i] += prompts[(c * templates + t) * width + i];
    normalise(row, width);
  }
  free(prompts);
  return error;
}

void eval_prompts_free(eval_prompts *prompts) {
  free(prompts->prompt_ids);
  free(prompts->classes);
  *prompts = (eval_prompts){0};
}

static int64_t count_ids(const eval_set *set) {
  return set->class_count * (int64_t)set->template_count * set->text_length;
}

/* The same on every rank: their sets have the same prompts. */
static bool has_prompts(const eval_prompts *kept, const eval_set *set) {
  return kept->classes && kept->class_count == set->class_count && kept->ids == count_ids(set) &&
         memcmp(kept->prompt_ids, set->prompt_ids, (size_t)kept->ids * sizeof *kept->prompt_ids) ==
             0;
}

static err keep_prompts(const eval_set *set, int64_t width, const float *classes,
                        eval_prompts *kept) {
  const size_t id_bytes = (size_t)count_ids(set) * sizeof *kept->prompt_ids;
  const size_t class_bytes = (size_t)(set->class_count * width) * sizeof *kept->classes;
  eval_prompts_free(kept);
  kept->prompt_ids = mem_aligned(id_bytes);
  kept->classes = mem_aligned(class_bytes);
  if (!kept->prompt_ids || !kept->classes) {
    eval_prompts_free(kept);
    return mem_error(id_bytes + class_bytes, "prompts");
  }
  memcpy(kept->prompt_ids, set->prompt_ids, id_bytes);
  memcpy(kept->classes, classes, class_bytes);
  kept->ids = count_ids(set);
  kept->class_count = set->class_count;
  return NULL;
}

err texts_embed_classes(const eval_set *set, clip_model *model, const eval_how *how,
                        float *classes) {
  const int64_t width = clip_get_config(model)->text.embed;
  const size_t bytes = (size_t)(set->class_count * width) * sizeof *classes;
  if (how->prompts && has_prompts(how->prompts, set)) {
    if (classes) memcpy(classes, how->prompts->classes, bytes);
    return share_agree(how->ranks, classes ? NULL : mem_error(bytes, "class embeddings"));
  }
  err error = embed_classes(set, model, how, classes);
  if (error || !how->prompts) return error;
  return share_agree(how->ranks, keep_prompts(set, width, classes, how->prompts));
}
