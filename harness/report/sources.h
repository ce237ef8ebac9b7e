/* Where the published values of a table are from. Internal to report/. */
#ifndef FLIPBENCH_REPORT_SOURCES_H
#define FLIPBENCH_REPORT_SOURCES_H

#include "report/table.h"

/* Fills t->source from the sources of its values. A value with a source of its own is named with
 * it: "Li et al. 2023, Table 6; of zero-shot top-1: Li et al. 2023, Table 2". `source`: the
 * experiment's; NULL: it has none. */
err sources_write(const char *source, report_table *t) ERR_MUST_CHECK;

#endif
