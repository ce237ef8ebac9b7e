#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/json.h"
#include "base/mem.h"
#include "image/image.h"
#include "read/in_order.h"
#include "read/permute.h"
#include "text/plain_text.h"
#include "select/select_writer.h"
#include "text/utf8.h"
#include "text/words.h"

enum { LONGEST_TERM = 8, AT_ONCE = 256 }; /* words of a term */
enum { LEAST_SIDE = 32 }; /* of an image that is decoded only to see that it can be */

typedef enum { TERM_FULL, NO_TERM, UNREADABLE, REASONS } reason;
static const char *const reason_names[REASONS] = {"term_full", "no_term", "unreadable"};

typedef struct {
  int64_t captions; /* that contain the term */
  int64_t last;     /* row of the last one counted */
  int64_t kept;     /* samples kept under it; other threads read it while it grows */
} term_count;

/* Where the words of a normalised text begin. Start from {0}; free(w->starts). */
typedef struct {
  size_t *starts, count, capacity;
} word_list;

/* The rarest term of a caption; of equally rare ones the first alphabetically. */
typedef struct {
  term_count *count; /* NULL: the caption has none */
  strbuf term;
} rarest;

typedef struct {
  json_t *places; /* {term: its place in counts} */
  term_count *counts;
  size_t count, capacity;
  bool is_open; /* every word is a term; else those of the file */
  int longest;  /* length in words of the longest term */
} term_table;

static err add_term(term_table *t, const char *term) {
  if (t->count == t->capacity) {
    size_t larger = t->capacity ? 2 * t->capacity : 1024;
    term_count *counts = mem_resize(t->counts, larger, sizeof *counts);
    if (!counts) return mem_error(larger * sizeof *counts, "terms");
    t->counts = counts;
    t->capacity = larger;
  }
  if (json_object_set_new(t->places, term, json_integer((json_int_t)t->count)) != 0)
    return mem_error(strlen(term), "terms");
  t->counts[t->count++] = (term_count){.last = -1};
  return NULL;
}

static err add_word(word_list *w, size_t start) {
  if (w->count == w->capacity) {
    size_t capacity = w->capacity ? 2 * w->capacity : 64;
    size_t *starts = mem_resize(w->starts, capacity, sizeof *starts);
    if (!starts) return mem_error(capacity * sizeof *starts, "a caption");
    w->starts = starts;
    w->capacity = capacity;
  }
  w->starts[w->count++] = start;
  return NULL;
}

/* A text as lower-case words without accents and punctuation, separated by single spaces. */
static err normalise(const char *text, strbuf *words, strbuf *out, word_list *places) {
  strbuf_clear(words);
  strbuf_clear(out);
  places->count = 0;
  err error = words_split(text, words);
  for (size_t at = 0; !error && at < words->length; at += strlen(words->data + at) + 1) {
    const char *first = words->data + at;
    int32_t c = utf8_next(&first);
    if (!utf8_is_letter(c) && !utf8_is_number(c)) continue;
    if (out->length) strbuf_append_char(out, ' ');
    error = add_word(places, out->length);
    strbuf_append(out, words->data + at);
  }
  if (!error && (words->is_broken || out->is_broken)) error = mem_error(out->length, "a caption");
  return error;
}

/* Called with each term of a caption, including repetitions. */
typedef err (*take_term)(void *context, term_count *count, const char *term);

static err take_one_term(term_table *t, const char *term, take_term take, void *context) {
  const json_t *place = json_object_get(t->places, term);
  size_t at = place ? (size_t)json_integer_value(place) : t->count;
  err error = !place && t->is_open ? add_term(t, term) : NULL;
  return error || at >= t->count ? error : take(context, &t->counts[at], term);
}

/* caption: normalised; temporarily modified while its parts are looked up. */
static err each_term(term_table *t, strbuf *caption, const word_list *places, take_term take,
                     void *context) {
  for (size_t first = 0; first < places->count; first++)
    for (int words = 1; words <= t->longest && first + (size_t)words <= places->count; words++) {
      size_t after = first + (size_t)words;
      size_t end = after < places->count ? places->starts[after] - 1 : caption->length;
      char behind = caption->data[end];
      caption->data[end] = '\0';
      err error = take_one_term(t, caption->data + places->starts[first], take, context);
      caption->data[end] = behind;
      if (error) return error;
    }
  return NULL;
}

