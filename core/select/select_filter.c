#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "image/image.h"
#include "select/image_hash.h"
#include "image/image_header.h"
#include "read/in_order.h"
#include "select/select_writer.h"
#include "text/utf8.h"

enum { AT_ONCE = 256, HASHED_SIDE = 32 }; /* samples measured in parallel; enough for 9 x 8 */

typedef enum {
  UNREADABLE,
  CAPTION_LENGTH,
  CAPTION_LETTERS,
  IMAGE_SIZE,
  IMAGE_ASPECT,
  SCORE,
  DUPLICATE,
  REASONS
} reason;
static const char *const reason_names[REASONS] = {"unreadable", "caption_length", "caption_letters",
                                                  "image_size", "image_aspect",   "score",
                                                  "duplicate"};

/* One sample and the values that the rules check. */
typedef struct {
  dataset_sample sample;
  err fault, unwritable; /* the second image: checked only when no rule removes the sample */
  int64_t words, characters;
  double letters;
  int64_t width, height;
  picture_hash hash;
  select_prepared prepared;
} measured;

static void measure_caption(measured *m) {
  int64_t letters = 0, visible = 0;
  for (const char *at = m->sample.caption; *at;) {
    int32_t c = utf8_next(&at);
    bool is_space = utf8_is_space(c);
    m->characters++;
    visible += !is_space;
    letters += utf8_is_letter(c);
  }
  m->words = utf8_count_words(m->sample.caption);
  m->letters = visible ? (double)letters / (double)visible : 0;
}

/* has_pixels: the picture must be decodable. */
static err measure_image(measured *m, bool has_hash, bool has_pixels) {
  const dataset_sample *s = &m->sample;
  image_header h = image_read_header(s->image, s->image_bytes);
  m->width = h.width;
  m->height = h.height;
  if (!has_hash && !has_pixels && h.width > 0) return NULL;
  image picture;
  /* a header that we cannot parse: decoded at full size, which is the picture's */
  err error = image_decode(s->image, s->image_bytes, h.width > 0 ? HASHED_SIDE : 0, &picture);
  if (error) return error;
  if (h.width <= 0) {
    m->width = picture.width;
    m->height = picture.height;
  }
  error = has_hash ? image_hash(&picture, &m->hash) : NULL;
  image_free(&picture);
  return error;
}

typedef struct {
  const dataset *data;
  const filter_rules *rules;
  hash_index *seen; /* NULL: no duplicate detection */
  select_writer *writer;
  int64_t *counts; /* [REASONS] */
} filtering;

static void measure(void *context, int64_t row, void *place) {
  const filtering *f = context;
  const float *scores = f->rules->scores;
  measured *m = place;
  m->fault = dataset_read(f->data, row, &m->sample);
  if (m->fault) return;
  measure_caption(m);
  m->fault = measure_image(m, f->seen != NULL, scores && isnan(scores[row]));
  if (!m->fault) m->unwritable = select_prepare(&m->sample, &m->prepared);
}

static void release(void *place) {
  measured *m = place;
  err_free(m->fault);
  err_free(m->unwritable);
  select_prepared_free(&m->prepared);
  dataset_sample_free(&m->sample);
}

static bool is_outside(int64_t value, int64_t least, int64_t most) {
  return value < least || (most && value > most);
}

/* The first rule that removes the sample, REASONS for none; detail contains the value. */
static reason judge(const filter_rules *r, const measured *m, int64_t row, strbuf *detail) {
  int64_t shorter = m->width < m->height ? m->width : m->height;
  int64_t longer = m->width < m->height ? m->height : m->width;
  if (m->fault) {
    strbuf_append(detail, err_message(m->fault));
    return UNREADABLE;
  }
  if (is_outside(m->words, r->min_words, r->max_words) ||
      is_outside(m->characters, r->min_characters, r->max_characters)) {
    strbuf_format(detail, "%ld %s, %ld %s", (long)m->words, text_plural(m->words, "word", "words"),
                  (long)m->characters, text_plural(m->characters, "character", "characters"));
    return CAPTION_LENGTH;
  }
  if (m->letters < r->min_letters) {
    strbuf_format(detail, "%.2f letters", m->letters);
    return CAPTION_LETTERS;
  }
  strbuf_format(detail, "%ld x %ld pixels", (long)m->width, (long)m->height);
  if (shorter < r->min_side || (r->max_side && longer > r->max_side)) return IMAGE_SIZE;
  if (r->max_aspect > 0 && (double)longer > r->max_aspect * (double)shorter) return IMAGE_ASPECT;
  if (r->scores && !((double)r->scores[row] >= r->min_score)) {
    strbuf_clear(detail);
    strbuf_format(detail, "score %.4f", (double)r->scores[row]);
    return SCORE;
  }
  return REASONS;
}

