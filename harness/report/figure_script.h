/* What figure.c and figure_script.c share. Internal to report/. */
#ifndef FLIPBENCH_REPORT_FIGURE_SCRIPT_H
#define FLIPBENCH_REPORT_FIGURE_SCRIPT_H

#include "report/figure.h"

/* Appends a string of gnuplot. */
void figure_append_quoted(strbuf *out, const char *text);
/* Of the plot, as a share of the figure's width. */
double figure_left_edge(const figure *f);

#endif
