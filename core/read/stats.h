/* Statistics of a data set, and a check that all of it can be read. */
#ifndef FLIP_READ_STATS_H
#define FLIP_READ_STATS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

typedef struct {
  int64_t min, median, max; /* the median is the lower of two; all 0 when there are no samples */
} stats_range;

/* A name under "labels" in the samples' JSON whose value is a string or an integer. */
typedef struct {
  char *name;
  int64_t samples, distinct; /* samples that have it; distinct values */
  char *top;                 /* the most frequent value; on ties the first seen */
  int64_t top_count;
} stats_label;

typedef struct {
  int64_t samples, bytes;                  /* bytes of images, captions and JSON */
  int64_t jpg, png, webp, pixmap, unknown; /* images by format */
  int64_t unsized;                  /* images whose header gives no size: not in width, height */
  stats_range width, height, words; /* pixels as stored; words between (Unicode) white space */
  int64_t with_json, bad_json;      /* samples whose JSON was read; whose JSON was invalid or not an
                                     * object */
  int64_t unreadable;  /* samples with an unreadable caption or JSON: counted only here */
  stats_label *labels; /* in the order in which they were first seen */
  size_t label_count;
  int64_t left_out; /* samples without image or caption, in none of the counts above */
  char *warnings;   /* from dataset_warnings, and read errors: one line each, "" for none */
} data_stats;

/* Reads captions, JSON and the headers of the images. Free with stats_free, also after an error. */
err stats_collect(char *const *patterns, size_t count, data_stats *out) ERR_MUST_CHECK;
void stats_free(data_stats *s);

/* Reads everything: decodes every image and parses every JSON, on all cores. Appends a line
 * "shard.tar: key: reason" for each fault, in shard order, and counts the lines; a line that counts
 * skipped members is not a fault. A missing image or caption, one that is not text, a damaged tar
 * and a shard without samples are faults; only patterns that match nothing and running out of
 * memory are errors. total: samples checked. */
err stats_verify(char *const *patterns, size_t count, strbuf *bad, int64_t *bad_count,
                 int64_t *total) ERR_MUST_CHECK;

#endif
