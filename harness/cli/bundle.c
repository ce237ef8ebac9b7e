#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "cli/cli.h"
#include "report/write.h"
#include "run/bundle.h"

static const char details[] =
    "The experiment file with its bases and evaluation sets, the record of every run (settings,\n"
    "events, log, command lines, code difference) and the table, with a digest of every file. The\n"
    "training data is not in it; its fingerprint is. 'flipbench reproduce' takes it from there.\n"
    "\n"
    "examples:\n"
    "  flipbench bundle quickstart\n"
    "  flipbench bundle mask_ratio --checkpoints --out /tmp/mask_ratio.tar.gz";

static err bundle(const spec_experiment *e, store *s, const cli_place *place, const char *out,
                  bool with_checkpoints) {
  report_table *table = NULL;
  strbuf json = {0}, path = {0}, said = {0};
  bundle_count count;
  char size[TEXT_NUMBER_SIZE];
  err error = report_build(e, s, &table);
  if (error) return error;
  report_write_json(table, &json);
  strbuf_format(&path, "%s/%s/%s.flipbench.tar.gz", place->results, e->name, e->name);
  bundle_options options = {.results = place->results,
                            .out = out ? out : strbuf_string(&path),
                            .table_json = strbuf_string(&json),
                            .with_checkpoints = with_checkpoints};
  error = bundle_write(e, s, &options, &count);
  if (!error) {
    strbuf_format(&said, "%s: %zu runs, %zu files, %s before compression\n", options.out,
                  count.runs, count.files, text_bytes(count.bytes, size));
    error = cli_print(&said);
  }
  report_free(table);
  strbuf_free(&json);
  strbuf_free(&path);
  strbuf_free(&said);
  return error;
}

int cli_bundle(int argc, char **argv) {
  cli_place place = {.results = "results"};
  const char *out = NULL, *profile = NULL, *given;
  bool with_checkpoints = false, is_help_wanted = false;
  option options[] = {
      {"out", 'o', OPTION_STRING, &out, "FILE", "[RESULTS/NAME/NAME.flipbench.tar.gz]", false},
      {"checkpoints", 0, OPTION_FLAG, &with_checkpoints, NULL, "pack the weights too", false},
      {"profile", 'p', OPTION_STRING, &profile, "NAME", "the file's profile of that name", false},
      CLI_PLACE_OPTIONS(place),
      {0}};
  command c = {"flipbench bundle", "an experiment as one archive", "EXPERIMENT.yaml|NAME [OPTIONS]",
               options, details};
  option_list rest = {0};
  store *s = NULL;
  spec_experiment *e = NULL;
  err error = NULL;
  TRY(options_parse(&c, argc, argv, &rest, &is_help_wanted));
  if (is_help_wanted) goto cleanup;
  TRY(cli_one_word(&rest, "EXPERIMENT", &given));
  TRY(cli_find_place(&place));
  TRY(store_open_existing(place.path, &s));
  spec_options spec = {.profile = profile};
  TRY(cli_load_experiment(s, given, &spec, &e));
  TRY(bundle(e, s, &place, out, with_checkpoints));
cleanup:
  store_close(s);
  spec_free(e);
  free(place.path);
  options_free_list(&rest);
  options_free(options);
  return options_exit_status(error);
}
