/* An experiment file, expanded to its cells: ids differ, parents stand before their children. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "experiment/spec.h"

static int by_id(const void *a, const void *b) {
  return strcmp((*(const spec_cell *const *)a)->id, (*(const spec_cell *const *)b)->id);
}

static void check_cells(const spec_experiment *e) {
  const spec_cell **sorted = malloc(e->cell_count * sizeof *sorted);
  fuzz_require(e->cell_count > 0, "an experiment has cells");
  fuzz_require(sorted != NULL, "memory for its cells");
  for (size_t i = 0; i < e->cell_count; i++) {
    const ptrdiff_t parent = e->cells[i].parent;
    fuzz_require(parent == SPEC_NO_PARENT || (parent >= 0 && parent < (ptrdiff_t)i),
                 "a parent stands before its cell");
    sorted[i] = &e->cells[i];
  }
  qsort(sorted, e->cell_count, sizeof *sorted, by_id);
  for (size_t i = 1; i < e->cell_count; i++)
    fuzz_require(by_id(&sorted[i - 1], &sorted[i]) != 0, "ids differ");
  free(sorted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  spec_experiment *e = NULL;
  strbuf json = {0};
  fuzz_folder(); /* a base named in the input is sought from the current folder on */
  char *text = fuzz_text(data, size);
  err error = spec_parse("input.yaml", text, size, &(spec_options){0}, &e);
  if (!error) {
    check_cells(e);
    spec_write_json(e, &json);
    strbuf_free(&json);
    spec_free(e);
  }
  err_free(error);
  free(text);
  return 0;
}
