#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "report/plot.h"

static const char details[] =
    "Draws the figures that the experiment's report names: accuracy_vs_time (with the\n"
    "iso-accuracy speed-up), accuracy_vs_samples, throughput, memory, loss. Beside each figure\n"
    "lies its gnuplot script with the data inside: change it and run gnuplot on it again.\n"
    "The templates are in plots/; another folder can be named in FLIPBENCH_PLOTS.\n"
    "\n"
    "example:\n"
    "  flipbench plot quickstart --format pdf --out paper/figures";

static err check_formats(const char *formats) {
  char copy[64], *rest = copy, *format;
  snprintf(copy, sizeof copy, "%s", formats);
  while ((format = strsep(&rest, ",")))
    if (strcmp(format, "svg") != 0 && strcmp(format, "png") != 0 && strcmp(format, "pdf") != 0)
      return err_new(ERR_INPUT, "--format: '%s' is not one of svg, png, pdf", format);
  return NULL;
}

static err draw(const spec_experiment *e, store *s, const plot_options *options) {
  spec_names drawn = {0};
  strbuf out = {0};
  err error = cli_draw(e, s, options, &drawn);
  for (size_t i = 0; i < drawn.count; i++) {
    char copy[64], *rest = copy, *format;
    snprintf(copy, sizeof copy, "%s", options->formats);
    while ((format = strsep(&rest, ",")))
      strbuf_format(&out, "%s/%s.%s\n", options->folder, drawn.items[i], format);
  }
  if (!error) error = cli_print(&out);
  spec_names_free(&drawn);
  strbuf_free(&out);
  return error;
}

int cli_plot(int argc, char **argv) {
  cli_place place = {.results = "results"};
  const char *out = NULL, *formats = "svg,png", *profile = NULL, *given;
  option options[] = {
      {"out", 'o', OPTION_STRING, &out, "DIR", "where the figures go [RESULTS/NAME/plots]", false},
      {"format", 'f', OPTION_STRING, &formats, "LIST", "svg, png, pdf [svg,png]", false},
      {"profile", 'p', OPTION_STRING, &profile, "NAME", "the file's profile of that name", false},
      CLI_PLACE_OPTIONS(place),
      {0}};
  command c = {"flipbench plot", "draw the figures of an experiment",
               "EXPERIMENT.yaml|NAME [OPTIONS]", options, details};
  option_list rest = {0};
  bool is_help_wanted;
  store *s = NULL;
  spec_experiment *e = NULL;
  strbuf folder = {0};
  err error = NULL;
  TRY(options_parse(&c, argc, argv, &rest, &is_help_wanted));
  if (is_help_wanted) goto cleanup;
  TRY(cli_one_word(&rest, "EXPERIMENT", &given));
  TRY(check_formats(formats));
  TRY(cli_find_place(&place));
  TRY(store_open_existing(place.path, &s));
  spec_options spec = {.profile = profile};
  TRY(cli_load_experiment(s, given, &spec, &e));
  strbuf_format(&folder, "%s/%s/plots", place.results, e->name);
  plot_options plot = {out ? out : strbuf_string(&folder), formats};
  TRY(draw(e, s, &plot));
cleanup:
  store_close(s);
  spec_free(e);
  strbuf_free(&folder);
  free(place.path);
  options_free_list(&rest);
  options_free(options);
  return options_exit_status(error);
}
