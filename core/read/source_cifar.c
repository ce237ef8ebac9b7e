/* CIFAR-10 and CIFAR-100 in their binary version: records of labels and planar 32 x 32 pixels. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "read/file_rows.h"
#include "text/plain_text.h"
#include "text/template.h"

enum { SIDE = 32, PLANE = SIDE * SIDE, MOST_CLASSES = 100 };

typedef struct {
  text_lines lines; /* of the file; `names` point into it */
  const char *names[MOST_CLASSES];
  size_t count;
} class_names;

typedef struct {
  data_source base;
  char *name, *template;
  char *records;      /* all files' bytes, concatenated */
  size_t label_bytes; /* 1: CIFAR-10; 2: coarse, fine */
  bool is_coarse;     /* captions from the coarse label */
  class_names fine, coarse;
  char (*keys)[16];
} cifar;

static const char coarse_names[] = "coarse_label_names.txt";

static const char *fine_names(const cifar *c) {
  return c->label_bytes == 2 ? "fine_label_names.txt" : "batches.meta.txt";
}

static size_t record_bytes(const cifar *c) {
  return c->label_bytes + 3 * PLANE;
}

static err add_file(cifar *c, const char *folder, const char *name) {
  char *path = fs_join(folder, name), *bytes = NULL, *all;
  size_t length = 0, record = record_bytes(c);
  err error = path ? fs_read(path, &bytes, &length) : mem_error(0, "a path");
  if (!error && (length == 0 || length % record))
    error = err_new(ERR_INPUT, "%s: %zu bytes are not a multiple of the record size %zu", path,
                    length, record);
  if (!error) {
    all = mem_resize(c->records, c->base.bytes + length, 1);
    if (all) {
      memcpy(all + c->base.bytes, bytes, length);
      c->records = all;
      c->base.bytes += length;
      c->base.count += (int64_t)(length / record);
    } else {
      error = mem_error(length, path);
    }
  }
  free(bytes);
  free(path);
  return error;
}

static err read_names(class_names *n, const char *folder, const char *file) {
  char *path = fs_join(folder, file);
  err error = path ? text_lines_read(path, false, &n->lines) : mem_error(0, "a path");
  free(path);
  for (size_t i = 0; i < n->lines.count && n->count < MOST_CLASSES; i++) {
    for (char *at = n->lines.items[i]; *at; at++)
      if (*at == '_') *at = ' ';
    n->names[n->count++] = n->lines.items[i];
  }
  return error;
}

/* A portable pixmap (PPM) of the record's planes. */
static err make_image(const uint8_t *planes, dataset_sample *out) {
  static const char header[] = "P6\n32 32\n255\n";
  size_t start = sizeof header - 1;
  uint8_t *file = mem_zeroed(start + 3 * PLANE, 1);
  if (!file) return mem_error(3 * PLANE, "an image");
  memcpy(file, header, start);
  for (size_t i = 0; i < PLANE; i++)
    for (size_t channel = 0; channel < 3; channel++)
      file[start + 3 * i + channel] = planes[channel * PLANE + i];
  out->image = out->owned = file;
  out->image_bytes = start + 3 * PLANE;
  return NULL;
}

static err refuse_label(const char *kind, size_t label, const char *file,
                        const class_names *names) {
  return err_new(ERR_INPUT, "%s %zu has no name: %s has %zu", kind, label, file, names->count);
}

static err read_row(const data_source *base, int64_t row, bool has_image, dataset_sample *out) {
  const cifar *c = (const cifar *)base;
  const uint8_t *record = (const uint8_t *)c->records + (size_t)row * record_bytes(c);
  size_t fine = record[c->label_bytes - 1], coarse = record[0];
  *out = (dataset_sample){.shard = c->name, .key = c->keys[row]};
  if (fine >= c->fine.count) return refuse_label("label", fine, fine_names(c), &c->fine);
  if (c->label_bytes == 2 && coarse >= c->coarse.count)
    return refuse_label("coarse label", coarse, coarse_names, &c->coarse);
  const char *pairs[] = {"class", c->fine.names[fine], "coarse", NULL, NULL};
  if (c->label_bytes == 2) pairs[3] = c->coarse.names[coarse];
  if (c->label_bytes == 1) pairs[2] = NULL;
  strbuf caption = {0};
  file_rows_fill(c->template, c->is_coarse ? pairs[3] : pairs[1], &caption);
  out->caption = strbuf_take(&caption);
  out->json = file_rows_labels(pairs);
  if (!out->caption || !out->json) return mem_error(0, "a sample");
  return has_image ? make_image(record + c->label_bytes, out) : NULL;
}

