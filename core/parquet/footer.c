/* The footer of a Parquet file: its columns, and the offsets of each row group's chunks. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "parquet/format.h"

/* SchemaElement. */
typedef struct {
  int64_t type, repetition, children, converted;
  int logical; /* set member of LogicalType; 0: none */
  bool is_unsigned;
  const char *name;
  size_t name_size;
} element;

enum {
  LOGICAL_STRING = 1,
  LOGICAL_ENUM = 4,
  LOGICAL_INTEGER = 10,
  LOGICAL_UNKNOWN = 11,
  LOGICAL_JSON = 12
};

static err damaged(const char *what) {
  return err_new(ERR_INPUT, "is damaged: its footer %s", what);
}

static void read_integer_type(thrift_reader *r, element *e) {
  thrift_field field = {0};
  while (thrift_next(r, &field))
    if (field.id == 2)
      e->is_unsigned = !thrift_integer(r, field.type);
    else
      thrift_skip(r, field.type);
}

static void read_logical(thrift_reader *r, element *e) {
  thrift_field field = {0};
  while (thrift_next(r, &field)) {
    e->logical = field.id;
    if (field.id == LOGICAL_INTEGER && field.type == THRIFT_STRUCT)
      read_integer_type(r, e);
    else
      thrift_skip(r, field.type);
  }
}

static element read_element(thrift_reader *r) {
  element e = {.type = -1, .converted = -1};
  thrift_field field = {0};
  while (thrift_next(r, &field)) {
    int64_t *integer = field.id == 1   ? &e.type
                       : field.id == 3 ? &e.repetition
                       : field.id == 5 ? &e.children
                       : field.id == 6 ? &e.converted
                                       : NULL;
    if (integer)
      *integer = thrift_integer(r, field.type);
    else if (field.id == 4)
      e.name = thrift_bytes(r, field.type, &e.name_size);
    else if (field.id == 10 && field.type == THRIFT_STRUCT)
      read_logical(r, &e);
    else
      thrift_skip(r, field.type);
  }
  return e;
}

/* ConvertedType by number, for types other than plain numbers and strings. */
static const char *converted_obstacle(int64_t converted) {
  switch (converted) {
  case 5:
    return "of type DECIMAL";
  case 6:
    return "of type DATE";
  case 7:
  case 8:
    return "of type TIME";
  case 9:
  case 10:
    return "of type TIMESTAMP";
  case 20:
    return "of type BSON";
  case 21:
    return "of type INTERVAL";
  default:
    return NULL;
  }
}

static const char *logical_obstacle(int logical) {
  static const char *const names[] = {
      [5] = "of type DECIMAL",   [6] = "of type DATE",    [7] = "of type TIME",
      [8] = "of type TIMESTAMP", [13] = "of type BSON",   [14] = "of type UUID",
      [15] = "of type FLOAT16",  [16] = "of type VARIANT"};
  if (logical < 0 || logical > LOGICAL_JSON + 6) return "of an unknown type";
  return (size_t)logical < sizeof names / sizeof *names ? names[logical] : "of an unknown type";
}

static const char *find_obstacle(const element *e) {
  if (e->children > 0) return "a nested column (struct, list or map)";
  if (e->repetition == REPETITION_REPEATED) return "a repeated column (a list)";
  if (e->type == TYPE_INT96) return "of type INT96 (a timestamp)";
  const char *obstacle = converted_obstacle(e->converted);
  if (!obstacle) obstacle = logical_obstacle(e->logical);
  if (!obstacle && e->type == TYPE_FIXED) obstacle = "of type FIXED_LEN_BYTE_ARRAY";
  return obstacle;
}

static parquet_kind kind_of(int64_t type) {
  return type == TYPE_BOOLEAN                        ? PARQUET_BOOLEAN
         : type == TYPE_INT32 || type == TYPE_INT64  ? PARQUET_INTEGER
         : type == TYPE_FLOAT || type == TYPE_DOUBLE ? PARQUET_NUMBER
                                                     : PARQUET_BYTES;
}

