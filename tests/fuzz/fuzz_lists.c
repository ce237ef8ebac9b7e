/* Lists of images and captions. The first byte chooses the format. */
#include <stdio.h>

#include "read/dataset.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const struct {
    const char *format, *options;
  } kinds[] = {{"list", ""},
               {"list", "#separator=tab,images=/nowhere"},
               {"list", "#separator=semicolon,caption=b,image=a"},
               {"openimages", ""},
               {"coco", ""},
               {"coco", "#captions=first"},
               {"narratives", "#images=/nowhere"}};
  if (!size) return 0;
  fuzz_file file = fuzz_file_make(data + 1, size - 1);
  size_t kind = (size_t)(data[0] - '0') % (sizeof kinds / sizeof *kinds);
  char name[128];
  snprintf(name, sizeof name, "%s:%s%s", kinds[kind].format, file.path, kinds[kind].options);
  dataset *d = NULL;
  err error = dataset_open(&(char *){name}, 1, &d);
  for (int64_t row = 0; !error && row < dataset_count(d); row++) {
    dataset_sample sample;
    err_free(dataset_read_text(d, row, &sample));
    dataset_sample_free(&sample);
  }
  if (!error) dataset_close(d);
  err_free(error);
  fuzz_file_free(&file);
  return 0;
}
