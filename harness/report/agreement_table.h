/* A table that compares two tables of one experiment: each number as recorded and as reproduced,
 * the difference, and the verdict. */
#ifndef FLIPBENCH_REPORT_AGREEMENT_TABLE_H
#define FLIPBENCH_REPORT_AGREEMENT_TABLE_H

#include "report/agreement.h"

/* One line per recorded number, in the order of the first table. */
err agreement_write_table(const report_table *first, const report_table *again, strbuf *out,
                          agreement_count *count) ERR_MUST_CHECK;

#endif
