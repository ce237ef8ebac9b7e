#include "exchange/place.h"

#include <string.h>

static bool is_part(const char *part, size_t length, const char *text) {
  return strlen(text) == length && strncmp(part, text, length) == 0;
}

/* Removes the last part of `out`, which contains a normalised path from byte `start` on; false when
 * there is none to remove: ".." must then be kept. */
static bool take_last(strbuf *out, size_t start) {
  size_t from = out->length;
  while (from > start && out->data[from - 1] != '/') from--;
  if (out->is_broken || from == out->length || is_part(out->data + from, out->length - from, ".."))
    return false;
  out->length = from > start ? from - 1 : from;
  out->data[out->length] = '\0';
  return true;
}

void place_normalise(const char *path, strbuf *out) {
  bool is_absolute = *path == '/';
  if (is_absolute) strbuf_append_char(out, '/');
  size_t start = out->length;
  while (*path) {
    size_t length = strcspn(path, "/");
    bool is_nothing = length == 0 || is_part(path, length, ".");
    bool is_up = is_part(path, length, "..");
    bool is_done = is_nothing || (is_up && (take_last(out, start) || is_absolute));
    if (!is_done) {
      if (out->length > start) strbuf_append_char(out, '/');
      strbuf_append_bytes(out, path, length);
    }
    path += length + (path[length] == '/');
  }
  if (out->length == start && !is_absolute) strbuf_append_char(out, '.');
}

int place_ups(const char *normal) {
  int count = 0;
  while (strncmp(normal, "..", 2) == 0 && (normal[2] == '/' || !normal[2])) {
    count++;
    normal += normal[2] ? 3 : 2;
  }
  return count;
}

bool place_is_below(const char *name) {
  if (!*name) return false;
  for (;;) {
    size_t length = strcspn(name, "/");
    if (length == 0 || is_part(name, length, ".") || is_part(name, length, "..")) return false;
    if (!name[length]) return true;
    name += length + 1;
  }
}

void place_soften(const char *path, strbuf *out) {
  while (*path) {
    const char *close = *path == '{' ? strchr(path, '}') : NULL;
    strbuf_append_char(out, close ? '*' : *path);
    path = close ? close + 1 : path + 1;
  }
}
