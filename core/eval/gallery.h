/* Top-k search, and an HTML page that shows the hits. */
#ifndef FLIP_EVAL_GALLERY_H
#define FLIP_EVAL_GALLERY_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"
#include "eval/pictures.h"

typedef struct {
  int64_t row;
  float score; /* cosine similarity, or the unnormalised dot product for models without
                * normalisation */
} gallery_hit;

/* The `top` rows of `candidates` [count, width] with the highest scores for `query` [width], best
 * first; ties in row order. Rows with NaN are never returned. Returns their number. */
int64_t gallery_best(const float *query, const float *candidates, int64_t count, int64_t width,
                     int64_t top, gallery_hit *hits);

/* A self-contained page: the query (text or image; the other is NULL) and its hits, images
 * (`pictures`) or texts (`texts`), with their scores. Images are embedded as they are stored. */
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
