#include <stdlib.h>

#include "base/interrupt.h"
#include "base/log.h"
#include "cli/cli.h"
#include "exchange/verify.h"

enum { EXIT_DIFFERENT = 1, EXIT_UNVERIFIED = 2 };

static const char details[] = "The same settings, seed, precision, thread count and program give "
                              "the same bits; this command\n"
                              "checks it. It trains the run again in RESULTS/verify-RUN-PID, which "
                              "is removed afterwards unless\n"
                              "--keep is given, and compares the last checkpoint tensor by tensor. "
                              "It takes as long as the run.\n"
                              "\n"
                              "example:\n"
                              "  flipbench verify 3\n"
                              "\n"
                              "exit status: 0 identical bits; 1 different bits; 2 cannot be "
                              "verified (not finished, checkpoints\n"
                              "gone or damaged, data missing, a file that cannot be read or "
                              "written)";

/* The bits differ; prints the recorded differences that may explain it. */
static void write_difference(const verify_result *r, int64_t run_id, strbuf *out) {
  const struct {
    bool is_other;
    const char *name;
  } causes[] = {{r->has_other_data, "different data"},
                {r->has_other_program, "a different program"},
                {r->has_other_libraries, "different libraries"},
                {r->has_other_machine, "a different machine"},
                {r->has_other_environment, "a different environment"}};
  size_t named = 0;
  strbuf_format(out, "run %lld: %zu of %zu tensors differ; largest difference in %s (%.3g)\n",
                (long long)run_id, r->different, r->tensors, r->worst, r->greatest);
  for (size_t i = 0; i < sizeof causes / sizeof *causes; i++)
    if (causes[i].is_other)
      strbuf_format(out, "%s%s", named++ ? " and " : "the recorded run used ", causes[i].name);
  if (named)
    strbuf_append(out, ":\n");
  else
    strbuf_append(out,
                  "data, program, libraries, machine and environment match the record, yet the "
                  "bits differ\n");
}

static void write_result(const verify_result *r, int64_t run_id, strbuf *out) {
  if (r->is_equal)
    strbuf_format(out, "run %lld: identical bits in all %zu tensors\n", (long long)run_id,
                  r->tensors);
  else
    write_difference(r, run_id, out);
  strbuf_append(out, strbuf_string(&r->notes));
  if (r->folder) strbuf_format(out, "the second run is in %s\n", r->folder);
}

static void stop(int number) {
  (void)number;
  interrupt_request();
}

int cli_verify(int argc, char **argv) {
  cli_place place = {.results = "results"};
  bool keeps_folder = false, is_help_wanted = false;
  option options[] = {
      {"keep", 0, OPTION_FLAG, &keeps_folder, NULL, "keep the second run's folder", false},
      CLI_PLACE_OPTIONS(place),
      {0}};
  command c = {"flipbench verify", "train a run again and compare the weights bit by bit",
               "RUN|CELL [OPTIONS]", options, details};
  option_list rest = {0};
  store *s = NULL;
  char *flip = NULL;
  strbuf out = {0};
  verify_result result = {0};
  const char *word;
  int64_t run_id;
  err error = NULL;
  TRY(options_parse(&c, argc, argv, &rest, &is_help_wanted));
  result.is_equal = is_help_wanted;
  if (is_help_wanted) goto cleanup;
  TRY(cli_one_word(&rest, "RUN or CELL", &word));
  TRY(cli_find_place(&place));
  TRY(cli_open_place(&place, &s));
  TRY(cli_find_run(s, word, &run_id));
  TRY(cli_refuse_other_recipe(s, run_id));
  TRY(run_find_flip(&flip));
  log_info("training run %lld again", (long long)run_id);
  interrupt_catch(stop); /* so that the second run's folder does not stay */
  TRY(run_verify(s, &(verify_options){place.results, flip, keeps_folder}, run_id, &result));
  write_result(&result, run_id, &out);
  TRY(cli_print(&out));
cleanup:;
  bool is_equal = result.is_equal;
  verify_free(&result);
  store_close(s);
  free(flip);
  strbuf_free(&out);
  free(place.path);
  options_free_list(&rest);
  options_free(options);
  int status = options_exit_status(error);
  if (status) return status == EXIT_DIFFERENT ? EXIT_UNVERIFIED : status;
  return is_equal ? 0 : EXIT_DIFFERENT;
}
