/* safetensors files: what is written reads back; what lies is refused with one sentence. */
#include "support/test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "train/checkpoint.h"
#include "train/safetensors.h"

static char folder[] = "/tmp/flip-safetensors-XXXXXX";
static char path[64];

static int make_folder(void **state) {
  (void)state;
  if (!mkdtemp(folder)) return 1;
  snprintf(path, sizeof path, "%s/x.safetensors", folder);
  return 0;
}

static int remove_folder(void **state) {
  (void)state;
  unlink(path);
  return rmdir(folder);
}

/* A file of this header and `data_bytes` zeros; claimed: the header length written, -1: the true
 * one. */
static void write_file(const char *header, size_t data_bytes, int64_t claimed) {
  size_t length = strlen(header);
  uint64_t told = claimed < 0 ? length : (uint64_t)claimed;
  unsigned char *bytes = calloc(1, 8 + length + data_bytes);
  assert_non_null(bytes);
  for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(told >> 8 * i);
  memcpy(bytes + 8, header, length);
  assert_ok(fs_write_atomic(path, bytes, 8 + length + data_bytes));
  free(bytes);
}

static void assert_refused(const char *header, size_t data_bytes, const char *part) {
  safetensors_file *file;
  write_file(header, data_bytes, -1);
  err error = safetensors_open(path, &file);
  if (!error) fail_msg("taken: %s", header);
  if (!strstr(err_message(error), part)) fail_msg("'%s' is not about %s", err_message(error), part);
  if (strncmp(err_message(error), path, strlen(path)) != 0)
    fail_msg("'%s' does not begin with the file", err_message(error));
  assert_null(strchr(err_message(error), '\n'));
  err_free(error);
}

static void what_is_written_reads_back(void **state) {
  (void)state;
  const float weights[6] = {1, 2, 3, 4, 5, 6};
  const int64_t steps[1] = {-7};
  const safetensor out[] = {
      {.name = "b.weight", .type = "F32", .rank = 2, .shape = {2, 3}, .data = weights, .bytes = 24},
      {.name = "a \"quoted\" é", .type = "I64", .rank = 1, .shape = {1}, .data = steps, .bytes = 8},
      {.name = "empty", .type = "F32", .rank = 2, .shape = {0, 3}, .data = weights, .bytes = 0}};
  const safetensors_pair metadata[] = {{"format", "flip"}, {"line", "a\nb"}};
  size_t bytes;
  safetensors_file *file;
  assert_ok(safetensors_write(path, out, 3, metadata, 2, false, &bytes));
  assert_ok(safetensors_open(path, &file));
  assert_int_equal(safetensors_count(file), 3);
  const safetensor *w = safetensors_find(file, "b.weight");
  assert_non_null(w);
  assert_true(w->rank == 2 && w->shape[0] == 2 && w->shape[1] == 3);
  assert_memory_equal(w->data, weights, sizeof weights);
  assert_int_equal((uintptr_t)w->data % 8, 0);
  assert_memory_equal(safetensors_find(file, "a \"quoted\" é")->data, steps, 8);
  assert_int_equal(safetensors_find(file, "empty")->bytes, 0);
  assert_string_equal(safetensors_metadata(file, "line"), "a\nb");
  assert_null(safetensors_metadata(file, "none"));
  assert_null(safetensors_find(file, "none"));
  safetensors_close(file);
}

#define F32(name, shape, start, end)                                                               \
  "\"" name "\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" #start "," #end "]}"

static void headers_that_lie_are_refused(void **state) {
  (void)state;
  assert_refused("", 0, "not a JSON object");
  assert_refused("[]", 0, "not a JSON object");
  assert_refused("{\"a\":", 0, "not a JSON object");
  assert_refused("{" F32("a", "[2]", 0, 8) "," F32("a", "[2]", 0, 8) "}", 8, "duplicate");
  assert_refused("{" F32("a", "[2]", 0, 8) "," F32("b", "[2]", 4, 12) "}", 12, "overlaps");
  assert_refused("{" F32("a", "[2]", 0, 8) "," F32("b", "[2]", 12, 20) "}", 20, "leaves a gap");
  assert_refused("{" F32("a", "[2]", 4, 12) "}", 12, "leaves a gap");
  assert_refused("{" F32("a", "[2]", 0, 8) "}", 12, "belong to no tensor");
  assert_refused("{" F32("a", "[2]", 0, 8) "}", 4, "outside the file");
  assert_refused("{" F32("a", "[2]", 8, 0) "}", 8, "outside the file");
  assert_refused("{" F32("a", "[2]", -8, 0) "}", 8, "outside the file");
  assert_refused("{" F32("a", "[3]", 0, 8) "}", 8, "8 bytes where its shape takes 12");
  assert_refused("{" F32("a", "[-2]", 0, 8) "}", 8, "impossible shape");
  assert_refused("{" F32("a", "[1.5]", 0, 8) "}", 8, "impossible shape");
  assert_refused("{" F32("a", "[4294967296,4294967296]", 0, 8) "}", 8, "impossible shape");
  assert_refused("{" F32("a", "[9223372036854775807,4]", 0, 8) "}", 8, "impossible shape");
  assert_refused("{" F32("a", "[1,1,1,1,1,1,1,1,1]", 0, 4) "}", 4, "more than 8 dimensions");
  assert_refused("{\"a\":{\"dtype\":\"F31\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
                 "unknown type");
  assert_refused("{\"a\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "lacks dtype");
  assert_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", 8, "lacks");
  assert_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8, "lacks");
  assert_refused("{\"a\":3}", 0, "lacks dtype");
}

