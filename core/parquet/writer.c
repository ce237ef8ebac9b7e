/* Writes Parquet files of optional flat columns: PLAIN values in zstd pages, one page per column
 * and row group. */
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "parquet/format.h"

enum { GROUP_BYTES = 8 << 20, GROUP_ROWS = 1 << 20, LEVEL = 3 };

typedef struct {
  char *name;
  parquet_kind kind;
  bool is_text;
  strbuf values; /* of the row group */
  uint8_t *defined;
  int64_t nulls, present; /* present: for packed booleans */
} column_writer;

struct parquet_writer {
  int fd;
  const char *path;
  column_writer *columns;
  size_t count;
  int64_t rows, group_rows, offset;
  size_t group_bytes, group_count;
  strbuf groups; /* RowGroup structs */
};

static int type_of(parquet_kind kind) {
  static const int types[] = {[PARQUET_BOOLEAN] = TYPE_BOOLEAN,
                              [PARQUET_INTEGER] = TYPE_INT64,
                              [PARQUET_NUMBER] = TYPE_DOUBLE,
                              [PARQUET_BYTES] = TYPE_BYTES};
  return types[kind];
}

static err write_bytes(parquet_writer *w, const void *bytes, size_t size) {
  w->offset += (int64_t)size;
  return fs_write_all(w->fd, bytes, size, w->path);
}

err parquet_writer_create(int fd, const char *path, const parquet_field *fields, size_t count,
                          parquet_writer **out) {
  parquet_writer *w = mem_zeroed(1, sizeof *w);
  *out = w;
  if (!w) return mem_error(sizeof *w, path);
  w->fd = fd;
  w->path = path;
  w->columns = mem_zeroed(count + 1, sizeof *w->columns);
  if (!w->columns) return mem_error(count * sizeof *w->columns, path);
  w->count = count;
  for (size_t i = 0; i < count; i++) {
    column_writer *c = &w->columns[i];
    *c = (column_writer){.name = mem_copy_string(fields[i].name),
                         .kind = fields[i].kind,
                         .is_text = fields[i].is_text,
                         .defined = mem_zeroed(GROUP_ROWS / 8, 1)};
    if (!c->name || !c->defined) return mem_error(GROUP_ROWS / 8, path);
  }
  return write_bytes(w, "PAR1", 4);
}

static void put_fixed(strbuf *out, uint64_t value, unsigned bytes) {
  for (unsigned i = 0; i < bytes; i++) strbuf_append_char(out, (char)(value >> 8 * i));
}

static void put_value(column_writer *c, const parquet_value *value) {
  uint64_t bits;
  switch (c->kind) {
  case PARQUET_BOOLEAN:
    if (!(c->present & 7)) strbuf_append_char(&c->values, 0);
    if (value->integer && !c->values.is_broken)
      c->values.data[c->values.length - 1] |= (char)(1 << (c->present & 7));
    break;
  case PARQUET_INTEGER:
    put_fixed(&c->values, (uint64_t)value->integer, 8);
    break;
  case PARQUET_NUMBER:
    memcpy(&bits, &value->number, 8);
    put_fixed(&c->values, bits, 8);
    break;
  case PARQUET_BYTES:
    put_fixed(&c->values, value->size, 4);
    strbuf_append_bytes(&c->values, value->bytes, value->size);
  }
  c->present++;
}

/* Definition levels: one run, of ones, or bit-packed if there are nulls. */
static void put_levels(const parquet_writer *w, const column_writer *c, strbuf *page) {
  strbuf levels = {0};
  uint64_t rows = (uint64_t)w->group_rows, eights = (rows + 7) / 8;
  if (c->nulls) {
    thrift_put_varint(&levels, eights << 1 | 1);
    strbuf_append_bytes(&levels, c->defined, eights);
  } else {
    thrift_put_varint(&levels, rows << 1);
    strbuf_append_char(&levels, 1);
  }
  put_fixed(page, levels.length, 4);
  strbuf_append_bytes(page, levels.data, levels.length);
  page->is_broken |= levels.is_broken;
  strbuf_free(&levels);
}

