/* Measurements over commits as figures and as a page. Series of one machine, build and command line
 * form a group; groups never share an axis. */
#ifndef FLIPBENCH_REPORT_HISTORY_H
#define FLIPBENCH_REPORT_HISTORY_H

#include "base/text.h"
#include "stats/levels.h"
#include "store/samples.h"

typedef struct {
  const sample_series *series; /* in the order of store_read_samples */
  const series_levels *levels; /* of each */
  size_t count;
  const char *metric;
} history_view;

enum { HISTORY_PANELS = 4 }; /* series per figure; the rest go into the next figure */

/* The series of figure `number` (from 0); 0 when there is no such figure. */
size_t history_panels(const history_view *v, size_t number, size_t members[HISTORY_PANELS]);
/* The name of a group: "AMD EPYC, 2 CPUs · gcc 12.2.0, -O3 · bench step". */
void history_name_group(const sample_series *series, strbuf *out);
/* Were points since the beginning of this level, or those of the newest level, measured alone, one
 * after another, so that the machine's drift may be what differs? */
bool history_may_drift(const sample_series *series, const series_levels *l, size_t level);
/* The newest level of a figure's series: "mask_ratio=0: -5.0 % since 1a2b3c4", followed by ", or
 * the machine's drift" where that may be what differs, or that no change was detected. */
void history_title(const history_view *v, const size_t *members, size_t count, strbuf *out);

/* The file of figure `number`, without folder and extension. */
void history_name_file(const history_view *v, size_t number, char *name, size_t size);
/* Draws every figure as FOLDER/history-METRIC-N.FORMAT; the names (without extension) go to
 * `drawn`, one per line. */
err history_draw(const history_view *v, const char *folder, const char *formats, bool is_column,
                 strbuf *drawn) ERR_MUST_CHECK;

/* The self-contained page: figures (drawn in `folder`), every commit, and `failures`, the text of
 * failures.jsonl or NULL: those of commits that have no point. */
err history_page(const history_view *v, const char *folder, const char *failures,
                 strbuf *out) ERR_MUST_CHECK;

#endif
