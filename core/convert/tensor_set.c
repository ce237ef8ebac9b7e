#include "convert/tensor_set.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"

bool tensor_set_is_index(const char *path) {
  static const char ending[] = ".index.json";
  size_t length = strlen(path), end = sizeof ending - 1;
  return length > end && strcmp(path + length - end, ending) == 0;
}

static err add_file(const char *path, tensor_set *set) {
  const safetensors_file **files = mem_resize(set->files, set->count + 1, sizeof *files);
  safetensors_file *file = NULL;
  if (!files) return mem_error(sizeof *files, path);
  set->files = files;
  err error = safetensors_open(path, &file);
  if (!error) set->files[set->count++] = file;
  return error;
}

/* Opens each file that contains a tensor of the map, once. */
static err open_files(const char *path, const json_t *map, json_t *numbers, tensor_set *set) {
  const char *tensor;
  json_t *value;
  size_t folder = (size_t)(fs_name(path) - path);
  json_object_foreach((json_t *)(uintptr_t)map, tensor, value) {
    const char *name = json_string_value(value);
    if (!name || !*name || strchr(name, '/'))
      return err_new(ERR_INPUT, "%s: tensor '%.80s' is in no file next to the index", path, tensor);
    if (json_object_get(numbers, name)) continue;
    strbuf file = {0};
    strbuf_append_bytes(&file, path, folder);
    strbuf_append(&file, name);
    err error = file.is_broken ? mem_error(folder, path) : add_file(strbuf_string(&file), set);
    strbuf_free(&file);
    if (error) return error;
    if (json_object_set_new(numbers, name, json_integer((json_int_t)set->count - 1)) != 0)
      return mem_error(strlen(name), path);
  }
  return NULL;
}

/* Every tensor must be in the file given in the index. */
static err check_places(const char *path, const json_t *map, const json_t *numbers,
                        const tensor_set *set) {
  const char *tensor;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)map, tensor, value) {
    const char *name = json_string_value(value);
    size_t number = (size_t)json_integer_value(json_object_get(numbers, name));
    if (!safetensors_find(set->files[number], tensor))
      return err_new(ERR_INPUT, "%s: tensor '%.80s' is not in %s", path, tensor, name);
  }
  return NULL;
}

static err open_index(const char *path, tensor_set *set) {
  json_error_t problem;
  json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &problem), *numbers = json_object();
  const json_t *map = json_object_get(root, "weight_map");
  err error = NULL;
  if (!root || !numbers) FAIL(ERR_INPUT, "%s: is not JSON: %s", path, problem.text);
  if (!json_is_object(map) || json_object_size(map) == 0)
    FAIL(ERR_INPUT, "%s: has no weight_map of tensors to files", path);
  TRY(open_files(path, map, numbers, set));
  TRY(check_places(path, map, numbers, set));
cleanup:
  json_decref(root);
  json_decref(numbers);
  return error;
}

err tensor_set_open(const char *path, tensor_set *set) {
  *set = (tensor_set){0};
  return tensor_set_is_index(path) ? open_index(path, set) : add_file(path, set);
}

void tensor_set_close(tensor_set *set) {
  for (size_t i = 0; i < set->count; i++)
    safetensors_close((safetensors_file *)(uintptr_t)set->files[i]);
  free((void *)set->files);
  *set = (tensor_set){0};
}

const safetensor *tensor_set_find(const tensor_set *set, const char *name) {
  const safetensor *found = NULL;
  for (size_t i = 0; i < set->count && !found; i++) found = safetensors_find(set->files[i], name);
  for (size_t i = 0; i < set->count && !found; i++) {
    const char *kept = safetensors_metadata(set->files[i], name);
    if (kept) found = safetensors_find(set->files[i], kept);
  }
  return found;
}

const char *tensor_set_metadata(const tensor_set *set, const char *key) {
  const char *value = NULL;
  for (size_t i = 0; i < set->count && !value; i++)
    value = safetensors_metadata(set->files[i], key);
  return value;
}