/* Decides on one sample, in the order of the data set. */
static err take(void *context, int64_t row, void *place) {
  const filtering *f = context;
  measured *m = place;
  strbuf detail = {0};
  int64_t met = -1;
  err error = NULL;
  if (m->fault && err_kind_of(m->fault) != ERR_INPUT) { /* not the sample's */
    error = m->fault;
    m->fault = NULL;
    return error;
  }
  reason why = judge(f->rules, m, row, &detail);
  if (why == REASONS && f->seen && !m->unwritable) { /* only what is kept has copies */
    TRY(hash_index_meet(f->seen, &m->hash, row, &met));
    if (met >= 0) {
      dataset_sample first;
      why = DUPLICATE;
      strbuf_clear(&detail);
      error = dataset_read_text(f->data, met, &first);
      strbuf_append(&detail, "of ");
      if (!error) dataset_append_name(&first, &detail);
      dataset_sample_free(&first);
      if (error) goto cleanup;
    }
  }
  if (why == REASONS) {
    err fault = m->unwritable ? m->unwritable : select_writer_keep(f->writer, &m->prepared);
    m->unwritable = NULL;
    if (fault && err_kind_of(fault) != ERR_INPUT) {
      error = fault;
      goto cleanup;
    }
    strbuf_clear(&detail);
    if (fault) strbuf_append(&detail, err_message(fault));
    why = fault ? UNREADABLE : REASONS;
    err_free(fault);
  }
  if (why != REASONS) {
    f->counts[why]++;
    select_writer_reject(f->writer, &m->sample, reason_names[why], strbuf_string(&detail));
  }
cleanup:
  strbuf_free(&detail);
  return error;
}

static void write_rules(const filter_rules *r, strbuf *out) {
  json_writer w = jsonw_start(out);
  jsonw_object(&w, NULL);
  jsonw_integer(&w, "min_words", r->min_words);
  jsonw_integer(&w, "max_words", r->max_words);
  jsonw_integer(&w, "min_characters", r->min_characters);
  jsonw_integer(&w, "max_characters", r->max_characters);
  jsonw_number(&w, "min_letters", r->min_letters);
  jsonw_integer(&w, "min_side", r->min_side);
  jsonw_integer(&w, "max_side", r->max_side);
  jsonw_number(&w, "max_aspect", r->max_aspect);
  jsonw_integer(&w, "duplicates", r->duplicates);
  if (r->scores) {
    jsonw_string(&w, "model", r->model);
    jsonw_number(&w, "min_score", r->min_score);
  }
  jsonw_end(&w);
}

err select_filter(const dataset *data, const filter_rules *rules, const select_output *output,
                  select_result *result) {
  int64_t counts[REASONS] = {0};
  strbuf text = {0};
  hash_index *seen = NULL;
  select_writer w;
  *result = (select_result){0};
  err error = select_writer_open(output, "filtering", data, &w);
  if (error) goto cleanup;
  if (rules->duplicates >= 0) TRY(hash_index_create(rules->duplicates, &seen));
  filtering f = {data, rules, seen, &w, counts};
  const in_order_work work = {&f,     dataset_count(data), AT_ONCE, sizeof(measured), measure, take,
                              release};
  TRY(in_order(&work));
  write_rules(rules, &text);
  TRY(select_writer_finish(&w, output, strbuf_string(&text), reason_names, counts, REASONS,
                           result));
cleanup:
  hash_index_destroy(seen);
  strbuf_free(&text);
  select_writer_close(&w);
  return error;
}
