/* The JSON member of a sample, read as Python's json.loads reads it, including NaN, Infinity, whole
 * numbers of any size, lone surrogates, \u0000, byte order marks, UTF-16 and UTF-32. Anything else
 * is rejected with its line and column. */
#ifndef FLIP_READ_SAMPLE_JSON_H
#define FLIP_READ_SAMPLE_JSON_H

#include <stddef.h>

#include <jansson.h>

#include "base/err.h"

/* The bytes of a member as a UTF-8 string without byte order mark; the caller frees. Bytes that are
 * not JSON in any encoding are converted so that sample_json_load rejects them. */
err sample_json_text(const char *bytes, size_t size, char **text) ERR_MUST_CHECK;

/* Parses the whole text. Values that jansson cannot represent are converted: NaN and infinities
 * become null, integers beyond 64 bits a string of their digits, lone surrogates U+FFFD. Strings
 * may contain NUL: read them with sample_json_string. An ERR_INPUT when the text is not JSON. */
err sample_json_load(const char *text, json_t **root) ERR_MUST_CHECK;

/* A string's own text, or an integer's digits, as a new string; NULL and no error when `value` is
 * neither. NUL becomes `nul` ("" to drop it). */
err sample_json_string(const json_t *value, const char *nul, char **text) ERR_MUST_CHECK;

/* The object `text` with `key` set to the string `value`; all other values verbatim, including
 * those that jansson cannot represent. Anything but an object is stored under "json". */
err sample_json_set(const char *text, const char *key, const char *value,
                    char **out) ERR_MUST_CHECK;

#endif
