#include "model/inputs.h"

#include "base/mem.h"

size_t input_set_lay_out(input_set *set, const clip_config *c, int64_t samples, int64_t patches,
                         void *base) {
  const size_t sizes[] = {(size_t)(samples * c->image_size * c->image_size * 3),
                          (size_t)(samples * patches) * 4, (size_t)(samples * c->text_length) * 4,
                          (size_t)samples * 4};
  const ops_type types[] = {OPS_U8, OPS_I32, OPS_I32, OPS_I32};
  ops_buffer *buffers[] = {&set->images, &set->index, &set->ids, &set->pool_index};
  size_t at = 0;
  for (int i = 0; i < 4; i++) {
    *buffers[i] = (ops_buffer){base ? (char *)base + at : NULL, types[i]};
    at += mem_rounded(sizes[i]);
  }
  return at;
}

err input_set_images(input_set *set, ops *o, const clip_config *c, const uint8_t *images,
                     const int32_t *index, int64_t count, int64_t patches) {
  size_t bytes = (size_t)(c->image_size * c->image_size * 3);
  set->count = count;
  err error = o->call->upload_ahead(o, set->images.data, images, (size_t)count * bytes);
  return error ? error
               : o->call->upload_ahead(o, set->index.data, index, (size_t)(count * patches) * 4);
}

err input_set_texts(input_set *set, ops *o, const clip_config *c, const int32_t *ids,
                    const int32_t *id_counts, int64_t count, int64_t length) {
  set->count = count;
  err error = o->call->upload_ahead(o, set->ids.data, ids, (size_t)(count * length) * 4);
  if (error || c->text_pool != TEXT_POOL_EOT) return error;
  /* the last token before the padding: the end of text */
  for (int64_t i = 0; i < count; i++) set->pooled[i] = id_counts[i] > 0 ? id_counts[i] - 1 : 0;
  return o->call->upload_ahead(o, set->pool_index.data, set->pooled, (size_t)count * 4);
}

ops_buffer input_set_pool_index(const input_set *set, const clip_config *c) {
  return c->text_pool == TEXT_POOL_EOT ? set->pool_index : (ops_buffer){0};
}
