/* Figures of an experiment, drawn by gnuplot from the templates in plots/. Beside each figure its
 * script is kept (NAME.gp, with the data inside), so that it can be changed and drawn again. */
#ifndef FLIPBENCH_REPORT_PLOT_H
#define FLIPBENCH_REPORT_PLOT_H

#include "spec/spec.h"
#include "store/store.h"

typedef struct {
  const char *folder;        /* where the figures go; made when missing */
  const char *formats;       /* "svg,png,pdf" */
  bool is_column;            /* as wide as one of two columns of a paper, without title */
  const char *figure;        /* only this one; NULL: all that the report names */
  const char *template_path; /* draws instead of the house's template; NULL: that */
} plot_options;

/* Every figure there is: what `flipbench plot --list` prints. */
typedef struct {
  const char *name, *help;
} plot_figure;
const plot_figure *plot_figures(size_t *count);

/* Draws the figures that the experiment's report names and that there are results for. `drawn`
 * receives their names ("accuracy_vs_time"); `skipped` what could not be drawn, and why. */
err plot_all(const spec_experiment *e, store *s, const plot_options *options, spec_names *drawn,
             strbuf *skipped) ERR_MUST_CHECK;

#endif
