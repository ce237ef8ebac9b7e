/* A Parquet file, read column by column whatever they are called, and as a list of pictures. */
#include <stdio.h>

#include "base/err.h"
#include "fuzz/fuzz.h"
#include "parquet/parquet.h"
#include "read/dataset.h"

enum { MOST_ROWS = 20000 };

/* Every byte of every value is there; a file of endless nulls is left early. */
static err touch(void *context, int64_t row, const parquet_value *values) {
  volatile unsigned *sum = context; /* every byte is read, though nothing depends on it */
  for (size_t i = 0; !values->is_null && values->kind == PARQUET_BYTES && i < values->size; i++)
    *sum += (unsigned char)values->bytes[i];
  return row < MOST_ROWS ? NULL : err_new(ERR_INPUT, "enough rows");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_file file = fuzz_file_make(data, size);
  parquet_file *f = NULL;
  dataset *d = NULL;
  size_t count = 0;
  volatile unsigned sum = 0;
  err error = parquet_open(file.path, &f);
  if (!error) {
    parquet_columns(f, &count);
    for (size_t i = 0; i < count && i < 16; i++)
      err_free(parquet_read(f, &i, 1, touch, (void *)&sum));
  }
  err_free(error);
  parquet_close(f);
  char name[64];
  snprintf(name, sizeof name, "list:%s#image=text", file.path);
  error = dataset_open_for(&(char *){name}, 1, DATASET_CAPTION, &d);
  if (!error) dataset_close(d);
  err_free(error);
  fuzz_file_free(&file);
  return 0;
}
