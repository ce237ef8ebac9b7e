/* The parts of an experiment's page. Internal to report/. */
#ifndef FLIPBENCH_REPORT_HTML_PARTS_H
#define FLIPBENCH_REPORT_HTML_PARTS_H

#include "report/table.h"
#include "store/runs.h"

/* <details id="run-N">: where a run's numbers come from. */
err html_write_run(store *s, const store_run *run, const char *label, strbuf *out) ERR_MUST_CHECK;

/* What the page's script works with: the table's rows with the runs behind each number, a few
 * facts of each run, and the curves. page.js says how it reads them. */
err html_write_data(const spec_experiment *e, store *s, const report_table *t,
                    strbuf *json) ERR_MUST_CHECK;

#endif
