#include "train/state_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "config/yaml.h"

static const char weights_suffix[] = ".safetensors", old_suffix[] = ".times.yaml";

void state_file_free(state_file *b) {
  run_inputs_free(&b->inputs);
  *b = (state_file){0};
}

/* The path of step-N.safetensors with another suffix; the caller frees. */
static char *path_with_suffix(const char *checkpoint, const char *suffix) {
  strbuf out = {0};
  size_t length = strlen(checkpoint);
  if (length > strlen(weights_suffix)) length -= strlen(weights_suffix);
  strbuf_append_bytes(&out, checkpoint, length);
  strbuf_append(&out, suffix);
  return strbuf_take(&out);
}

err state_file_describe(const state_file *b, strbuf *text) {
  json_writer w = jsonw_start(text);
  jsonw_object(&w, NULL);
  jsonw_number(&w, "train_seconds", b->train_seconds);
  jsonw_number(&w, "data_wait_seconds", b->data_wait_seconds);
  jsonw_bool(&w, "is_evaluated", b->is_evaluated);
  run_inputs_write(&w, "given", &b->inputs);
  jsonw_end(&w);
  strbuf_append_char(text, '\n');
  return text->is_broken ? mem_error(text->length, "a checkpoint's times") : NULL;
}

err state_file_write(const char *checkpoint, const strbuf *text) {
  char *path = path_with_suffix(checkpoint, STATE_FILE_SUFFIX);
  err error = path ? fs_write_atomic(path, text->data, text->length)
                   : mem_error(text->length, "a checkpoint's times");
  free(path);
  return error;
}

void state_file_remove(const char *checkpoint) {
  char *path = path_with_suffix(checkpoint, STATE_FILE_SUFFIX);
  if (path) unlink(path); /* leftovers are overwritten or pruned */
  free(path);
}

static err load_old(const char *checkpoint, state_file *b, bool *is_there) {
  yml_document *document = NULL;
  char *path = path_with_suffix(checkpoint, old_suffix);
  if (!path) return mem_error(strlen(checkpoint), "a path");
  *is_there = fs_exists(path);
  err error = *is_there ? yml_load(path, &document) : NULL;
  free(path);
  if (error || !document) return error;
  const yml_node *trained = yml_get(yml_root(document), "train_seconds");
  const yml_node *waited = yml_get(yml_root(document), "data_wait_seconds");
  if (trained) yml_as_real(trained->scalar, &b->train_seconds);
  if (waited) yml_as_real(waited->scalar, &b->data_wait_seconds);
  yml_free(document);
  return NULL;
}

/* A time that this program has written: absent or made of something else, the file was changed. */
static err read_seconds(const json_t *object, const char *name, const char *path, double *seconds) {
  const json_t *value = json_object_get(object, name);
  *seconds = json_number_value(value);
  if (json_is_null(value)) return NULL; /* it was not known */
  if (json_is_number(value) && isfinite(*seconds) && *seconds >= 0) return NULL;
  return err_new(ERR_INPUT,
                 "%s: is damaged (%s is no time); remove it to continue with training times that "
                 "start at 0",
                 path, name);
}

err state_file_load(const char *checkpoint, state_file *b, bool *is_there) {
  json_error_t problem;
  char *path = path_with_suffix(checkpoint, STATE_FILE_SUFFIX);
  *b = (state_file){0};
  *is_there = false;
  if (!path) return mem_error(strlen(checkpoint), "a path");
  if (!fs_exists(path)) {
    free(path);
    return load_old(checkpoint, b, is_there);
  }
  json_t *object = json_load_file(path, 0, &problem);
  err error = NULL;
  if (!json_is_object(object)) {
    error =
        err_new(ERR_INPUT,
                "%s:%d: is damaged (%s); remove it to continue with training times that start at 0",
                path, problem.line, object ? "no object" : problem.text);
  } else {
    *is_there = true;
    error = read_seconds(object, "train_seconds", path, &b->train_seconds);
    if (!error) error = read_seconds(object, "data_wait_seconds", path, &b->data_wait_seconds);
    b->is_evaluated = json_is_true(json_object_get(object, "is_evaluated"));
    if (!error) error = run_inputs_read(json_object_get(object, "given"), &b->inputs);
  }
  json_decref(object);
  free(path);
  return error;
}
