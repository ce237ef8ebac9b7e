/* Gradients with respect to the pixels of an image. */
#include <stdlib.h>

#include "base/mem.h"
#include "model/clip_inside.h"

/* pixels [count, size, size, 3] = the gradient with respect to pixels in [0, 1], from that with
 * respect to normalised patches [count * patches, 3 patch²] in (channel, y, x) order, every patch
 * of each image in order. */
static void from_patches(const clip_config *c, int64_t count, const float *patches, float *pixels) {
  int64_t grid = c->image_size / c->patch, length = 3 * c->patch * c->patch;
  for (int64_t i = 0; i < count * c->patches; i++) {
    int64_t image = i / c->patches, which = i % c->patches;
    const float *from = patches + i * length;
    for (int64_t channel = 0; channel < 3; channel++)
      for (int64_t y = 0; y < c->patch; y++)
        for (int64_t x = 0; x < c->patch; x++) {
          int64_t row = which / grid * c->patch + y, column = which % grid * c->patch + x;
          int64_t at = ((image * c->image_size + row) * c->image_size + column) * 3 + channel;
          pixels[at] = *from++ / c->deviation[channel];
        }
  }
}

/* Copies between floats of the host and a buffer of compute type, which is fp32, or double in the
 * reference backend. */
static err send_floats(const clip_model *m, int64_t count, const float *from, ops_buffer to) {
  if (m->o->compute == OPS_F32)
    return m->o->call->upload(m->o, to.data, from, (size_t)count * sizeof *from);
  double *wide = mem_zeroed((size_t)count, sizeof *wide);
  if (!wide) return mem_error((size_t)count * sizeof *wide, "gradients");
  for (int64_t i = 0; i < count; i++) wide[i] = (double)from[i];
  err error = m->o->call->upload(m->o, to.data, wide, (size_t)count * sizeof *wide);
  free(wide);
  return error;
}

static err fetch_floats(const clip_model *m, int64_t count, ops_buffer from, float *to) {
  if (m->o->compute == OPS_F32)
    return m->o->call->download(m->o, to, from.data, (size_t)count * sizeof *to);
  double *wide = mem_zeroed((size_t)count, sizeof *wide);
  if (!wide) return mem_error((size_t)count * sizeof *wide, "gradients");
  err error = m->o->call->download(m->o, wide, from.data, (size_t)count * sizeof *wide);
  for (int64_t i = 0; i < count && !error; i++) to[i] = (float)wide[i];
  free(wide);
  return error;
}

/* For all images' features: unit vectors, their products with `text`, and the gradient of the mean
 * product with respect to the features, stored in loss.dimage. rows: scratch [count, embed]. */
static err score_features(clip_model *m, int64_t count, const float *text, float *rows,
                          double *score) {
  int64_t embed = m->config.image.embed;
  ops_normalize n = {.rows = count,
                     .width = embed,
                     .eps = 1e-8,
                     .x = m->loss.image,
                     .y = m->loss.image_unit,
                     .norms = m->loss.image_norm};
  err error = m->o->call->normalize(m->o, &n);
  if (!error) error = fetch_floats(m, count * embed, m->loss.image_unit, rows);
  *score = 0;
  for (int64_t i = 0; i < count * embed && !error; i++) {
    *score += (double)rows[i] * (double)text[i % embed] / (double)count;
    rows[i] = text[i % embed] / (float)count;
  }
  if (!error) error = send_floats(m, count * embed, rows, m->loss.dunit);
  n.dy = m->loss.dunit;
  n.dx = m->loss.dimage;
  return error ? error : m->o->call->normalize_gradient(m->o, &n);
}

err clip_pixel_gradient(clip_model *m, int64_t count, const uint8_t *images, const float *text,
                        double *score, float *dpixels) {
  const clip_config *c = &m->config;
  int64_t patches = c->patches, length = 3 * c->patch * c->patch;
  int32_t *index = mem_zeroed((size_t)(count * patches), sizeof *index);
  float *scratch = mem_zeroed((size_t)(count * (patches * length + c->image.embed)), sizeof(float));
  clip_activations *a = &m->kept;
  input_set *in = &m->sets[m->current];
  err error = NULL;
  if (!index || !scratch) FAIL(ERR_MEMORY, "out of memory: pixel gradients");
  for (int64_t i = 0; i < count * patches; i++) index[i] = (int32_t)(i % patches);
  TRY(input_set_images(in, m->o, c, images, index, count, patches));
  TRY(m->o->call->join(m->o));
  a->image.features = m->loss.image;
  a->image.noise = (tower_noise){0};
  a->front.wants_pixels = true;
  TRY(clip_run_images(m, a, in));
  TRY(score_features(m, count, text, scratch, score));
  TRY(clip_images_backward(m, a, in, 0, count, m->loss.dimage));
  TRY(fetch_floats(m, count * patches * length, a->front.patches, scratch));
  from_patches(c, count, scratch, dpixels);
cleanup:
  a->front.wants_pixels = false;
  free(index);
  free(scratch);
  return error;
}
