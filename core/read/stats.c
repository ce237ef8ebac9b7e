#include "read/stats.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "read/dataset.h"
#include "read/in_order.h"
#include "image/image_header.h"
#include "read/sample_json.h"
#include "text/utf8.h"

enum { MOST_NAMED = 20, AT_ONCE = 512 }; /* samples that cannot be read; read in parallel */

/* The values of one quantity, one slot per sample. */
typedef struct {
  int64_t *values;
  int64_t count;
} series;

typedef struct {
  data_stats *stats;
  series width, height, words;
  json_t *labels; /* {name: {value: samples}} */
  strbuf warnings;
  dataset *data;
} collection;

static int by_value(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static stats_range range_of(series *s) {
  if (!s->count) return (stats_range){0};
  qsort(s->values, (size_t)s->count, sizeof *s->values, by_value);
  return (stats_range){s->values[0], s->values[(s->count - 1) / 2], s->values[s->count - 1]};
}

static void add_image(collection *c, const image_header *header) {
  const image_header h = *header;
  c->stats->jpg += h.format == IMAGE_JPEG;
  c->stats->png += h.format == IMAGE_PNG;
  c->stats->webp += h.format == IMAGE_WEBP;
  c->stats->pixmap += h.format == IMAGE_PIXMAP;
  c->stats->unknown += h.format == IMAGE_UNKNOWN;
  if (h.width <= 0 || h.height <= 0) {
    c->stats->unsized++;
    return;
  }
  c->width.values[c->width.count++] = h.width;
  c->height.values[c->height.count++] = h.height;
}

/* Counts one more sample whose label `name` is `value`. */
static err add_label(json_t *labels, const char *name, const char *value) {
  json_t *values = json_object_get(labels, name);
  if (!values) {
    values = json_object();
    if (json_object_set_new(labels, name, values)) values = NULL;
  }
  json_t *seen = json_object_get(values, value);
  int failed = seen ? json_integer_set(seen, json_integer_value(seen) + 1)
                    : json_object_set_new(values, value, json_integer(1));
  return failed ? mem_error(strlen(value), "labels") : NULL;
}

/* The labels of a sample's JSON, each as "NAME\0VALUE\0". */
static err list_labels(json_t *root, strbuf *list) {
  const char *name;
  json_t *value, *labels = json_object_get(root, "labels");
  if (!json_is_object(root)) return err_new(ERR_INPUT, "its JSON is not an object");
  json_object_foreach(labels, name, value) {
    char *text;
    err error = sample_json_string(value, "\xEF\xBF\xBD", &text);
    if (error) return error;
    if (!text) continue;
    strbuf_append_bytes(list, name, strlen(name) + 1);
    strbuf_append_bytes(list, text, strlen(text) + 1);
    free(text);
  }
  return list->is_broken ? mem_error(list->length, "labels") : NULL;
}

/* Records an error of a sample, which is not counted in anything else. */
static err name_unreadable(collection *c, const dataset_sample *sample, err fault) {
  if (!fault || err_kind_of(fault) != ERR_INPUT) return fault;
  if (c->stats->unreadable++ < MOST_NAMED)
    strbuf_format(&c->warnings, "%s: %s: %s\n", sample->shard, sample->key, err_message(fault));
  err_free(fault);
  return NULL;
}

/* The parts of a sample that are counted. The rest is freed by the thread that read it, before it
 * reads the next sample: allocators are slow to free memory that another thread allocated. */
typedef struct {
  bool is_read, has_json;
  int64_t bytes, words;
  image_header header;
  strbuf labels;         /* list_labels */
  dataset_sample sample; /* only with a fault: its name */
  err fault;
} read_row;

static err read_json(read_row *r) {
  json_t *json = NULL;
  err error = sample_json_load(r->sample.json, &json);
  r->has_json = !error;
  if (!error) error = list_labels(json, &r->labels);
  json_decref(json);
  return error;
}

static void read_sample(void *context, int64_t row, void *place) {
  const collection *c = context;
  read_row *r = place;
  dataset_sample *sample = &r->sample;
  r->fault = dataset_read(c->data, row, sample);
  r->is_read = !r->fault;
  if (!r->fault && sample->json) r->fault = read_json(r);
  if (r->fault) return;
  size_t bytes = sample->image_bytes + strlen(sample->caption);
  if (sample->json) bytes += strlen(sample->json);
  r->bytes = (int64_t)bytes;
  r->words = utf8_count_words(sample->caption);
  r->header = image_read_header(sample->image, sample->image_bytes);
  dataset_sample_free(sample);
}

static err add_labels(collection *c, const strbuf *list) {
  const char *end = list->data + list->length;
  for (const char *name = list->data; name < end;) {
    const char *value = name + strlen(name) + 1;
    err error = add_label(c->labels, name, value);
    if (error) return error;
    name = value + strlen(value) + 1;
  }
  return NULL;
}

/* Takes over the row's error. */
static err add_sample(collection *c, read_row *r) {
  err error = NULL, fault = r->fault;
  r->fault = NULL;
  if (r->has_json) {
    c->stats->with_json++;
    if (r->labels.length) error = add_labels(c, &r->labels);
  }
  if (error) {
    err_free(fault);
    return error;
  }
  if (fault) {
    c->stats->bad_json += r->is_read && err_kind_of(fault) == ERR_INPUT;
    return fault;
  }
  c->stats->bytes += r->bytes;
  c->words.values[c->words.count++] = r->words;
  add_image(c, &r->header);
  return NULL;
}

static err take_row(void *context, int64_t row, void *place) {
  (void)row;
  read_row *r = place;
  return name_unreadable(context, &r->sample, add_sample(context, r));
}

static void release_row(void *place) {
  read_row *r = place;
  err_free(r->fault);
  strbuf_free(&r->labels);
  dataset_sample_free(&r->sample);
}

static err summarise_label(const char *name, json_t *values, stats_label *l) {
  const char *value, *top = "";
  json_t *seen;
  l->distinct = (int64_t)json_object_size(values);
  json_object_foreach(values, value, seen) {
    int64_t samples = json_integer_value(seen);
    l->samples += samples;
    if (samples <= l->top_count) continue;
    l->top_count = samples;
    top = value;
  }
  l->name = mem_copy_string(name);
  l->top = mem_copy_string(top);
  return l->name && l->top ? NULL : mem_error(strlen(name), "labels");
}

static err summarise(collection *c) {
  data_stats *s = c->stats;
  const char *name;
  json_t *values;
  s->width = range_of(&c->width);
  s->height = range_of(&c->height);
  s->words = range_of(&c->words);
  size_t count = json_object_size(c->labels);
  s->labels = mem_zeroed(count, sizeof *s->labels);
  if (!s->labels) return mem_error(count * sizeof *s->labels, "labels");
  json_object_foreach(c->labels, name, values) {
    err error = summarise_label(name, values, &s->labels[s->label_count++]);
    if (error) return error;
  }
  return NULL;
}

err stats_collect(char *const *patterns, size_t count, data_stats *out) {
  dataset *data = NULL;
  collection c = {.stats = out, .labels = json_object()};
  *out = (data_stats){0};
  err error = dataset_open_to_read(patterns, count, DATASET_PAIR, &data);
  if (error) goto cleanup;
  out->samples = dataset_count(data);
  strbuf_append(&c.warnings, dataset_warnings(data, &out->left_out));
  size_t rows = (size_t)out->samples;
  series *all[] = {&c.width, &c.height, &c.words};
  bool is_short = !c.labels;
  for (int i = 0; i < 3; i++) {
    all[i]->values = mem_zeroed(rows, sizeof(int64_t));
    is_short = is_short || !all[i]->values;
  }
  if (is_short) {
    error = mem_error(3 * rows * sizeof(int64_t), "statistics");
    goto cleanup;
  }
  c.data = data;
  const in_order_work work = {&c,          out->samples, AT_ONCE,    sizeof(read_row),
                              read_sample, take_row,     release_row};
  TRY(in_order(&work));
  if (out->unreadable > MOST_NAMED)
    strbuf_format(&c.warnings, "… and %ld more that cannot be read\n",
                  (long)(out->unreadable - MOST_NAMED));
  TRY(summarise(&c));
  out->warnings = strbuf_take(&c.warnings);
  if (!out->warnings) FAIL(ERR_MEMORY, "out of memory: warnings");
cleanup:
  free(c.width.values);
  free(c.height.values);
  free(c.words.values);
  json_decref(c.labels);
  strbuf_free(&c.warnings);
  dataset_close(data);
  return error;
}

void stats_free(data_stats *s) {
  for (size_t i = 0; i < s->label_count; i++) {
    free(s->labels[i].name);
    free(s->labels[i].top);
  }
  free(s->labels);
  free(s->warnings);
  *s = (data_stats){0};
}
