/* Base64 (RFC 4648, with padding). */
#ifndef FLIP_BASE_BASE64_H
#define FLIP_BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

void base64_encode(const void *bytes, size_t count, strbuf *out);

/* Decodes at most `room` bytes into `bytes`; *count: the number of bytes. False when `text` is not
 * base64 or decodes to more. */
bool base64_decode(const char *text, void *bytes, size_t room, size_t *count);

#endif
