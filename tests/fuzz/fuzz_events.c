/* A run directory's two records, attempts.jsonl and behind a NUL events.jsonl, into the database:
 * whatever lines they hold, the record stays whole and takes the same run again. */
#include <stdio.h>

#include "base/fs.h"
#include "fuzz/fuzz.h"
#include "sweep/directory.h"
#include "store/runs.h"
#include "store/store.h"

static store *open_once(void) {
  static store *s;
  if (!s) {
    fuzz_folder();
    fuzz_expect_ok(fs_make_folders("results/run"));
    fuzz_expect_ok(store_open("flipbench.db", &s));
  }
  return s;
}

static void write_file(const char *path, const uint8_t *data, size_t size) {
  FILE *file = fopen(path, "we"); /* not synced to disk, as fs_write_atomic would */
  fuzz_require(file && fwrite(data, 1, size, file) == size && fclose(file) == 0, "a small file");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  store *s = open_once();
  fuzz_halves parts = fuzz_cut(data, size);
  int64_t run = 0, again = 0;
  int attempt;
  verdict v = {0};
  write_file("results/run/attempts.jsonl", parts.first, parts.first_size);
  write_file("results/run/events.jsonl", parts.second, parts.second_size);
  err error = store_ingest(s, "results", "run", &run);
  if (!error) fuzz_expect_ok(store_ingest(s, "results", "run", &again));
  fuzz_require(error || run == again, "reading a run again finds the same run");
  if (!error) fuzz_expect_ok(store_check(s));
  if (run && !error) fuzz_expect_ok(store_forget_run(s, run));
  err_free(error);
  err_free(directory_next_attempt("results", "run", &attempt));
  err_free(directory_open_attempt("results", "run", &attempt));
  err_free(directory_read_end("results", "run", 0, &v));
  strbuf_free(&v.message);
  return 0;
}
