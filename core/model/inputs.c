#include "model/inputs.h"

void input_set_lay_out(input_set *set, const clip_config *c, int64_t samples, int64_t texts,
                       int64_t patches, ops_block *block) {
  set->images = ops_cut(block, OPS_U8, samples * c->image_size * c->image_size * 3);
  set->index = ops_cut(block, OPS_I32, samples * patches);
  set->ids = ops_cut(block, OPS_I32, texts * c->text_length);
  if (c->has_text_places) set->places = ops_cut(block, OPS_I32, texts * c->text_length);
  set->pool_index = ops_cut(block, OPS_I32, texts);
  set->key_counts = ops_cut(block, OPS_I32, texts);
  set->numbers = ops_cut(block, OPS_I32, samples * 2);
}

err input_set_images(input_set *set, ops *o, const clip_config *c, const uint8_t *images,
                     const int32_t *index, int64_t count, int64_t patches) {
  size_t bytes = (size_t)(c->image_size * c->image_size * 3);
  set->count = count;
  err error = o->call->upload_ahead(o, set->images.data, images, (size_t)count * bytes);
  if (error || !index) return error;
  set->is_whole = false;
  return o->call->upload_ahead(o, set->index.data, index, (size_t)(count * patches) * 4);
}

/* The first end token, as other libraries have it: one that a text itself contains, written out,
 * ends it there. The last token before the padding is one. */
static int32_t end_of_text(const int32_t *ids, int32_t count) {
  int32_t first = 0;
  if (count <= 0) return 0;
  while (ids[first] != ids[count - 1]) first++;
  return first;
}

err input_set_texts(input_set *set, ops *o, const clip_config *c, const int32_t *ids,
                    const int32_t *id_counts, int64_t count, int64_t length) {
  set->count = count;
  set->has_places = false;
  err error = o->call->upload_ahead(o, set->ids.data, ids, (size_t)(count * length) * 4);
  if (!error && c->has_padding_mask) {
    int32_t *counts = set->pooled + count;
    /* softmax over nothing is NaN: an empty text attends to its first token */
    for (int64_t i = 0; i < count; i++) counts[i] = id_counts[i] > 0 ? id_counts[i] : 1;
    error = o->call->upload_ahead(o, set->key_counts.data, counts, (size_t)count * 4);
  }
  if (error || c->text_pool != TEXT_POOL_EOT) return error;
  for (int64_t i = 0; i < count; i++) set->pooled[i] = end_of_text(ids + i * length, id_counts[i]);
  return o->call->upload_ahead(o, set->pool_index.data, set->pooled, (size_t)count * 4);
}

err input_set_places(input_set *set, ops *o, const int32_t *places, int64_t length) {
  if (!places) return NULL;
  set->has_places = true;
  return o->call->upload_ahead(o, set->places.data, places, (size_t)(set->count * length) * 4);
}

err input_set_numbers(input_set *set, ops *o, const clip_config *c, int64_t first_sample,
                      const int64_t *given, int64_t count) {
  if (c->image_dropout == 0 && c->text_dropout == 0 && c->drop_path == 0) return NULL;
  int32_t *numbers = set->pooled + 2 * count;
  for (int64_t i = 0; i < count; i++) {
    uint64_t number = (uint64_t)(given ? given[i] : first_sample + i);
    numbers[2 * i] = (int32_t)(uint32_t)number;
    numbers[2 * i + 1] = (int32_t)(uint32_t)(number >> 32);
  }
  return o->call->upload_ahead(o, set->numbers.data, numbers, (size_t)count * 8);
}

ops_buffer input_set_token_places(const input_set *set) {
  return set->has_places ? set->places : (ops_buffer){0};
}

ops_buffer input_set_key_counts(const input_set *set, const clip_config *c) {
  return c->has_padding_mask ? set->key_counts : (ops_buffer){0};
}

ops_buffer input_set_pool_index(const input_set *set, const clip_config *c) {
  return c->text_pool == TEXT_POOL_EOT ? set->pool_index : (ops_buffer){0};
}