static err add_column(parquet_file *f, const element *e) {
  parquet_column *columns = mem_resize(f->columns, f->column_count + 1, sizeof *columns);
  if (!columns) return mem_error(sizeof *columns, "columns");
  f->columns = columns;
  strbuf name = {0};
  strbuf_append_bytes(&name, e->name, e->name_size);
  parquet_column *c = &columns[f->column_count++];
  *c = (parquet_column){.name = strbuf_take(&name),
                        .kind = kind_of(e->type),
                        .is_optional = e->repetition == REPETITION_OPTIONAL,
                        .is_unsigned = e->is_unsigned || (e->converted >= 11 && e->converted <= 14),
                        .is_always_null = e->logical == LOGICAL_UNKNOWN,
                        .obstacle = find_obstacle(e),
                        .type = (int)e->type,
                        .leaf = f->leaf_count};
  c->is_text =
      c->kind == PARQUET_BYTES &&
      (e->converted == CONVERTED_UTF8 || e->converted == 4 || e->converted == 19 ||
       e->logical == LOGICAL_STRING || e->logical == LOGICAL_ENUM || e->logical == LOGICAL_JSON);
  return c->name ? NULL : mem_error(e->name_size, "a column's name");
}

/* A top-level column, with all nested elements. */
static err read_column(parquet_file *f, thrift_reader *r, size_t *left) {
  element e = read_element(r);
  --*left;
  if (r->is_broken || !e.name || e.children < 0) return damaged("names no columns");
  if (e.children == 0 && (e.type < TYPE_BOOLEAN || e.type > TYPE_FIXED))
    return damaged("has a column of an unknown type");
  err error = add_column(f, &e);
  uint64_t open = (uint64_t)e.children;
  f->leaf_count += e.children == 0;
  for (; !error && open > 0; open--) {
    if (open > *left) return damaged("has fewer columns than its header states");
    e = read_element(r);
    --*left;
    if (r->is_broken || e.children < 0) return damaged("names no columns");
    open += (uint64_t)e.children;
    f->leaf_count += e.children == 0;
  }
  return error;
}

static err read_schema(parquet_file *f, thrift_reader *r, thrift_type type) {
  thrift_type kind;
  size_t left = thrift_list(r, type, &kind);
  if (f->columns || !left || kind != THRIFT_STRUCT) return damaged("has no columns");
  err error = NULL;
  element root = read_element(r);
  left--;
  for (int64_t i = 0; i < root.children && !error; i++)
    error = left ? read_column(f, r, &left) : damaged("has fewer columns than its header states");
  if (!error && (left || !f->column_count))
    error = damaged("has different columns than its header states");
  return error;
}

/* ColumnMetaData. */
static void read_chunk_metadata(thrift_reader *r, parquet_chunk *chunk) {
  thrift_field field = {0};
  int64_t type = -1, codec = -1, data = -1, dictionary = -1;
  while (thrift_next(r, &field)) {
    int64_t *integer = field.id == 1    ? &type
                       : field.id == 4  ? &codec
                       : field.id == 5  ? &chunk->values
                       : field.id == 7  ? &chunk->size
                       : field.id == 9  ? &data
                       : field.id == 11 ? &dictionary
                                        : NULL;
    if (integer)
      *integer = thrift_integer(r, field.type);
    else
      thrift_skip(r, field.type);
  }
  chunk->type = type >= 0 && type <= TYPE_FIXED ? (int)type : -1;
  chunk->codec = codec >= 0 && codec < 1000 ? (int)codec : -1;
  chunk->start = dictionary > 0 && dictionary < data ? dictionary : data;
}

static err read_chunk(thrift_reader *r, parquet_chunk *chunk) {
  thrift_field field = {0};
  const char *obstacle = NULL;
  *chunk = (parquet_chunk){.start = -1, .size = -1, .values = -1};
  while (thrift_next(r, &field)) {
    if (field.id == 1) obstacle = "stores columns in other files, which is not supported";
    if (field.id == 8) obstacle = "has encrypted columns";
    if (field.id == 3 && field.type == THRIFT_STRUCT)
      read_chunk_metadata(r, chunk);
    else
      thrift_skip(r, field.type);
  }
  if (r->is_broken || chunk->start < 0 || chunk->size < 0 || chunk->values < 0)
    return obstacle ? err_new(ERR_UNSUPPORTED, "%s, which is not supported", obstacle)
                    : damaged("does not give a column's offset");
  return obstacle ? err_new(ERR_UNSUPPORTED, "%s, which is not supported", obstacle) : NULL;
}

