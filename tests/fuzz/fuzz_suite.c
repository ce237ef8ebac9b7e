/* A suite of evaluation sets. */
#include "eval/suite.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_file file = fuzz_file_make(data, size);
  suite s;
  strbuf table = {0};
  err error = suite_load(file.path, &s);
  if (!error) {
    suite_write_table(&s, &table);
    suite_write_json(&s, &table);
    suite_free(&s);
  }
  err_free(error);
  strbuf_free(&table);
  fuzz_file_free(&file);
  return 0;
}
