/* CSV and TSV files with a header line, row by row, read as pandas reads them; what pandas refuses
 * is refused, with its line. Quotes are RFC 4180's: a field that begins with one may hold
 * separators, line ends and doubled quotes; a quote inside of another field is a character. */
#ifndef FLIP_READ_CSV_ROWS_H
#define FLIP_READ_CSV_ROWS_H

#include <stddef.h>

#include "base/err.h"

/* Where a row begins: its line in the file, and its number among the rows; the header is row 1. */
typedef struct {
  long line, row;
} csv_place;

/* Called for each row that is not empty. fields [count]; strings live for the call. NUL characters
 * are dropped. */
typedef err (*csv_row)(void *context, const csv_place *at, char *const *fields, size_t count);

/* separator 0: a tab if the path ends in .tsv, else a comma. Gzipped files are read too. A quote
 * that is never closed, and one that closes lines later in the middle of a field, are errors: rows
 * would be swallowed. */
err csv_read(const char *path, char separator, csv_row take, void *context) ERR_MUST_CHECK;

/* The separator that csv_read takes. */
char csv_separator(const char *path, char separator);

/* The place of the first of `names` ("a|b|c") in the header; an error that lists what is there. */
err csv_find(char *const *header, size_t count, const char *names, size_t *at) ERR_MUST_CHECK;

#endif
