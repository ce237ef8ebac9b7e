/* A bundle from another machine, as a plain tar: unpacking changes nothing outside its folder. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "fuzz/fuzz.h"
#include "exchange/bundle.h"

static const char precious[] = "precious";

static void check_own(void) {
  char *text = NULL;
  size_t length;
  fuzz_expect_ok(fs_read("mine", &text, &length));
  fuzz_require(strcmp(text, precious) == 0, "a file outside of the bundle's folder stays");
  free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static int is_made = 0;
  bundle_manifest m;
  fuzz_folder();
  if (!is_made) fuzz_expect_ok(fs_write_atomic("mine", precious, strlen(precious)));
  is_made = 1;
  fuzz_file file = fuzz_file_make(data, size);
  err error = bundle_extract(file.path, "inside", &m);
  if (!error) bundle_free(&m);
  err_free(error);
  fuzz_file_free(&file);
  fuzz_remove("inside");
  check_own();
  return 0;
}
