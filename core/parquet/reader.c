/* Rows of a Parquet file: a cursor per column, page by page. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>

#include "base/mem.h"
#include "parquet/format.h"

/* PageHeader, with the fields used from its three kinds. */
typedef struct {
  int64_t type, size, packed_size, values, encoding, level_encoding;
  int64_t nulls, level_bytes, repetition_bytes; /* version 2 */
  bool is_packed, has_sum;
  uint32_t sum;
} page_header;

/* The source of a page's values. */
typedef enum { FROM_PLAIN, FROM_DICTIONARY, FROM_RLE } value_source;

typedef struct {
  const parquet_column *column;
  const uint8_t *at, *end; /* pages left in the chunk */
  int codec;
  int64_t chunk_left, page_left; /* values, nulls included */
  uint8_t *page, *dictionary;    /* decompressed; values point into it */
  const uint8_t **entries;       /* of a dictionary of bytes */
  size_t dictionary_bytes, entry_count;
  bool has_dictionary, has_levels;
  hybrid_reader levels, numbers;
  value_source source;
  const uint8_t *plain, *plain_end;
  unsigned bit; /* of plain booleans */
} cursor;

bool parquet_is_file(const char *path) {
  char magic[4] = "";
  struct stat status;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  /* what is read of a pipe is lost to its reader */
  bool is_one = fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
                read(fd, magic, 4) == 4 && memcmp(magic, "PAR1", 4) == 0;
  if (fd >= 0) close(fd);
  return is_one;
}

