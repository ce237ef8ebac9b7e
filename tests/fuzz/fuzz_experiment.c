/* An experiment file, expanded to its cells: ids differ, parents stand before their children. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "experiment/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  spec_experiment *e = NULL;
  strbuf json = {0};
  fuzz_folder(); /* a base named in the input is sought from the current folder on */
  char *text = fuzz_text(data, size);
  err error = spec_parse("input.yaml", text, size, &(spec_options){0}, &e);
  if (!error) {
    fuzz_require(e->cell_count > 0, "an experiment has cells");
    for (size_t i = 1; i < e->cell_count; i++)
      fuzz_require(strcmp(e->cells[i].id, e->cells[i - 1].id) != 0, "neighbours differ");
    spec_write_json(e, &json);
    strbuf_free(&json);
    spec_free(e);
  }
  err_free(error);
  free(text);
  return 0;
}
