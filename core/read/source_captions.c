/* Captions in JSON for a folder of images: COCO's annotations and localized narratives. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/fs.h"
#include "base/mem.h"
#include "read/file_rows.h"
#include "read/sample_json.h"

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

/* Adds one annotation's caption to its image; *is_whole: it has both. */
static err gather_caption(const json_t *one, json_t *by_image, bool *is_whole) {
  char *id = NULL, *text = NULL;
  const json_t *caption = json_object_get(one, "caption");
  err error = NULL;
  TRY(sample_json_string(json_object_get(one, "image_id"), "", &id));
  if (json_is_string(caption)) TRY(sample_json_string(caption, "", &text));
  *is_whole = id && text;
  if (!*is_whole) goto cleanup;
  json_t *list = json_object_get(by_image, id);
  if (!list) {
    list = json_array();
    if (json_object_set_new(by_image, id, list) != 0) FAIL(ERR_MEMORY, "out of memory: captions");
  }
  if (json_array_append_new(list, json_string(text)) != 0)
    FAIL(ERR_MEMORY, "out of memory: captions");
cleanup:
  free(id);
  free(text);
  return error;
}

/* The captions of each image: {id: [caption, …]}. Ids are integers of any size, or strings. An
 * annotation without image or caption is skipped, and is no sample: an image that has no other
 * caption is left out. If none has both, it is the wrong kind of file. */
static err gather_captions(const char *path, const json_t *annotations, json_t *by_image,
                           data_source *base) {
  size_t i, whole = 0, first = 0;
  json_t *one;
  json_array_foreach(annotations, i, one) {
    bool is_whole = false;
    err error = gather_caption(one, by_image, &is_whole);
    if (error) return error;
    if (!is_whole && whole == i) first = i;
    whole += is_whole;
  }
  if (i && !whole)
    return err_new(ERR_INPUT, "%s: annotation 0 has no image_id and caption: is it captions_*?",
                   path);
  if (whole < i)
    strbuf_format(&base->notes,
                  "%s: %zu %s without image_id and caption skipped, such as annotation %zu\n", path,
                  i - whole, text_plural((int64_t)(i - whole), "annotation", "annotations"), first);
  return NULL;
}

/* Rows of one image: one per caption, or one with the first caption; all of them are in its JSON.
 * captions NULL: there are none, and none are required. */
static err add_image(file_rows *rows, const char *path, const char *id, json_t *captions,
                     bool is_first_only) {
  json_t *none = captions ? NULL : json_array(), *all = captions ? captions : none;
  json_t *about = json_pack("{s:{s:s},s:O}", "labels", "image_id", id, "captions", all);
  char *json = about ? json_dumps(about, JSON_COMPACT) : NULL;
  err error = json ? NULL : mem_error(0, "captions");
  size_t count = is_first_only && captions ? 1 : json_array_size(all);
  for (size_t i = 0; i < count && !error; i++)
    error = file_rows_add(rows, path, json_string_value(json_array_get(all, i)), json);
  if (!error && !captions) error = file_rows_add(rows, path, "", json);
  free(json);
  json_decref(about);
  json_decref(none);
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
    return err_new(ERR_INPUT, "%s: unknown captions '%s': expected all or first", r->whole, which);
  json_array_foreach(images, i, one) {
    const char *file = json_string_value(json_object_get(one, "file_name"));
    char *id = NULL;
    error = sample_json_string(json_object_get(one, "id"), "", &id);
    if (!error && (!file || !id))
      error = err_new(ERR_INPUT, "%s: image %zu has no id and file_name", r->location, i);
    json_t *captions = error ? NULL : json_object_get(by_image, id);
    if (!error && !captions && source_needs_caption(r)) {
      left_out_add(&base->left_out, r->location, NULL, "image %s has no caption", file);
    } else if (!error) {
      error = join_image(r, file, &path);
      if (!error) error = add_image(rows, path.data, id, captions, is_first_only);
    }
    free(id);
    if (error) break;
  }
  strbuf_free(&path);
  return error;
}

