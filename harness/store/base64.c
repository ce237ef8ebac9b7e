#include "store/base64.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

err base64_decode(const char *text, uint8_t **bytes, size_t *length) {
  size_t count = strlen(text), padding = 0;
  while (padding < 2 && padding < count && text[count - 1 - padding] == '=') padding++;
  *bytes = NULL;
  *length = 0;
  if (count % 4 != 0) return err_new(ERR_INPUT, "%zu characters are not whole base64", count);
  uint8_t *out = mem_zeroed(count / 4 * 3 + 1, 1);
  if (!out) return mem_error(count, "a bit string");
  uint32_t group = 0;
  for (size_t i = 0; i < count; i++) {
    bool is_padding = i >= count - padding;
    const char *digit = is_padding ? digits : strchr(digits, text[i]);
    if (!digit) {
      free(out);
      return err_new(ERR_INPUT, "character %zu of a base64 text is none of base64's", i + 1);
    }
    group = group << 6 | (uint32_t)(digit - digits);
    if (i % 4 != 3) continue;
    for (int k = 0; k < 3; k++) out[*length + (size_t)k] = (uint8_t)(group >> (16 - 8 * k));
    *length += 3;
    group = 0;
  }
  *length -= padding;
  *bytes = out;
  return NULL;
}

void base64_encode(const void *bytes, size_t length, strbuf *out) {
  const uint8_t *in = bytes;
  for (size_t i = 0; i < length; i += 3) {
    uint32_t group = (uint32_t)in[i] << 16;
    if (i + 1 < length) group |= (uint32_t)in[i + 1] << 8;
    if (i + 2 < length) group |= in[i + 2];
    for (size_t k = 0; k < 4; k++)
      strbuf_append_char(out, i + k > length ? '=' : digits[group >> (18 - 6 * k) & 63]);
  }
}