/* The names in the data sets' own files (fine, coarse), of which earlier fingerprints say
 * nothing: they stay as they were. Others are captions too. */
static err hash_names(const class_names *n, hash_state *state) {
  static const char *const usual[] = {"e6b9085571ccacd7380ca71e75d1cdbd" /* CIFAR-10 */,
                                      "e650b74061916c4aed7e9ecaada2afc2" /* CIFAR-100 */,
                                      "8663b05f847a058d1a8024a1b36763ae" /* its coarse */};
  char digest[HASH_SIZE];
  hash_state *own = hash_begin();
  if (!own) return mem_error(0, "a fingerprint");
  for (size_t i = 0; i < n->count; i++) hash_add(own, n->names[i], strlen(n->names[i]) + 1);
  hash_finish(own, digest);
  for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
    if (strcmp(digest, usual[i]) == 0) return NULL;
  hash_add(state, digest, HASH_SIZE);
  return NULL;
}

/* All bytes whatever has_bytes says: they are few, and in memory. */
static err hash_records(const data_source *base, bool has_bytes, hash_state *state) {
  const cifar *c = (const cifar *)base;
  (void)has_bytes;
  hash_add(state, c->template, strlen(c->template) + 1);
  hash_add(state, c->records, c->base.bytes);
  err error = hash_names(&c->fine, state);
  return error || c->label_bytes == 1 ? error : hash_names(&c->coarse, state);
}

static void close_cifar(data_source *base) {
  cifar *c = (cifar *)base;
  free(c->name);
  free(c->template);
  free(c->records);
  text_lines_free(&c->fine.lines);
  text_lines_free(&c->coarse.lines);
  free(c->keys);
  free(c);
}

static const source_calls cifar_calls = {read_row, hash_records, close_cifar};

static err make_keys(cifar *c, const char *split) {
  c->keys = mem_zeroed((size_t)c->base.count, sizeof *c->keys);
  if (!c->keys) return mem_error((size_t)c->base.count * sizeof *c->keys, "keys");
  for (int64_t i = 0; i < c->base.count; i++)
    snprintf(c->keys[i], sizeof c->keys[i], "%s-%05d", split, (int)(i % 100000));
  return NULL;
}

static err read_files(cifar *c, const char *folder, bool is_test) {
  char name[32];
  err error = NULL;
  if (c->label_bytes == 2) {
    TRY(add_file(c, folder, is_test ? "test.bin" : "train.bin"));
    TRY(read_names(&c->coarse, folder, coarse_names));
    return read_names(&c->fine, folder, fine_names(c));
  }
  if (is_test) TRY(add_file(c, folder, "test_batch.bin"));
  for (int i = 1; i <= 5 && !is_test; i++) {
    snprintf(name, sizeof name, "data_batch_%d.bin", i);
    TRY(add_file(c, folder, name));
  }
  return read_names(&c->fine, folder, fine_names(c));
cleanup:
  return error;
}

static err open_cifar(const source_request *r, size_t label_bytes, data_source **out) {
  const char *split = source_option(r, "split"), *template = source_option(r, "template");
  const char *labels = source_option(r, "labels");
  err error = NULL;
  cifar *c = mem_zeroed(1, sizeof *c);
  if (!c) return mem_error(sizeof *c, "a data set");
  if (!split) split = "train";
  c->base.call = &cifar_calls;
  c->label_bytes = label_bytes;
  c->base.picks_captions = c->is_coarse = labels && strcmp(labels, "coarse") == 0;
  c->name = mem_copy_string(r->whole);
  c->template = mem_copy_string(template ? template : "a photo of a {}");
  if (!c->name || !c->template) FAIL(ERR_MEMORY, "out of memory: a data set");
  error = err_context(template_check(c->template), "%s", r->whole);
  if (error) goto cleanup;
  bool is_test = strcmp(split, "test") == 0;
  if (!is_test && strcmp(split, "train") != 0)
    FAIL(ERR_INPUT, "%s: unknown split '%s': expected train or test", r->whole, split);
  if (labels && !c->is_coarse && strcmp(labels, "fine") != 0)
    FAIL(ERR_INPUT, "%s: unknown labels '%s': expected fine or coarse", r->whole, labels);
  TRY(read_files(c, r->location, is_test));
  TRY(make_keys(c, split));
cleanup:
  if (error)
    source_close(&c->base);
  else
    *out = &c->base;
  return error;
}

err source_open_cifar10(const source_request *r, data_source **out) {
  return open_cifar(r, 1, out);
}

err source_open_cifar100(const source_request *r, data_source **out) {
  return open_cifar(r, 2, out);
}
