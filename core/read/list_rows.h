/* Shared by all kinds of lists, text or Parquet: rows of an image and a caption. */
#ifndef FLIP_READ_LIST_ROWS_H
#define FLIP_READ_LIST_ROWS_H

#include "read/file_rows.h"

/* Column names that are recognised, in order of preference. */
#define LIST_IMAGE_NAMES "image|filepath|file_name|filename|path|file"
#define LIST_CAPTION_NAMES "caption|title|text|description"

typedef struct {
  const source_request *r;
  file_rows *rows;
  char *folder; /* base folder of relative images */
  strbuf path;
} list_rows;

/* Creates the rows; list_rows_free releases what the source does not own, also after failure. */
err list_rows_begin(const source_request *r, list_rows *out) ERR_MUST_CHECK;
void list_rows_free(list_rows *l);

/* One sample; `json` as file_rows_add takes it. */
err list_rows_add(list_rows *l, const char *image, const char *extension, const char *caption,
                  const char *json) ERR_MUST_CHECK;
/* A row with texts as written in the list: added, or skipped if the task needs a caption and it is
 * empty or not text. place: ":LINE" or ": row N". */
err list_rows_take(list_rows *l, const char *place, const char *image, const char *extension,
                   const char *caption, const char *json) ERR_MUST_CHECK;
/* Reports and counts a row that lacks something: "LOCATION PLACE: what". */
err list_rows_leave_out(list_rows *l, const char *place, const char *what) ERR_MUST_CHECK;

/* A list in Parquet (source_parquet.c), which source_open_list opens. */
err source_open_parquet(const source_request *r, data_source **out) ERR_MUST_CHECK;

#endif
