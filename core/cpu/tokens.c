/* The inputs of the towers: patch gather, token assembly, token embedding, and their gradients.
 *
 * Bound: memory. Only kept patches are read. Gradients that many rows add to (class token,
 * positions, embedding table) are split over threads by column, each thread processing the rows in
 * order: deterministic, and the same for any thread count. */
#include "cpu/kernel.h"

enum { COLUMN_STRIP = 16 }; /* one cache line of floats */

static void gather_patch(const ops_patches *p, int64_t image, int32_t which, const float scale[3],
                         const float shift[3], float *restrict to) {
  int64_t side = p->patch, per_row = p->size / side;
  int64_t top = which / per_row * side, left = which % per_row * side;
  const uint8_t *pixels = (const uint8_t *)p->images.data + image * p->size * p->size * 3;
  for (int64_t channel = 0; channel < 3; channel++)
    for (int64_t y = 0; y < side; y++) {
      const uint8_t *from = pixels + ((top + y) * p->size + left) * 3 + channel;
      for (int64_t x = 0; x < side; x++)
        to[(channel * side + y) * side + x] = (float)from[x * 3] * scale[channel] - shift[channel];
    }
}

err CPU_KERNEL(patches)(ops *o, const ops_patches *p) {
  CPU_ASSERT(p->size % p->patch == 0 && p->keep > 0);
  int64_t length = 3 * p->patch * p->patch;
  float scale[3], shift[3], *scratch;
  for (int i = 0; i < 3; i++) {
    scale[i] = 1.0f / (255.0f * p->deviation[i]);
    shift[i] = p->mean[i] / p->deviation[i];
  }
  err error = cpu_scratch(o, CPU_BLOCKS * (size_t)length, &scratch);
  if (error) return error;
  const int32_t *index = p->index.data;
#pragma omp parallel for schedule(static)
  for (int64_t block = 0; block < CPU_BLOCKS; block++) {
    int64_t start, end;
    cpu_block(p->batch * p->keep, block, &start, &end);
    for (int64_t i = start; i < end; i++) {
      float *to = cpu_write(p->patches, i * length, scratch + block * length);
      if (index[i] < 0)
        memset(to, 0, (size_t)length * sizeof *to);
      else
        gather_patch(p, i / p->keep, index[i], scale, shift, to);
      cpu_written(p->patches, i * length, length, to);
    }
  }
  return NULL;
}

/* The row of `positions` that belongs to entry i of the index. */
static int64_t position_of(const ops_assemble *a, int64_t i) {
  int32_t which = ((const int32_t *)a->index.data)[i];
  return (which < 0 ? ~which : which) + (a->class_has_position ? 1 : 0);
}

err CPU_KERNEL(assemble)(ops *o, const ops_assemble *a) {
  int64_t width = a->width, has_class = a->class_token.data != NULL, tokens = a->keep + has_class;
  float *scratch;
  err error = cpu_scratch(o, CPU_BLOCKS * 2 * (size_t)width, &scratch);
  if (error) return error;
  const float *positions = cpu_f32(a->positions), *class_token = cpu_f32(a->class_token);
#pragma omp parallel for schedule(static)
  for (int64_t block = 0; block < CPU_BLOCKS; block++) {
    float *own = scratch + block * 2 * width;
    int64_t start, end;
    cpu_block(a->batch * tokens, block, &start, &end);
    for (int64_t row = start; row < end; row++) {
      int64_t image = row / tokens, token = row % tokens;
      float *to = cpu_write(a->tokens, row * width, own);
      if (has_class && token == 0) {
        for (int64_t j = 0; j < width; j++)
          to[j] = class_token[j] + (a->class_has_position ? positions[j] : 0);
      } else {
        int64_t i = image * a->keep + token - has_class;
        const float *patch = cpu_read(a->patches, i * width, width, own + width);
        const float *position = positions + position_of(a, i) * width;
#pragma omp simd
        for (int64_t j = 0; j < width; j++) to[j] = patch[j] + position[j];
      }
      cpu_written(a->tokens, row * width, width, to);
    }
  }
  return NULL;
}

