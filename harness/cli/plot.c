#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "report/plot.h"

static const char details[] =
    "Draws the figures that the experiment's report lists (--list shows all available ones). Next "
    "to\n"
    "each figure is its gnuplot script, which contains the data: edit it and run gnuplot -d on "
    "it.\n"
    "The templates are in plots/; set FLIPBENCH_PLOTS to use another folder, or --template to draw "
    "one\n"
    "figure with your own file. The theme is loaded first, and the figure's data blocks and "
    "variables\n"
    "are set (plots/curves.gp and plots/bars.gp list them).\n"
    "\n"
    "examples:\n"
    "  flipbench plot quickstart --format pdf --size column --out paper/figures\n"
    "  flipbench plot quickstart --figure loss --template my_loss.gp";

static err check_formats(const char *formats) {
  char copy[64], *rest = copy, *format;
  snprintf(copy, sizeof copy, "%s", formats);
  while ((format = strsep(&rest, ",")))
    if (strcmp(format, "svg") != 0 && strcmp(format, "png") != 0 && strcmp(format, "pdf") != 0)
      return err_new(ERR_INPUT, "--format: '%s' is not one of svg, png, pdf", format);
  return NULL;
}

static err list_figures(void) {
  strbuf out = {0};
  size_t count;
  const plot_figure *figures = plot_figures(&count);
  for (size_t i = 0; i < count; i++)
    strbuf_format(&out, "%-20s %s\n", figures[i].name, figures[i].help);
  strbuf_append(&out, "Y against X          any column by any column or numeric axis, e.g. "
                      "'samples_per_second against mask_ratio'\n");
  err error = cli_print(&out);
  strbuf_free(&out);
  return error;
}

static err check_figure(const plot_options *plot) {
  enum { MOST_NAMES = 16 };
  const char *names[MOST_NAMES];
  size_t count;
  const plot_figure *figures = plot_figures(&count);
  if (plot->template_path && !plot->figure)
    return err_new(ERR_INPUT, "--template needs --figure, which names the figure to draw");
  if (plot->template_path && access(plot->template_path, R_OK) != 0)
    return err_new(ERR_INPUT, "--template: %s cannot be read", plot->template_path);
  if (!plot->figure || plot_is_known(plot->figure)) return NULL;
  if (count > MOST_NAMES) count = MOST_NAMES;
  for (size_t i = 0; i < count; i++) names[i] = figures[i].name;
  const char *nearest = text_nearest(plot->figure, names, count);
  return err_new(ERR_INPUT, "--figure: no figure '%s'%s%s%s (see --list)", plot->figure,
                 nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

/* Draws what it can, then reports what failed as an error. */
static err draw(const spec_experiment *e, store *s, const plot_options *options) {
  plot_results results = {0};
  strbuf out = {0};
  err error = plot_all(e, s, options, &results);
  const plot_result *failed = NULL;
  for (size_t i = 0; i < results.count; i++) {
    const plot_result *one = &results.items[i];
    char copy[64], *rest = copy, *format;
    if (one->has_failed && !failed)
      failed = one;
    else if (one->why)
      log_warning("figure %s not drawn: %s", one->name, one->why);
    snprintf(copy, sizeof copy, "%s", options->formats);
    while (!one->why && (format = strsep(&rest, ",")))
      strbuf_format(&out, "%s/%s.%s\n", options->folder, one->name, format);
  }
  if (!error && out.length) error = cli_print(&out);
  if (!error && failed) error = err_new(ERR_INTERNAL, "figure %s: %s", failed->name, failed->why);
  plot_free(&results);
  strbuf_free(&out);
  return error;
}

int cli_plot(int argc, char **argv) {
  cli_place place = {.results = "results"};
  const char *out = NULL, *formats = "svg,png", *profile = NULL, *given;
  const char *size = "wide";
  plot_options plot = {.folder = NULL};
  bool is_list = false;
  option options[] = {
      {"list", 0, OPTION_FLAG, &is_list, NULL, "list the figures", false},
      {"figure", 0, OPTION_STRING, &plot.figure, "NAME", "draw only this figure", false},
      {"template", 't', OPTION_STRING, &plot.template_path, "FILE",
       "draw it with this gnuplot file", false},
      {"size", 0, OPTION_STRING, &size, "SIZE",
       "wide (7.6 in, with title), column (of a two-column paper, 3.3 in, no title) [wide]", false},
      {"out", 'o', OPTION_STRING, &out, "DIR", "output folder [RESULTS/NAME/plots]", false},
      {"format", 'f', OPTION_STRING, &formats, "LIST", "svg, png, pdf [svg,png]", false},
      {"profile", 'p', OPTION_STRING, &profile, "NAME", "a profile of the file", false},
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
  if (is_list) {
    error = options_refuse_words(&rest, false);
    if (!error) error = list_figures();
    goto cleanup;
  }
  TRY(cli_one_word(&rest, "EXPERIMENT", &given));
  TRY(check_formats(formats));
  TRY(check_figure(&plot));
  plot.is_column = strcmp(size, "column") == 0;
  if (!plot.is_column && strcmp(size, "wide") != 0)
    FAIL(ERR_INPUT, "--size: '%s' is not wide or column", size);
  TRY(cli_find_place(&place));
  TRY(cli_read_place(&place, &s));
  spec_options spec = {.profile = profile};
  TRY(cli_load_experiment(s, place.results, given, &spec, &e));
  if (plot.figure) TRY(plot_check_axis(e, plot.figure));
  TRY(cli_catch_up(place.results, e, s));
  strbuf_format(&folder, "%s/%s/plots", place.results, e->name);
  plot.folder = out ? out : strbuf_string(&folder);
  plot.formats = formats;
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
