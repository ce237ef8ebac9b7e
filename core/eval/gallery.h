/* The best of many, and a page that shows them. */
#ifndef FLIP_EVAL_GALLERY_H
#define FLIP_EVAL_GALLERY_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"
#include "eval/pictures.h"

typedef struct {
  int64_t row;
  float score; /* cosine, or what a model without normalisation compares */
} gallery_hit;

/* The `top` rows of `candidates` [count, width] that score best for `query` [width], best first,
 * the earlier of equals first. Rows with NaN never win. Returns how many there are. */
int64_t gallery_best(const float *query, const float *candidates, int64_t count, int64_t width,
                     int64_t top, gallery_hit *hits);

/* A self-contained page: the query's words or picture (one of both; the other NULL) and its hits,
 * pictures (`pictures`) or texts (`texts`), with their scores. Images are embedded as they are
 * stored. */
typedef struct {
  const char *title, *query_text;
  const void *query_image;
  size_t query_image_bytes;
  const gallery_hit *hits;
  int64_t count;
  const pictures *pictures;
  char *const *texts;
} gallery_page;
err gallery_write(const char *path, const gallery_page *page) ERR_MUST_CHECK;

#endif
