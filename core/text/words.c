#include "text/words.h"

#include <stdbool.h>
#include <stdlib.h>

#include <utf8proc.h>

#include "base/mem.h"

static bool is_space(utf8proc_int32_t c) {
  if (c == ' ' || c == '\t' || c == '\n' || c == '\r') return true;
  utf8proc_category_t category = utf8proc_category(c);
  return category >= UTF8PROC_CATEGORY_ZS && category <= UTF8PROC_CATEGORY_ZP;
}

static bool is_control(utf8proc_int32_t c) {
  if (c == '\t' || c == '\n' || c == '\r') return false;
  switch (utf8proc_category(c)) {
  case UTF8PROC_CATEGORY_CC:
  case UTF8PROC_CATEGORY_CF:
  case UTF8PROC_CATEGORY_CS:
  case UTF8PROC_CATEGORY_CO:
  case UTF8PROC_CATEGORY_CN:
    return true;
  default:
    return false;
  }
}

/* ASCII symbols count as punctuation too, as in BERT. */
static bool is_punctuation(utf8proc_int32_t c) {
  if ((c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
      (c >= 123 && c <= 126))
    return true;
  utf8proc_category_t category = utf8proc_category(c);
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

static bool is_chinese(utf8proc_int32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B820 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

typedef struct {
  strbuf *out;
  bool is_in_word;
} splitter;

static void end_word(splitter *s) {
  if (s->is_in_word) strbuf_append_char(s->out, '\0');
  s->is_in_word = false;
}

static void add_character(splitter *s, utf8proc_int32_t c) {
  utf8proc_uint8_t bytes[4];
  utf8proc_ssize_t length = utf8proc_encode_char(c, bytes);
  strbuf_append_bytes(s->out, bytes, (size_t)length);
  s->is_in_word = true;
}

/* One decomposed, lower-case character. */
static void take_character(splitter *s, utf8proc_int32_t c) {
  if (is_space(c)) {
    end_word(s);
  } else if (is_punctuation(c)) {
    end_word(s);
    add_character(s, c);
    end_word(s);
  } else {
    add_character(s, c);
  }
}

/* Decomposes, lower-cases and strips accents of one source character, and appends the result. */
static void take_source(splitter *s, utf8proc_int32_t c) {
  utf8proc_int32_t parts[32];
  int boundary = 0;
  utf8proc_ssize_t count =
      utf8proc_decompose_char(c, parts, 32, UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, &boundary);
  if (count < 1 || count > 32) return;
  for (utf8proc_ssize_t i = 0; i < count; i++) {
    if (utf8proc_category(parts[i]) == UTF8PROC_CATEGORY_MN) continue;
    utf8proc_int32_t lower = utf8proc_tolower(parts[i]);
    take_character(s, lower);
  }
}

err words_split(const char *text, strbuf *out) {
  splitter s = {out, false};
  const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)text;
  while (*at) {
    utf8proc_int32_t c;
    utf8proc_ssize_t length = utf8proc_iterate(at, -1, &c);
    if (length <= 0) { /* a stray byte: treated as U+FFFD, which BERT removes */
      at++;
      continue;
    }
    at += length;
    if (c == 0xFFFD || is_control(c)) continue;
    if (is_space(c)) {
      end_word(&s);
    } else if (is_chinese(c)) {
      end_word(&s);
      take_source(&s, c);
      end_word(&s);
    } else {
      take_source(&s, c);
    }
  }
  end_word(&s);
  return out->is_broken ? mem_error(out->length, "splitting a caption") : NULL;
}
