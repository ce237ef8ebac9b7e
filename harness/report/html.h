/* Pages that open from a file and need no network and no server. Without scripts they show their
 * tables as text, and the figures.
 *
 * An experiment's page: the table (sortable, filterable, each number leads to its runs), curves
 * with their values under the finger, the figures as inline SVG, and for every run where its
 * numbers come from. The index: every experiment and every cell of a results folder. Both follow
 * the reader's light or dark mode. */
#ifndef FLIPBENCH_REPORT_HTML_H
#define FLIPBENCH_REPORT_HTML_H

#include "experiment/spec.h"
#include "store/store.h"

/* `plots`: a folder for the figures, drawn anew as SVG. Without gnuplot the page has none. */
err html_write(const spec_experiment *e, store *s, const char *plots, strbuf *out) ERR_MUST_CHECK;

/* To be saved as RESULTS/index.html: it links to RESULTS/NAME/report.html where there is one. */
err html_write_index(store *s, const char *results, strbuf *out) ERR_MUST_CHECK;

#endif
