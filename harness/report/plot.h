/* Figures of an experiment, drawn by gnuplot from the templates in plots/. Beside each figure its
 * script is kept (NAME.gp, with the data inside), so that it can be changed and drawn again. */
#ifndef FLIPBENCH_REPORT_PLOT_H
#define FLIPBENCH_REPORT_PLOT_H

#include "experiment/spec.h"
#include "store/store.h"

typedef struct {
  const char *folder;        /* where the figures go; made when missing */
  const char *formats;       /* "svg,png,pdf" */
  bool is_column;            /* as wide as one of two columns of a paper, without title */
  const char *figure;        /* only this one; NULL: all that the report names */
  const char *template_path; /* draws instead of the house's template; NULL: that */
} plot_options;

/* Every figure there is: what `flipbench plot --list` prints. Beside these there is "Y against X"
 * for any column Y and any column or numeric axis X. */
typedef struct {
  const char *name, *help;
} plot_figure;
const plot_figure *plot_figures(size_t *count);
/* One of them, or "Y against X" with a column Y. */
bool plot_is_known(const char *name);

/* What became of one figure. */
typedef struct {
  char *name;      /* of its files */
  char *why;       /* why it was not drawn; NULL: it was */
  bool has_failed; /* something went wrong, rather than there being nothing to draw */
} plot_result;
typedef struct {
  plot_result *items;
  size_t count;
} plot_results;

/* Draws the figures that the experiment's report names. One that cannot be drawn says why in
 * `results` and leaves the others alone; only what concerns all of them is an error. */
err plot_all(const spec_experiment *e, store *s, const plot_options *options,
             plot_results *results) ERR_MUST_CHECK;
void plot_free(plot_results *results);

#endif
