/* Decoding and encoding of UTF-8 for the tokenizers. */
#ifndef FLIP_TEXT_UTF8_H
#define FLIP_TEXT_UTF8_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

/* The character at *at, which is advanced; a byte that starts none is U+FFFD. 0 at the end. */
int32_t utf8_next(const char **at);
void utf8_append(strbuf *out, int32_t c);

/* General categories L* and N*; White_Space. */
bool utf8_is_letter(int32_t c);
bool utf8_is_number(int32_t c);
bool utf8_is_space(int32_t c);
/* Words of a text: what white space separates. */
int64_t utf8_count_words(const char *text);

/* The Windows-1252 meaning of byte 0x80 … 0x9F; the five without a meaning are unchanged. */
int32_t utf8_from_windows_1252(int32_t c);

/* Appends `text` in normalisation form C. False when out of memory. */
bool utf8_compose(const char *text, strbuf *out);

#endif
