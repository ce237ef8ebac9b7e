#include "read/sample_json.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "base/json.h"
#include "base/mem.h"
#include "text/utf8.h"

enum { DEEPEST = 900 }; /* slightly below Python's own limit */

/* A character of two or four bytes. */
static uint32_t unit_at(const unsigned char *b, size_t width, bool is_big) {
  uint32_t value = 0;
  for (size_t i = 0; i < width; i++) value = value << 8 | b[is_big ? i : width - 1 - i];
  return value;
}

/* Converts UTF-16 and UTF-32 to UTF-8; a NUL or half a character becomes a control character, which
 * JSON does not allow anywhere. */
static void widen(const unsigned char *b, size_t size, size_t width, bool is_big, strbuf *out) {
  for (size_t at = 0; at < size; at += width) {
    uint32_t c = size - at < width ? 1 : unit_at(b + at, width, is_big);
    if (width == 2 && c >= 0xD800 && c < 0xDC00 && size - at >= 4) {
      uint32_t low = unit_at(b + at + 2, 2, is_big);
      if (low >= 0xDC00 && low < 0xE000) {
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        at += 2;
      }
    }
    if ((c >= 0xD800 && c < 0xE000) || c > 0x10FFFF) c = 0xFFFD;
    utf8_append(out, c ? (int32_t)c : 1);
  }
}

/* As json.detect_encoding: bytes of a character, and their order. */
static size_t find_width(const unsigned char *b, size_t size, size_t *skip, bool *is_big) {
  static const struct {
    const char *mark;
    size_t length, width;
    bool is_big;
  } marks[] = {{"\x00\x00\xFE\xFF", 4, 4, true},
               {"\xFF\xFE\x00\x00", 4, 4, false},
               {"\xFE\xFF", 2, 2, true},
               {"\xFF\xFE", 2, 2, false},
               {"\xEF\xBB\xBF", 3, 1, false}};
  *skip = 0;
  *is_big = false;
  for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
    if (size >= marks[i].length && memcmp(b, marks[i].mark, marks[i].length) == 0) {
      *skip = marks[i].length;
      *is_big = marks[i].is_big;
      return marks[i].width;
    }
  if (size < 4) return 1;
  if (!b[0]) {
    *is_big = true;
    return b[1] ? 2 : 4;
  }
  if (!b[1]) return b[2] || b[3] ? 2 : 4;
  return 1;
}

err sample_json_text(const char *bytes, size_t size, char **text) {
  const unsigned char *b = (const unsigned char *)bytes;
  size_t skip;
  bool is_big;
  size_t width = find_width(b, size, &skip, &is_big);
  strbuf out = {0};
  *text = NULL;
  if (width > 1) {
    widen(b + skip, size - skip, width, is_big, &out);
  } else {
    strbuf_append_bytes(&out, bytes + skip, size - skip);
    for (size_t i = 0; i < out.length; i++)
      if (!out.data[i]) out.data[i] = 1;
  }
  if (!out.is_broken && !out.data) strbuf_append(&out, "");
  *text = out.is_broken ? NULL : out.data ? strbuf_take(&out) : mem_copy_string("");
  if (!*text) strbuf_free(&out);
  return *text ? NULL : mem_error(size, "a sample's JSON");
}

/* A text being scanned, and the converted text for jansson (NULL: none). */
typedef struct {
  const char *start, *at;
  strbuf *out;
  int depth;
  const char *fault;
} scan;

static bool wrong(scan *s, const char *fault) {
  if (!s->fault) s->fault = fault;
  return false;
}

static void emit(scan *s, const char *text, size_t length) {
  if (s->out) strbuf_append_bytes(s->out, text, length);
}

static void skip_space(scan *s) {
  s->at += strspn(s->at, " \t\r\n");
}

