/* One self-contained page: the table, the figures as inline SVG, and for every run where its
 * numbers come from. No script is needed to read it; it follows the reader's light or dark mode. */
#ifndef FLIPBENCH_REPORT_HTML_H
#define FLIPBENCH_REPORT_HTML_H

#include "spec/spec.h"
#include "store/store.h"

/* `plots`: a folder for the figures, drawn anew as SVG. Without gnuplot the page has none. */
err html_write(const spec_experiment *e, store *s, const char *plots, strbuf *out) ERR_MUST_CHECK;

#endif
