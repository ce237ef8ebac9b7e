#include "parquet/thrift.h"

#include <string.h>

enum { DEEPEST = 32 }; /* nested structs; Parquet's have six levels */

static void break_off(thrift_reader *r) {
  r->is_broken = true;
  r->at = r->end;
}

static uint8_t take_byte(thrift_reader *r) {
  if (r->at < r->end) return *r->at++;
  break_off(r);
  return 0;
}

uint64_t thrift_varint(thrift_reader *r) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    uint8_t byte = take_byte(r);
    value |= (uint64_t)(byte & 0x7F) << shift;
    if (!(byte & 0x80)) return r->is_broken ? 0 : value;
  }
  break_off(r);
  return 0;
}

static int64_t take_zigzag(thrift_reader *r) {
  uint64_t value = thrift_varint(r);
  return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

bool thrift_next(thrift_reader *r, thrift_field *field) {
  uint8_t head = take_byte(r);
  if (r->is_broken || head == THRIFT_STOP) return false;
  int64_t id = head >> 4 ? field->id + (head >> 4) : take_zigzag(r);
  if ((head & 0x0F) > THRIFT_STRUCT || !(head & 0x0F) || id < 1 || id > INT16_MAX) break_off(r);
  *field = (thrift_field){r->is_broken ? 0 : (int)id, (thrift_type)(head & 0x0F)};
  return !r->is_broken;
}

static void skip_bytes(thrift_reader *r, uint64_t count) {
  if (count > (uint64_t)(r->end - r->at))
    break_off(r);
  else
    r->at += count;
}

static void skip_value(thrift_reader *r, thrift_type type, bool is_element, int depth);

static void skip_list(thrift_reader *r, thrift_type type, int depth) {
  thrift_type element;
  size_t count = thrift_list(r, type, &element);
  for (size_t i = 0; i < count && !r->is_broken; i++) skip_value(r, element, true, depth);
}

static void skip_map(thrift_reader *r, int depth) {
  uint64_t count = thrift_varint(r);
  uint8_t types = count ? take_byte(r) : 0;
  for (uint64_t i = 0; i < count && !r->is_broken; i++) {
    skip_value(r, (thrift_type)(types >> 4), true, depth);
    skip_value(r, (thrift_type)(types & 0x0F), true, depth);
  }
}

/* A boolean is in its field's header, but a separate byte as a list element. */
static void skip_value(thrift_reader *r, thrift_type type, bool is_element, int depth) {
  thrift_field field = {0};
  if (depth > DEEPEST) break_off(r);
  if (r->is_broken) return;
  switch (type) {
  case THRIFT_TRUE:
  case THRIFT_FALSE:
    if (is_element) skip_bytes(r, 1);
    break;
  case THRIFT_BYTE:
    skip_bytes(r, 1);
    break;
  case THRIFT_I16:
  case THRIFT_I32:
  case THRIFT_I64:
    thrift_varint(r);
    break;
  case THRIFT_DOUBLE:
    skip_bytes(r, 8);
    break;
  case THRIFT_BINARY:
    skip_bytes(r, thrift_varint(r));
    break;
  case THRIFT_LIST:
  case THRIFT_SET:
    skip_list(r, type, depth + 1);
    break;
  case THRIFT_MAP:
    skip_map(r, depth + 1);
    break;
  case THRIFT_STRUCT:
    while (thrift_next(r, &field)) skip_value(r, field.type, false, depth + 1);
    break;
  default:
    break_off(r);
  }
}

void thrift_skip(thrift_reader *r, thrift_type type) {
  skip_value(r, type, false, 0);
}

int64_t thrift_integer(thrift_reader *r, thrift_type type) {
  if (type == THRIFT_TRUE || type == THRIFT_FALSE) return type == THRIFT_TRUE;
  if (type == THRIFT_I16 || type == THRIFT_I32 || type == THRIFT_I64) return take_zigzag(r);
  break_off(r);
  return 0;
}

const char *thrift_bytes(thrift_reader *r, thrift_type type, size_t *size) {
  const char *bytes;
  if (type != THRIFT_BINARY) break_off(r);
  uint64_t length = thrift_varint(r);
  bytes = (const char *)r->at;
  skip_bytes(r, length);
  *size = r->is_broken ? 0 : (size_t)length;
  return r->is_broken ? NULL : bytes;
}

size_t thrift_list(thrift_reader *r, thrift_type type, thrift_type *element) {
  if (type != THRIFT_LIST && type != THRIFT_SET) break_off(r);
  uint8_t head = take_byte(r);
  uint64_t count = head >> 4 == 15 ? thrift_varint(r) : head >> 4;
  *element = (thrift_type)(head & 0x0F);
  if (count > (uint64_t)(r->end - r->at)) break_off(r);
  return r->is_broken ? 0 : (size_t)count;
}

void thrift_put_varint(strbuf *out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) strbuf_append_char(out, (char)(value | 0x80));
  strbuf_append_char(out, (char)value);
}

void thrift_put_field(strbuf *out, int *last, int id, thrift_type type) {
  strbuf_append_char(out, (char)((id - *last) << 4 | (int)type)); /* ids at most 15 apart */
  *last = id;
}

void thrift_put_integer(strbuf *out, int *last, int id, thrift_type type, int64_t value) {
  thrift_put_field(out, last, id, type);
  thrift_put_varint(out, (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0));
}

void thrift_put_bytes(strbuf *out, const void *bytes, size_t size) {
  thrift_put_varint(out, size);
  strbuf_append_bytes(out, bytes, size);
}

void thrift_put_list(strbuf *out, size_t count, thrift_type element) {
  if (count < 15) {
    strbuf_append_char(out, (char)(count << 4 | element));
    return;
  }
  strbuf_append_char(out, (char)(0xF0 | element));
  thrift_put_varint(out, count);
}

void thrift_put_stop(strbuf *out) {
  strbuf_append_char(out, THRIFT_STOP);
}
