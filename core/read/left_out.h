/* Samples that a source leaves out when it is opened, since they lack something. */
#ifndef FLIP_READ_LEFT_OUT_H
#define FLIP_READ_LEFT_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

/* Start from {0}; strbuf_free(&l->records). */
typedef struct {
  strbuf records; /* each of three strings with their ends: names may contain anything else */
  int64_t count;
} left_out_list;

/* place: of the sample, or the shard of the sample `key`; what: "has no image". */
typedef struct {
  const char *place, *key; /* key NULL: none */
  const char *what;
} left_out_sample;

/* format: what the sample lacks. */
void left_out_add(left_out_list *l, const char *place, const char *key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void left_out_append(left_out_list *to, const left_out_list *from);
/* One after the other, from *at = 0 on; false at the end. */
bool left_out_next(const left_out_list *l, size_t *at, left_out_sample *out);
/* Appends "PLACE: sample KEY has no image" as one line. */
void left_out_line(const left_out_sample *one, strbuf *out);

#endif
