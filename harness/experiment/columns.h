/* Every column that a comparison table can have, described once. The report computes values from
 * this table; `flipbench report --list` and docs/experiments.md list it, and suggestions for
 * misspelt columns in an experiment file come from it. */
#ifndef FLIPBENCH_EXPERIMENT_COLUMNS_H
#define FLIPBENCH_EXPERIMENT_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef enum {
  COLUMN_SETTING,    /* a key of the settings: argument is the key */
  COLUMN_SUMMARY,    /* a summary metric of the run: argument is its name */
  COLUMN_EVAL,       /* last evaluation on the main set: argument is "task.metric" */
  COLUMN_SHIFTED,    /* last evaluation on the shifted set */
  COLUMN_CHANCE,     /* "task.metric/task.chance": a metric over its chance level, main set */
  COLUMN_TUNED,      /* COLUMN_EVAL of the cell tuned from this one */
  COLUMN_FINAL,      /* the same, or if the experiment tunes nothing from this one, of itself */
  COLUMN_FINE_TUNED, /* COLUMN_EVAL of the classifier trained from this cell, or from the one
                      * tuned from it */
  COLUMN_RATIO,      /* argument is another column: this row divided by the baseline */
  COLUMN_INVERSE,    /* baseline divided by this row */
  COLUMN_ISO         /* iso-accuracy speed-up against the baseline (stats/curve.h) */
} column_kind;

/* Whether the column may show a cell other than its row's. */
static inline bool column_is_of_tuning(column_kind kind) {
  return kind == COLUMN_TUNED || kind == COLUMN_FINAL || kind == COLUMN_FINE_TUNED;
}

typedef enum { BETTER_NONE, BETTER_HIGHER, BETTER_LOWER } column_better;

typedef struct {
  const char *name, *heading, *unit; /* unit "": dimensionless */
  int digits;                        /* decimals shown */
  double scale;                      /* shown = stored * scale */
  column_better better;
  column_kind kind;
  const char *argument;
  const char *help;
  const char
      *set; /* of an accuracy: the evaluation set that its name ends in; NULL: the report's */
} column;

/* Whether it is of a linear probe, which a cell of its own may measure; c may be NULL. */
static inline bool column_is_of_probe(const column *c) {
  return c && c->argument && strncmp(c->argument, "probe.", 6) == 0;
}

const column *columns_table(size_t *count);
/* Names, for suggestions. */
const char *const *columns_names(size_t *count);
/* By its name. Of an accuracy NAME on the main set there are also tuned_NAME, final_NAME and, of
 * all of these, NAME@SET: on that evaluation set. Always the same column for a name; NULL: there is
 * none, or no memory. */
const column *columns_find(const char *name);
/* Whether more or less of a metric is better: by the table, where it is a column or the summary
 * metric of one, or else by its name: less of a time, a size, an energy or a loss, more of a rate
 * or an accuracy. BETTER_NONE: neither says. */
column_better columns_better(const char *metric);

#endif
