/* The report on the reproduction: the claims of all experiment files of the paper, judged in one
 * profile, as one table. It can be saved as JSON and read back, so that a document generated from
 * it can be checked against the recorded results. */
#ifndef FLIPBENCH_REPORT_PAPER_H
#define FLIPBENCH_REPORT_PAPER_H

#include "base/clock.h"
#include "report/claims.h"

/* Texts are owned and never NULL; "": none. */
typedef struct {
  char *table, *from, *claim;
  char *quantity, *measured, *basis, *published, *verdict, *note;
} paper_line;

typedef struct {
  char *name, *title;
  char *provenance; /* "commit 0123456 · CPU · …" of the runs; "": none has finished */
  size_t cells, finished;
} paper_table;

typedef struct {
  char *profile;
  char recorded[CLOCK_STAMP_SIZE]; /* last event of the runs; "": none, or not known */
  paper_line *lines;
  size_t line_count;
  paper_table *tables;
  size_t table_count;
} paper_report;

/* All *.yaml and *.yml files in `folder`, sorted by name. Free with paper_free. */
err paper_collect(store *s, const char *folder, const char *profile,
                  paper_report **report) ERR_MUST_CHECK;
/* Reads the output of paper_write_json. */
err paper_read_json(const char *path, paper_report **report) ERR_MUST_CHECK;
void paper_free(paper_report *report);

void paper_write_json(const paper_report *p, strbuf *out);
void paper_write_text(const paper_report *p, strbuf *out);
void paper_write_markdown(const paper_report *p, strbuf *out);
void paper_write_html(const paper_report *p, strbuf *out);

#endif
