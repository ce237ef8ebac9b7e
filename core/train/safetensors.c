#include "train/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"

enum { LENGTH_BYTES = 8, LONGEST_HEADER = 100 << 20, DIGITS = HASH_SIZE - 1 };

/* A header with a checksum begins so, and the digits follow: they are found without parsing. */
static const char checksum_key[] = "flip.checksum";
static const char checked_start[] = "{\"__metadata__\":{\"flip.checksum\":\"";
static const char zeros[] = "00000000000000000000000000000000";
_Static_assert(sizeof zeros == HASH_SIZE, "a checksum's place");
enum { CHECKED_START = sizeof checked_start - 1, KEY = SAFETENSORS_NAME + sizeof checksum_key };

struct safetensors_file {
  unsigned char *map;
  size_t size;
  json_t *header;
  safetensor *tensors;
  size_t count;
};

static size_t element_bytes(const char *type) {
  static const struct {
    const char *name;
    size_t bytes;
  } types[] = {{"F32", 4}, {"BF16", 2}, {"F16", 2}, {"F64", 8}, {"I64", 8},
               {"I32", 4}, {"I16", 2},  {"I8", 1},  {"U8", 1},  {"BOOL", 1}};
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (strcmp(types[i].name, type) == 0) return types[i].bytes;
  return 0;
}

static err read_entry(const char *name, json_t *value, const unsigned char *data, size_t data_bytes,
                      safetensor *t) {
  const char *type = json_string_value(json_object_get(value, "dtype"));
  json_t *shape = json_object_get(value, "shape"),
         *offsets = json_object_get(value, "data_offsets");
  if (!type || !json_is_array(shape) || !json_is_array(offsets) || json_array_size(offsets) != 2)
    return err_new(ERR_INPUT, "tensor '%s' lacks dtype, shape or data_offsets", name);
  if (strlen(name) >= sizeof t->name) return err_new(ERR_INPUT, "a tensor's name is too long");
  size_t bytes = element_bytes(type);
  if (!bytes) return err_new(ERR_INPUT, "tensor '%s' has the unknown type '%.16s'", name, type);
  if (json_array_size(shape) > SAFETENSORS_RANK)
    return err_new(ERR_INPUT, "tensor '%s' has more than %d dimensions", name, SAFETENSORS_RANK);
  *t = (safetensor){.rank = (int)json_array_size(shape)};
  snprintf(t->name, sizeof t->name, "%s", name);
  snprintf(t->type, sizeof t->type, "%s", type);
  for (int i = 0; i < t->rank; i++) {
    json_int_t side = json_integer_value(json_array_get(shape, (size_t)i));
    if (!json_is_integer(json_array_get(shape, (size_t)i)) || side < 0 ||
        __builtin_mul_overflow(bytes, (size_t)side, &bytes))
      return err_new(ERR_INPUT, "tensor '%s' has an impossible shape", name);
    t->shape[i] = side;
  }
  json_int_t start = json_integer_value(json_array_get(offsets, 0));
  json_int_t end = json_integer_value(json_array_get(offsets, 1));
  if (start < 0 || end < start || (size_t)end > data_bytes)
    return err_new(ERR_INPUT, "tensor '%s' lies outside the file (truncated?)", name);
  if ((size_t)(end - start) != bytes)
    return err_new(ERR_INPUT, "tensor '%s' has %lld bytes where its shape takes %zu", name,
                   (long long)(end - start), bytes);
  t->data = data + start;
  t->bytes = bytes;
  return NULL;
}

