/* The sentences below a table: what the data say, no stronger than they can. Internal to report/.
 */
#ifndef FLIPBENCH_REPORT_FINDINGS_H
#define FLIPBENCH_REPORT_FINDINGS_H

#include "report/curves.h"
#include "report/table.h"

/* Into t->notes; the table's values are made. */
err findings_write(report_data *d, report_table *t) ERR_MUST_CHECK;
void findings_free(report_notes *notes);

/* What an interval of a ratio allows to say of it. */
typedef enum { FINDING_UNKNOWN, FINDING_ABOVE, FINDING_BELOW, FINDING_EITHER } finding;
finding findings_of(double low, double high, double neutral);

/* "1 seed", "3 seeds, 809 images": what a number is made from. */
void findings_name_basis(size_t seeds, size_t items, strbuf *out);
/* "it would take about 1,200 images", or seeds; nothing when both are 0. */
void findings_write_needed(size_t seeds, size_t items, strbuf *out);

#endif
