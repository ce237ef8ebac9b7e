/* A suite: evaluation sets measured together, with a table that includes published numbers.
 *
 *   title: Zero-shot robustness
 *   sets:
 *     - file: imagenet.yaml       # relative to the suite, else as for --set-file
 *       task: zeroshot            # or retrieval
 *       metric: top1              # name as in flip eval --json; default: the set's own
 *       corruption: {kind: jpeg, strength: 3}   # overrides the set's file
 *       reference: {FLIP L/16: 74.3}   # in percent; columns of the table
 *   mean: mean over corruptions   # optional: adds the mean over the sets with a corruption, once
 *                                 # all of them are measured */
#ifndef FLIP_EVAL_SUITE_H
#define FLIP_EVAL_SUITE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "image/corrupt.h"
#include "config/settings.h"
#include "text/tokenizer.h"
#include "model/clip.h"

typedef struct {
  char *file, *name, *metric;
  bool is_retrieval;
  image_corruption corruption;
  double *references; /* by column, NaN: none */
  double value;       /* in [0, 1], NaN: not measured */
  double bounds[2];   /* 95 % over images (captions, of text_to_image); NaN: not known */
  char *problem;      /* the reason; NULL when measured */
  char *warnings;     /* what the set skipped, one line each; NULL or "": nothing */
} suite_row;

typedef struct {
  char *title, *mean_name; /* mean_name NULL: no such row */
  char **columns;
  size_t column_count;
  suite_row *rows;
  size_t row_count;
} suite;

err suite_load(const char *path, suite *s) ERR_MUST_CHECK;
/* The mean over rows with a corruption; NaN unless all are measured. */
double suite_mean(const suite *s);
void suite_free(suite *s);
/* Measures every set; one that cannot be opened becomes a row with its error and does not stop the
 * others. ranks: as in eval_how. */
err suite_run(suite *s, const settings *run, const tokenizer *words, clip_model *model,
              comm *ranks) ERR_MUST_CHECK;
/* A Markdown table, in percent; errors below it. */
void suite_write_table(const suite *s, strbuf *out);
void suite_write_json(const suite *s, strbuf *out);

#endif
