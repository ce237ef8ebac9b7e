/* JSON lines: a small writer that appends to a strbuf. (Parsing is done by jansson.)
 *
 *   json_writer w = jsonw_start(&buffer);
 *   jsonw_object(&w, NULL);
 *   jsonw_string(&w, "event", "step");
 *   jsonw_number(&w, "loss", 3.2);
 *   jsonw_end(&w);
 *
 * `key` is NULL inside arrays and at the top level. The writer places the commas. */
#ifndef FLIP_BASE_JSON_H
#define FLIP_BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

enum { JSON_DEPTH = 32 };

typedef struct {
  strbuf *out;
  int depth;
  bool has_item[JSON_DEPTH], is_object[JSON_DEPTH];
} json_writer;

json_writer jsonw_start(strbuf *out);
void jsonw_object(json_writer *w, const char *key);
void jsonw_array(json_writer *w, const char *key);
/* Closes the innermost object or array. */
void jsonw_end(json_writer *w);
/* Invalid UTF-8 is replaced by U+FFFD, so that the output always parses. */
void jsonw_string(json_writer *w, const char *key, const char *value); /* NULL: null */
/* The shortest decimal that round-trips to the same double; NaN and infinities become null. */
void jsonw_number(json_writer *w, const char *key, double value);
void jsonw_integer(json_writer *w, const char *key, int64_t value);
void jsonw_bool(json_writer *w, const char *key, bool value);
void jsonw_null(json_writer *w, const char *key);
/* `text` is already JSON. */
void jsonw_raw(json_writer *w, const char *key, const char *json);

/* The shortest decimal for a double, as json_number writes it; 32 bytes are enough. */
void jsonw_shortest(double value, char buffer[32]);

#endif
