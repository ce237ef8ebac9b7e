/* CSV and TSV files with a header line, row by row (libcsv; quotes as RFC 4180 has them). */
#ifndef FLIP_DATA_CSV_ROWS_H
#define FLIP_DATA_CSV_ROWS_H

#include <stddef.h>

#include "base/err.h"

/* Called for each row, the header first (number 1). fields [count]; strings live for the call. */
typedef err (*csv_row)(void *context, long number, char *const *fields, size_t count);

/* separator 0: a tab if the path ends in .tsv, else a comma. Gzipped files are read too. */
err csv_read(const char *path, char separator, csv_row take, void *context) ERR_MUST_CHECK;

/* The place of the first of `names` ("a|b|c") in the header; an error that lists what is there. */
err csv_find(const char *path, char *const *header, size_t count, const char *names,
             size_t *at) ERR_MUST_CHECK;

#endif
