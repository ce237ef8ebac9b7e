#include "read/text_mask.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "config/settings.h"

enum { MOST_COUNTED = 100000 };

typedef struct {
  double key;
  int32_t place;
} ranked;

bool text_mask_is_drawn(const text_mask *m) {
  return m->mode != TEXT_MASK_NONE && m->mode != TEXT_MASK_TRUNCATE;
}

static int by_key(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->key != y->key) return x->key < y->key ? -1 : 1;
  return x->place < y->place ? -1 : x->place > y->place;
}

static int by_place(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  return (x->place > y->place) - (x->place < y->place);
}

/* A position's rank: the smallest are kept. An exponential variate divided by the weight gives
 * weighted sampling without replacement. */
static double rank_of(const text_mask *m, rng *random, int32_t id, bool is_padding) {
  double noise = rng_double(random);
  switch (m->mode) {
  case TEXT_MASK_RANDOM:
    return noise;
  case TEXT_MASK_FREQUENCY:
    return is_padding ? INFINITY : -log1p(-noise) / m->weights[id];
  case TEXT_MASK_SYNTAX: /* all equal, except for draw_places */
    return SPEECH_OTHER + is_padding;
  default: /* prioritized: padding after every word */
    return is_padding ? 1 + noise : noise;
  }
}

/* The keys of a caption's positions: the class of the word that each is part of. order[0] is for
 * position m->ends. */
static void rank_by_class(const text_mask *m, const int32_t *ids, int32_t count, ranked *order) {
  strbuf word = {0};
  int32_t first = (int32_t)m->ends, last = count - (int32_t)m->ends;
  for (int32_t at = first, pieces; at < last; at += pieces) {
    pieces = tokenizer_word(m->words, ids + at, last - at, &word);
    part_of_speech part = SPEECH_OTHER;
    if (!word.is_broken) part = lexicon_part(m->classes, strbuf_string(&word));
    for (int32_t i = at; i < at + pieces; i++) order[i - first].key = part;
  }
  strbuf_free(&word);
}

/* positions [kept - 2 ends], ascending, of those without special tokens. */
static void draw_places(const text_mask *m, rng *random, const int32_t *ids, int32_t count,
                        ranked *order) {
  int64_t wanted = m->kept - 2 * m->ends, used = 0, last = count - m->ends;
  if (m->mode == TEXT_MASK_BLOCK) {
    int64_t words = last - m->ends, spare = words - wanted;
    int64_t start = m->ends + (spare > 0 ? rng_below(random, (uint32_t)spare + 1) : 0);
    for (int64_t i = 0; i < wanted; i++) {
      int64_t place = start + i; /* a short caption: its padding follows the last token */
      order[i].place = (int32_t)(place < last ? place : place + m->ends);
    }
    return;
  }
  for (int32_t place = (int32_t)m->ends; place < m->length; place++) {
    if (m->ends && place == last) continue;
    order[used].key = rank_of(m, random, ids[place], place >= count);
    order[used++].place = place;
  }
  if (m->mode == TEXT_MASK_SYNTAX) rank_by_class(m, ids, count, order);
  qsort(order, (size_t)used, sizeof *order, by_key);
  qsort(order, (size_t)wanted, sizeof *order, by_place);
}

void text_mask_draw(const text_mask *m, uint64_t seed, int64_t sample, const int32_t *ids,
                    int32_t count, int32_t *out, int32_t *places, int32_t *out_count) {
  ranked order[TEXT_MASK_LONGEST];
  rng random = rng_at(seed, RNG_TEXT_MASK, 0, (uint64_t)sample);
  const int64_t drawn = m->kept - 2 * m->ends;
  int64_t used = 0, i = 0;
  if (m->kept >= m->length) {
    memcpy(out, ids, (size_t)m->length * sizeof *out);
    for (; i < m->length; i++) places[i] = (int32_t)i;
    *out_count = count;
    return;
  }
  draw_places(m, &random, ids, count, order);
  if (m->ends) places[used++] = 0;
  for (; i < drawn && order[i].place < count; i++) places[used++] = order[i].place;
  if (m->ends) places[used++] = count - 1;
  *out_count = (int32_t)used;
  for (; i < drawn; i++) places[used++] = order[i].place;
  for (int64_t k = 0; k < m->kept; k++) out[k] = places[k] < count ? ids[places[k]] : m->padding;
}

err text_mask_weigh(const dataset *data, const tokenizer *words, double **out) {
  int32_t ids[TEXT_MASK_LONGEST], count;
  int64_t rows = dataset_count(data), looked_at = rows < MOST_COUNTED ? rows : MOST_COUNTED;
  size_t vocabulary = (size_t)tokenizer_vocabulary_size(words);
  double *weights = mem_zeroed(vocabulary, sizeof *weights);
  err error = weights ? NULL : mem_error(vocabulary * sizeof *weights, "token frequencies");
  for (int64_t i = 0; i < looked_at && !error; i++) {
    dataset_sample sample = {0};
    error = dataset_read_text(data, i * rows / looked_at, &sample);
    if (!error) error = tokenizer_encode(words, sample.caption, TEXT_MASK_LONGEST, ids, &count);
    for (int64_t j = tokenizer_ends(words); !error && j < count - tokenizer_ends(words); j++)
      weights[ids[j]]++;
    dataset_sample_free(&sample);
    if (error && err_kind_of(error) == ERR_INPUT) { /* the loader reports it */
      err_free(error);
      error = NULL;
    }
  }
  if (error) {
    free(weights);
    return error;
  }
  for (size_t i = 0; i < vocabulary; i++) /* an unseen token counts as rare as one seen once */
    weights[i] = 1 / sqrt(weights[i] > 1 ? weights[i] : 1);
  *out = weights;
  return NULL;
}