/* sums[j] += x[at + j] for the columns of one strip, whatever x's type. */
static void add_strip(ops_buffer x, int64_t at, int64_t count, float *restrict sums) {
  float own[COLUMN_STRIP];
  const float *from = cpu_read(x, at, count, own);
  for (int64_t j = 0; j < count; j++) sums[j] += from[j];
}

err CPU_KERNEL(assemble_gradient)(ops *o, const ops_assemble *a) {
  (void)o;
  int64_t width = a->width, has_class = a->class_token.data != NULL, tokens = a->keep + has_class;
  size_t row_bytes = (size_t)width * ops_size_of(a->dtokens.type);
  CPU_ASSERT(a->dtokens.type == a->dpatches.type);
#pragma omp parallel for schedule(static)
  for (int64_t image = 0; image < a->batch; image++)
    memcpy(ops_at(a->dpatches, image * a->keep * width).data,
           ops_at(a->dtokens, (image * tokens + has_class) * width).data,
           (size_t)a->keep * row_bytes);
#pragma omp parallel for schedule(static)
  for (int64_t j = 0; j < width; j += COLUMN_STRIP) {
    int64_t count = width - j < COLUMN_STRIP ? width - j : COLUMN_STRIP;
    float *dpositions = cpu_f32(a->dpositions);
    for (int64_t row = 0; row < a->batch * tokens; row++) {
      int64_t token = row % tokens, at = row * width + j;
      if (has_class && token == 0) {
        if (a->dclass_token.data) add_strip(a->dtokens, at, count, cpu_f32(a->dclass_token) + j);
        if (dpositions && a->class_has_position) add_strip(a->dtokens, at, count, dpositions + j);
      } else if (dpositions) {
        int64_t position = position_of(a, row / tokens * a->keep + token - has_class);
        add_strip(a->dtokens, at, count, dpositions + position * width + j);
      }
    }
  }
  return NULL;
}

/* The row of `positions` that belongs to token `row`. */
static int64_t place_of(const ops_embed *e, int64_t row) {
  return e->places.data ? ((const int32_t *)e->places.data)[row] : row % e->length;
}

err CPU_KERNEL(embed)(ops *o, const ops_embed *e) {
  int64_t width = e->width;
  float *scratch;
  err error = cpu_scratch(o, CPU_BLOCKS * (size_t)width, &scratch);
  if (error) return error;
  const int32_t *ids = e->ids.data;
  const float *table = cpu_f32(e->table), *positions = cpu_f32(e->positions);
#pragma omp parallel for schedule(static)
  for (int64_t block = 0; block < CPU_BLOCKS; block++) {
    int64_t start, end;
    cpu_block(e->batch * e->length, block, &start, &end);
    for (int64_t row = start; row < end; row++) {
      CPU_ASSERT(ids[row] >= 0 && ids[row] < e->vocabulary);
      const float *word = table + ids[row] * width, *place = positions + place_of(e, row) * width;
      float *to = cpu_write(e->tokens, row * width, scratch + block * width);
#pragma omp simd
      for (int64_t j = 0; j < width; j++) to[j] = word[j] + place[j];
      cpu_written(e->tokens, row * width, width, to);
    }
  }
  return NULL;
}

err CPU_KERNEL(embed_gradient)(ops *o, const ops_embed *e) {
  (void)o;
  const int32_t *ids = e->ids.data;
  int64_t width = e->width;
#pragma omp parallel for schedule(static)
  for (int64_t j = 0; j < width; j += COLUMN_STRIP) {
    int64_t count = width - j < COLUMN_STRIP ? width - j : COLUMN_STRIP;
    for (int64_t row = 0; row < e->batch * e->length; row++) {
      add_strip(e->dtokens, row * width + j, count, cpu_f32(e->dtable) + ids[row] * width + j);
      if (e->dpositions.data)
        add_strip(e->dtokens, row * width + j, count,
                  cpu_f32(e->dpositions) + place_of(e, row) * width + j);
    }
  }
  return NULL;
}
