/* Captions in JSON beside a folder of images: COCO's annotations and localized narratives. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/fs.h"
#include "base/mem.h"
#include "data/file_rows.h"

static err join_image(const source_request *r, const char *file, strbuf *path) {
  const char *images = source_option(r, "images"), *slash = strrchr(r->location, '/');
  strbuf_clear(path);
  if (images)
    strbuf_format(path, "%s/", images);
  else if (slash)
    strbuf_append_bytes(path, r->location, (size_t)(slash - r->location) + 1);
  strbuf_append(path, file);
  return path->is_broken ? mem_error(strlen(file), "a path") : NULL;
}

/* The captions of each image: {id: [caption, …]}. */
static err gather_captions(const char *path, const json_t *annotations, json_t *by_image) {
  size_t i;
  json_t *one;
  char id[32];
  json_array_foreach(annotations, i, one) {
    const json_t *number = json_object_get(one, "image_id");
    json_t *caption = json_object_get(one, "caption");
    if (!json_is_integer(number) || !json_is_string(caption))
      return err_new(ERR_INPUT, "%s: annotation %zu has no image_id and caption: is it captions_*?",
                     path, i);
    snprintf(id, sizeof id, "%" PRId64, (int64_t)json_integer_value(number));
    json_t *list = json_object_get(by_image, id);
    if (!list) {
      list = json_array();
      if (json_object_set_new(by_image, id, list) != 0) return mem_error(i, path);
    }
    if (json_array_append(list, caption) != 0) return mem_error(i, path);
  }
  return NULL;
}

/* Rows of one image: one for each caption, or one with the first; all of them in its JSON. */
static err add_image(file_rows *rows, const char *path, const char *id, json_t *captions,
                     bool is_first_only) {
  json_t *about = json_pack("{s:{s:s},s:O}", "labels", "image_id", id, "captions", captions);
  char *json = about ? json_dumps(about, JSON_COMPACT) : NULL;
  err error = json ? NULL : mem_error(0, "captions");
  size_t count = is_first_only ? 1 : json_array_size(captions);
  for (size_t i = 0; i < count && !error; i++)
    error = file_rows_add(rows, path, json_string_value(json_array_get(captions, i)), json);
  free(json);
  json_decref(about);
  return error;
}

static err add_images(const source_request *r, const json_t *images, const json_t *by_image,
                      file_rows *rows) {
  const char *which = source_option(r, "captions");
  bool is_first_only = which && strcmp(which, "first") == 0;
  data_source *base = (data_source *)rows;
  strbuf path = {0};
  size_t i;
  json_t *one;
  err error = NULL;
  if (which && !is_first_only && strcmp(which, "all") != 0)
    return err_new(ERR_INPUT, "%s: captions '%s' is neither all nor first", r->whole, which);
  json_array_foreach(images, i, one) {
    char id[32];
    const char *file = json_string_value(json_object_get(one, "file_name"));
    const json_t *number = json_object_get(one, "id");
    if (!file || !json_is_integer(number))
      FAIL(ERR_INPUT, "%s: image %zu has no id and file_name", r->location, i);
    snprintf(id, sizeof id, "%" PRId64, (int64_t)json_integer_value(number));
    json_t *captions = json_object_get(by_image, id);
    if (!captions) {
      base->left_outs++;
      strbuf_format(&base->left_out, "%s: image %s has no caption\n", r->location, file);
      continue;
    }
    TRY(join_image(r, file, &path));
    TRY(add_image(rows, path.data, id, captions, is_first_only));
  }
cleanup:
  strbuf_free(&path);
  return error;
}

err source_open_coco(const source_request *r, data_source **out) {
  json_error_t problem;
  file_rows *rows = NULL;
  json_t *root = json_load_file(r->location, 0, &problem), *by_image = json_object();
  err error = NULL;
  if (!root) FAIL(ERR_INPUT, "%s:%d: %s", r->location, problem.line, problem.text);
  const json_t *images = json_object_get(root, "images");
  const json_t *annotations = json_object_get(root, "annotations");
  if (!json_is_array(images) || !json_is_array(annotations))
    FAIL(ERR_INPUT, "%s: has no lists 'images' and 'annotations': is it COCO's captions_*.json?",
         r->location);
  TRY(gather_captions(r->location, annotations, by_image));
  TRY(file_rows_create(r->whole, &rows));
  TRY(add_images(r, images, by_image, rows));
cleanup:
  json_decref(root);
  json_decref(by_image);
  return file_rows_finish(rows, error, out);
}

/* An image's file: IMAGE_ID.jpg; COCO's ids are padded to twelve digits. */
static void append_file(const json_t *line, const char *id, strbuf *file) {
  const char *set = json_string_value(json_object_get(line, "dataset_id"));
  strbuf_clear(file);
  if (set && strncmp(set, "mscoco", 6) == 0 && strlen(id) < 12)
    strbuf_append_bytes(file, "000000000000", 12 - strlen(id));
  strbuf_format(file, "%s.jpg", id);
}

err source_open_narratives(const source_request *r, data_source **out) {
  FILE *file = fopen(r->location, "re");
  char *line = NULL;
  size_t capacity = 0;
  ssize_t length;
  file_rows *rows = NULL;
  json_t *one = NULL;
  strbuf name = {0}, path = {0};
  if (!file) return err_new(ERR_IO, "%s: cannot open: no such file, or not readable", r->location);
  err error = file_rows_create(r->whole, &rows);
  for (long number = 1; !error && (length = getline(&line, &capacity, file)) > 0; number++) {
    json_error_t problem;
    if (line[strspn(line, " \t\r\n")] == '\0') continue;
    one = json_loadb(line, (size_t)length, 0, &problem);
    if (!one) FAIL(ERR_INPUT, "%s:%ld: %s", r->location, number, problem.text);
    const char *id = json_string_value(json_object_get(one, "image_id"));
    const char *caption = json_string_value(json_object_get(one, "caption"));
    if (!id || !caption)
      FAIL(ERR_INPUT, "%s:%ld: has no image_id and caption", r->location, number);
    append_file(one, id, &name);
    TRY(join_image(r, strbuf_string(&name), &path));
    TRY(file_rows_add(rows, path.data, caption, "{}"));
    json_decref(one);
    one = NULL;
  }
cleanup:
  fclose(file);
  free(line);
  json_decref(one);
  strbuf_free(&name);
  strbuf_free(&path);
  return file_rows_finish(rows, error, out);
}