static err map_file(parquet_file *f) {
  struct stat status;
  int fd = open(f->path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return err_errno(errno, "%s", f->path);
  err error = NULL;
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
    error = err_new(ERR_INPUT, "%s: is not a regular file", f->path);
  else if (status.st_size < 12)
    error = err_new(ERR_INPUT, "%s: is not a Parquet file, or is truncated: it has %lld bytes",
                    f->path, (long long)status.st_size);
  if (!error) {
    f->size = (size_t)status.st_size;
    void *bytes = mmap(NULL, f->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
      error = err_errno(errno, "%s: cannot be mapped", f->path);
    else
      f->bytes = bytes;
  }
  close(fd);
  return error;
}

static err find_footer(parquet_file *f) {
  const uint8_t *tail = f->bytes + f->size - 8;
  size_t size = tail[0] | (size_t)tail[1] << 8 | (size_t)tail[2] << 16 | (size_t)tail[3] << 24;
  if (memcmp(tail + 4, "PARE", 4) == 0)
    return err_new(ERR_UNSUPPORTED, "is encrypted, which is not supported");
  if (memcmp(f->bytes, "PAR1", 4) != 0)
    return err_new(ERR_INPUT, "is not a Parquet file: it does not begin with PAR1");
  if (memcmp(tail + 4, "PAR1", 4) != 0)
    return err_new(ERR_INPUT, "is truncated or damaged: it does not end with PAR1");
  if (size > f->size - 12 || size > MOST_FOOTER_BYTES)
    return err_new(ERR_INPUT, "is damaged: a footer of %zu bytes in a file of %zu", size, f->size);
  return parquet_read_footer(f, tail - size, size);
}

err parquet_open(const char *path, parquet_file **out) {
  parquet_file *f = mem_zeroed(1, sizeof *f);
  *out = NULL;
  if (!f) return mem_error(sizeof *f, path);
  f->path = mem_copy_string(path);
  err error = f->path ? map_file(f) : mem_error(strlen(path), path);
  if (!error) error = err_context(find_footer(f), "%s", path);
  if (error)
    parquet_close(f);
  else
    *out = f;
  return error;
}

void parquet_close(parquet_file *f) {
  if (!f) return;
  for (size_t i = 0; i < f->column_count; i++) free(f->columns[i].name);
  free(f->columns);
  free(f->group_rows);
  free(f->chunks);
  free(f->path);
  if (f->bytes) munmap((void *)(uintptr_t)f->bytes, f->size);
  free(f);
}

const parquet_column *parquet_columns(const parquet_file *f, size_t *count) {
  *count = f->column_count;
  return f->columns;
}

int64_t parquet_rows(const parquet_file *f) {
  return f->rows;
}

uint64_t parquet_size(const parquet_file *f) {
  return f->size;
}

static err damaged(const char *what) {
  return err_new(ERR_INPUT, "is damaged: %s", what);
}

/* The struct of one kind of page. Fields of the same meaning have different ids in each. */
static void read_page_kind(thrift_reader *r, int kind, page_header *h) {
  thrift_field field = {0};
  while (thrift_next(r, &field)) {
    int64_t *integer = NULL;
    if (field.id == 1) integer = &h->values;
    if (kind == PAGE_DATA_2) {
      if (field.id == 2) integer = &h->nulls;
      if (field.id == 4) integer = &h->encoding;
      if (field.id == 5) integer = &h->level_bytes;
      if (field.id == 6) integer = &h->repetition_bytes;
      if (field.id == 7) {
        h->is_packed = thrift_integer(r, field.type);
        continue;
      }
    } else {
      if (field.id == 2) integer = &h->encoding;
      if (field.id == 3 && kind == PAGE_DATA) integer = &h->level_encoding;
    }
    if (integer)
      *integer = thrift_integer(r, field.type);
    else
      thrift_skip(r, field.type);
  }
}

static err read_page_header(cursor *c, page_header *h) {
  thrift_reader r = {c->at, c->end, false};
  thrift_field field = {0};
  *h = (page_header){.type = -1,
                     .size = -1,
                     .packed_size = -1,
                     .values = -1,
                     .encoding = -1,
                     .level_encoding = ENCODING_RLE,
                     .is_packed = true};
  while (thrift_next(&r, &field)) {
    if (field.id == 1) {
      h->type = thrift_integer(&r, field.type);
    } else if (field.id == 2) {
      h->size = thrift_integer(&r, field.type);
    } else if (field.id == 3) {
      h->packed_size = thrift_integer(&r, field.type);
    } else if (field.id == 4) {
      h->sum = (uint32_t)thrift_integer(&r, field.type);
      h->has_sum = true;
    } else if ((field.id == 5 || field.id == 7 || field.id == 8) && field.type == THRIFT_STRUCT) {
      read_page_kind(&r,
                     field.id == 5   ? PAGE_DATA
                     : field.id == 7 ? PAGE_DICTIONARY
                                     : PAGE_DATA_2,
                     h);
    } else {
      thrift_skip(&r, field.type);
    }
  }
  if (r.is_broken || h->size < 0 || h->packed_size < 0 || h->packed_size > r.end - r.at)
    return damaged("a page's header is truncated, or the page is longer than its column");
  int64_t larger = h->size > h->packed_size ? h->size : h->packed_size;
  if (larger > MOST_PAGE_BYTES)
    return err_new(ERR_UNSUPPORTED, "has a page of %lld bytes; the limit is 512 MiB",
                   (long long)larger);
  c->at = r.at;
  if (h->has_sum && h->sum != (uint32_t)crc32(0, r.at, (uInt)h->packed_size))
    return damaged("the checksum of a page does not match");
  return NULL;
}

/* Decompresses the last `size` bytes of the page, after `head` uncompressed bytes. */
static err unpack_page(const cursor *c, const page_header *h, size_t head, uint8_t **out) {
  size_t packed = (size_t)h->packed_size, size = (size_t)h->size;
  if (head > packed || head > size) return damaged("a page is shorter than its levels");
  uint8_t *page = mem_resize(*out, size + 1, 1);
  if (!page) return mem_error(size, "a page");
  *out = page;
  if (head) memcpy(page, c->at, head);
  /* a page of only nulls may omit the packed part */
  if (packed == head && size == head) return NULL;
  return parquet_unpack(h->is_packed ? c->codec : CODEC_NONE, c->at + head, packed - head,
                        page + head, size - head);
}

static size_t width_of(int type) {
  return type == TYPE_INT32 || type == TYPE_FLOAT ? 4 : 8;
}

static uint32_t take_32(const uint8_t *at) {
  return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint64_t take_64(const uint8_t *at) {
  return take_32(at) | (uint64_t)take_32(at + 4) << 32;
}

/* Bytes preceded by their length: their start, or NULL if they do not fit. */
static const uint8_t *skip_entry(const uint8_t *at, const uint8_t *end) {
  if (end - at < 4 || take_32(at) > (uint64_t)(end - at - 4)) return NULL;
  return at + 4 + take_32(at);
}

static err index_entries(cursor *c, int64_t count) {
  const uint8_t *at = c->dictionary, *end = at + c->dictionary_bytes;
  free(c->entries);
  c->entries = mem_zeroed((size_t)count + 1, sizeof *c->entries);
  if (!c->entries) return mem_error((size_t)count * sizeof *c->entries, "a dictionary");
  for (int64_t i = 0; i < count; i++) {
    c->entries[i] = at;
    at = skip_entry(at, end);
    if (!at) return damaged("its dictionary is truncated");
  }
  return NULL;
}

static err read_dictionary(cursor *c, const page_header *h) {
  if (h->encoding != ENCODING_PLAIN && h->encoding != ENCODING_PLAIN_DICTIONARY)
    return err_new(ERR_UNSUPPORTED, "has a dictionary encoded as %s (%lld), which is not supported",
                   parquet_encoding_name((int)h->encoding), (long long)h->encoding);
  if (c->has_dictionary) return damaged("it has two dictionaries");
  err error = unpack_page(c, h, 0, &c->dictionary);
  if (error) return error;
  c->dictionary_bytes = (size_t)h->size;
  bool is_bytes = c->column->type == TYPE_BYTES;
  size_t width = is_bytes ? 4 : width_of(c->column->type);
  if (h->values < 0 || (uint64_t)h->values > c->dictionary_bytes / width ||
      c->column->type == TYPE_BOOLEAN)
    return damaged("its dictionary has fewer entries than its header states");
  c->entry_count = (size_t)h->values;
  c->has_dictionary = true;
  return is_bytes ? index_entries(c, h->values) : NULL;
}

/* Takes a part preceded by its length from the page. */
static bool take_part(const uint8_t **at, const uint8_t *end, hybrid_reader *out, unsigned width) {
  const uint8_t *next = skip_entry(*at, end);
  if (next) *out = (hybrid_reader){.at = *at + 4, .end = next, .width = width};
  if (next) *at = next;
  return next;
}

static err begin_values(cursor *c, const page_header *h, const uint8_t *at, const uint8_t *end) {
  bool is_boolean = c->column->type == TYPE_BOOLEAN;
  c->plain = at;
  c->plain_end = end;
  c->bit = 0;
  if (h->encoding == ENCODING_PLAIN) {
    c->source = FROM_PLAIN;
    return NULL;
  }
  if (h->encoding == ENCODING_RLE && is_boolean) {
    c->source = FROM_RLE;
    c->numbers = (hybrid_reader){0};
    if (at < end && !take_part(&at, end, &c->numbers, 1)) return damaged("a page is truncated");
    return NULL;
  }
  if (h->encoding != ENCODING_RLE_DICTIONARY && h->encoding != ENCODING_PLAIN_DICTIONARY)
    return err_new(
        ERR_UNSUPPORTED,
        "is encoded as %s (%lld), which is not supported; rewrite it with PLAIN or dictionary "
        "encoding",
        parquet_encoding_name((int)h->encoding), (long long)h->encoding);
  if (!c->has_dictionary) return damaged("it has no dictionary");
  c->source = FROM_DICTIONARY;
  unsigned width = at < end ? *at : 0;
  if (width > 32) return damaged("dictionary indices of more than 32 bits");
  c->numbers = (hybrid_reader){.at = at < end ? at + 1 : end, .end = end, .width = width};
  return NULL;
}

static err begin_page(cursor *c, const page_header *h) {
  bool is_second = h->type == PAGE_DATA_2;
  if (h->values < 0 || h->values > c->chunk_left)
    return damaged("its pages have more values than the column");
  if (h->repetition_bytes || h->level_bytes < 0) return damaged("it has levels of a nested column");
  if (!is_second && c->column->is_optional && h->level_encoding != ENCODING_RLE)
    return err_new(ERR_UNSUPPORTED, "has levels encoded as %s (%lld), which is not supported",
                   parquet_encoding_name((int)h->level_encoding), (long long)h->level_encoding);
  err error = unpack_page(c, h, is_second ? (size_t)h->level_bytes : 0, &c->page);
  if (error) return error;
  const uint8_t *at = c->page, *end = at + h->size;
  c->has_levels = c->column->is_optional;
  if (is_second) {
    c->levels = (hybrid_reader){.at = at, .end = at + h->level_bytes, .width = 1};
    at += h->level_bytes;
  } else if (c->has_levels && !take_part(&at, end, &c->levels, 1)) {
    return damaged("a page is truncated");
  }
  c->page_left = h->values;
  c->chunk_left -= h->values;
  return begin_values(c, h, at, end);
}

/* Advances to the next page with values. */
static err next_page(cursor *c) {
  while (!c->page_left) {
    page_header h;
    if (c->at == c->end) return damaged("its pages have fewer values than the column");
    err error = read_page_header(c, &h);
    if (!error && h.type == PAGE_DICTIONARY) error = read_dictionary(c, &h);
    if (!error && (h.type == PAGE_DATA || h.type == PAGE_DATA_2)) error = begin_page(c, &h);
    if (!error && (h.type < PAGE_DATA || h.type > PAGE_DATA_2))
      error = damaged("it has a page of an unknown type");
    if (error) return error;
    c->at += h.packed_size;
  }
  return NULL;
}

static void set_number(const parquet_column *column, const uint8_t *at, parquet_value *out) {
  uint32_t half = take_32(at);
  uint64_t whole = width_of(column->type) == 8 ? take_64(at) : half;
  float narrow;
  switch (column->type) {
  case TYPE_INT32:
    out->integer = column->is_unsigned ? (int64_t)half : (int64_t)(int32_t)half;
    break;
  case TYPE_INT64:
    out->integer = (int64_t)whole;
    break;
  case TYPE_FLOAT:
    memcpy(&narrow, &half, 4);
    out->number = (double)narrow;
    break;
  default:
    memcpy(&out->number, &whole, 8);
  }
}

static void set_bytes(const uint8_t *entry, parquet_value *out) {
  out->bytes = (const char *)entry + 4;
  out->size = take_32(entry);
}

static err check_unsigned(const parquet_column *column, const parquet_value *value) {
  if (column->kind != PARQUET_INTEGER || !column->is_unsigned || value->integer >= 0) return NULL;
  return err_new(ERR_UNSUPPORTED, "has the value %llu; the limit is 2^63 - 1",
                 (unsigned long long)value->integer);
}

static err take_plain(cursor *c, parquet_value *out) {
  int type = c->column->type;
  const uint8_t *next = NULL;
  if (type == TYPE_BYTES) {
    next = skip_entry(c->plain, c->plain_end);
    if (next) set_bytes(c->plain, out);
  } else if (type == TYPE_BOOLEAN) {
    if (c->plain == c->plain_end) return damaged("a page is truncated");
    out->integer = *c->plain >> c->bit & 1;
    c->bit = (c->bit + 1) & 7;
    next = c->plain + !c->bit;
  } else if ((size_t)(c->plain_end - c->plain) >= width_of(type)) {
    next = c->plain + width_of(type);
    set_number(c->column, c->plain, out);
  }
  if (!next) return damaged("a page is truncated");
  c->plain = next;
  return check_unsigned(c->column, out);
}

static err take_value(cursor *c, parquet_value *out) {
  uint32_t level = 1, place = 0;
  if (!c->page_left) {
    err error = next_page(c);
    if (error) return error;
  }
  c->page_left--;
  *out = (parquet_value){.kind = c->column->kind};
  if (c->has_levels && !hybrid_next(&c->levels, &level)) return damaged("a page is truncated");
  out->is_null = !level;
  if (out->is_null) return NULL;
  if (c->source == FROM_PLAIN) return take_plain(c, out);
  if (!hybrid_next(&c->numbers, &place)) return damaged("a page is truncated");
  if (c->source == FROM_RLE) {
    out->integer = place & 1;
    return NULL;
  }
  if (place >= c->entry_count) return damaged("a value is not in its dictionary");
  if (c->column->type == TYPE_BYTES)
    set_bytes(c->entries[place], out);
  else
    set_number(c->column, c->dictionary + place * width_of(c->column->type), out);
  return check_unsigned(c->column, out);
}

static void begin_chunk(const parquet_file *f, size_t group, cursor *c) {
  const parquet_chunk *chunk = &f->chunks[group * f->leaf_count + c->column->leaf];
  c->at = f->bytes + chunk->start;
  c->end = c->at + chunk->size;
  c->codec = chunk->codec;
  c->chunk_left = chunk->values;
  c->page_left = 0;
  c->has_dictionary = false;
  c->entry_count = 0;
}

static err read_rows(parquet_file *f, cursor *cursors, parquet_value *values, size_t count,
                     parquet_row take, void *context) {
  int64_t row = 0;
  for (size_t g = 0; g < f->group_count; g++) {
    for (size_t i = 0; f->group_rows[g] && i < count; i++) begin_chunk(f, g, &cursors[i]);
    for (int64_t end = row + f->group_rows[g]; row < end;) {
      row++;
      for (size_t i = 0; i < count; i++) {
        err error = take_value(&cursors[i], &values[i]);
        if (error)
          return err_context(error, "%s: column '%s', row group %zu, row %lld", f->path,
                             cursors[i].column->name, g + 1, (long long)row);
      }
      err error = take(context, row, values);
      if (error) return error;
    }
  }
  return NULL;
}

err parquet_read(parquet_file *f, const size_t *columns, size_t count, parquet_row take,
                 void *context) {
  cursor *cursors = mem_zeroed(count + 1, sizeof *cursors);
  parquet_value *values = mem_zeroed(count + 1, sizeof *values);
  err error = cursors && values ? NULL : mem_error(count * sizeof *cursors, "columns");
  for (size_t i = 0; i < count && !error; i++) {
    const parquet_column *column = &f->columns[columns[i]];
    cursors[i].column = column;
    if (column->obstacle)
      error = err_new(ERR_UNSUPPORTED, "%s: column '%s' is %s, which is not supported", f->path,
                      column->name, column->obstacle);
  }
  if (!error) error = read_rows(f, cursors, values, count, take, context);
  for (size_t i = 0; cursors && i < count; i++) {
    free(cursors[i].page);
    free(cursors[i].dictionary);
    free((void *)cursors[i].entries);
  }
  free(cursors);
  free(values);
  return error;
}
