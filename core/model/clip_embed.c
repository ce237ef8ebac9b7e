/* Evaluation: images and texts to embeddings. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/clip_inside.h"

void clip_widen(const ops *o, const void *from, int64_t count, float *to) {
  for (int64_t i = 0; i < count; i++) {
    if (o->compute == OPS_F32)
      to[i] = ((const float *)from)[i];
    else if (o->compute == OPS_F64)
      to[i] = (float)((const double *)from)[i];
    else {
      uint32_t wide = (uint32_t)((const uint16_t *)from)[i] << 16;
      memcpy(&to[i], &wide, 4);
    }
  }
}

/* Normalises features in the backend, unless the model compares them unnormalised, and copies them
 * to the host as floats. */
static err fetch_unit(clip_model *m, ops_buffer features, int64_t count, ops_buffer scratch,
                      float *embeddings) {
  int64_t embed = m->config.image.embed;
  size_t bytes = (size_t)(count * embed) * ops_size_of(m->o->compute);
  /* `scratch` (the pooled tokens) is free once the towers have finished */
  ops_normalize n = {.rows = count,
                     .width = embed,
                     .eps = 1e-8,
                     .x = features,
                     .y = features,
                     .norms = {scratch.data, m->o->master}};
  void *host = mem_zeroed(1, bytes);
  if (!host) return mem_error(bytes, "embeddings");
  err error = m->config.normalizes ? m->o->call->normalize(m->o, &n) : NULL;
  if (!error) error = m->o->call->download(m->o, host, features.data, bytes);
  if (!error) clip_widen(m->o, host, count * embed, embeddings);
  free(host);
  return error;
}

int64_t clip_eval_batch(const clip_model *m) {
  return m->limits.eval_batch;
}

err clip_embed_images(clip_model *m, int64_t count, const uint8_t *images, const int32_t *index,
                      float *embeddings) {
  clip_activations a;
  input_set *in = &m->sets[EVAL_SET];
  clip_cut_evaluation(m, &a);
  int64_t batch = m->limits.eval_batch, patches = m->limits.eval_patches;
  int64_t pixels = m->config.image_size * m->config.image_size * 3;
  int32_t *all = mem_zeroed((size_t)(batch * patches), sizeof *all);
  if (!all) return mem_error((size_t)(batch * patches) * 4, "patch lists");
  for (int64_t i = 0; i < batch * patches; i++) all[i] = (int32_t)(i % patches);
  err error = NULL;
  for (int64_t at = 0; at < count && !error; at += batch) {
    int64_t n = count - at < batch ? count - at : batch;
    error = input_set_images(in, m->o, &m->config, images + at * pixels,
                             index ? index + at * patches : all, n, patches);
    if (!error) error = m->o->call->join(m->o);
    if (!error) error = clip_run_images(m, &a, in);
    if (!error)
      error = fetch_unit(m, a.image.features, n, a.image.pooled,
                         embeddings + at * m->config.image.embed);
  }
  free(all);
  return error;
}

err clip_embed_texts(clip_model *m, int64_t count, const int32_t *ids, const int32_t *id_counts,
                     float *embeddings) {
  clip_activations a;
  input_set *in = &m->sets[EVAL_SET];
  clip_cut_evaluation(m, &a);
  a.text.key_counts = input_set_key_counts(in, &m->config);
  int64_t batch = m->limits.eval_batch;
  err error = NULL;
  for (int64_t at = 0; at < count && !error; at += batch) {
    int64_t n = count - at < batch ? count - at : batch;
    error = input_set_texts(in, m->o, &m->config, ids + at * m->config.text_length, id_counts + at,
                            n, m->config.text_length);
    if (!error) error = m->o->call->join(m->o);
    if (!error) error = clip_run_texts(m, &a, in);
    if (!error)
      error =
          fetch_unit(m, a.text.features, n, a.text.pooled, embeddings + at * m->config.text.embed);
  }
  return error;
}
