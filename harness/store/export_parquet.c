#include "store/export_parquet.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <utf8proc.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/mem.h"
#include "parquet/parquet.h"

/* Types seen in a column; a bit set. */
enum { SEEN_INTEGER = 1, SEEN_NUMBER = 2, SEEN_TEXT = 4, SEEN_BLOB = 8, SEEN_WIDE = 16 };

/* Integers beyond this are not exactly representable as doubles. */
static const int64_t widest = (int64_t)1 << 53;

typedef struct {
  size_t count;
  unsigned *seen;
  parquet_field *fields;
  parquet_value *values;
  strbuf *texts;
} table;

static unsigned seen_of(sqlite3_stmt *rows, int column) {
  switch (sqlite3_column_type(rows, column)) {
  case SQLITE_INTEGER: {
    int64_t value = sqlite3_column_int64(rows, column);
    return SEEN_INTEGER | (value > widest || value < -widest ? SEEN_WIDE : 0u);
  }
  case SQLITE_FLOAT:
    return SEEN_NUMBER;
  case SQLITE_TEXT:
    return SEEN_TEXT;
  case SQLITE_BLOB:
    return SEEN_BLOB;
  default:
    return 0;
  }
}

/* A column of only NULL, or of integers in a column declared REAL. */
static unsigned declared(sqlite3_stmt *rows, int column, unsigned seen) {
  const char *type = sqlite3_column_decltype(rows, column);
  if (type && strcasecmp(type, "REAL") == 0 && !(seen & ~(unsigned)SEEN_INTEGER))
    return SEEN_NUMBER;
  if (seen) return seen;
  return !type                              ? SEEN_TEXT
         : strcasecmp(type, "INTEGER") == 0 ? SEEN_INTEGER
         : strcasecmp(type, "BLOB") == 0    ? SEEN_BLOB
                                            : SEEN_TEXT;
}

static parquet_field field_of(sqlite3_stmt *rows, int column, unsigned seen) {
  parquet_field field = {sqlite3_column_name(rows, column), PARQUET_BYTES, true};
  seen = declared(rows, column, seen);
  if (!(seen & (SEEN_TEXT | SEEN_BLOB | SEEN_NUMBER)))
    field.kind = PARQUET_INTEGER;
  else if (!(seen & (SEEN_TEXT | SEEN_BLOB | SEEN_WIDE)))
    field.kind = PARQUET_NUMBER;
  field.is_text = field.kind == PARQUET_BYTES && seen != SEEN_BLOB;
  return field;
}

/* Text with invalid UTF-8 replaced, since a Parquet string must be UTF-8. */
static void put_text(const char *bytes, size_t size, strbuf *out) {
  for (size_t at = 0; at < size;) {
    utf8proc_int32_t point;
    utf8proc_ssize_t length = utf8proc_iterate((const utf8proc_uint8_t *)bytes + at,
                                               (utf8proc_ssize_t)(size - at), &point);
    if (length > 0)
      strbuf_append_bytes(out, bytes + at, (size_t)length);
    else
      strbuf_append(out, "\xEF\xBF\xBD");
    at += length > 0 ? (size_t)length : 1;
  }
}

/* A value of a string column, as written in CSV. */
static void put_string(sqlite3_stmt *rows, int column, strbuf *out) {
  char number[32] = "";
  int type = sqlite3_column_type(rows, column);
  if (type == SQLITE_FLOAT) {
    jsonw_shortest(sqlite3_column_double(rows, column), number);
    strbuf_append(out, number);
  } else if (type == SQLITE_BLOB) {
    base64_encode(sqlite3_column_blob(rows, column), (size_t)sqlite3_column_bytes(rows, column),
                  out);
  } else {
    const char *text = (const char *)sqlite3_column_text(rows, column);
    put_text(text ? text : "", (size_t)sqlite3_column_bytes(rows, column), out);
  }
}

static void take_value(const table *t, sqlite3_stmt *rows, size_t i) {
  int column = (int)i;
  parquet_value *value = &t->values[i];
  strbuf *text = &t->texts[i];
  *value = (parquet_value){.is_null = sqlite3_column_type(rows, column) == SQLITE_NULL,
                           .kind = t->fields[i].kind};
  if (value->is_null) return;
  if (value->kind == PARQUET_INTEGER) {
    value->integer = sqlite3_column_int64(rows, column);
  } else if (value->kind == PARQUET_NUMBER) {
    value->number = sqlite3_column_double(rows, column);
  } else if (!t->fields[i].is_text) {
    value->bytes = sqlite3_column_blob(rows, column);
    value->size = (size_t)sqlite3_column_bytes(rows, column);
  } else {
    strbuf_clear(text);
    put_string(rows, column, text);
    value->bytes = strbuf_string(text);
    value->size = text->length;
  }
}

static err look_through(store *s, sqlite3_stmt *rows, const table *t) {
  bool more;
  err error = NULL;
  while (!error && !(error = sql_next(s, rows, &more)) && more)
    for (size_t i = 0; i < t->count; i++) t->seen[i] |= seen_of(rows, (int)i);
  for (size_t i = 0; i < t->count && !error; i++) t->fields[i] = field_of(rows, (int)i, t->seen[i]);
  sqlite3_reset(rows);
  return error;
}

static err write_rows(store *s, sqlite3_stmt *rows, const table *t, parquet_writer *w,
                      int64_t *count) {
  bool more;
  err error = NULL;
  while (!error && !(error = sql_next(s, rows, &more)) && more) {
    for (size_t i = 0; i < t->count; i++) {
      take_value(t, rows, i);
      if (t->texts[i].is_broken) return mem_error(t->texts[i].length, "an export");
    }
    error = parquet_writer_add(w, t->values);
    ++*count;
  }
  return error ? error : parquet_writer_finish(w);
}

err export_parquet_rows(store *s, sqlite3_stmt *rows, int fd, const char *path, int64_t *count) {
  parquet_writer *w = NULL;
  table t = {.count = (size_t)sqlite3_column_count(rows)};
  t.seen = mem_zeroed(t.count + 1, sizeof *t.seen);
  t.fields = mem_zeroed(t.count + 1, sizeof *t.fields);
  t.values = mem_zeroed(t.count + 1, sizeof *t.values);
  t.texts = mem_zeroed(t.count + 1, sizeof *t.texts);
  err error = t.seen && t.fields && t.values && t.texts
                  ? NULL
                  : mem_error(t.count * sizeof *t.values, "an export");
  if (!error) error = look_through(s, rows, &t);
  if (!error) error = parquet_writer_create(fd, path, t.fields, t.count, &w);
  if (!error) error = write_rows(s, rows, &t, w, count);
  parquet_writer_free(w);
  for (size_t i = 0; t.texts && i < t.count; i++) strbuf_free(&t.texts[i]);
  free(t.seen);
  free(t.fields);
  free(t.values);
  free(t.texts);
  return error;
}
