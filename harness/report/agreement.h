/* Which numbers of a table that was made again agree with the first one's. */
#ifndef FLIPBENCH_REPORT_AGREEMENT_H
#define FLIPBENCH_REPORT_AGREEMENT_H

#include "report/table.h"

/* A number is `same` when it is equal, `printed` when it is equal as the table prints it,
 * `within` when the two intervals overlap (a value without an interval is a point; the images are
 * the same, so an accuracy's interval is of its seeds alone), else it differs. Speed, time and memory belong to a machine: they are counted apart and judge nothing. */
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
/* The values at `index` of two rows of the same keys. */
agreement agreement_judge(const report_column *c, const report_row *first, const report_row *again,
                          size_t index);

void agreement_add(agreement kind, agreement_count *count);

/* Tables of one experiment: the same rows and columns. Appends the numbers that do not agree. */
void agreement_write(const report_table *first, const report_table *again, strbuf *out,
                     agreement_count *count);

#endif