/* Counts the captions of images that the list does not have: no sample shows them. */
static err note_strays(const source_request *r, const json_t *images, json_t *by_image,
                       data_source *base) {
  json_t *strays = json_copy(by_image), *one;
  size_t i, count = 0;
  const char *id;
  err error = strays ? NULL : mem_error(json_object_size(by_image), "captions");
  json_array_foreach(images, i, one) {
    char *own = NULL;
    if (!error) error = sample_json_string(json_object_get(one, "id"), "", &own);
    if (!error && own) (void)json_object_del(strays, own); /* not there: without a caption */
    free(own);
  }
  json_object_foreach(strays, id, one) count += json_array_size(one);
  if (!error && count)
    strbuf_format(&base->notes, "%s: %zu %s not in 'images' and skipped, such as image_id %s\n",
                  r->location, count,
                  text_plural((int64_t)count, "annotation's image is", "annotations' images are"),
                  json_object_iter_key(json_object_iter(strays)));
  json_decref(strays);
  return error;
}

/* The JSON of a whole file. */
static err load_file(const char *path, json_t **root) {
  char *bytes = NULL, *text = NULL;
  size_t length;
  err error = fs_read(path, &bytes, &length);
  if (!error) error = sample_json_text(bytes, length, &text);
  if (!error) error = err_context(sample_json_load(text, root), "%s", path);
  free(bytes);
  free(text);
  return error;
}

err source_open_coco(const source_request *r, data_source **out) {
  file_rows *rows = NULL;
  json_t *root = NULL, *by_image = json_object();
  err error = NULL;
  TRY(load_file(r->location, &root));
  const json_t *images = json_object_get(root, "images");
  const json_t *annotations = json_object_get(root, "annotations");
  if (!json_is_array(images) || !json_is_array(annotations))
    FAIL(ERR_INPUT, "%s: has no lists 'images' and 'annotations': is it COCO's captions_*.json?",
         r->location);
  TRY(file_rows_create(r->whole, &rows));
  TRY(gather_captions(r->location, annotations, by_image, (data_source *)rows));
  TRY(add_images(r, images, by_image, rows));
  TRY(note_strays(r, images, by_image, (data_source *)rows));
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

/* One line: an image and its caption. */
static err take_narrative(const source_request *r, const char *text, file_rows *rows, strbuf *name,
                          strbuf *path) {
  char *caption = NULL;
  json_t *one = NULL;
  err error = NULL;
  TRY(sample_json_load(text, &one));
  const char *id = json_string_value(json_object_get(one, "image_id"));
  const json_t *told = json_object_get(one, "caption");
  if (json_is_string(told)) TRY(sample_json_string(told, "", &caption));
  if (!id || !caption) FAIL(ERR_INPUT, "has no image_id and caption");
  append_file(one, id, name);
  TRY(join_image(r, strbuf_string(name), path));
  TRY(file_rows_add(rows, path->data, caption, "{}"));
cleanup:
  free(caption);
  json_decref(one);
  return error;
}

err source_open_narratives(const source_request *r, data_source **out) {
  FILE *file = fopen(r->location, "re");
  char *line = NULL, *text = NULL;
  size_t capacity = 0;
  ssize_t length;
  file_rows *rows = NULL;
  strbuf name = {0}, path = {0};
  if (!file) return err_new(ERR_IO, "%s: cannot open: no such file, or not readable", r->location);
  err error = file_rows_create(r->whole, &rows);
  for (long number = 1; !error && (length = getline(&line, &capacity, file)) > 0; number++) {
    error = sample_json_text(line, (size_t)length, &text);
    if (!error && text[strspn(text, " \t\r\n")])
      error = take_narrative(r, text, rows, &name, &path);
    if (error && err_kind_of(error) == ERR_INPUT) { /* the other lines are read */
      data_source *base = (data_source *)rows;
      strbuf_clear(&name);
      strbuf_format(&name, "%s:%ld", r->location, number);
      left_out_add(&base->left_out, strbuf_string(&name), NULL, "%s", err_message(error));
      err_free(error);
      error = NULL;
    }
    free(text);
    text = NULL;
  }
  if (!error && ferror(file)) error = err_errno(errno, "%s: cannot read", r->location);
  fclose(file);
  free(line);
  strbuf_free(&name);
  strbuf_free(&path);
  return file_rows_finish(rows, error, out);
}
