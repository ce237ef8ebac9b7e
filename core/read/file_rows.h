/* Image files with captions: the basis of most formats. A format adds its rows; reading, hashing
 * and closing are shared. */
#ifndef FLIP_READ_FILE_ROWS_H
#define FLIP_READ_FILE_ROWS_H

#include "read/source.h"

typedef struct file_rows file_rows;

/* name: the source, for messages. */
err file_rows_create(const char *name, file_rows **out) ERR_MUST_CHECK;

/* Adds one sample. caption NULL: the .txt next to the image; json NULL: the .json next to it, if it
 * exists. Strings are copied. */
err file_rows_add(file_rows *f, const char *path, const char *caption,
                  const char *json) ERR_MUST_CHECK;

/* Returns the source, or NULL and the error after closing what is open. An empty source is an
 * error. */
err file_rows_finish(file_rows *f, err error, data_source **out) ERR_MUST_CHECK;

/* {"labels": {name: value, …}}, pairs ended by NULL; the caller frees. */
char *file_rows_labels(const char *const *pairs);

/* `pattern`, accepted by template_check, with `name` filled in (template.h). */
void file_rows_fill(const char *pattern, const char *name, strbuf *out);

bool file_rows_is_image(const char *name);
/* Neither an image nor a file that belongs to one (.txt, .json) nor hidden: skipped and counted. */
bool file_rows_is_stranger(const char *name);

#endif
