/* Helpers shared by the functions that draw figures. Internal to report/. */
#ifndef FLIPBENCH_REPORT_DRAWING_H
#define FLIPBENCH_REPORT_DRAWING_H

#include "report/data.h"
#include "report/figure.h"
#include "report/table.h"

typedef struct {
  report_data *d;
  const report_table *t; /* for the markers and the caption */
  figure f;
  bool is_brief; /* rows are named by their values alone (drawing_shorten_names) */
} drawing;

/* Picks the unit for seconds and samples by the greatest value. */
double drawing_time_unit(double longest, const char **name);
double drawing_count_unit(double most, const char **name);

/* Names of many keys would be cut where they begin to differ: if a row's name is too long for a
 * label, "mask 50 %, batch 64, none" becomes "50 %, 64, none" in all of this figure. */
void drawing_shorten_names(drawing *g);
/* "rows: mask, batch, augment": what brief names are values of; nothing for others. */
void drawing_name_keys(const drawing *g, strbuf *out);
/* "mask 50 % †", as a label. */
void drawing_name_row(const drawing *g, size_t row, char *text, size_t size);
/* The first `count` row keys (a panel), or those that follow (a series in it). */
void drawing_name_part(const drawing *g, size_t row, size_t count, bool is_rest, char *text,
                       size_t size);
/* Do two rows have the same values there? Their names may differ where they have been cut. */
bool drawing_is_alike(const drawing *g, size_t a, size_t b, size_t count, bool is_rest);
/* "1,426", "3.4"; with digits 0 "0.45" all the same. */
void drawing_number(double value, int digits, char *text, size_t size);

void drawing_start_range(figure *f);
void drawing_widen(figure *f, double x, double low, double high);
/* Adds a margin around the data; false when nothing finite is drawn. */
bool drawing_pad(figure *f, bool is_from_zero);
/* The right edge leaves room for the longest label at the end of a line. */
void drawing_set_right_edge(figure *f, const figure_end *ends, size_t count);

err drawing_accuracy_vs_time(drawing *g) ERR_MUST_CHECK;
err drawing_accuracy_vs_samples(drawing *g) ERR_MUST_CHECK;
err drawing_loss(drawing *g) ERR_MUST_CHECK;
err drawing_throughput(drawing *g) ERR_MUST_CHECK;
err drawing_memory(drawing *g) ERR_MUST_CHECK;
/* y: a column; x: a column or a numeric axis ("retrieval_i2t_r1 against mask_ratio"). */
err drawing_against(drawing *g, const column *y, const char *x) ERR_MUST_CHECK;

#endif
