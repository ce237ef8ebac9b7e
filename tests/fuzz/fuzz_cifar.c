/* CIFAR's binary files. The first byte chooses the version and the split; the names of the classes
 * are what stands before a NUL, the records what follows it. */
#include <stdio.h>

#include "read/dataset.h"
#include "image/image.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const names[] = {"cifar10:.#split=test", "cifar100:.#split=train",
                                      "cifar100:.#split=test,labels=coarse",
                                      "cifar10:.#split=test,template={c}"};
  if (!size) return 0;
  fuzz_halves parts = fuzz_cut(data + 1, size - 1);
  fuzz_folder();
  fuzz_write("batches.meta.txt", parts.first, parts.first_size);
  fuzz_write("fine_label_names.txt", parts.first, parts.first_size);
  fuzz_write("coarse_label_names.txt", parts.first, parts.first_size);
  fuzz_write("test_batch.bin", parts.second, parts.second_size);
  fuzz_write("train.bin", parts.second, parts.second_size);
  fuzz_write("test.bin", parts.second, parts.second_size);
  char name[64];
  dataset *d = NULL;
  snprintf(name, sizeof name, "%s", names[(size_t)(data[0] - '0') % 4]);
  err error = dataset_open(&(char *){name}, 1, &d);
  for (int64_t row = 0; !error && row < dataset_count(d); row++) {
    dataset_sample sample;
    image picture;
    err fault = dataset_read(d, row, &sample);
    if (!fault) {
      fuzz_require(sample.caption && sample.json, "a sample has a caption and labels");
      fuzz_expect_ok(image_decode(sample.image, sample.image_bytes, 0, &picture));
      image_free(&picture);
    }
    err_free(fault);
    dataset_sample_free(&sample);
  }
  if (!error) dataset_close(d);
  err_free(error);
  return 0;
}
