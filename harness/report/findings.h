/* The sentences below a table: conclusions no stronger than the data allow. Internal to report/. */
#ifndef FLIPBENCH_REPORT_FINDINGS_H
#define FLIPBENCH_REPORT_FINDINGS_H

#include "report/curves.h"
#include "report/table.h"

/* Writes t->notes; the table's values must have been computed. */
err findings_write(report_data *d, report_table *t) ERR_MUST_CHECK;
void findings_free(report_notes *notes);
/* Writes t->notes.basis and .recorded (basis.c). */
err findings_write_basis(const report_data *d, report_table *t) ERR_MUST_CHECK;
/* Moves the text to *field, unless it is empty. */
err findings_keep(strbuf *text, char **field) ERR_MUST_CHECK;
/* 90123 → "90,123"; an estimate is rounded to two digits first. */
const char *findings_group(size_t value, bool is_guess, char text[TEXT_NUMBER_SIZE]);

/* What the interval of a ratio supports saying about it. */
typedef enum { FINDING_UNKNOWN, FINDING_ABOVE, FINDING_BELOW, FINDING_EITHER } finding;
finding findings_of(double low, double high, double neutral);

/* "1 seed", "3 seeds, 809 images": what a number of the column is based on. */
void findings_name_basis(const column *c, size_t seeds, size_t items, strbuf *out);
/* ", not paired by image" for a difference whose interval (`over`) is not. */
void findings_name_pairing(const char *over, strbuf *out);
/* The interval of a ratio: "1.20 to 1.83", "1.20 or more", "unbounded". */
void findings_name_range(double low, double high, strbuf *out);
/* "it would take about 1,200 images", or seeds, or that a million images or a thousand seeds would
 * not do; empty when both are 0. */
void findings_write_needed(const column *c, size_t seeds, size_t items, strbuf *out);

#endif