static void put_page_header(const parquet_writer *w, size_t size, size_t packed, strbuf *out) {
  int last = 0, inner = 0;
  thrift_put_integer(out, &last, 1, THRIFT_I32, PAGE_DATA);
  thrift_put_integer(out, &last, 2, THRIFT_I32, (int64_t)size);
  thrift_put_integer(out, &last, 3, THRIFT_I32, (int64_t)packed);
  thrift_put_field(out, &last, 5, THRIFT_STRUCT);
  thrift_put_integer(out, &inner, 1, THRIFT_I32, w->group_rows);
  thrift_put_integer(out, &inner, 2, THRIFT_I32, ENCODING_PLAIN);
  thrift_put_integer(out, &inner, 3, THRIFT_I32, ENCODING_RLE);
  thrift_put_integer(out, &inner, 4, THRIFT_I32, ENCODING_RLE);
  thrift_put_stop(out);
  thrift_put_stop(out);
}

/* ColumnChunk with its ColumnMetaData. */
static void put_chunk(parquet_writer *w, const column_writer *c, int64_t start, size_t size) {
  strbuf *out = &w->groups;
  int last = 0, inner = 0, sums = 0;
  thrift_put_integer(out, &last, 2, THRIFT_I64, 0); /* file_offset: deprecated */
  thrift_put_field(out, &last, 3, THRIFT_STRUCT);
  thrift_put_integer(out, &inner, 1, THRIFT_I32, type_of(c->kind));
  thrift_put_field(out, &inner, 2, THRIFT_LIST);
  thrift_put_list(out, 2, THRIFT_I32);
  thrift_put_varint(out, ENCODING_PLAIN << 1);
  thrift_put_varint(out, ENCODING_RLE << 1);
  thrift_put_field(out, &inner, 3, THRIFT_LIST);
  thrift_put_list(out, 1, THRIFT_BINARY);
  thrift_put_bytes(out, c->name, strlen(c->name));
  thrift_put_integer(out, &inner, 4, THRIFT_I32, CODEC_ZSTD);
  thrift_put_integer(out, &inner, 5, THRIFT_I64, w->group_rows);
  thrift_put_integer(out, &inner, 6, THRIFT_I64, (int64_t)size);
  thrift_put_integer(out, &inner, 7, THRIFT_I64, w->offset - start);
  thrift_put_integer(out, &inner, 9, THRIFT_I64, start);
  thrift_put_field(out, &inner, 12, THRIFT_STRUCT); /* Statistics */
  thrift_put_integer(out, &sums, 3, THRIFT_I64, c->nulls);
  thrift_put_stop(out);
  thrift_put_stop(out);
  thrift_put_stop(out);
}

static err write_column(parquet_writer *w, column_writer *c, size_t *size) {
  strbuf page = {0}, header = {0};
  int64_t start = w->offset;
  char *packed = NULL;
  err error = NULL;
  put_levels(w, c, &page);
  strbuf_append_bytes(&page, c->values.data, c->values.length);
  if (page.is_broken || c->values.is_broken) FAIL(ERR_MEMORY, "out of memory: %s", w->path);
  size_t room = ZSTD_compressBound(page.length);
  packed = mem_resize(NULL, room, 1);
  if (!packed) FAIL(ERR_MEMORY, "out of memory: %s", w->path);
  size_t length = ZSTD_compress(packed, room, page.data, page.length, LEVEL);
  if (ZSTD_isError(length)) FAIL(ERR_MEMORY, "%s: zstd: %s", w->path, ZSTD_getErrorName(length));
  if (page.length > INT32_MAX || length > INT32_MAX)
    FAIL(ERR_UNSUPPORTED, "%s: column '%s' has a value of more than 2 GiB", w->path, c->name);
  put_page_header(w, page.length, length, &header);
  if (header.is_broken) FAIL(ERR_MEMORY, "out of memory: %s", w->path);
  *size = header.length + page.length;
  TRY(write_bytes(w, header.data, header.length));
  TRY(write_bytes(w, packed, length));
  put_chunk(w, c, start, *size);
cleanup:
  free(packed);
  strbuf_free(&page);
  strbuf_free(&header);
  return error;
}

