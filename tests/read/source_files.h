/* Files in a folder of their own, and what a data set opened on them gives. For the tests of
 * sources. */
#ifndef FLIP_TESTS_READ_SOURCE_FILES_H
#define FLIP_TESTS_READ_SOURCE_FILES_H

#include "support/test.h"

#include <stdlib.h>

#include "base/fs.h"
#include "image/image.h"
#include "image/shrink.h"
#include "read/dataset.h"
#include "read/shard_writer.h"
#include "support/folder.h"
static char folder[] = "/tmp/flip-sources-XXXXXX";

static inline void write_text(const char *name, const char *text) {
  char *path = fs_join(folder, name), *slash = strrchr(path, '/');
  *slash = '\0';
  assert_ok(fs_make_folders(path));
  *slash = '/';
  assert_ok(fs_write_atomic(path, text, strlen(text)));
  free(path);
}

/* An image of one colour, to identify which one was read. */
static inline void write_picture(const char *name, uint8_t grey) {
  image picture;
  uint8_t *bytes;
  size_t size;
  write_text(name, "");
  char *path = fs_join(folder, name);
  assert_ok(image_allocate(4, 4, &picture));
  memset(picture.pixels, grey, 4 * 4 * 3);
  assert_ok(shrink_encode_png(&picture, &bytes, &size));
  assert_ok(fs_write_atomic(path, bytes, size));
  free(bytes);
  free(path);
  image_free(&picture);
}

/* Opens "%s" in `pattern` replaced by the folder. */
static inline dataset *open_one(const char *pattern) {
  char name[512], *names[] = {name};
  dataset *d;
  snprintf(name, sizeof name, pattern, folder, folder, folder);
  assert_ok(dataset_open(names, 1, &d));
  return d;
}

static inline void refuse_one(const char *pattern, const char *message) {
  char name[512], *names[] = {name};
  dataset *d;
  snprintf(name, sizeof name, pattern, folder, folder);
  assert_fails_with(dataset_open(names, 1, &d), message);
}

/* Row `row` has this caption and a picture whose first value is `grey`. */
static inline void expect(const dataset *d, int64_t row, const char *caption, int grey) {
  dataset_sample s;
  image picture;
  assert_ok(dataset_read(d, row, &s));
  assert_string_equal(s.caption, caption);
  assert_ok(image_decode(s.image, s.image_bytes, 0, &picture));
  assert_int_equal(picture.pixels[0], grey);
  image_free(&picture);
  dataset_sample_free(&s);
  assert_ok(dataset_read_text(d, row, &s));
  assert_string_equal(s.caption, caption);
  assert_null(s.image);
  dataset_sample_free(&s);
}

/* OUT-00000.tar in the folder: three samples, "alt" in the JSON of the first two alone. */
static inline void write_shard(const char *out) {
  shard_writer *w;
  int64_t shards;
  char *prefix = fs_join(folder, out);
  assert_ok(shard_writer_open(prefix, 10, &w));
  assert_ok(shard_writer_add(w, "k0", "png", "p", 1, "zero", "{\"alt\":\"alt zero\"}"));
  assert_ok(shard_writer_add(w, "k1", "png", "p", 1, "one", "{\"alt\":\"alt one\"}"));
  assert_ok(shard_writer_add(w, "k2", "png", "p", 1, "two", "{}"));
  assert_ok(shard_writer_finish(w, &shards));
  shard_writer_close(w);
  free(prefix);
}

static inline void expect_caption(const dataset *d, int64_t row, const char *caption) {
  dataset_sample s;
  assert_ok(dataset_read(d, row, &s));
  assert_string_equal(s.caption, caption);
  dataset_sample_free(&s);
}

static inline int make_folder(void **state) {
  (void)state;
  return mkdtemp(folder) ? 0 : -1;
}

static inline int remove_folder(void **state) {
  (void)state;
  folder_remove(folder);
  return 0;
}

#endif
