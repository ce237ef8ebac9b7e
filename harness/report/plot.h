/* Figures of an experiment, drawn by gnuplot from the templates in plots/. The script of each
 * figure (NAME.gp, with its data) is kept next to it, so that it can be edited and redrawn. */
#ifndef FLIPBENCH_REPORT_PLOT_H
#define FLIPBENCH_REPORT_PLOT_H

#include "experiment/spec.h"
#include "store/store.h"

typedef struct {
  const char *folder;        /* output folder; created when missing */
  const char *formats;       /* "svg,png,pdf" */
  bool is_column;            /* as wide as one of two columns of a paper, without title */
  const char *figure;        /* only this one; NULL: all that the report lists */
  const char *template_path; /* used instead of the shipped template; NULL: the shipped one */
} plot_options;

/* All built-in figures, as printed by `flipbench plot --list`. In addition, "Y against X" is
 * accepted for any column Y and any column or numeric axis X. */
typedef struct {
  const char *name, *help;
} plot_figure;
const plot_figure *plot_figures(size_t *count);
/* A built-in figure, or "Y against X" with a column Y. */
bool plot_is_known(const char *name);
/* ERR_INPUT when the X of a known figure is no column, setting or axis of the experiment. */
err plot_check_axis(const spec_experiment *e, const char *name) ERR_MUST_CHECK;

/* The result for one figure. */
typedef struct {
  char *name;      /* of its files */
  char *why;       /* why it was not drawn; NULL: it was */
  bool has_failed; /* an error occurred, rather than there being nothing to draw */
} plot_result;
typedef struct {
  plot_result *items;
  size_t count;
} plot_results;

/* Draws the figures that the experiment's report lists. A figure that cannot be drawn records the
 * reason in `results` and does not affect the others; only a failure that concerns all of them is
 * returned as an error. */
err plot_all(const spec_experiment *e, store *s, const plot_options *options,
             plot_results *results) ERR_MUST_CHECK;
void plot_free(plot_results *results);

#endif
