#include "text/utf8.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

int32_t utf8_next(const char **at) {
  utf8proc_int32_t c;
  if (!**at) return 0;
  utf8proc_ssize_t length = utf8proc_iterate((const utf8proc_uint8_t *)*at, -1, &c);
  if (length <= 0) {
    (*at)++;
    return 0xFFFD;
  }
  *at += length;
  return c;
}

void utf8_append(strbuf *out, int32_t c) {
  utf8proc_uint8_t bytes[4];
  strbuf_append_bytes(out, bytes, (size_t)utf8proc_encode_char(c, bytes));
}

bool utf8_is_letter(int32_t c) {
  if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  utf8proc_category_t category = utf8proc_category(c);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool utf8_is_number(int32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  utf8proc_category_t category = utf8proc_category(c);
  return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
}

bool utf8_is_space(int32_t c) {
  if (c < 0x80) return c == ' ' || (c >= '\t' && c <= '\r');
  utf8proc_category_t category = utf8proc_category(c);
  return c == 0x85 || (category >= UTF8PROC_CATEGORY_ZS && category <= UTF8PROC_CATEGORY_ZP);
}

int64_t utf8_count_words(const char *text) {
  int64_t words = 0;
  bool is_in_word = false;
  while (*text) {
    bool is_space = utf8_is_space(utf8_next(&text));
    words += !is_space && !is_in_word;
    is_in_word = !is_space;
  }
  return words;
}

int32_t utf8_from_windows_1252(int32_t c) {
  static const uint16_t table[32] = {
      0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
      0x2039, 0x0152, 0x8D,   0x017D, 0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
      0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178};
  return c >= 0x80 && c <= 0x9F ? table[c - 0x80] : c;
}

bool utf8_compose(const char *text, strbuf *out) {
  bool is_plain = true;
  for (const char *at = text; *at && is_plain; at++) is_plain = (unsigned char)*at < 0xCC;
  if (is_plain) { /* nothing from U+0300 on: already composed */
    strbuf_append(out, text);
    return true;
  }
  utf8proc_uint8_t *composed = utf8proc_NFC((const utf8proc_uint8_t *)text);
  if (!composed) return false;
  strbuf_append(out, (const char *)composed);
  free(composed);
  return true;
}
