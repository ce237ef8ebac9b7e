/* CSV and TSV files with a header line, read row by row as pandas does; what pandas rejects is
 * rejected, with its line. Quotes follow RFC 4180: a field that begins with one may contain
 * separators, line ends and doubled quotes; a quote inside another field is an ordinary
 * character. */
#ifndef FLIP_READ_CSV_ROWS_H
#define FLIP_READ_CSV_ROWS_H

#include <stddef.h>

#include "base/err.h"

/* Position of a row: its line in the file, and its number; the header is row 1. */
typedef struct {
  long line, row;
} csv_place;

/* Called for each non-empty row. fields [count]; strings are valid during the call. NUL characters
 * are dropped. */
typedef err (*csv_row)(void *context, const csv_place *at, char *const *fields, size_t count);

/* separator 0: a tab if the path ends in .tsv, else a comma. Gzipped files are supported. A quote
 * that is never closed, and one that closes lines later in the middle of a field, are errors, since
 * they would swallow rows. */
err csv_read(const char *path, char separator, csv_row take, void *context) ERR_MUST_CHECK;

/* The separator that csv_read uses. */
char csv_separator(const char *path, char separator);

/* The index of the first of `names` ("a|b|c") found in the header; otherwise an error that lists
 * the header. */
err csv_find(char *const *header, size_t count, const char *names, size_t *at) ERR_MUST_CHECK;

#endif
