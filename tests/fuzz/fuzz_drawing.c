/* What a drawing's SVG says of itself. */
#include "make/rdf.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_file file = fuzz_file_make(data, size);
  rdf_facts facts = {0};
  err error = rdf_read(file.path, &facts);
  if (!error) rdf_free(&facts);
  err_free(error);
  fuzz_file_free(&file);
  return 0;
}
