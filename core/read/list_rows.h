/* Shared by all kinds of lists: rows of an image and a caption, of text or of Parquet. */
#ifndef FLIP_READ_LIST_ROWS_H
#define FLIP_READ_LIST_ROWS_H

#include "read/file_rows.h"

/* Columns that lists name so, in the order of preference. */
#define LIST_IMAGE_NAMES "image|filepath|file_name|filename|path|file"
#define LIST_CAPTION_NAMES "caption|title|text|description"

typedef struct {
  const source_request *r;
  file_rows *rows;
  char *folder; /* that relative images begin in */
  strbuf path;
} list_rows;

/* Makes the rows; list_rows_free releases what is not the source's, after failure too. */
err list_rows_begin(const source_request *r, list_rows *out) ERR_MUST_CHECK;
void list_rows_free(list_rows *l);

/* One sample; `json` as file_rows_add takes it. */
err list_rows_add(list_rows *l, const char *image, const char *extension, const char *caption,
                  const char *json) ERR_MUST_CHECK;
/* A row with texts as written in the list: added, or left out where the task needs a caption
 * that is empty or no text. place: ":LINE" or ": row N". */
err list_rows_take(list_rows *l, const char *place, const char *image, const char *extension,
                   const char *caption, const char *json) ERR_MUST_CHECK;
/* Names and counts a row that lacks something: "LOCATION PLACE: what". */
err list_rows_leave_out(list_rows *l, const char *place, const char *what) ERR_MUST_CHECK;

/* A list in Parquet (source_parquet.c), which source_open_list opens. */
err source_open_parquet(const source_request *r, data_source **out) ERR_MUST_CHECK;

#endif