static err write_group(parquet_writer *w) {
  int last = 0;
  size_t size = 0, total = 0;
  err error = NULL;
  if (!w->group_rows) return NULL;
  thrift_put_field(&w->groups, &last, 1, THRIFT_LIST);
  thrift_put_list(&w->groups, w->count, THRIFT_STRUCT);
  for (size_t i = 0; i < w->count && !error; i++) {
    column_writer *c = &w->columns[i];
    error = write_column(w, c, &size);
    total += size;
    strbuf_clear(&c->values);
    memset(c->defined, 0, GROUP_ROWS / 8);
    c->nulls = c->present = 0;
  }
  thrift_put_integer(&w->groups, &last, 2, THRIFT_I64, (int64_t)total);
  thrift_put_integer(&w->groups, &last, 3, THRIFT_I64, w->group_rows);
  thrift_put_stop(&w->groups);
  w->rows += w->group_rows;
  w->group_count++;
  w->group_rows = 0;
  w->group_bytes = 0;
  return error;
}

err parquet_writer_add(parquet_writer *w, const parquet_value *values) {
  for (size_t i = 0; i < w->count; i++) {
    column_writer *c = &w->columns[i];
    c->nulls += values[i].is_null;
    if (values[i].is_null) continue;
    if (c->kind == PARQUET_BYTES && values[i].size > INT32_MAX)
      return err_new(ERR_UNSUPPORTED, "%s: column '%s' has a value of more than 2 GiB", w->path,
                     c->name);
    c->defined[w->group_rows / 8] |= (uint8_t)(1 << (w->group_rows & 7));
    put_value(c, &values[i]);
    if (c->values.is_broken) return mem_error(c->values.length, w->path);
    w->group_bytes += c->kind == PARQUET_BYTES ? values[i].size + 4 : 8;
  }
  w->group_rows++;
  return w->group_bytes >= GROUP_BYTES || w->group_rows == GROUP_ROWS ? write_group(w) : NULL;
}

static void put_schema(const parquet_writer *w, strbuf *out) {
  int last = 0;
  thrift_put_list(out, w->count + 1, THRIFT_STRUCT);
  thrift_put_field(out, &last, 4, THRIFT_BINARY);
  thrift_put_bytes(out, "schema", 6);
  thrift_put_integer(out, &last, 5, THRIFT_I32, (int64_t)w->count);
  thrift_put_stop(out);
  for (size_t i = 0; i < w->count; i++) {
    const column_writer *c = &w->columns[i];
    last = 0;
    thrift_put_integer(out, &last, 1, THRIFT_I32, type_of(c->kind));
    thrift_put_integer(out, &last, 3, THRIFT_I32, REPETITION_OPTIONAL);
    thrift_put_field(out, &last, 4, THRIFT_BINARY);
    thrift_put_bytes(out, c->name, strlen(c->name));
    if (c->is_text) {
      int inner = 0;
      thrift_put_integer(out, &last, 6, THRIFT_I32, CONVERTED_UTF8);
      thrift_put_field(out, &last, 10, THRIFT_STRUCT);
      thrift_put_field(out, &inner, 1, THRIFT_STRUCT); /* StringType, which is empty */
      thrift_put_stop(out);
      thrift_put_stop(out);
    }
    thrift_put_stop(out);
  }
}

err parquet_writer_finish(parquet_writer *w) {
  static const char maker[] = "flipbench";
  strbuf footer = {0};
  int last = 0;
  err error = write_group(w);
  thrift_put_integer(&footer, &last, 1, THRIFT_I32, 2);
  thrift_put_field(&footer, &last, 2, THRIFT_LIST);
  put_schema(w, &footer);
  thrift_put_integer(&footer, &last, 3, THRIFT_I64, w->rows);
  thrift_put_field(&footer, &last, 4, THRIFT_LIST);
  thrift_put_list(&footer, w->group_count, THRIFT_STRUCT);
  strbuf_append_bytes(&footer, w->groups.data, w->groups.length);
  thrift_put_field(&footer, &last, 6, THRIFT_BINARY);
  thrift_put_bytes(&footer, maker, sizeof maker - 1);
  thrift_put_stop(&footer);
  put_fixed(&footer, footer.length, 4);
  strbuf_append(&footer, "PAR1");
  if (!error && (footer.is_broken || w->groups.is_broken))
    error = mem_error(footer.length, w->path);
  if (!error) error = write_bytes(w, footer.data, footer.length);
  strbuf_free(&footer);
  return error;
}

void parquet_writer_free(parquet_writer *w) {
  if (!w) return;
  for (size_t i = 0; w->columns && i < w->count; i++) {
    free(w->columns[i].name);
    free(w->columns[i].defined);
    strbuf_free(&w->columns[i].values);
  }
  free(w->columns);
  strbuf_free(&w->groups);
  free(w);
}
