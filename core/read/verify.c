/* Reading all of a data set: stats_verify. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "image/image.h"
#include "text/plain_text.h"
#include "read/in_order.h"
#include "read/sample_json.h"
#include "read/shard.h"
#include "read/shard_expand.h"
#include "read/source.h"
#include "read/stats.h"

enum { SHARDS_AT_ONCE = 64 };
enum { ROWS_AT_ONCE = 256 }; /* of a source that is no set of shards: their images are in memory */

/* What is wrong with one sample; NULL: nothing. */
typedef struct {
  err image, caption, json;
} faults;

typedef struct {
  strbuf *lines;
  int64_t count;
} findings;

static err check_image(shard_bytes bytes) {
  image decoded = {0};
  if (!bytes.data) return err_new(ERR_INPUT, "it has no image");
  err error = image_decode(bytes.data, bytes.size, 0, &decoded);
  if (!error) image_free(&decoded);
  return error;
}

static err check_json_text(const char *text) {
  json_t *root;
  err error = sample_json_load(text, &root);
  if (error) return error;
  bool is_object = json_is_object(root);
  json_decref(root);
  return is_object ? NULL : err_new(ERR_INPUT, "its JSON is not an object");
}

static err check_json(shard_bytes bytes) {
  char *text;
  if (!bytes.data) return NULL;
  err error = sample_json_text(bytes.data, bytes.size, &text);
  if (!error) error = check_json_text(text);
  free(text);
  return error;
}

static err check_caption(shard_bytes bytes) {
  char *text;
  if (!bytes.data) return err_new(ERR_INPUT, "it has no caption (.txt)");
  err error = plain_text(bytes.data, bytes.size, "its caption", &text);
  if (!error) free(text);
  return error;
}

/* Writes a fault down and frees it. Short memory or an outage says nothing about the data: it is
 * returned. */
static err take_fault(findings *f, const char *path, const char *key, err fault) {
  if (!fault || err_kind_of(fault) != ERR_INPUT) return fault;
  strbuf_format_line(f->lines, "%s: %s: %s", path, key ? key : "?", err_message(fault));
  f->count++;
  err_free(fault);
  return NULL;
}

static err keep_first(err first, err second) {
  if (!first) return second;
  err_free(second);
  return first;
}

/* Shards that are in memory together: opened by all threads, then their samples checked by all. */
typedef struct {
  shard one;
  shard_notes notes;
  err error;
} opened;

typedef struct {
  opened shards[SHARDS_AT_ONCE];
  size_t count, firsts[SHARDS_AT_ONCE + 1]; /* each shard's first sample among all */
} shard_group;

static void open_group(shard_group *g, char *const *paths) {
#pragma omp parallel for schedule(dynamic, 1)
  for (size_t i = 0; i < g->count; i++) {
    opened *o = &g->shards[i];
    o->error = shard_open(paths[i], &o->one, &o->notes);
  }
  for (size_t i = 0; i < g->count; i++) g->firsts[i + 1] = g->firsts[i] + g->shards[i].one.count;
}

static void close_group(shard_group *g) {
  for (size_t i = 0; i < g->count; i++) {
    shard_close(&g->shards[i].one);
    shard_notes_free(&g->shards[i].notes);
    err_free(g->shards[i].error);
  }
}

/* The sample at this place among all of the group. */
static faults check_sample(const shard_group *g, size_t at) {
  size_t which = 0;
  while (at >= g->firsts[which + 1]) which++;
  const shard *s = &g->shards[which].one;
  const size_t i = at - g->firsts[which];
  return (faults){check_image(shard_get(s, i, SHARD_IMAGE)),
                  check_caption(shard_get(s, i, SHARD_CAPTION)),
                  check_json(shard_get(s, i, SHARD_JSON))};
}

/* Writes down what was found in a shard, found [samples of it], and frees it. */
static err take_faults(const shard *s, faults *found, findings *f) {
  err error = NULL;
  for (size_t i = 0; i < s->count; i++) {
    char *key = NULL;
    error = keep_first(error, shard_key(s, i, &key));
    error = keep_first(error, take_fault(f, s->path, key, found[i].image));
    error = keep_first(error, take_fault(f, s->path, key, found[i].caption));
    error = keep_first(error, take_fault(f, s->path, key, found[i].json));
    free(key);
  }
  return error;
}

static void take_left_out(findings *f, const left_out_list *list) {
  left_out_sample one;
  for (size_t at = 0; left_out_next(list, &at, &one); f->count++) left_out_line(&one, f->lines);
  if (list->records.is_broken) f->lines->is_broken = true;
}

/* Lines that are faults as they are. */
static void take_lines(findings *f, const char *lines) {
  strbuf_append(f->lines, lines);
  for (; *lines; lines++) f->count += *lines == '\n';
}

