#include "base/json.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

json_writer jsonw_start(strbuf *out) {
  return (json_writer){.out = out};
}

static void quoted(strbuf *out, const char *value) {
  const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)value;
  strbuf_append_char(out, '"');
  while (*at) {
    unsigned char c = *at;
    if (c == '"' || c == '\\') {
      strbuf_append_char(out, '\\');
      strbuf_append_char(out, (char)c);
      at++;
    } else if (c < 0x20) {
      if (c == '\n')
        strbuf_append(out, "\\n");
      else if (c == '\t')
        strbuf_append(out, "\\t");
      else
        strbuf_format(out, "\\u%04x", c);
      at++;
    } else if (c < 0x80) {
      strbuf_append_char(out, (char)c);
      at++;
    } else {
      utf8proc_int32_t codepoint;
      utf8proc_ssize_t length = utf8proc_iterate(at, -1, &codepoint);
      if (length > 0)
        strbuf_append_bytes(out, at, (size_t)length);
      else
        strbuf_append(out, "\xEF\xBF\xBD");
      at += length > 0 ? length : 1;
    }
  }
  strbuf_append_char(out, '"');
}

static void start_item(json_writer *w, const char *key) {
  if (w->depth > 0) {
    if (w->has_item[w->depth - 1]) strbuf_append_char(w->out, ',');
    w->has_item[w->depth - 1] = true;
    assert(w->is_object[w->depth - 1] == (key != NULL));
  }
  if (key) {
    quoted(w->out, key);
    strbuf_append_char(w->out, ':');
  }
}

static void open_scope(json_writer *w, const char *key, bool is_object) {
  start_item(w, key);
  assert(w->depth < JSON_DEPTH);
  strbuf_append_char(w->out, is_object ? '{' : '[');
  w->has_item[w->depth] = false;
  w->is_object[w->depth++] = is_object;
}

void jsonw_object(json_writer *w, const char *key) {
  open_scope(w, key, true);
}

void jsonw_array(json_writer *w, const char *key) {
  open_scope(w, key, false);
}

void jsonw_end(json_writer *w) {
  assert(w->depth > 0);
  strbuf_append_char(w->out, w->is_object[--w->depth] ? '}' : ']');
}

void jsonw_string(json_writer *w, const char *key, const char *value) {
  start_item(w, key);
  if (value)
    quoted(w->out, value);
  else
    strbuf_append(w->out, "null");
}

void jsonw_shortest(double value, char buffer[32]) {
  for (int digits = 6; digits <= 17; digits++) {
    snprintf(buffer, 32, "%.*g", digits, value);
    if (strtod(buffer, NULL) == value) return;
  }
}

void jsonw_number(json_writer *w, const char *key, double value) {
  char buffer[32] = "null";
  if (isfinite(value)) jsonw_shortest(value, buffer);
  jsonw_raw(w, key, buffer);
}

void jsonw_integer(json_writer *w, const char *key, int64_t value) {
  start_item(w, key);
  strbuf_format(w->out, "%" PRId64, value);
}

void jsonw_bool(json_writer *w, const char *key, bool value) {
  jsonw_raw(w, key, value ? "true" : "false");
}

void jsonw_null(json_writer *w, const char *key) {
  jsonw_raw(w, key, "null");
}

void jsonw_raw(json_writer *w, const char *key, const char *json) {
  start_item(w, key);
  strbuf_append(w->out, json);
}
