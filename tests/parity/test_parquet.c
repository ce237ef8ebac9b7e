/* Parquet files of pyarrow's, read value by value; and what is refused or damaged. */
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include <jansson.h>

#include "base/fs.h"
#include "parquet/parquet.h"
#include "support/test.h"

#define FOLDER FLIP_SOURCE_DIR "/tests/parity/fixtures/parquet/"

static json_t *load_expected(void) {
  json_error_t at;
  json_t *root = json_load_file(FOLDER "expected.json", 0, &at);
  assert_non_null(root);
  return root;
}

typedef struct {
  const json_t *values; /* NULL: not looked at */
  const parquet_column *column;
  int64_t rows;
} comparison;

static void compare_bytes(const comparison *c, const json_t *wanted, const parquet_value *v) {
  const char *text = json_string_value(wanted);
  size_t length = json_string_length(wanted);
  char digits[64] = "";
  assert_non_null(text);
  if (!c->column->is_text) {
    assert_int_equal(v->size, length / 2);
    for (size_t i = 0; i < v->size; i++)
      snprintf(digits + 2 * i, 3, "%02x", (unsigned)(unsigned char)v->bytes[i]);
    assert_string_equal(digits, text);
    return;
  }
  assert_int_equal(v->size, length);
  assert_memory_equal(v->bytes, text, length);
}

static err compare(void *context, int64_t row, const parquet_value *v) {
  comparison *c = context;
  assert_int_equal(row, ++c->rows);
  if (!c->values) return NULL;
  const json_t *wanted = json_array_get(c->values, (size_t)row - 1);
  assert_int_equal(v->is_null, json_is_null(wanted));
  if (v->is_null) return NULL;
  if (v->kind == PARQUET_BOOLEAN)
    assert_int_equal(v->integer, json_is_true(wanted));
  else if (v->kind == PARQUET_INTEGER)
    assert_int_equal(v->integer, json_integer_value(wanted));
  else if (v->kind == PARQUET_NUMBER)
    assert_true(v->number == strtod(json_string_value(wanted), NULL) &&
                !signbit(v->number) == (*json_string_value(wanted) != '-'));
  else
    compare_bytes(c, wanted, v);
  return NULL;
}

static size_t place_of(const parquet_file *f, const char *name) {
  size_t count;
  const parquet_column *columns = parquet_columns(f, &count);
  for (size_t i = 0; i < count; i++)
    if (strcmp(columns[i].name, name) == 0) return i;
  fail_msg("no column %s", name);
  return 0;
}

static void compare_file(const char *path, const json_t *wanted) {
  parquet_file *f;
  size_t count;
  const char *name;
  json_t *values, *columns = json_object_get(wanted, "columns");
  print_message("%s\n", path);
  assert_ok(parquet_open(path, &f));
  assert_int_equal(parquet_rows(f), json_integer_value(json_object_get(wanted, "rows")));
  json_object_foreach(columns, name, values) {
    size_t at = place_of(f, name);
    comparison c = {values, &parquet_columns(f, &count)[at], 0};
    assert_ok(parquet_read(f, &at, 1, compare, &c));
    assert_int_equal(c.rows, parquet_rows(f));
  }
  parquet_close(f);
}

static void every_value_is_the_one_that_pyarrow_wrote(void **state) {
  (void)state;
  json_t *root = load_expected(), *wanted;
  const char *name;
  int files = 0;
  json_object_foreach(json_object_get(root, "files"), name, wanted) {
    char path[512];
    snprintf(path, sizeof path, FOLDER "%s", name);
    compare_file(path, wanted);
    files++;
  }
  assert_int_equal(files, 25);
  json_decref(root);
}

static void what_is_not_read_is_refused_by_column_and_kind(void **state) {
  (void)state;
  json_t *root = load_expected(), *columns, *said;
  const char *name, *column;
  json_object_foreach(json_object_get(root, "refused"), name, columns) {
    json_object_foreach(columns, column, said) {
      char path[512], part[128];
      parquet_file *f;
      comparison c = {0};
      snprintf(path, sizeof path, FOLDER "%s", name);
      snprintf(part, sizeof part, "column '%s'", column);
      assert_ok(parquet_open(path, &f));
      size_t at = place_of(f, column);
      assert_fails_with(parquet_read(f, &at, 1, compare, &c), part);
      assert_fails_with(parquet_read(f, &at, 1, compare, &c), json_string_value(said));
      assert_fails_with(parquet_read(f, &at, 1, compare, &c), name);
      parquet_close(f);
    }
  }
  json_decref(root);
}

/* Cut at any length, a file is refused when it is opened; with a byte changed it is read to an end
 * or refused. */
static void a_damaged_file_ends_with_a_sentence(void **state) {
  (void)state;
  char *bytes, path[] = "/tmp/flip-parquet-XXXXXX";
  size_t size;
  assert_ok(fs_read(FOLDER "zstd-v2-dictionary.parquet", &bytes, &size));
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  for (size_t length = 0; length < size; length += 37) {
    parquet_file *f;
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, bytes, length, 0), (ssize_t)length);
    assert_fails_with(parquet_open(path, &f), path);
    assert_int_equal(pwrite(fd, bytes, size, 0), (ssize_t)size);
    char changed = (char)(bytes[length] ^ 0x55);
    assert_int_equal(pwrite(fd, &changed, 1, (off_t)length), 1);
    err error = parquet_open(path, &f);
    for (size_t i = 0; !error && i < 11; i++) {
      comparison c = {0};
      err_free(parquet_read(f, &i, 1, compare, &c));
    }
    if (!error) parquet_close(f);
    err_free(error);
  }
  close(fd);
  unlink(path);
  free(bytes);
}

