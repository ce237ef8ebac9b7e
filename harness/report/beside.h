/* Two tables of one experiment side by side: every number as it was recorded and as it is here, the
 * difference, and what that means. */
#ifndef FLIPBENCH_REPORT_BESIDE_H
#define FLIPBENCH_REPORT_BESIDE_H

#include "report/agreement.h"

/* A line each number, in the order of the tables. */
err beside_write(const report_table *first, const report_table *again, strbuf *out,
                 agreement_count *count) ERR_MUST_CHECK;

#endif
