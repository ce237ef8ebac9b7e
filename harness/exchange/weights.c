#include "exchange/weights.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"

/* A safetensors file: 8 bytes, little-endian, of header length; a JSON object of
 * {name: {dtype, shape, data_offsets: [begin, end]}}; the data. */
typedef struct {
  char *bytes;
  size_t length;
  json_t *header;
  const char *data;
  size_t data_length;
} weights_file;

static void close_file(weights_file *f) {
  json_decref(f->header);
  free(f->bytes);
}

static err open_header(const char *path, weights_file *f) {
  uint64_t header_length = 0;
  for (int i = 7; f->length >= 8 && i >= 0; i--)
    header_length = header_length << 8 | (unsigned char)f->bytes[i];
  if (f->length < 8 || header_length > f->length - 8)
    return err_new(ERR_INPUT, "%s: not a safetensors file", path);
  f->data = f->bytes + 8 + header_length;
  f->data_length = f->length - 8 - header_length;
  f->header = json_loadb(f->bytes + 8, header_length, 0, NULL);
  if (!json_is_object(f->header))
    return err_new(ERR_INPUT, "%s: its header is not a JSON object", path);
  return NULL;
}

typedef struct {
  const char *data;
  size_t length;
  const char *type;
} tensor;

/* False for an entry that is not a tensor or lies outside the file. */
static bool find_tensor(const weights_file *f, const char *name, tensor *t) {
  const json_t *entry = json_object_get(f->header, name);
  const json_t *offsets = json_object_get(entry, "data_offsets");
  json_int_t begin = json_integer_value(json_array_get(offsets, 0));
  json_int_t end = json_integer_value(json_array_get(offsets, 1));
  t->type = json_string_value(json_object_get(entry, "dtype"));
  if (!t->type || begin < 0 || end < begin || (size_t)end > f->data_length) return false;
  t->data = f->data + begin;
  t->length = (size_t)(end - begin);
  return true;
}

/* NaN if one of the numbers that differ is none. */
static double greatest_difference(const tensor *a, const tensor *b) {
  double greatest = 0;
  for (size_t at = 0; at + 4 <= a->length; at += 4) {
    float x, y;
    if (memcmp(a->data + at, b->data + at, 4) == 0) continue;
    memcpy(&x, a->data + at, 4);
    memcpy(&y, b->data + at, 4);
    double difference = fabs((double)x - (double)y);
    if (isnan(difference)) return difference;
    if (difference > greatest) greatest = difference;
  }
  return greatest;
}

static void compare_tensor(const weights_file *a, const weights_file *b, const char *name,
                           weights_comparison *result) {
  tensor x, y;
  result->tensors++;
  bool are_both = find_tensor(a, name, &x) && find_tensor(b, name, &y);
  bool are_alike = are_both && x.length == y.length && strcmp(x.type, y.type) == 0;
  if (are_alike && memcmp(x.data, y.data, x.length) == 0) return;
  result->different++;
  double greatest = are_alike && strcmp(x.type, "F32") == 0 ? greatest_difference(&x, &y) : 0;
  bool is_worse = isnan(greatest) ? !isnan(result->greatest) : greatest > result->greatest;
  if (*result->worst && !is_worse) return;
  result->greatest = greatest;
  snprintf(result->worst, sizeof result->worst, "%s", name);
}

err weights_compare(const char *path_a, const char *path_b, weights_comparison *result) {
  weights_file a = {0}, b = {0};
  const char *name;
  json_t *entry;
  err error = NULL;
  *result = (weights_comparison){0};
  TRY(fs_read(path_a, &a.bytes, &a.length));
  TRY(fs_read(path_b, &b.bytes, &b.length));
  bool are_equal = a.length == b.length && memcmp(a.bytes, b.bytes, a.length) == 0;
  err_free(are_equal ? open_header(path_a, &a) : NULL); /* only to count its tensors */
  if (!are_equal) TRY(open_header(path_a, &a));
  if (!are_equal) TRY(open_header(path_b, &b));
  json_object_foreach(a.header, name, entry) {
    if (strcmp(name, "__metadata__") == 0) continue;
    if (are_equal)
      result->tensors++;
    else
      compare_tensor(&a, &b, name, result);
  }
  if (!are_equal) json_object_foreach(b.header, name, entry) {
      if (strcmp(name, "__metadata__") == 0 || json_object_get(a.header, name)) continue;
      compare_tensor(&a, &b, name, result);
    }
cleanup:
  close_file(&a);
  close_file(&b);
  return error;
}

/* ---- checksums, as core/train/safetensors.h describes them ---- */

static const char checked_start[] = "{\"__metadata__\":{\"flip.checksum\":\"";

/* The header's, in which its own digits count as zeros. */
static err check_header(const char *header, size_t length) {
  enum { START = sizeof checked_start - 1, DIGITS = HASH_SIZE - 1 };
  char digest[HASH_SIZE], zeros[DIGITS];
  if (length < START + DIGITS || memcmp(header, checked_start, START) != 0) return NULL;
  hash_state *state = hash_begin();
  if (!state) return mem_error(0, "a checksum");
  memset(zeros, '0', sizeof zeros);
  hash_add(state, header, START);
  hash_add(state, zeros, DIGITS);
  hash_add(state, header + START + DIGITS, length - START - DIGITS);
  hash_finish(state, digest);
  if (memcmp(digest, header + START, DIGITS) == 0) return NULL;
  return err_new(ERR_INPUT, "its header differs from its checksum");
}

static err check_tensors(const weights_file *f) {
  static const char prefix[] = "flip.checksum/";
  const char *key;
  json_t *value;
  json_object_foreach(json_object_get(f->header, "__metadata__"), key, value) {
    char digest[HASH_SIZE];
    tensor t;
    if (strncmp(key, prefix, strlen(prefix)) != 0 || !json_is_string(value)) continue;
    const char *name = key + strlen(prefix);
    if (!find_tensor(f, name, &t)) return err_new(ERR_INPUT, "it has no tensor '%s'", name);
    hash_bytes(t.data, t.length, digest);
    if (strcmp(digest, json_string_value(value)) != 0)
      return err_new(ERR_INPUT, "tensor '%s' differs from its checksum", name);
  }
  return NULL;
}

err weights_check(const char *path) {
  weights_file f = {0};
  err error = NULL, other = NULL;
  TRY(fs_read(path, &f.bytes, &f.length));
  other = open_header(path, &f);
  if (f.data) TRY(check_header(f.bytes + 8, f.length - 8 - f.data_length));
  if (!other) error = check_tensors(&f);
cleanup:
  err_free(other);
  close_file(&f);
  return error;
}