/* FNV-1a of all values. */
static void mix(uint64_t *hash, const void *bytes, size_t size) {
  for (size_t i = 0; i < size; i++)
    *hash = (*hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3u;
}

static err hash_values(void *context, int64_t row, const parquet_value *v) {
  uint64_t *hash = context;
  mix(hash, &row, sizeof row);
  mix(hash, &v->is_null, sizeof v->is_null);
  if (v->is_null) return NULL;
  if (v->kind == PARQUET_BYTES)
    mix(hash, v->bytes, v->size);
  else if (v->kind == PARQUET_NUMBER)
    mix(hash, &v->number, sizeof v->number);
  else
    mix(hash, &v->integer, sizeof v->integer);
  return NULL;
}

/* False: some column was refused. */
static bool hash_columns(const char *path, uint64_t *hash) {
  parquet_file *f;
  size_t count;
  bool is_read = true;
  *hash = 0xcbf29ce484222325u;
  err error = parquet_open(path, &f);
  if (error) {
    err_free(error);
    return false;
  }
  (void)parquet_columns(f, &count);
  for (size_t i = 0; i < count; i++) {
    error = parquet_read(f, &i, 1, hash_values, hash);
    is_read = is_read && !error;
    err_free(error);
  }
  parquet_close(f);
  return is_read;
}

/* Of a file whose pages have checksums, which do not cover their headers: a byte of its pages that
 * changed is found, or changes nothing. */
static void a_page_that_changed_is_found(void **state) {
  (void)state;
  char *bytes, path[] = "/tmp/flip-parquet-XXXXXX";
  size_t size;
  uint32_t footer;
  uint64_t whole, hash;
  int found = 0, silent = 0;
  assert_true(hash_columns(FOLDER "zstd-v2-dictionary.parquet", &whole));
  assert_ok(fs_read(FOLDER "zstd-v2-dictionary.parquet", &bytes, &size));
  memcpy(&footer, bytes + size - 8, 4);
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  assert_int_equal(pwrite(fd, bytes, size, 0), (ssize_t)size);
  for (size_t at = 4; at < size - 8 - footer; at += 5) {
    char changed = (char)(bytes[at] ^ 0x10);
    assert_int_equal(pwrite(fd, &changed, 1, (off_t)at), 1);
    bool is_read = hash_columns(path, &hash);
    found += !is_read;
    silent += is_read && hash != whole;
    assert_int_equal(pwrite(fd, bytes + at, 1, (off_t)at), 1);
  }
  assert_int_equal(silent, 0); /* 292 where checksums are not looked at */
  assert_true(found > 700);
  close(fd);
  unlink(path);
  free(bytes);
}

/* Rows of every kind, over several row groups, come back. */
static const char written[200] = "text";

static err check_written(void *context, int64_t row, const parquet_value *v) {
  int64_t i = row - 1;
  assert_int_equal(i, (*(int64_t *)context)++);
  for (int c = 0; c < 4; c++) assert_int_equal(v[c].is_null, i % 7 == c);
  if (!v[0].is_null) assert_int_equal(v[0].integer, i % 3 == 0);
  if (!v[1].is_null) assert_int_equal(v[1].integer, i * -1000003);
  if (!v[2].is_null) assert_true(v[2].number == (double)i / 3);
  if (!v[3].is_null) {
    assert_int_equal(v[3].size, i % 200);
    assert_memory_equal(v[3].bytes, written, (size_t)(i % 200));
  }
  return NULL;
}

static void what_is_written_is_read_again(void **state) {
  (void)state;
  int64_t rows = 0;
  parquet_field fields[] = {{"flag", PARQUET_BOOLEAN, false},
                            {"integer", PARQUET_INTEGER, false},
                            {"number", PARQUET_NUMBER, false},
                            {"text", PARQUET_BYTES, true}};
  char path[] = "/tmp/flip-parquet-XXXXXX";
  int fd = mkstemp(path);
  parquet_writer *w;
  parquet_file *f;
  assert_ok(parquet_writer_create(fd, path, fields, 4, &w));
  for (int64_t i = 0; i < 100000; i++) {
    parquet_value values[] = {{i % 7 == 0, PARQUET_BOOLEAN, {.integer = i % 3 == 0}},
                              {i % 7 == 1, PARQUET_INTEGER, {.integer = i * -1000003}},
                              {i % 7 == 2, PARQUET_NUMBER, {.number = (double)i / 3}},
                              {i % 7 == 3, PARQUET_BYTES, {.integer = 0}}};
    values[3].bytes = written;
    values[3].size = (size_t)(i % 200);
    assert_ok(parquet_writer_add(w, values));
  }
  assert_ok(parquet_writer_finish(w));
  parquet_writer_free(w);
  close(fd);
  assert_ok(parquet_open(path, &f));
  assert_int_equal(parquet_rows(f), 100000);
  assert_ok(parquet_read(f, (size_t[]){0, 1, 2, 3}, 4, check_written, &rows));
  assert_int_equal(rows, 100000);
  parquet_close(f);
  unlink(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_value_is_the_one_that_pyarrow_wrote),
      cmocka_unit_test(what_is_not_read_is_refused_by_column_and_kind),
      cmocka_unit_test(a_damaged_file_ends_with_a_sentence),
      cmocka_unit_test(a_page_that_changed_is_found),
      cmocka_unit_test(what_is_written_is_read_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
