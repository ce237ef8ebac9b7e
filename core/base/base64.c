#include "base/base64.h"

#include <stdint.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const void *bytes, size_t count, strbuf *out) {
  const uint8_t *at = bytes;
  for (size_t i = 0; i < count; i += 3) {
    size_t left = count - i;
    uint32_t group = (uint32_t)at[i] << 16 | (uint32_t)(left > 1 ? at[i + 1] : 0) << 8 |
                     (left > 2 ? at[i + 2] : 0);
    const char four[4] = {digits[group >> 18], digits[group >> 12 & 63],
                          left > 1 ? digits[group >> 6 & 63] : '=',
                          left > 2 ? digits[group & 63] : '='};
    strbuf_append_bytes(out, four, sizeof four);
  }
}

static int value_of(char c) {
  const char *at = c ? strchr(digits, c) : NULL;
  return at ? (int)(at - digits) : -1;
}

bool base64_decode(const char *text, void *bytes, size_t room, size_t *count) {
  size_t length = strlen(text);
  uint8_t *out = bytes;
  *count = 0;
  if (length % 4) return false;
  for (size_t i = 0; i < length; i += 4) {
    bool is_last = i + 4 == length;
    size_t padding = !is_last ? 0 : text[i + 3] != '=' ? 0 : text[i + 2] != '=' ? 1 : 2;
    uint32_t group = 0;
    for (size_t j = 0; j < 4; j++) {
      int value = j < 4 - padding ? value_of(text[i + j]) : 0;
      if (value < 0) return false;
      group = group << 6 | (uint32_t)value;
    }
    if (room - *count < 3 - padding) return false;
    for (size_t j = 0; j < 3 - padding; j++) out[(*count)++] = (uint8_t)(group >> (16 - 8 * j));
  }
  return true;
}
