#include "select/select_writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "image/image.h"
#include "image/image_header.h"
#include "read/sample_json.h"
#include "image/shrink.h"

static void append_cell(strbuf *out, const char *text, size_t length) {
  for (size_t i = 0; i < length; i++)
    strbuf_append_char(out, strchr("\t\r\n", text[i]) ? ' ' : text[i]);
}

/* One that the data set left out, named as dataset_append_name names the others. */
static void take_incomplete(void *context, const left_out_sample *one) {
  select_writer *w = context;
  append_cell(&w->left_out, one->place, strlen(one->place));
  if (one->key) strbuf_append_char(&w->left_out, '/');
  if (one->key) append_cell(&w->left_out, one->key, strlen(one->key));
  strbuf_append(&w->left_out, "\tincomplete\t");
  append_cell(&w->left_out, one->what, strlen(one->what));
  strbuf_append_char(&w->left_out, '\n');
  w->incomplete++;
  w->rejected++;
}

err select_writer_open(const select_output *output, const char *label, const dataset *data,
                       select_writer *w) {
  *w = (select_writer){0};
  const shard_swap_plan plan = {.out = output->out, .prefixes = {"kept"}, .suffix = ""};
  err error = shard_swap_open(&plan, &w->swap);
  if (!error) error = shard_swap_writer(&w->swap, 0, output->shard_size, &w->shards);
  if (error) return error;
  w->bar = progress_start(label, (double)dataset_count(data), 0, output->has_progress);
  strbuf_append(&w->left_out, "origin\treason\tdetail\n");
  dataset_each_left_out(data, take_incomplete, w);
  return NULL;
}

/* The sample's JSON with its origin added; everything else is kept verbatim. */
static err add_origin(const dataset_sample *sample, char **json) {
  strbuf origin = {0};
  dataset_append_name(sample, &origin);
  err error = origin.is_broken ? mem_error(0, "a sample's name")
                               : sample_json_set(sample->json ? sample->json : "{}", "origin",
                                                 strbuf_string(&origin), json);
  strbuf_free(&origin);
  return error;
}

/* Images keep their bytes; a pixmap, which shards cannot contain, becomes a PNG. */
static err prepare_image(const dataset_sample *sample, select_prepared *p) {
  static const char *const extensions[] = {
      [IMAGE_JPEG] = "jpg", [IMAGE_PNG] = "png", [IMAGE_WEBP] = "webp"};
  image_header h = image_read_header(sample->image, sample->image_bytes);
  bool is_kept = h.format != IMAGE_UNKNOWN && h.format != IMAGE_PIXMAP;
  p->extension = is_kept ? extensions[h.format] : "png";
  p->image = sample->image;
  p->image_bytes = sample->image_bytes;
  if (is_kept) return NULL;
  image picture = {0};
  err error = image_decode(sample->image, sample->image_bytes, 0, &picture);
  if (!error) error = shrink_encode_png(&picture, &p->owned, &p->image_bytes);
  p->image = p->owned;
  image_free(&picture);
  return error;
}

err select_prepare(const dataset_sample *sample, select_prepared *p) {
  *p = (select_prepared){.caption = sample->caption};
  err error = add_origin(sample, &p->json);
  return error ? error : prepare_image(sample, p);
}

void select_prepared_free(select_prepared *p) {
  free(p->json);
  free(p->owned);
}

err select_writer_keep(select_writer *w, const select_prepared *p) {
  char key[32];
  snprintf(key, sizeof key, "%09ld", (long)w->kept);
  err error =
      shard_writer_add(w->shards, key, p->extension, p->image, p->image_bytes, p->caption, p->json);
  if (error) return error;
  w->kept++;
  progress_update(&w->bar, (double)(w->kept + w->rejected), NULL);
  return NULL;
}

void select_writer_reject(select_writer *w, const dataset_sample *sample, const char *reason,
                          const char *detail) {
  strbuf name = {0};
  dataset_append_name(sample, &name);
  append_cell(&w->left_out, strbuf_string(&name), name.length);
  w->left_out.is_broken = w->left_out.is_broken || name.is_broken;
  strbuf_free(&name);
  strbuf_format(&w->left_out, "\t%s\t", reason);
  append_cell(&w->left_out, detail, strlen(detail));
  strbuf_append_char(&w->left_out, '\n');
  w->rejected++;
  progress_update(&w->bar, (double)(w->kept + w->rejected), NULL);
}

static err write_file(const char *folder, const char *name, const strbuf *text) {
  char *path = fs_join(folder, name);
  err error = path && !text->is_broken ? fs_write_atomic(path, strbuf_string(text), text->length)
                                       : mem_error(text->length, name);
  free(path);
  return error;
}

static err remove_file(const char *folder, const char *name) {
  char *path = fs_join(folder, name);
  if (!path) return mem_error(0, "a path");
  err error =
      unlink(path) == 0 || errno == ENOENT ? NULL : err_errno(errno, "%s: cannot remove", path);
  free(path);
  return error;
}

/* The earlier report goes first: it never stands next to the shards of another selection. */
static err replace_shards(select_writer *w, const char *out, int64_t shards) {
  err error = remove_file(out, "report.json");
  if (!error) error = remove_file(out, "left_out.tsv");
  return error ? error : shard_swap_replace(&w->swap, &shards);
}

err select_writer_finish(select_writer *w, const select_output *output, const char *rules,
                         const char *const *reasons, const int64_t *counts, size_t reason_count,
                         select_result *result) {
  err error = shard_writer_finish(w->shards, &result->shards);
  if (!error) error = replace_shards(w, output->out, result->shards);
  progress_finish(&w->bar, NULL);
  result->kept = w->kept;
  result->left_out = w->rejected;
  result->samples = w->kept + w->rejected;
  json_writer j = jsonw_start(&result->report);
  jsonw_object(&j, NULL);
  jsonw_integer(&j, "samples", result->samples);
  jsonw_integer(&j, "kept", result->kept);
  jsonw_object(&j, "left_out");
  jsonw_integer(&j, "incomplete", w->incomplete);
  for (size_t i = 0; i < reason_count; i++) jsonw_integer(&j, reasons[i], counts[i]);
  jsonw_end(&j);
  jsonw_integer(&j, "shards", result->shards);
  jsonw_raw(&j, "rules", rules);
  jsonw_end(&j);
  strbuf_append_char(&result->report, '\n');
  if (!error) error = write_file(output->out, "left_out.tsv", &w->left_out);
  return error ? error : write_file(output->out, "report.json", &result->report);
}

void select_writer_close(select_writer *w) {
  if (w->shards) shard_writer_close(w->shards);
  shard_swap_close(&w->swap);
  strbuf_free(&w->left_out);
}
