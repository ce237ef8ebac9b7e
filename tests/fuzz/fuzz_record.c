/* The JSON member of a sample. */
#include <stdlib.h>

#include "read/record.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *json = fuzz_text(data, size), *value = NULL, **strings = NULL;
  size_t count = 0;
  err error = sample_label(json, "leaf", &value);
  fuzz_require(!error || !value, "an error comes without a value");
  err_free(error);
  error = sample_strings(json, "captions", &strings, &count);
  fuzz_require(!error || !count, "an error comes without strings");
  err_free(error);
  for (size_t i = 0; i < count; i++) free(strings[i]);
  free(strings);
  free(value);
  free(json);
  return 0;
}
