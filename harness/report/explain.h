/* Why a number is not there. Internal to report/.
 *
 * Reasons are static texts, so that equal ones are equal as pointers. */
#ifndef FLIPBENCH_REPORT_EXPLAIN_H
#define FLIPBENCH_REPORT_EXPLAIN_H

#include "report/data.h"

/* Why a column is empty in a row whose cells have finished. (Unfinished cells are reported with the
 * row.) */
const char *explain_empty(const report_data *d, size_t row, const column *c);

/* Why a claim about two rows whose cells have finished has no value. is_absent: a run lacks the
 * number itself; else there are numbers that cannot be compared. */
const char *explain_claim(report_data *d, const spec_claim *c, size_t row, size_t other,
                          bool *is_absent);

/* Why accuracies of two rows, whose runs have them, are not subtracted: no two runs make a pair.
 * NULL: a run lacks the accuracy, or the rows had other inputs, which is told elsewhere. */
const char *explain_difference(report_data *d, size_t row, size_t other, const column *c);

#endif
