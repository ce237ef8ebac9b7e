#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/json.h"
#include "base/mem.h"
#include "read/permute.h"
#include "text/plain_text.h"
#include "select/select_writer.h"
#include "text/utf8.h"
#include "text/words.h"

enum {
  MOST_WORDS = 1024,
  LONGEST_TERM = 8
}; /* of a caption that are considered; words of a term */

typedef enum { TERM_FULL, NO_TERM, UNREADABLE, REASONS } reason;
static const char *const reason_names[REASONS] = {"term_full", "no_term", "unreadable"};

typedef struct {
  json_t *counts; /* {term: captions that hold it} */
  bool is_open;   /* every word is a term; else those of the file */
  int longest;    /* words of the longest term */
} term_table;

/* A text as lower-case words without accents and punctuation, one space between. */
static err normalise(const char *text, strbuf *words, strbuf *out, size_t starts[MOST_WORDS],
                     size_t *count) {
  strbuf_clear(words);
  strbuf_clear(out);
  *count = 0;
  err error = words_split(text, words);
  for (size_t at = 0; !error && at < words->length && *count < MOST_WORDS;
       at += strlen(words->data + at) + 1) {
    const char *first = words->data + at;
    int32_t c = utf8_next(&first);
    if (!utf8_is_letter(c) && !utf8_is_number(c)) continue;
    if (out->length) strbuf_append_char(out, ' ');
    starts[(*count)++] = out->length;
    strbuf_append(out, words->data + at);
  }
  if (!error && (words->is_broken || out->is_broken)) error = mem_error(out->length, "a caption");
  return error;
}

/* Called with each term of a caption, repeated ones again. */
typedef err (*take_term)(void *context, json_t *count, const char *term);

/* caption: normalised; changed and put right again while its parts are looked up. */
static err each_term(const term_table *t, strbuf *caption, const size_t *starts, size_t count,
                     take_term take, void *context) {
  for (size_t first = 0; first < count; first++)
    for (int words = 1; words <= t->longest && first + (size_t)words <= count; words++) {
      size_t after = first + (size_t)words;
      size_t end = after < count ? starts[after] - 1 : caption->length;
      char behind = caption->data[end];
      caption->data[end] = '\0';
      const char *term = caption->data + starts[first];
      json_t *known = json_object_get(t->counts, term);
      if (!known && t->is_open && json_object_set_new(t->counts, term, json_integer(0)) == 0)
        known = json_object_get(t->counts, term);
      err error = known ? take(context, known, term) : NULL;
      caption->data[end] = behind;
      if (error) return error;
    }
  return NULL;
}

static err read_terms(const char *path, term_table *t) {
  text_lines lines;
  size_t starts[MOST_WORDS], count;
  strbuf words = {0}, term = {0};
  err error = text_lines_read(path, false, &lines);
  for (size_t i = 0; i < lines.count && !error; i++) {
    error = normalise(lines.items[i], &words, &term, starts, &count);
    if (error || count == 0) continue;
    if (count > LONGEST_TERM)
      error = err_new(ERR_INPUT, "%s:%ld: a term has %d words at most", path, lines.numbers[i],
                      LONGEST_TERM);
    else if (json_object_set_new(t->counts, term.data, json_integer(0)) != 0)
      error = mem_error(term.length, "terms");
    if ((int)count > t->longest) t->longest = (int)count;
  }
  if (!error && json_object_size(t->counts) == 0)
    error = err_new(ERR_INPUT, "%s: contains no terms", path);
  text_lines_free(&lines);
  strbuf_free(&words);
  strbuf_free(&term);
  return error;
}

/* The captions' terms one row after the other, with the scratch that takes. */
typedef struct {
  const dataset *data;
  term_table table;
  strbuf words, caption;
  size_t starts[MOST_WORDS];
} term_reader;

/* *is_read: the row has a caption that can be read. */
static err terms_of_row(term_reader *r, int64_t row, take_term take, void *context, bool *is_read) {
  dataset_sample sample;
  size_t count = 0;
  err error = dataset_read_text(r->data, row, &sample);
  *is_read = !error;
  if (error && err_kind_of(error) == ERR_INPUT) { /* named when the row is written */
    err_free(error);
    dataset_sample_free(&sample);
    return NULL;
  }
  if (!error) error = normalise(sample.caption, &r->words, &r->caption, r->starts, &count);
  dataset_sample_free(&sample);
  return error ? error : each_term(&r->table, &r->caption, r->starts, count, take, context);
}

static err count_term(void *context, json_t *count, const char *term) {
  (void)context;
  (void)term;
  json_integer_set(count, json_integer_value(count) + 1);
  return NULL;
}

/* The rarest term, of equally rare ones the first by spelling. */
typedef struct {
  int64_t count;
  strbuf term;
} rarest;

