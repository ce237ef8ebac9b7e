/* A safetensors file: entries lie inside it, do not overlap, and are found by name. */
#include <string.h>

#include "convert/weights.h"
#include "fuzz/fuzz.h"
#include "train/checkpoint.h"
#include "train/safetensors.h"

static void check_entries(const safetensors_file *file) {
  unsigned sum = 0;
  for (size_t i = 0; i < safetensors_count(file); i++) {
    const safetensor *t = safetensors_at(file, i);
    fuzz_require(t->rank <= SAFETENSORS_RANK, "a tensor has few dimensions");
    fuzz_require(safetensors_find(file, t->name) != NULL, "a tensor is found by its name");
    for (size_t at = 0; at < t->bytes; at++) sum += ((const uint8_t *)t->data)[at];
  }
  volatile unsigned kept = sum; /* the bytes were looked at */
  (void)kept;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_file input = fuzz_file_make(data, size);
  safetensors_file *file = NULL;
  settings s;
  checkpoint_state state;
  weights_format format;
  err error = safetensors_open(input.path, &file);
  if (!error) {
    check_entries(file);
    (void)safetensors_metadata(file, "flip.settings");
    error = weights_detect(file, &format);
    safetensors_close(file);
  }
  err_free(error);
  error = checkpoint_read_settings(input.path, &s, &state);
  if (!error) {
    fuzz_require(state.step >= 0 && state.samples >= 0, "a checkpoint's place is one of a run");
    settings_free(&s);
  }
  err_free(error);
  fuzz_file_free(&input);
  return 0;
}