static err read_chunks(parquet_file *f, thrift_reader *r, thrift_type type) {
  thrift_type kind;
  size_t count = thrift_list(r, type, &kind);
  if (count != f->leaf_count || kind != THRIFT_STRUCT)
    return damaged("has a row group whose columns differ from the file's");
  parquet_chunk *chunks =
      mem_resize(f->chunks, (f->group_count + 1) * f->leaf_count, sizeof *chunks);
  if (!chunks) return mem_error(f->leaf_count * sizeof *chunks, "row groups");
  f->chunks = chunks;
  err error = NULL;
  for (size_t i = 0; i < count && !error; i++)
    error = read_chunk(r, &chunks[f->group_count * f->leaf_count + i]);
  return error;
}

static err read_group(parquet_file *f, thrift_reader *r) {
  thrift_field field = {0};
  int64_t rows = -1;
  bool has_chunks = false;
  err error = NULL;
  while (!error && thrift_next(r, &field)) {
    if (field.id == 1 && !has_chunks) {
      error = read_chunks(f, r, field.type);
      has_chunks = true;
    } else if (field.id == 3) {
      rows = thrift_integer(r, field.type);
    } else {
      thrift_skip(r, field.type);
    }
  }
  if (!error && (r->is_broken || !has_chunks || rows < 0))
    error = damaged("has a row group without columns or rows");
  f->group_rows[f->group_count++] = rows;
  return error;
}

static err read_groups(parquet_file *f, thrift_reader *r, thrift_type type) {
  thrift_type kind;
  size_t count = thrift_list(r, type, &kind);
  if (!f->columns) return damaged("has row groups before columns");
  if (f->group_rows || (count && kind != THRIFT_STRUCT)) return damaged("has no row groups");
  f->group_rows = mem_zeroed(count + 1, sizeof *f->group_rows);
  if (!f->group_rows) return mem_error(count * sizeof *f->group_rows, "row groups");
  err error = NULL;
  for (size_t i = 0; i < count && !error; i++) error = read_group(f, r);
  return error;
}

/* Checks that the row groups' rows add up to the file's, and that each column has as many values
 * and lies before the footer. */
static err check_groups(const parquet_file *f, const uint8_t *footer) {
  int64_t left = f->rows, end = footer - f->bytes;
  for (size_t g = 0; g < f->group_count; g++) {
    if (f->group_rows[g] > left) return damaged("states more rows in its row groups than in total");
    left -= f->group_rows[g];
    if (!f->group_rows[g]) continue; /* pyarrow gives an empty column no offset */
    for (size_t i = 0; i < f->leaf_count; i++) {
      const parquet_chunk *c = &f->chunks[g * f->leaf_count + i];
      if (c->start < 4 || c->start > end || c->size > end - c->start)
        return damaged("has a column offset outside the file");
    }
    for (size_t i = 0; i < f->column_count; i++) {
      const parquet_column *column = &f->columns[i];
      if (column->obstacle) continue;
      const parquet_chunk *c = &f->chunks[g * f->leaf_count + column->leaf];
      if (c->values != f->group_rows[g])
        return damaged("states a number of values that differs from its rows");
      if (c->type != column->type) return damaged("gives a column two types");
    }
  }
  return left ? damaged("states fewer rows in its row groups than in total") : NULL;
}

err parquet_read_footer(parquet_file *f, const uint8_t *footer, size_t size) {
  thrift_reader r = {footer, footer + size, false};
  thrift_field field = {0};
  err error = NULL;
  f->rows = -1;
  while (!error && thrift_next(&r, &field)) {
    if (field.id == 2)
      error = read_schema(f, &r, field.type);
    else if (field.id == 3)
      f->rows = thrift_integer(&r, field.type);
    else if (field.id == 4)
      error = read_groups(f, &r, field.type);
    else if (field.id == 8)
      error = err_new(ERR_UNSUPPORTED, "is encrypted, which is not supported");
    else
      thrift_skip(&r, field.type);
  }
  if (!error && (r.is_broken || f->rows < 0 || !f->columns))
    error = damaged("is truncated or not a footer");
  return error ? error : check_groups(f, footer);
}
