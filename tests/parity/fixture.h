/* A test's fixture: fixtures/FIXTURE.safetensors, open while its tests run (open_file and
 * close_file are the group's setup and teardown). Define FIXTURE before including this. */
#ifndef FLIP_TESTS_PARITY_FIXTURE_H
#define FLIP_TESTS_PARITY_FIXTURE_H

#include "support/test.h"

#include "train/safetensors.h"

static safetensors_file *file;

/* A tensor's values, and its first two sizes where wanted; fails the test if there is none. */
static const void *data_of(const char *name, int64_t *rows, int64_t *columns) {
  const safetensor *t = safetensors_find(file, name);
  if (!t) fail_msg("the fixture has no %s", name);
  if (rows) *rows = t->shape[0];
  if (columns) *columns = t->shape[1];
  return t->data;
}

static int open_file(void **state) {
  (void)state;
  err error =
      safetensors_open(FLIP_SOURCE_DIR "/tests/parity/fixtures/" FIXTURE ".safetensors", &file);
  return error != NULL;
}

static int close_file(void **state) {
  (void)state;
  safetensors_close(file);
  return 0;
}

#endif
