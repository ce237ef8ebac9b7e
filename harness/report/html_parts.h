/* The parts of an experiment's page, as keys of its JSON. Internal to report/. */
#ifndef FLIPBENCH_REPORT_HTML_PARTS_H
#define FLIPBENCH_REPORT_HTML_PARTS_H

#include "base/json.h"
#include "report/data.h"
#include "report/table.h"
#include "store/runs.h"

/* "table": the comparison table; each number with the runs it is based on. */
void html_write_table(json_writer *w, const report_data *d, const report_table *t);
/* "curves": the headline metric, the evaluations in the table, the loss. */
err html_write_curves(json_writer *w, report_data *d, const report_table *t) ERR_MUST_CHECK;
/* An object: everything recorded about one run. */
err html_write_run(json_writer *w, store *s, const store_run *run,
                   const char *label) ERR_MUST_CHECK;

#endif