static err read_terms(const char *path, term_table *t) {
  text_lines lines;
  word_list places = {0};
  strbuf words = {0}, term = {0};
  err error = text_lines_read(path, false, &lines);
  for (size_t i = 0; i < lines.count && !error; i++) {
    error = normalise(lines.items[i], &words, &term, &places);
    if (error || places.count == 0) continue;
    if (places.count > LONGEST_TERM)
      error = err_new(ERR_INPUT, "%s:%ld: a term may have at most %d words", path, lines.numbers[i],
                      LONGEST_TERM);
    else if (!json_object_get(t->places, term.data))
      error = add_term(t, term.data);
    if ((int)places.count > t->longest) t->longest = (int)places.count;
  }
  if (!error && !t->count) error = err_new(ERR_INPUT, "%s: contains no terms", path);
  text_lines_free(&lines);
  free(places.starts);
  strbuf_free(&words);
  strbuf_free(&term);
  return error;
}

typedef struct {
  const dataset *data;
  const balance_rules *rules;
  term_table table;
  uint8_t *verdicts; /* [rows]: REASONS for kept rows */
  select_writer *writer;
  int64_t *counts; /* [REASONS] */
} balancing;

/* A row in progress: its caption normalised, or its sample prepared for writing. */
typedef struct {
  dataset_sample sample;
  select_prepared prepared;
  strbuf caption;
  word_list places;
  rarest least;
  bool is_read, is_writable;
  err error;
} balanced_row;

static void read_caption(const balancing *b, int64_t row, balanced_row *r) {
  strbuf words = {0};
  r->error = dataset_read_text(b->data, row, &r->sample);
  r->is_read = !r->error;
  if (!r->error)
    r->error = normalise(r->sample.caption, &words, &r->caption, &r->places);
  else if (err_kind_of(r->error) == ERR_INPUT) { /* set when the row is written */
    err_free(r->error);
    r->error = NULL;
  }
  strbuf_free(&words);
}

static err take_error(balanced_row *r) {
  err error = r->error;
  r->error = NULL;
  return error;
}

static void release_row(void *place) {
  balanced_row *r = place;
  err_free(r->error);
  strbuf_free(&r->caption);
  free(r->places.starts);
  strbuf_free(&r->least.term);
  select_prepared_free(&r->prepared);
  dataset_sample_free(&r->sample);
}

/* ---- counting ---- */

static void make_caption(void *context, int64_t row, void *place) {
  read_caption(context, row, place);
}

static err count_term(void *context, term_count *count, const char *term) {
  const int64_t *row = context;
  (void)term;
  count->captions += count->last != *row;
  count->last = *row;
  return NULL;
}

static err count_row(void *context, int64_t row, void *place) {
  balancing *b = context;
  balanced_row *r = place;
  err error = take_error(r);
  if (error || !r->is_read) return error;
  return each_term(&b->table, &r->caption, &r->places, count_term, &row);
}

/* ---- judging ---- */

static err keep_rarest(void *context, term_count *count, const char *term) {
  rarest *r = context;
  int64_t seen = count->captions, least = r->count ? r->count->captions : 0;
  bool is_rarer =
      !r->count || seen < least || (seen == least && strcmp(term, strbuf_string(&r->term)) < 0);
  if (!is_rarer) return NULL;
  r->count = count;
  strbuf_clear(&r->term);
  strbuf_append(&r->term, term);
  return r->term.is_broken ? mem_error(strlen(term), "a term") : NULL;
}

/* Every term is in the table by now, which therefore does not change. */
static void find_rarest(balancing *b, int64_t row, balanced_row *r) {
  read_caption(b, row, r);
  if (!r->error && r->is_read)
    r->error = each_term(&b->table, &r->caption, &r->places, keep_rarest, &r->least);
}

static err check_picture(const dataset_sample *sample) {
  image picture;
  err error = image_decode(sample->image, sample->image_bytes, LEAST_SIDE, &picture);
  if (!error) image_free(&picture);
  return error;
}

/* A row that cannot be written or decoded must not take another's place under its term. */
static err check_writable(const balancing *b, int64_t row, bool *is_writable) {
  dataset_sample sample;
  select_prepared prepared = {0};
  err error = dataset_read(b->data, row, &sample);
  if (!error) error = select_prepare(&sample, &prepared);
  if (!error) error = check_picture(&sample);
  *is_writable = !error;
  select_prepared_free(&prepared);
  dataset_sample_free(&sample);
  if (!error || err_kind_of(error) != ERR_INPUT) return error;
  err_free(error); /* set when the row is written */
  return NULL;
}

/* Rows are visited in the seed's order, so that the samples kept for a full term are a random
 * draw. */
static int64_t drawn_row(const balancing *b, int64_t i) {
  return permute(b->rules->seed, 0, dataset_count(b->data), i);
}

/* A term that is full here stays full, so its images need no look. */
static void make_judgement(void *context, int64_t i, void *place) {
  balancing *b = context;
  balanced_row *r = place;
  find_rarest(b, drawn_row(b, i), r);
  if (r->error || !r->least.count) return;
  if (__atomic_load_n(&r->least.count->kept, __ATOMIC_RELAXED) < b->rules->per_term)
    r->error = check_writable(b, drawn_row(b, i), &r->is_writable);
}

