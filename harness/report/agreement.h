/* Which numbers of a regenerated table agree with those of the original. */
#ifndef FLIPBENCH_REPORT_AGREEMENT_H
#define FLIPBENCH_REPORT_AGREEMENT_H

#include "report/table.h"

/* A number is `same` when it is equal, `printed` when it is equal as the table prints it, `within`
 * when the two intervals overlap (a value without an interval is a point; the images are the same,
 * so an accuracy's interval covers its seeds only), and `differing` otherwise. Speed, time and
 * memory depend on the machine: they are counted separately and affect no verdict. */
typedef struct {
  size_t same, printed, within, differing, missing, machine;
} agreement_count;

typedef enum {
  AGREEMENT_NONE, /* no number was recorded */
  AGREEMENT_SAME,
  AGREEMENT_PRINTED,
  AGREEMENT_WITHIN,
  AGREEMENT_DIFFERS,
  AGREEMENT_MISSING,
  AGREEMENT_MACHINE
} agreement;
/* The row of `again` with the same keys as a row of `first`, and other inputs (‡) if that has; of
 * several the one in the same place among them. NULL: there is none. */
const report_row *agreement_find_row(const report_table *first, size_t row,
                                     const report_table *again);
/* A value of a row that may be NULL: then no number. */
const report_value *agreement_value(const report_row *row, size_t index);

/* The values at `index` of two rows that belong together; `again` may be NULL. */
agreement agreement_judge(const report_column *c, const report_row *first, const report_row *again,
                          size_t index);

void agreement_add(agreement kind, agreement_count *count);

/* Compares two tables of one experiment (same columns). Appends the numbers that do not agree. */
void agreement_write(const report_table *first, const report_table *again, strbuf *out,
                     agreement_count *count);

#endif
