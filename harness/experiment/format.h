/* The keys of an experiment file, described once. The check for unknown keys with its suggestions,
 * the parser of plain values and the JSON Schema used by editors (spec_write_schema) are generated
 * from this table. docs/experiments.md explains the format. */
#ifndef FLIPBENCH_EXPERIMENT_FORMAT_H
#define FLIPBENCH_EXPERIMENT_FORMAT_H

#include <stddef.h>

#include "base/text.h"

/* A map in the file with keys of its own. */
typedef enum {
  FORMAT_TOP,
  FORMAT_TUNING, /* plus every setting */
  FORMAT_LIMITS,
  FORMAT_REQUIRES,
  FORMAT_SLURM,
  FORMAT_REPORT,
  FORMAT_REFERENCE, /* plus every axis and column */
  FORMAT_CLAIM
} format_group;

typedef enum {
  /* plain values, parsed by spec_read_group into the struct of their group, at `offset` */
  FORMAT_TEXT,     /* char * */
  FORMAT_NAMES,    /* spec_names: one text, or a list */
  FORMAT_COUNT,    /* int64_t, not negative */
  FORMAT_DURATION, /* double, seconds: 90, 30s, 1h 30m, 2d */
  FORMAT_BYTES,    /* int64_t: 512MiB, 8GiB, 8GB */
  /* parts with a parser of their own */
  FORMAT_FLAG,
  FORMAT_SCHEDULE,
  FORMAT_BASES,
  FORMAT_SETTINGS,
  FORMAT_AXES,
  FORMAT_CELLS,      /* a list of maps of settings */
  FORMAT_EXCLUSIONS, /* a list of conditions */
  FORMAT_PROFILES,
  FORMAT_TUNINGS,
  FORMAT_CONDITIONS,
  FORMAT_VARIABLES, /* environment variables */
  FORMAT_LIMITS_LIST,
  FORMAT_REQUIRES_MAP,
  FORMAT_SLURM_MAP,
  FORMAT_REPORT_MAP,
  FORMAT_COLUMN_NAMES,
  FORMAT_CURVE_COLUMN,
  FORMAT_PLOTS,
  FORMAT_ROW_VALUES, /* a map of axis values */
  FORMAT_REFERENCES,
  FORMAT_CLAIMS,
  FORMAT_REAL
} format_kind;

typedef struct {
  format_group group;
  const char *key;
  format_kind kind;
  size_t offset;
  const char *help;
} format_row;

const format_row *format_table(size_t *count);
/* The keys of one group, for suggestions; returns how many. */
enum { FORMAT_MOST_KEYS = 32 };
size_t format_keys(format_group group, const char *keys[FORMAT_MOST_KEYS]);

/* The names of the figures (spec/report.c). */
const char *const *spec_plot_names(size_t *count);

/* JSON Schema (draft 7, which editors support best) of the format, generated from the tables of
 * settings, columns and keys. */
void spec_write_schema(strbuf *out);

#endif