static err keep_rarest(void *context, json_t *count, const char *term) {
  rarest *r = context;
  int64_t seen = json_integer_value(count);
  bool is_rarer = !r->term.length || seen < r->count ||
                  (seen == r->count && strcmp(term, strbuf_string(&r->term)) < 0);
  if (!is_rarer) return NULL;
  r->count = seen;
  strbuf_clear(&r->term);
  strbuf_append(&r->term, term);
  return r->term.is_broken ? mem_error(strlen(term), "a term") : NULL;
}

/* verdicts [rows]: REASONS for what is kept; terms {term: samples kept under it}. Rows are visited
 * in the seed's order, so that the samples kept of a full term are a random draw. */
static err draw_rows(term_reader *r, const balance_rules *rules, json_t *kept, uint8_t *verdicts) {
  int64_t rows = dataset_count(r->data);
  rarest least = {0};
  bool is_read = false;
  err error = NULL;
  for (int64_t i = 0; i < rows && !error; i++) {
    int64_t row = permute(rules->seed, 0, rows, i);
    strbuf_clear(&least.term);
    error = terms_of_row(r, row, keep_rarest, &least, &is_read);
    const char *term = strbuf_string(&least.term);
    int64_t used = *term ? json_integer_value(json_object_get(kept, term)) : 0;
    verdicts[row] = !is_read                  ? UNREADABLE
                    : !*term                  ? NO_TERM
                    : used >= rules->per_term ? TERM_FULL
                                              : REASONS;
    if (!error && verdicts[row] == REASONS &&
        json_object_set_new(kept, term, json_integer(used + 1)) != 0)
      error = mem_error((size_t)rows, "terms");
  }
  strbuf_free(&least.term);
  return error;
}

/* Leaves a row out; text: the term, or what is wrong with it. */
static void reject(const term_reader *r, int64_t row, reason why, const char *text,
                   select_writer *w, int64_t counts[REASONS]) {
  dataset_sample sample;
  err_free(dataset_read_text(r->data, row, &sample)); /* its name is there in any case */
  select_writer_reject(w, &sample, reason_names[why], text);
  dataset_sample_free(&sample);
  counts[why]++;
}

static err write_row(term_reader *r, int64_t row, select_writer *w, int64_t counts[REASONS]) {
  dataset_sample sample;
  err error = dataset_read(r->data, row, &sample);
  if (!error) error = select_writer_keep(w, &sample);
  if (error && err_kind_of(error) == ERR_INPUT) {
    reject(r, row, UNREADABLE, err_message(error), w, counts);
    err_free(error);
    error = NULL;
  }
  dataset_sample_free(&sample);
  return error;
}

static err write_rows(term_reader *r, const uint8_t *verdicts, select_writer *w,
                      int64_t counts[REASONS]) {
  err error = NULL;
  rarest least = {0};
  bool is_read;
  for (int64_t row = 0; row < dataset_count(r->data) && !error; row++) {
    if (verdicts[row] == REASONS || verdicts[row] == UNREADABLE) { /* reading it says why not */
      error = write_row(r, row, w, counts);
      continue;
    }
    strbuf_clear(&least.term);
    error = terms_of_row(r, row, keep_rarest, &least, &is_read);
    reject(r, row, (reason)verdicts[row], strbuf_string(&least.term), w, counts);
  }
  strbuf_free(&least.term);
  return error;
}

static void write_rules(const balance_rules *r, size_t terms, strbuf *out) {
  json_writer w = jsonw_start(out);
  jsonw_object(&w, NULL);
  jsonw_integer(&w, "per_term", r->per_term);
  jsonw_string(&w, "terms", r->terms);
  jsonw_integer(&w, "terms_met", (int64_t)terms);
  jsonw_integer(&w, "seed", (int64_t)r->seed);
  jsonw_end(&w);
}

err select_balance(const dataset *data, const balance_rules *rules, const select_output *output,
                   select_result *result) {
  int64_t counts[REASONS] = {0}, rows = dataset_count(data);
  term_reader reader = {.data = data, .table = {json_object(), !rules->terms, 1}};
  json_t *kept = json_object();
  uint8_t *verdicts = mem_zeroed((size_t)rows, sizeof *verdicts);
  strbuf text = {0};
  select_writer w = {0};
  bool is_read;
  err error = NULL;
  *result = (select_result){0};
  if (!reader.table.counts || !kept || !verdicts) FAIL(ERR_MEMORY, "out of memory: terms");
  if (rules->terms) TRY(read_terms(rules->terms, &reader.table));
  for (int64_t row = 0; row < rows; row++)
    TRY(terms_of_row(&reader, row, count_term, NULL, &is_read));
  TRY(draw_rows(&reader, rules, kept, verdicts));
  TRY(select_writer_open(output, "balancing", data, &w));
  TRY(write_rows(&reader, verdicts, &w, counts));
  write_rules(rules, json_object_size(kept), &text);
  TRY(select_writer_finish(&w, output, strbuf_string(&text), reason_names, counts, REASONS,
                           result));
cleanup:
  json_decref(reader.table.counts);
  json_decref(kept);
  free(verdicts);
  strbuf_free(&reader.words);
  strbuf_free(&reader.caption);
  strbuf_free(&text);
  select_writer_close(&w);
  return error;
}