/* The four digits of an escape, or -1. */
static int32_t hex_at(const char *at) {
  int32_t value = 0;
  for (int i = 0; i < 4; i++) {
    int c = (unsigned char)at[i];
    int digit = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

/* \uXXXX at s->at, possibly followed by a second one. */
static bool scan_code(scan *s, bool is_key) {
  int32_t first = hex_at(s->at + 2);
  if (first < 0) return wrong(s, "\\u escape without four hex digits");
  bool is_high = first >= 0xD800 && first < 0xDC00;
  int32_t second = is_high && s->at[6] == '\\' && s->at[7] == 'u' ? hex_at(s->at + 8) : -1;
  if (second >= 0xDC00 && second < 0xE000) {
    emit(s, s->at, 12);
    s->at += 12;
    return true;
  }
  bool is_lone = first >= 0xD800 && first < 0xE000;
  emit(s, is_lone || (is_key && !first) ? "\\ufffd" : s->at, 6); /* jansson's keys cannot contain
                                                                  * NUL */
  s->at += 6;
  return true;
}

/* One literal character. A surrogate encoded in UTF-8 is accepted, as with Python's
 * surrogatepass. */
static bool scan_character(scan *s) {
  const unsigned char *b = (const unsigned char *)s->at;
  utf8proc_int32_t c;
  if (*b < 0x20) return wrong(s, "a control character in a string");
  if (b[0] == 0xED && (b[1] & 0xE0) == 0xA0 && (b[2] & 0xC0) == 0x80) {
    emit(s, "\\ufffd", 6);
    s->at += 3;
    return true;
  }
  utf8proc_ssize_t length = utf8proc_iterate(b, -1, &c);
  if (length <= 0) return wrong(s, "bytes that are not UTF-8");
  emit(s, s->at, (size_t)length);
  s->at += length;
  return true;
}

static bool scan_string(scan *s, bool is_key) {
  if (*s->at != '"') return wrong(s, "expected a string in double quotes");
  emit(s, s->at++, 1);
  while (*s->at != '"') {
    bool is_fine;
    if (!*s->at) return wrong(s, "unterminated string");
    if (*s->at != '\\') {
      is_fine = scan_character(s);
    } else if (s->at[1] == 'u') {
      is_fine = scan_code(s, is_key);
    } else {
      if (!s->at[1] || !strchr("\"\\/bfnrt", s->at[1])) return wrong(s, "an unknown escape");
      emit(s, s->at, 2);
      s->at += 2;
      is_fine = true;
    }
    if (!is_fine) return false;
  }
  emit(s, s->at++, 1);
  return true;
}

static bool scan_word(scan *s, const char *word, const char *instead) {
  size_t length = strlen(word);
  if (strncmp(s->at, word, length) != 0) return false;
  emit(s, instead, strlen(instead));
  s->at += length;
  return true;
}

static size_t digits(const char *at) {
  return strspn(at, "0123456789");
}

static bool scan_number(scan *s) {
  const char *at = s->at + (*s->at == '-'), *first = s->at;
  size_t whole = digits(at);
  if (!whole) return wrong(s, "expected a value");
  at += *at == '0' ? 1 : whole;
  bool is_real = false;
  if (*at == '.' && digits(at + 1)) {
    at += 1 + digits(at + 1);
    is_real = true;
  }
  if (*at == 'e' || *at == 'E') {
    size_t sign = at[1] == '+' || at[1] == '-';
    if (digits(at + 1 + sign)) {
      at += 1 + sign + digits(at + 1 + sign);
      is_real = true;
    }
  }
  s->at = at;
  errno = 0;
  if (is_real && !isfinite(strtod(first, NULL))) {
    emit(s, "null", 4);
  } else if (!is_real && (strtoll(first, NULL, 10), errno == ERANGE)) {
    emit(s, "\"", 1);
    emit(s, first, (size_t)(at - first));
    emit(s, "\"", 1);
  } else {
    emit(s, first, (size_t)(at - first));
  }
  return true;
}

static bool scan_value(scan *s);

/* [value, …] or {"key": value, …}, starting at its bracket. */
static bool scan_members(scan *s, char end) {
  emit(s, s->at++, 1);
  skip_space(s);
  if (*s->at == end) {
    emit(s, s->at++, 1);
    return true;
  }
  for (;;) {
    skip_space(s);
    if (end == '}') {
      if (!scan_string(s, true)) return false;
      skip_space(s);
      if (*s->at != ':') return wrong(s, "expected ':' after a key");
      emit(s, s->at++, 1);
    }
    if (!scan_value(s)) return false;
    skip_space(s);
    if (*s->at == end) break;
    if (*s->at != ',') return wrong(s, end == '}' ? "expected ',' or '}'" : "expected ',' or ']'");
    emit(s, s->at++, 1);
  }
  emit(s, s->at++, 1);
  return true;
}

static bool scan_value(scan *s) {
  skip_space(s);
  if (*s->at == '"') return scan_string(s, false);
  if (*s->at == '{' || *s->at == '[') {
    if (s->depth == DEEPEST) return wrong(s, "nested too deeply");
    s->depth++;
    bool is_fine = scan_members(s, *s->at == '{' ? '}' : ']');
    s->depth--;
    return is_fine;
  }
  if (!*s->at) return wrong(s, "it ends early");
  return scan_word(s, "true", "true") || scan_word(s, "false", "false") ||
         scan_word(s, "null", "null") || scan_word(s, "NaN", "null") ||
         scan_word(s, "Infinity", "null") || scan_word(s, "-Infinity", "null") || scan_number(s);
}

static bool scan_whole(scan *s) {
  if (!scan_value(s)) return false;
  skip_space(s);
  return *s->at ? wrong(s, "extra text after the value") : true;
}

/* Describes where the scan stopped. */
static err scan_error(const scan *s) {
  long line = 1, column = 1;
  for (const char *at = s->start; at < s->at; at++) {
    column = *at == '\n' ? 1 : column + 1;
    line += *at == '\n';
  }
  return err_new(ERR_INPUT, "its JSON cannot be read: line %ld, column %ld: %s", line, column,
                 s->fault ? s->fault : "expected a value");
}

err sample_json_load(const char *text, json_t **root) {
  enum { HOW = JSON_DECODE_ANY | JSON_ALLOW_NUL };
  strbuf plain = {0};
  err error = NULL;
  *root = json_loads(text, HOW, NULL);
  if (*root) return NULL;
  scan s = {.start = text, .at = text, .out = &plain};
  bool is_fine = scan_whole(&s);
  if (!is_fine)
    error = scan_error(&s);
  else if (plain.is_broken)
    error = mem_error(strlen(text), "a sample's JSON");
  else
    *root = json_loads(strbuf_string(&plain), HOW, NULL);
  strbuf_free(&plain);
  if (!error && !*root) error = err_new(ERR_INPUT, "its JSON cannot be read: nested too deeply");
  return error;
}

err sample_json_string(const json_t *value, const char *nul, char **text) {
  strbuf out = {0};
  *text = NULL;
  if (json_is_integer(value)) {
    strbuf_format(&out, "%" PRId64, (int64_t)json_integer_value(value));
  } else if (json_is_string(value)) {
    const char *from = json_string_value(value);
    strbuf_append(&out, "");
    for (size_t i = 0; i < json_string_length(value); i++) {
      if (from[i])
        strbuf_append_char(&out, from[i]);
      else
        strbuf_append(&out, nul);
    }
  } else {
    return NULL;
  }
  *text = out.data ? strbuf_take(&out) : mem_copy_string("");
  return *text ? NULL : mem_error(0, "a sample's JSON");
}

/* The pairs of an object except those of `key`, verbatim. */
static bool copy_pairs(scan *s, const char *key, strbuf *out) {
  size_t length = strlen(key);
  s->at++;
  skip_space(s);
  if (*s->at == '}') return true;
  for (;; s->at++) {
    skip_space(s);
    const char *pair = s->at;
    if (!scan_string(s, true)) return false;
    bool is_key = (size_t)(s->at - pair) == length + 2 && strncmp(pair + 1, key, length) == 0;
    skip_space(s);
    if (*s->at != ':') return wrong(s, "expected ':' after a key");
    s->at++;
    if (!scan_value(s)) return false;
    if (!is_key) {
      strbuf_append_bytes(out, pair, (size_t)(s->at - pair));
      strbuf_append_char(out, ',');
    }
    skip_space(s);
    if (*s->at == '}') return true;
    if (*s->at != ',') return wrong(s, "expected ',' or '}'");
  }
}

err sample_json_set(const char *text, const char *key, const char *value, char **out) {
  scan s = {.start = text, .at = text, .depth = 1};
  strbuf made = {0}, pair = {0};
  json_writer w = jsonw_start(&pair);
  err error = NULL;
  *out = NULL;
  jsonw_object(&w, NULL);
  jsonw_string(&w, key, value);
  jsonw_end(&w);
  strbuf_append_char(&made, '{');
  skip_space(&s);
  bool is_object = *s.at == '{', is_fine;
  if (is_object) {
    is_fine = copy_pairs(&s, key, &made);
    s.at += is_fine;
  } else {
    const char *whole = s.at;
    is_fine = scan_value(&s);
    strbuf_append(&made, "\"json\":");
    strbuf_append_bytes(&made, whole, (size_t)(s.at - whole));
    strbuf_append_char(&made, ',');
  }
  if (is_fine) skip_space(&s);
  if (is_fine && *s.at) is_fine = wrong(&s, "extra text after the value");
  if (pair.length) strbuf_append(&made, pair.data + 1);
  if (!is_fine)
    error = scan_error(&s);
  else if (made.is_broken || pair.is_broken)
    error = mem_error(strlen(text), "a sample's JSON");
  else
    *out = strbuf_take(&made);
  strbuf_free(&made);
  strbuf_free(&pair);
  return error;
}
