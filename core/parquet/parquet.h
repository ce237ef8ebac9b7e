/* Parquet files of flat columns: reads those written by pandas, Spark and img2dataset, and writes
 * files that they can read (docs/data.md lists encodings and codecs). A file is mapped; rows are
 * decoded page by page, so memory is one page and one dictionary per column read. */
#ifndef FLIP_PARQUET_PARQUET_H
#define FLIP_PARQUET_PARQUET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef enum { PARQUET_BOOLEAN, PARQUET_INTEGER, PARQUET_NUMBER, PARQUET_BYTES } parquet_kind;

/* One value. Bytes are valid until the next row; text is bytes of a column with is_text. */
typedef struct {
  bool is_null;
  parquet_kind kind;
  union {
    int64_t integer; /* and boolean: 0, 1 */
    double number;
    struct {
      const char *bytes;
      size_t size;
    };
  };
} parquet_value;

typedef struct {
  char *name;
  parquet_kind kind;
  bool is_optional;
  bool is_text; /* UTF-8 by its annotation */
  bool is_unsigned;
  bool is_always_null; /* without a type, as pyarrow and pandas write a column of nulls */
  /* NULL: can be read. Otherwise why not: "a nested column (struct or list)", "of type INT96", … */
  const char *obstacle;
  int type;    /* as in the file */
  size_t leaf; /* its index among the chunks of a row group */
} parquet_column;

typedef struct parquet_file parquet_file;

/* True for a regular file that begins with Parquet's magic bytes. */
bool parquet_is_file(const char *path);

/* Reads the footer. Damage, encryption and files that are not Parquet are ERR_INPUT with the path.
 */
err parquet_open(const char *path, parquet_file **out) ERR_MUST_CHECK;
void parquet_close(parquet_file *f); /* NULL is allowed */

/* The top-level columns in the file's order. */
const parquet_column *parquet_columns(const parquet_file *f, size_t *count);
int64_t parquet_rows(const parquet_file *f);
uint64_t parquet_size(const parquet_file *f); /* of the file, in bytes */

/* Called for each row, from 1, with the values of the requested columns. */
typedef err (*parquet_row)(void *context, int64_t row, const parquet_value *values);

/* Reads all rows of `count` columns, given by index. An unreadable column, and an unsupported
 * encoding or codec, are errors that name file, column and cause. */
err parquet_read(parquet_file *f, const size_t *columns, size_t count, parquet_row take,
                 void *context) ERR_MUST_CHECK;

/* Writing. Columns are optional; data pages are PLAIN, compressed with zstd; a row group is closed
 * after some MiB. The file is complete after parquet_writer_finish. */
typedef struct {
  const char *name;
  parquet_kind kind;
  bool is_text;
} parquet_field;

typedef struct parquet_writer parquet_writer;

/* The caller owns fd and path; path is used in messages and must outlive the writer. Names are
 * copied. */
err parquet_writer_create(int fd, const char *path, const parquet_field *fields, size_t count,
                          parquet_writer **out) ERR_MUST_CHECK;
/* One row: `count` values of the fields' kinds, or null. */
err parquet_writer_add(parquet_writer *w, const parquet_value *values) ERR_MUST_CHECK;
err parquet_writer_finish(parquet_writer *w) ERR_MUST_CHECK;
void parquet_writer_free(parquet_writer *w); /* NULL is allowed */

#endif
