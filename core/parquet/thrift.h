/* The subset of Thrift's compact protocol that Parquet uses: structs of fields, lists, integers,
 * strings. Reads never leave the given bytes; after an error `is_broken` is set and everything
 * reads as 0. */
#ifndef FLIP_PARQUET_THRIFT_H
#define FLIP_PARQUET_THRIFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

/* Types on the wire. */
typedef enum {
  THRIFT_STOP,
  THRIFT_TRUE,
  THRIFT_FALSE,
  THRIFT_BYTE,
  THRIFT_I16,
  THRIFT_I32,
  THRIFT_I64,
  THRIFT_DOUBLE,
  THRIFT_BINARY,
  THRIFT_LIST,
  THRIFT_SET,
  THRIFT_MAP,
  THRIFT_STRUCT
} thrift_type;

typedef struct {
  const uint8_t *at, *end;
  bool is_broken;
} thrift_reader;

/* A field of a struct; id 0 before the first. */
typedef struct {
  int id;
  thrift_type type;
} thrift_field;

uint64_t thrift_varint(thrift_reader *r);
/* The next field of a struct; false at its end. Its value must then be read or skipped. */
bool thrift_next(thrift_reader *r, thrift_field *field);
void thrift_skip(thrift_reader *r, thrift_type type);
/* The value of a field; a field of another type is a fault. */
int64_t thrift_integer(thrift_reader *r, thrift_type type);
/* Bytes inside the reader's buffer; NULL with size 0 after an error. */
const char *thrift_bytes(thrift_reader *r, thrift_type type, size_t *size);
/* The start of a list: its number of elements, at most one per remaining byte. */
size_t thrift_list(thrift_reader *r, thrift_type type, thrift_type *element);

/* Writing. `last` is the id of the struct's previous field, 0 at the start. */
void thrift_put_varint(strbuf *out, uint64_t value);
void thrift_put_field(strbuf *out, int *last, int id, thrift_type type);
void thrift_put_integer(strbuf *out, int *last, int id, thrift_type type, int64_t value);
void thrift_put_bytes(strbuf *out, const void *bytes, size_t size);
void thrift_put_list(strbuf *out, size_t count, thrift_type element);
void thrift_put_stop(strbuf *out);

#endif
