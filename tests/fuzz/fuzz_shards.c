/* A tar shard: every sample that its index offers can be read, within the file's bytes. */
#include <stdio.h>

#include "read/dataset.h"
#include "fuzz/fuzz.h"

static void read_all(const dataset *d) {
  unsigned sum = 0;
  for (int64_t row = 0; row < dataset_count(d); row++) {
    dataset_sample sample;
    err_free(dataset_read(d, row, &sample));
    for (size_t i = 0; i < sample.image_bytes; i++) sum += ((const uint8_t *)sample.image)[i];
    dataset_sample_free(&sample);
    err_free(dataset_read_text(d, row, &sample));
    dataset_sample_free(&sample);
  }
  volatile unsigned kept = sum; /* the bytes were looked at */
  (void)kept;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_file file = fuzz_file_make(data, size);
  char name[64];
  snprintf(name, sizeof name, "shards:%s%s", file.path, size % 2 ? "#caption=title" : "");
  dataset *d = NULL;
  err error = dataset_open(&(char *){name}, 1, &d);
  if (!error) {
    read_all(d);
    dataset_close(d);
  }
  err_free(error);
  fuzz_file_free(&file);
  return 0;
}