static void hostile_json_is_refused(void **state) {
  (void)state;
  enum { DEPTH = 5000 };
  char *deep = malloc(2 * DEPTH + 64);
  size_t at = (size_t)sprintf(deep, "{\"a\":");
  memset(deep + at, '[', DEPTH);
  memset(deep + at + DEPTH, ']', DEPTH);
  strcpy(deep + at + 2 * DEPTH, "}");
  assert_refused(deep, 0, "not a JSON object");
  free(deep);
  assert_refused("{\"a\\u0000b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
                 "not a JSON object");
  assert_refused("{\"\xff\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
                 "not a JSON object");
  assert_refused("{" F32("a", "[true]", 0, 4) "}", 4, "impossible shape");
  assert_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4e0]}}", 4,
                 "0 bytes where its shape takes 4");
  assert_refused("{\"a\":{\"dtype\":\"f32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
                 "unknown type");
  assert_refused(
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,99999999999999999999]}}", 4,
      "not a JSON object");
}

/* Metadata that is not a map of strings is ignored; the tensors are still read. */
static void malformed_metadata_is_ignored(void **state) {
  (void)state;
  static const char *const metadata[] = {"7", "[]", "{\"format\":7}", "null"};
  for (size_t i = 0; i < sizeof metadata / sizeof *metadata; i++) {
    char header[200];
    safetensors_file *file;
    snprintf(header, sizeof header, "{\"__metadata__\":%s," F32("a", "[1]", 0, 4) "}", metadata[i]);
    write_file(header, 4, -1);
    assert_ok(safetensors_open(path, &file));
    assert_null(safetensors_metadata(file, "format"));
    assert_int_equal(safetensors_count(file), 1);
    safetensors_close(file);
  }
}

/* A checkpoint that cannot say where its run was is not gone on from. */
static void a_checkpoint_with_an_impossible_place_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *key, *value;
  } cases[] = {{"flip.step", "1e300"},
               {"flip.step", "-1"},
               {"flip.samples", "nan"},
               {"flip.samples", "99999999999999999999"},
               {"flip.vocabulary_size", "4294967296"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char header[256], message[64];
    settings s;
    checkpoint_state where;
    snprintf(header, sizeof header,
             "{\"__metadata__\":{\"flip.settings\":\"seed: 1\",\"%s\":\"%s\"}}", cases[i].key,
             cases[i].value);
    snprintf(message, sizeof message, "%s '%s' is not a whole number", cases[i].key,
             cases[i].value);
    write_file(header, 0, -1);
    assert_fails_with(checkpoint_read_settings(path, &s, &where), message);
  }
}

static void a_name_longer_than_any_tensors_is_refused(void **state) {
  (void)state;
  char header[600], name[300];
  memset(name, 'x', sizeof name - 1);
  name[sizeof name - 1] = '\0';
  snprintf(header, sizeof header,
           "{\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", name);
  assert_refused(header, 4, "too long");
}

static void header_lengths_beyond_the_file_are_refused(void **state) {
  (void)state;
  static const int64_t claims[] = {3, 1000, 1LL << 40, INT64_MAX};
  for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
    safetensors_file *file;
    write_file("{}", 0, claims[i]);
    assert_fails_with(safetensors_open(path, &file), "claims a header of");
  }
  safetensors_file *file;
  assert_ok(fs_write_atomic(path, "{}", 2));
  assert_fails_with(safetensors_open(path, &file), "too short");
  assert_ok(fs_write_atomic(path, "", 0));
  assert_fails_with(safetensors_open(path, &file), "too short");
  assert_fails_with(safetensors_open(folder, &file), "not a regular file");
  assert_fails_with(safetensors_open("/nonexistent/x", &file), "No such file");
}

/* Opens the damaged file and compares all of it with what was written: damage is reported, or it
 * harmed nothing. */