static err judge_row(void *context, int64_t i, void *place) {
  balancing *b = context;
  balanced_row *r = place;
  term_count *term = r->least.count;
  err error = take_error(r);
  if (error) return error;
  bool is_full = term && term->kept >= b->rules->per_term;
  reason verdict = !r->is_read       ? UNREADABLE
                   : !term           ? NO_TERM
                   : is_full         ? TERM_FULL
                   : !r->is_writable ? UNREADABLE
                                     : REASONS;
  b->verdicts[drawn_row(b, i)] = (uint8_t)verdict;
  if (verdict == REASONS) __atomic_store_n(&term->kept, term->kept + 1, __ATOMIC_RELAXED);
  return NULL;
}

/* ---- writing ---- */

/* A removed sample is reported with its term; one that cannot be read with the error. */
static void make_output(void *context, int64_t row, void *place) {
  balancing *b = context;
  balanced_row *r = place;
  if (b->verdicts[row] != REASONS && b->verdicts[row] != UNREADABLE) {
    find_rarest(b, row, r);
    return;
  }
  r->error = dataset_read(b->data, row, &r->sample);
  if (!r->error) r->error = select_prepare(&r->sample, &r->prepared);
  if (!r->error && b->verdicts[row] == UNREADABLE) r->error = check_picture(&r->sample);
}

/* text: the term, or the row's error. */
static void reject(balancing *b, const balanced_row *r, reason why, const char *text) {
  select_writer_reject(b->writer, &r->sample, reason_names[why], text);
  b->counts[why]++;
}

static err write_row(balancing *b, balanced_row *r) {
  err error = take_error(r);
  if (!error) error = select_writer_keep(b->writer, &r->prepared);
  if (!error || err_kind_of(error) != ERR_INPUT) return error;
  reject(b, r, UNREADABLE, err_message(error));
  err_free(error);
  return NULL;
}

static err take_output(void *context, int64_t row, void *place) {
  balancing *b = context;
  balanced_row *r = place;
  if (b->verdicts[row] == REASONS || b->verdicts[row] == UNREADABLE) return write_row(b, r);
  err error = take_error(r);
  if (!error) reject(b, r, (reason)b->verdicts[row], strbuf_string(&r->least.term));
  return error;
}

static int64_t count_terms_met(const term_table *t) {
  int64_t met = 0;
  for (size_t i = 0; i < t->count; i++) met += t->counts[i].kept > 0;
  return met;
}

static void write_rules(const balance_rules *r, int64_t terms, strbuf *out) {
  json_writer w = jsonw_start(out);
  jsonw_object(&w, NULL);
  jsonw_integer(&w, "per_term", r->per_term);
  jsonw_string(&w, "terms", r->terms);
  jsonw_integer(&w, "terms_met", terms);
  jsonw_integer(&w, "seed", (int64_t)r->seed);
  jsonw_end(&w);
}

/* Once over all rows. */
static err pass(in_order_work *work, void (*make)(void *context, int64_t row, void *place),
                err (*take)(void *context, int64_t row, void *place)) {
  work->make = make;
  work->take = take;
  return in_order(work);
}

err select_balance(const dataset *data, const balance_rules *rules, const select_output *output,
                   select_result *result) {
  int64_t counts[REASONS] = {0}, rows = dataset_count(data);
  strbuf text = {0};
  select_writer w = {0};
  balancing b = {.data = data,
                 .rules = rules,
                 .table = {.places = json_object(), .is_open = !rules->terms, .longest = 1},
                 .verdicts = mem_zeroed((size_t)rows, sizeof *b.verdicts),
                 .writer = &w,
                 .counts = counts};
  in_order_work work = {.context = &b,
                        .count = rows,
                        .at_once = AT_ONCE,
                        .place_bytes = sizeof(balanced_row),
                        .release = release_row};
  err error = NULL;
  *result = (select_result){0};
  if (!b.table.places || !b.verdicts) FAIL(ERR_MEMORY, "out of memory: terms");
  if (rules->terms) TRY(read_terms(rules->terms, &b.table));
  TRY(pass(&work, make_caption, count_row));
  TRY(pass(&work, make_judgement, judge_row));
  TRY(select_writer_open(output, "balancing", data, &w));
  TRY(pass(&work, make_output, take_output));
  write_rules(rules, count_terms_met(&b.table), &text);
  TRY(select_writer_finish(&w, output, strbuf_string(&text), reason_names, counts, REASONS,
                           result));
cleanup:
  json_decref(b.table.places);
  free(b.table.counts);
  free(b.verdicts);
  strbuf_free(&text);
  select_writer_close(&w);
  return error;
}