static err take_shard(opened *o, faults *found, shard_notes *notes, findings *f, int64_t *total) {
  err error = o->error;
  o->error = NULL;
  shard_notes_add(notes, &o->notes);
  if (!error) {
    *total += (int64_t)o->one.count;
    return take_faults(&o->one, found, f);
  }
  if (err_kind_of(error) == ERR_MEMORY) return error;
  strbuf_format_line(f->lines, "%s", err_message(error));
  f->count++;
  err_free(error);
  return NULL;
}

static err verify_group(char *const *paths, size_t count, shard_notes *notes, findings *f,
                        int64_t *total) {
  shard_group g = {.count = count};
  err error = NULL;
  open_group(&g, paths);
  const size_t samples = g.firsts[count];
  faults *found = mem_zeroed(samples, sizeof *found);
  if (!found) error = mem_error(samples * sizeof *found, paths[0]);
  if (found) {
#pragma omp parallel for schedule(dynamic, 16)
    for (size_t at = 0; at < samples; at++) found[at] = check_sample(&g, at);
    for (size_t i = 0; i < count; i++)
      error = keep_first(error, take_shard(&g.shards[i], found + g.firsts[i], notes, f, total));
  }
  free(found);
  close_group(&g);
  return error;
}

/* A sample of a source that is no set of shards. Its image is released here, its name by the
 * caller. */
typedef struct {
  dataset_sample sample;
  err fault, json;
} checked_row;

typedef struct {
  const data_source *source;
  findings *found;
} row_check;

static void check_row(void *context, int64_t row, void *place) {
  const data_source *s = ((const row_check *)context)->source;
  checked_row *c = place;
  image decoded = {0};
  c->fault = s->call->read(s, row, true, &c->sample);
  if (!c->fault && c->sample.json) c->json = check_json_text(c->sample.json);
  if (!c->fault) c->fault = image_decode(c->sample.image, c->sample.image_bytes, 0, &decoded);
  image_free(&decoded);
}

static err take_row(void *context, int64_t row, void *place) {
  (void)row;
  checked_row *c = place;
  findings *f = ((row_check *)context)->found;
  err error = take_fault(f, c->sample.shard, c->sample.key, c->fault);
  error = keep_first(error, take_fault(f, c->sample.shard, c->sample.key, c->json));
  c->fault = c->json = NULL;
  return error;
}

static void release_row(void *place) {
  checked_row *c = place;
  err_free(c->fault);
  err_free(c->json);
  dataset_sample_free(&c->sample);
}

static err verify_rows(const data_source *s, findings *f) {
  row_check check = {s, f};
  const in_order_work work = {&check,    s->count, ROWS_AT_ONCE, sizeof(checked_row),
                              check_row, take_row, release_row};
  return in_order(&work);
}

static err verify_source(const char *name, findings *f, int64_t *total) {
  data_source *s = NULL;
  err error = source_open(name, DATASET_PAIR, false, false, &s);
  if (!error) error = source_refuse_endless(s, name);
  if (!error) error = verify_rows(s, f);
  if (s) {
    take_left_out(f, &s->left_out);
    take_lines(f, strbuf_string(&s->damage));
    strbuf_append(f->lines, strbuf_string(&s->notes)); /* what was passed over is no fault */
    *total += s->count + s->left_out.count;
  }
  source_close(s);
  return error;
}

static err verify_shards(char *pattern, findings *f, int64_t *total) {
  char **paths = NULL;
  size_t path_count = 0;
  shard_notes notes = {0};
  err error = shard_expand(&pattern, 1, &paths, &path_count);
  if (!error && !path_count) error = err_new(ERR_INPUT, "%s: matches no shards", pattern);
  for (size_t i = 0; i < path_count && !error; i += SHARDS_AT_ONCE) {
    const size_t left = path_count - i, group = left < SHARDS_AT_ONCE ? left : SHARDS_AT_ONCE;
    error = verify_group(paths + i, group, &notes, f, total);
  }
  take_left_out(f, &notes.lost);
  take_lines(f, strbuf_string(&notes.warnings));
  *total += notes.lost.count;
  shard_notes_summary(&notes, pattern, f->lines);
  shard_notes_free(&notes);
  fs_free_names(paths, path_count);
  return error;
}

err stats_verify(char *const *patterns, size_t count, strbuf *bad, int64_t *bad_count,
                 int64_t *total) {
  findings f = {.lines = bad};
  err error = NULL;
  *bad_count = *total = 0;
  for (size_t i = 0; i < count && !error; i++) {
    bool is_shards = source_format_of(patterns[i])->open == source_open_shards;
    error = is_shards && strncmp(patterns[i], "shards:", 7) != 0 && !strchr(patterns[i], '#')
                ? verify_shards(patterns[i], &f, total)
                : verify_source(patterns[i], &f, total);
  }
  if (bad->is_broken) error = keep_first(error, mem_error(bad->length, "the list of faults"));
  *bad_count = f.count;
  return error;
}
