/* What a data set holds, and whether all of it can be read. */
#ifndef FLIP_READ_STATS_H
#define FLIP_READ_STATS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

typedef struct {
  int64_t min, median, max; /* the median is the lower of two; all 0 when there is no sample */
} stats_range;

/* A name under "labels" in the samples' JSON whose value is a string or an integer. */
typedef struct {
  char *name;
  int64_t samples, distinct; /* samples that have it; different values */
  char *top;                 /* the most frequent value, the first seen of equals */
  int64_t top_count;
} stats_label;

typedef struct {
  int64_t samples, bytes;           /* bytes of images, captions and JSON */
  int64_t jpg, png, webp, unknown;  /* images by their first bytes */
  int64_t unsized;                  /* images whose header gives no size: not in width, height */
  stats_range width, height, words; /* pixels as stored; words between white space */
  int64_t with_json, bad_json; /* samples whose JSON was read; whose was no JSON or no object */
  int64_t unreadable; /* samples with a caption or a JSON that cannot be read: counted here alone */
  stats_label *labels; /* in the order in which they were first seen */
  size_t label_count;
  int64_t left_out; /* samples without image or caption, in none of the counts above */
  char *warnings;   /* of dataset_warnings, and what cannot be read: a line each, "" when nothing */
} data_stats;

/* Reads captions, JSON and the headers of the images. Free with stats_free, also after an error. */
err stats_collect(char *const *patterns, size_t count, data_stats *out) ERR_MUST_CHECK;
void stats_free(data_stats *s);

/* Reads everything: decodes every image and parses every JSON, on all cores. Appends a line
 * "shard.tar: key: reason" for each fault, in the order of the shards, and counts the lines; a line
 * that counts skipped members is not a fault. A missing image or caption, one that is not text, a
 * damaged tar and a shard without samples are faults; only patterns that match nothing and short
 * memory are errors. total: samples checked. */
err stats_verify(char *const *patterns, size_t count, strbuf *bad, int64_t *bad_count,
                 int64_t *total) ERR_MUST_CHECK;

#endif