static int by_place(const void *a, const void *b) {
  const safetensor *x = a, *y = b;
  if (x->data != y->data) return (const char *)x->data < (const char *)y->data ? -1 : 1;
  return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

static err check_header(const char *header, size_t length) {
  char digest[HASH_SIZE];
  const size_t before = CHECKED_START + DIGITS;
  if (length < before || memcmp(header, checked_start, CHECKED_START) != 0) return NULL;
  hash_state *state = hash_begin();
  if (!state) return mem_error(0, "a checksum");
  hash_add(state, header, CHECKED_START);
  hash_add(state, zeros, DIGITS);
  hash_add(state, header + before, length - before);
  hash_finish(state, digest);
  if (memcmp(digest, header + CHECKED_START, DIGITS) == 0) return NULL;
  return err_new(ERR_INPUT, "has a header that differs from its checksum: the file was damaged, or "
                            "changed by another program; without it an older checkpoint of the "
                            "folder is used, if there is one");
}

static err read_header(safetensors_file *f) {
  uint64_t length = 0;
  if (f->size < LENGTH_BYTES) return err_new(ERR_INPUT, "is too short to be a safetensors file");
  for (int i = LENGTH_BYTES - 1; i >= 0; i--) length = length << 8 | f->map[i];
  if (length > LONGEST_HEADER || length > f->size - LENGTH_BYTES)
    return err_new(ERR_INPUT, "claims a header of %llu bytes: not a safetensors file, or truncated",
                   (unsigned long long)length);
  const char *header = (const char *)f->map + LENGTH_BYTES;
  err damage = check_header(header, (size_t)length);
  if (damage) return damage;
  json_error_t problem;
  f->header = json_loadb(header, (size_t)length, JSON_REJECT_DUPLICATES, &problem);
  if (!json_is_object(f->header))
    return err_new(ERR_INPUT, "has a header that is not a JSON object: %s", problem.text);
  const unsigned char *data = f->map + LENGTH_BYTES + length;
  size_t data_bytes = f->size - LENGTH_BYTES - (size_t)length;
  f->tensors = mem_zeroed(json_object_size(f->header), sizeof *f->tensors);
  if (!f->tensors) return mem_error(0, "a tensor list");
  const char *name;
  json_t *value;
  json_object_foreach(f->header, name, value) {
    if (strcmp(name, "__metadata__") == 0) continue;
    err error = read_entry(name, value, data, data_bytes, &f->tensors[f->count]);
    if (error) return error;
    f->count++;
  }
  qsort(f->tensors, f->count, sizeof *f->tensors, by_place);
  const unsigned char *at = data;
  for (size_t i = 0; i < f->count; at += f->tensors[i++].bytes)
    if (f->tensors[i].data != at)
      return err_new(ERR_INPUT, "tensor '%s' overlaps another or leaves a gap", f->tensors[i].name);
  if (at != data + data_bytes) return err_new(ERR_INPUT, "has bytes that belong to no tensor");
  return NULL;
}

err safetensors_open(const char *path, safetensors_file **out) {
  struct stat status;
  safetensors_file *f = NULL;
  err error = NULL;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return err_errno(errno, "%s: cannot open", path);
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
    FAIL(ERR_INPUT, "%s: is not a regular file", path);
  f = mem_zeroed(1, sizeof *f);
  if (!f) {
    error = mem_error(sizeof *f, path);
    goto cleanup;
  }
  f->size = (size_t)status.st_size;
  if (f->size) {
    void *map = mmap(NULL, f->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) {
      error = err_errno(errno, "%s: cannot map", path);
      goto cleanup;
    }
    f->map = map;
  }
  error = err_context(read_header(f), "%s", path);
cleanup:
  close(fd);
  if (error)
    safetensors_close(f);
  else
    *out = f;
  return error;
}

void safetensors_close(safetensors_file *f) {
  if (!f) return;
  json_decref(f->header);
  free(f->tensors);
  if (f->map) munmap(f->map, f->size);
  free(f);
}

size_t safetensors_count(const safetensors_file *f) {
  return f->count;
}

const safetensor *safetensors_at(const safetensors_file *f, size_t i) {
  return &f->tensors[i];
}

const safetensor *safetensors_find(const safetensors_file *f, const char *name) {
  for (size_t i = 0; i < f->count; i++)
    if (strcmp(f->tensors[i].name, name) == 0) return &f->tensors[i];
  return NULL;
}

const char *safetensors_metadata(const safetensors_file *f, const char *key) {
  return json_string_value(json_object_get(json_object_get(f->header, "__metadata__"), key));
}

static void name_checksum(const safetensor *t, char key[KEY]) {
  snprintf(key, KEY, "%s/%s", checksum_key, t->name);
}

err safetensors_check(const safetensors_file *f, const safetensor *t) {
  char key[KEY], digest[HASH_SIZE];
  name_checksum(t, key);
  const char *written = safetensors_metadata(f, key);
  if (!written) return NULL;
  hash_bytes(t->data, t->bytes, digest);
  if (strcmp(digest, written) == 0) return NULL;
  return err_new(
      ERR_INPUT,
      "tensor '%s' differs from its checksum: the file was damaged, or changed by another "
      "program; without it an older checkpoint of the folder is used, if there is one",
      t->name);
}

static void write_checksums(json_writer *w, const safetensor *tensors, size_t count) {
  for (size_t i = 0; i < count; i++) {
    char key[KEY], digest[HASH_SIZE];
    name_checksum(&tensors[i], key);
    hash_bytes(tensors[i].data, tensors[i].bytes, digest);
    jsonw_string(w, key, digest);
  }
}

static void write_header(const safetensor *tensors, size_t count, const safetensors_pair *metadata,
                         size_t pairs, bool has_checksums, strbuf *header) {
  json_writer w = jsonw_start(header);
  jsonw_object(&w, NULL);
  jsonw_object(&w, "__metadata__");
  if (has_checksums) jsonw_string(&w, checksum_key, zeros);
  for (size_t i = 0; i < pairs; i++) jsonw_string(&w, metadata[i].key, metadata[i].value);
  if (has_checksums) write_checksums(&w, tensors, count);
  jsonw_end(&w);
  size_t at = 0;
  for (size_t i = 0; i < count; at += tensors[i++].bytes) {
    jsonw_object(&w, tensors[i].name);
    jsonw_string(&w, "dtype", tensors[i].type);
    jsonw_array(&w, "shape");
    for (int j = 0; j < tensors[i].rank; j++) jsonw_integer(&w, NULL, tensors[i].shape[j]);
    jsonw_end(&w);
    jsonw_array(&w, "data_offsets");
    jsonw_integer(&w, NULL, (int64_t)at);
    jsonw_integer(&w, NULL, (int64_t)(at + tensors[i].bytes));
    jsonw_end(&w);
    jsonw_end(&w);
  }
  jsonw_end(&w);
  while (header->length % 8) strbuf_append_char(header, ' '); /* data stays 8-byte aligned */
  if (!has_checksums || header->is_broken) return;
  char digest[HASH_SIZE];
  hash_bytes(header->data, header->length, digest);
  memcpy(header->data + CHECKED_START, digest, DIGITS);
}

err safetensors_write(const char *path, const safetensor *tensors, size_t count,
                      const safetensors_pair *metadata, size_t pairs, bool has_checksums,
                      size_t *bytes_written) {
  err error = NULL;
  strbuf header = {0};
  fs_writer w = {0};
  size_t total = LENGTH_BYTES;
  write_header(tensors, count, metadata, pairs, has_checksums, &header);
  if (header.is_broken) {
    error = mem_error(header.length, path);
    goto cleanup;
  }
  TRY(fs_writer_open(&w, path));
  unsigned char length[LENGTH_BYTES];
  for (int i = 0; i < LENGTH_BYTES; i++) length[i] = (unsigned char)(header.length >> (8 * i));
  TRY(fs_writer_add(&w, length, sizeof length));
  TRY(fs_writer_add(&w, header.data, header.length));
  total += header.length;
  for (size_t i = 0; i < count; total += tensors[i++].bytes)
    TRY(fs_writer_add(&w, tensors[i].data, tensors[i].bytes));
  TRY(fs_writer_commit(&w));
  if (bytes_written) *bytes_written = total;
cleanup:
  fs_writer_close(&w);
  strbuf_free(&header);
  return error;
}
