/* Self-contained HTML pages that need no network or server. Without JavaScript they show their
 * tables as text, and the figures.
 *
 * An experiment's page: the table (sortable, filterable, each number linked to its runs),
 * interactive curves, the figures as inline SVG, and the provenance of every run. The index: every
 * experiment and every cell of a results folder. Both follow the browser's light or dark mode. */
#ifndef FLIPBENCH_REPORT_HTML_H
#define FLIPBENCH_REPORT_HTML_H

#include "experiment/spec.h"
#include "store/store.h"

/* `plots`: a folder for the figures, which are redrawn as SVG. Without gnuplot the page has
 * none. `index`: where the index is, seen from the page; NULL: nowhere near, there is no link. */
err html_write(const spec_experiment *e, store *s, const char *plots, const char *index,
               strbuf *out) ERR_MUST_CHECK;

/* To be saved as RESULTS/index.html: links to each existing RESULTS/NAME/report.html. */
err html_write_index(store *s, const char *results, strbuf *out) ERR_MUST_CHECK;

#endif
