/* Bytes in JSON strings: base64 of RFC 4648, with its padding. Internal to store/. */
#ifndef FLIPBENCH_STORE_BASE64_H
#define FLIPBENCH_STORE_BASE64_H

#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

/* The caller frees *bytes. ERR_INPUT for anything that is not base64. */
err base64_decode(const char *text, uint8_t **bytes, size_t *length) ERR_MUST_CHECK;
void base64_encode(const void *bytes, size_t length, strbuf *out);

#endif
