/* `flipbench export`: curves for other programs. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "report/curve_export.h"

static const char details[] =
    "tensorboard: one folder with one event file per run; 'tensorboard --logdir DIR' shows them.\n"
    "csv: metrics.csv (experiment, run, label, step, samples, train_seconds, timestamp_ms, "
    "metric,\n"
    "value) and params.csv (experiment, run, key, value), one number per line; docs/results.md "
    "shows\n"
    "how to import them into W&B and MLflow. For each cell, the run shown in the table is "
    "exported.\n"
    "Exporting again overwrites the files, and removes the event files of runs that have been "
    "archived\n"
    "or removed. For all tables of the database: 'flipbench db export'.\n"
    "\n"
    "examples:\n"
    "  flipbench export quickstart --format tensorboard --out runs\n"
    "  flipbench export quickstart --format csv --out curves --axis samples";

typedef struct {
  cli_place place;
  const char *format, *axis, *out, *profile;
  option_list set, set_cell;
} export_words;

static err read_words(const export_words *words, curves_options *options) {
  options->format = strcmp(words->format, "csv") == 0 ? CURVES_CSV : CURVES_TENSORBOARD;
  options->counts_samples = strcmp(words->axis, "samples") == 0;
  if (options->format == CURVES_TENSORBOARD && strcmp(words->format, "tensorboard") != 0)
    return err_new(ERR_INPUT, "--format: '%s' is not tensorboard or csv", words->format);
  if (!options->counts_samples && strcmp(words->axis, "step") != 0)
    return err_new(ERR_INPUT, "--axis: '%s' is not step or samples", words->axis);
  return NULL;
}

static err export_all(const spec_experiment *e, store *s, const curves_options *options) {
  curves_count count;
  strbuf said = {0};
  err error = curves_export(e, s, options, &count);
  if (!error && !count.runs)
    error = err_new(ERR_INPUT, "%s: none of its cells was run, so there are no curves", e->name);
  strbuf_format(&said, "%s: %zu run%s, %lld numbers\n", options->folder, count.runs,
                count.runs == 1 ? "" : "s", (long long)count.numbers);
  if (!error) error = cli_print(&said);
  strbuf_free(&said);
  return error;
}

int cli_export(int argc, char **argv) {
  export_words words = {.place = {.results = "results"}, .format = "tensorboard", .axis = "step"};
  const char *given;
  bool is_help_wanted;
  option options[] = {
      {"format", 'f', OPTION_STRING, &words.format, "FORMAT", "tensorboard, csv [tensorboard]",
       false},
      {"out", 'o', OPTION_STRING, &words.out, "DIR", "[RESULTS/NAME/FORMAT]", false},
      {"axis", 0, OPTION_STRING, &words.axis, "AXIS",
       "x axis: step, or samples (to compare batch sizes) [step]", false},
      {"profile", 'p', OPTION_STRING, &words.profile, "NAME", "a profile of the file", false},
      CLI_CELL_OPTIONS(words.set, words.set_cell),
      CLI_PLACE_OPTIONS(words.place),
      {0}};
  command c = {"flipbench export", "export curves to TensorBoard or CSV",
               "EXPERIMENT.yaml|NAME [OPTIONS]", options, details};
  option_list rest = {0};
  curves_options wanted = {0};
  strbuf folder = {0};
  spec_experiment *e = NULL;
  store *s = NULL;
  err error = NULL;
  TRY(options_parse(&c, argc, argv, &rest, &is_help_wanted));
  if (is_help_wanted) goto cleanup;
  TRY(cli_one_word(&rest, "EXPERIMENT", &given));
  TRY(read_words(&words, &wanted));
  TRY(cli_find_place(&words.place));
  TRY(cli_read_place(&words.place, &s));
  spec_options spec = {.profile = words.profile,
                       .set = words.set.items,
                       .set_count = words.set.count,
                       .set_cell = words.set_cell.items,
                       .set_cell_count = words.set_cell.count};
  TRY(cli_load_experiment(s, words.place.results, given, &spec, &e));
  TRY(cli_catch_up(words.place.results, e, s));
  strbuf_format(&folder, "%s/%s/%s", words.place.results, e->name, words.format);
  wanted.folder = words.out ? words.out : strbuf_string(&folder);
  TRY(export_all(e, s, &wanted));
cleanup:
  store_close(s);
  spec_free(e);
  free(words.place.path);
  strbuf_free(&folder);
  options_free_list(&rest);
  options_free(options);
  return options_exit_status(error);
}
