/* Files of one JSON object per line, to which several processes may append. */
#ifndef FLIPBENCH_STORE_JSON_LINES_H
#define FLIPBENCH_STORE_JSON_LINES_H

#include <stdint.h>

#include <jansson.h>

#include "base/err.h"
#include "base/text.h"

/* Calls `take` for every line of JSON in a file from byte `from` on, without those that are not:
 * the last line of a killed process is incomplete. A missing file has none. */
err json_lines_each(const char *path, int64_t from,
                    void (*take)(const json_t *object, void *context),
                    void *context) ERR_MUST_CHECK;
/* Adds a line, which is given without its end, and frees it. */
err json_lines_append(const char *path, strbuf *line) ERR_MUST_CHECK;

#endif