static bool is_damage_seen(const safetensor *out, size_t count) {
  safetensors_file *file;
  err error = safetensors_open(path, &file);
  if (error) {
    err_free(error);
    return true;
  }
  bool is_seen = false;
  for (size_t i = 0; i < safetensors_count(file) && !is_seen; i++) {
    error = safetensors_check(file, safetensors_at(file, i));
    is_seen = error;
    err_free(error);
  }
  if (!is_seen) {
    assert_string_equal(safetensors_metadata(file, "format"), "flip");
    for (size_t i = 0; i < count; i++) {
      const safetensor *t = safetensors_find(file, out[i].name);
      assert_non_null(t);
      assert_string_equal(t->type, out[i].type);
      assert_int_equal(t->rank, out[i].rank);
      assert_memory_equal(t->shape, out[i].shape, (size_t)t->rank * sizeof *t->shape);
      assert_memory_equal(t->data, out[i].data, out[i].bytes);
    }
  }
  safetensors_close(file);
  return is_seen;
}

/* With checksums a changed bit of a tensor, its shape or the metadata never goes unnoticed. */
static void damage_is_seen_by_checksums(void **state) {
  (void)state;
  const float weights[4] = {1, 2, 3, 4};
  const safetensor out[] = {
      {.name = "a", .type = "F32", .rank = 1, .shape = {2}, .data = weights, .bytes = 8},
      {.name = "b", .type = "F32", .rank = 2, .shape = {1, 2}, .data = weights + 2, .bytes = 8}};
  const safetensors_pair metadata[] = {{"format", "flip"}, {"broken", "caf\xe9"}};
  size_t length, unseen = 0;
  char *good;
  assert_ok(safetensors_write(path, out, 2, metadata, 2, true, NULL));
  assert_false(is_damage_seen(out, 2));
  assert_ok(fs_read(path, &good, &length));
  for (size_t bit = 0; bit < 8 * length; bit++) {
    good[bit / 8] = (char)(good[bit / 8] ^ 1 << bit % 8);
    assert_ok(fs_write_atomic(path, good, length));
    unseen += !is_damage_seen(out, 2);
    good[bit / 8] = (char)(good[bit / 8] ^ 1 << bit % 8);
  }
  /* a bit of the key's 13 letters leaves a file without a checksum of its header, and intact */
  assert_true(unseen <= 13 * 8);
  safetensors_file *file;
  good[length - 1] ^= 1;
  assert_ok(fs_write_atomic(path, good, length));
  assert_ok(safetensors_open(path, &file));
  assert_fails_with(safetensors_check(file, safetensors_find(file, "b")),
                    "tensor 'b' differs from its checksum");
  assert_ok(safetensors_check(file, safetensors_find(file, "a")));
  safetensors_close(file);
  free(good);
}

/* Every cut and every damaged byte of a good file must be taken or refused, never crash (the
 * sanitizer builds run this too). */
static void no_damage_crashes_the_reader(void **state) {
  (void)state;
  const float weights[4] = {1, 2, 3, 4};
  const safetensor out[] = {
      {.name = "a", .type = "F32", .rank = 1, .shape = {2}, .data = weights, .bytes = 8},
      {.name = "b", .type = "F32", .rank = 2, .shape = {1, 2}, .data = weights + 2, .bytes = 8}};
  size_t length;
  char *good;
  assert_ok(safetensors_write(path, out, 2, NULL, 0, false, NULL));
  assert_ok(fs_read(path, &good, &length));
  int taken = 0;
  for (size_t i = 0; i < length; i++) {
    safetensors_file *file;
    assert_ok(fs_write_atomic(path, good, i)); /* cut here */
    assert_fails_with(safetensors_open(path, &file), path);
    static const char damages[] = {0, '9', '"', '}', (char)0xff};
    for (size_t d = 0; d < sizeof damages; d++) {
      char before = good[i];
      good[i] = damages[d];
      assert_ok(fs_write_atomic(path, good, length));
      err error = safetensors_open(path, &file);
      if (!error) {
        taken++;
        safetensors_close(file);
      }
      err_free(error);
      good[i] = before;
    }
  }
  assert_true(taken >= (int)(16 * 5)); /* damage in the data itself is not visible */
  free(good);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_written_reads_back),
      cmocka_unit_test(headers_that_lie_are_refused),
      cmocka_unit_test(hostile_json_is_refused),
      cmocka_unit_test(malformed_metadata_is_ignored),
      cmocka_unit_test(a_checkpoint_with_an_impossible_place_is_refused),
      cmocka_unit_test(a_name_longer_than_any_tensors_is_refused),
      cmocka_unit_test(header_lengths_beyond_the_file_are_refused),
      cmocka_unit_test(damage_is_seen_by_checksums),
      cmocka_unit_test(no_damage_crashes_the_reader),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
