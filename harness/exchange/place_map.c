#include "exchange/place_map.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "config/yaml.h"

err place_map_add(place_map *map, const char *from, const char *to) {
  void *grown = mem_resize(map->pairs, map->count + 1, sizeof *map->pairs);
  if (!grown) return mem_error(sizeof *map->pairs, "a path");
  map->pairs = grown;
  map->pairs[map->count].from = mem_copy_string(from);
  map->pairs[map->count].to = mem_copy_string(to);
  map->count++;
  return map->pairs[map->count - 1].from && map->pairs[map->count - 1].to
             ? NULL
             : mem_error(strlen(to), "a path");
}

bool place_map_has(const place_map *map, const char *from) {
  for (size_t i = 0; i < map->count; i++)
    if (strcmp(map->pairs[i].from, from) == 0) return true;
  return false;
}

void place_map_free(place_map *map) {
  for (size_t i = 0; i < map->count; i++) {
    free(map->pairs[i].from);
    free(map->pairs[i].to);
  }
  free(map->pairs);
  *map = (place_map){0};
}

/* The occurrence of `from` in `text` as a whole path, not as a part of another one. */
static const char *find_name(const char *text, const char *from) {
  size_t length = strlen(from);
  for (const char *at = text; (at = strstr(at, from)); at++) {
    bool begins = at == text || strchr(":=@", at[-1]);
    bool ends = !at[length] || strchr("#,", at[length]);
    if (begins && ends) return at;
  }
  return NULL;
}

/* The text with its paths replaced; false when it contains none. */
static bool replace(const place_map *map, const char *text, strbuf *out) {
  bool has_any = false;
  strbuf_append(out, text);
  for (size_t i = 0; i < map->count; i++) {
    const char *at = find_name(strbuf_string(out), map->pairs[i].from);
    if (!at) continue;
    strbuf made = {0};
    strbuf_append_bytes(&made, strbuf_string(out), (size_t)(at - strbuf_string(out)));
    strbuf_append(&made, map->pairs[i].to);
    strbuf_append(&made, at + strlen(map->pairs[i].from));
    strbuf_free(out);
    *out = made;
    has_any = true;
  }
  return has_any;
}

err place_map_text(const place_map *map, char **text) {
  strbuf out = {0};
  if (!replace(map, *text, &out)) {
    strbuf_free(&out);
    return NULL;
  }
  char *made = strbuf_take(&out);
  if (!made) return mem_error(0, "a path");
  free(*text);
  *text = made;
  return NULL;
}

/* ---- YAML files ---- */

/* Offset of a node's text: its column counts characters. */
static size_t offset_of(const char *text, const yml_node *node) {
  const char *at = text;
  for (int line = 1; line < node->line && *at; line++) {
    at += strcspn(at, "\n");
    at += *at == '\n';
  }
  for (int column = 1; column < node->column && *at && *at != '\n'; column++) do
      at++;
    while ((*at & 0xC0) == 0x80);
  return (size_t)(at - text);
}

/* Length of the scalar in the file in bytes; 0: written in a form that cannot be changed here. */
static size_t written_length(const char *at, const char *scalar) {
  if (*at == '\'' || *at == '"') {
    char quote = *at;
    for (size_t i = 1; at[i] && at[i] != '\n'; i++) {
      if (quote == '"' && at[i] == '\\' && at[i + 1])
        i++;
      else if (at[i] == quote && quote == '\'' && at[i + 1] == quote)
        i++;
      else if (at[i] == quote)
        return i + 1;
    }
    return 0;
  }
  return strncmp(at, scalar, strlen(scalar)) == 0 ? strlen(scalar) : 0;
}

static err replace_scalar(const place_map *map, const yml_node *node, const char *path,
                          strbuf *text) {
  strbuf value = {0}, quoted = {0}, made = {0};
  err error = NULL;
  if (replace(map, node->scalar, &value)) {
    size_t at = offset_of(strbuf_string(text), node);
    size_t length = written_length(strbuf_string(text) + at, node->scalar);
    json_writer w = jsonw_start(&quoted);
    jsonw_string(&w, NULL, strbuf_string(&value));
    if (!length)
      error = err_new(ERR_INPUT, "%s:%d:%d: '%s' spans several lines; write it on one line", path,
                      node->line, node->column, node->scalar);
    strbuf_append_bytes(&made, strbuf_string(text), at);
    strbuf_append(&made, strbuf_string(&quoted));
    strbuf_append(&made, strbuf_string(text) + at + length);
    strbuf_free(text);
    *text = made;
  }
  strbuf_free(&value);
  strbuf_free(&quoted);
  return error;
}

static bool is_key(const char *name, const char *const *keys) {
  for (; *keys; keys++)
    if (strcmp(name, *keys) == 0) return true;
  return false;
}

/* From last to first, so that earlier positions stay valid. */
static err replace_under(const place_map *map, const yml_node *node, const char *const *keys,
                         const char *path, strbuf *text) {
  err error = NULL;
  for (size_t i = node->kind == YML_SCALAR ? 0 : node->count; i-- > 0 && !error;) {
    const yml_node *item = node->items[i];
    bool is_wanted = node->kind == YML_MAP && is_key(node->keys[i]->scalar, keys);
    if (is_wanted && item->kind == YML_SCALAR) error = replace_scalar(map, item, path, text);
    for (size_t k = is_wanted && item->kind == YML_SEQUENCE ? item->count : 0; k-- > 0 && !error;)
      if (item->items[k]->kind == YML_SCALAR)
        error = replace_scalar(map, item->items[k], path, text);
    if (!is_wanted && !error) error = replace_under(map, item, keys, path, text);
  }
  return error;
}

err place_map_file(const place_map *map, const char *path, const char *const *keys) {
  yml_document *document = NULL;
  char *read = NULL;
  size_t length = 0;
  strbuf text = {0};
  err error = NULL;
  TRY(fs_read(path, &read, &length));
  strbuf_append_bytes(&text, read, length);
  TRY(yml_parse(path, read, length, &document));
  TRY(replace_under(map, yml_root(document), keys, path, &text));
  if (text.is_broken) FAIL(ERR_MEMORY, "out of memory: %s", path);
  if (strcmp(strbuf_string(&text), read) != 0)
    error = fs_write_atomic(path, text.data, text.length);
cleanup:
  yml_free(document);
  free(read);
  strbuf_free(&text);
  return error;
}
