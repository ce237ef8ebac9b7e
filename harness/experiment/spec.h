/* Experiment files: one YAML file describes one table or figure as a matrix of training runs.
 *
 *   spec_experiment *e;
 *   TRY(spec_load("experiments/mask_ratio.yaml", &(spec_options){0}, &e));
 *   for (size_t i = 0; i < e->cell_count; i++) use(&e->cells[i]);
 *   spec_free(e);
 *
 * docs/experiments.md documents the format. Everything in an experiment is owned by it. Errors list
 * every problem of the file, each with line, column and caret. */
#ifndef FLIPBENCH_EXPERIMENT_SPEC_H
#define FLIPBENCH_EXPERIMENT_SPEC_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "config/settings.h"
#include "experiment/columns.h"

enum { SPEC_NO_PARENT = -1 };

typedef struct {
  char *key;       /* "mask_ratio", or the axis name for the label of a zipped item */
  char *value;     /* canonical: "0.5", as setting_format writes it */
  bool is_labeled; /* part of the cell's label */
} spec_pair;

typedef struct {
  spec_pair *items;
  size_t count;
} spec_pairs;

/* NULL when there is no such key. */
const char *spec_pairs_get(const spec_pairs *pairs, const char *key);

typedef struct {
  char **items;
  size_t count;
} spec_names;

err spec_names_add(spec_names *names, const char *name) ERR_MUST_CHECK;
bool spec_names_has(const spec_names *names, const char *name);
void spec_names_free(spec_names *names);

/* Limits of one cell; 0: none. */
typedef struct {
  double time_seconds;       /* wall-clock limit of one process */
  int64_t memory_bytes;      /* of one process */
  int64_t retries;           /* after a transient failure */
  double retry_wait_seconds; /* before the first retry; doubled each time */
  int64_t fewest_ranks;      /* a retry after a lost rank may go down to; 0: as many as before */
} spec_limits;
/* Every value -1, and the values that are given over others. */
extern const spec_limits spec_limits_not_given;
void spec_limits_lay_over(spec_limits *limits, const spec_limits *given);

/* The processes that train a cell together, and the machines that they are divided among. */
typedef struct {
  int64_t ranks, nodes; /* at least 1 */
  bool is_axis; /* the matrix gives them: they are part of the cell's identity, and never changed */
} spec_ranks;

/* One training run. The id is the fingerprint of its identity settings (and of its ranks, if the
 * matrix sets them); a cell that starts from another one has init_from = "cell:PARENT-ID", so that
 * its id depends on the parent's settings and not on the path of the parent's checkpoint. */
typedef struct {
  settings settings;
  char id[HASH_SIZE];
  char *label;      /* "mask_ratio=0.5 seed=1", "mask_ratio=0.5 seed=1 · unmasked tuning" */
  spec_pairs axes;  /* coordinates in the matrix; a tuning cell has its parent's */
  char *tuning;     /* name of the tuning that made it; NULL for a cell of the matrix */
  ptrdiff_t parent; /* index of the cell it starts from, or SPEC_NO_PARENT */
  spec_limits limits;
  spec_ranks ranks; /* those of its parent, where it has one */
} spec_cell;

/* PARENT-ID of the settings of a cell that starts from another one; NULL: it starts from none. */
const char *spec_parent_id(const settings *s);

/* Requirements on a machine that runs a cell; 0: none. */
typedef struct {
  int64_t ranks, nodes, gpus, cores, memory_bytes; /* gpus and cores: of each rank */
  spec_names variables, files;
} spec_requires;

/* How cells are submitted to Slurm; NULL: its default. */
typedef struct {
  char *partition, *account, *qos, *constraint, *mpi;
  int64_t at_once;
  spec_names options, setup;
} spec_slurm;

/* A published value, shown next to the measured one. */
typedef struct {
  spec_pairs where; /* the row: axis values */
  const column *column;
  double value;     /* in the column's unit, as printed */
  bool is_verified; /* false: shown with "~" and the note "unverified" */
  char *source;     /* NULL: the experiment's */
} spec_reference;

typedef enum { CLAIM_DIFFERENCE, CLAIM_RATIO, CLAIM_SPEEDUP } claim_compare;
typedef enum { CLAIM_GREATER, CLAIM_SMALLER, CLAIM_EQUAL } claim_relation;

/* A statement about two rows, judged by a confidence interval. */
typedef struct {
  char *sentence, *from;
  char *compare_name, *expect_name; /* as written; NULL: not given */
  claim_compare compare;
  claim_relation relation;
  const column *metric, *against_metric; /* NULL for a speed-up */
  spec_pairs of, against;                /* no `against`: every other row, or the same */
  double than, within;                   /* within: NaN unless equal */
  double published;                      /* NaN: from the references */
  spec_names profiles;                   /* none: judged in every one */
} spec_claim;

/* What the report shows. */
typedef struct {
  spec_names rows;    /* axis keys; cells that agree in these are one row (seeds are averaged) */
  spec_names columns; /* column names, or keys of settings */
  spec_pairs baseline;
  spec_reference *references;
  size_t reference_count;
  spec_names plots;
  char *main_set, *shifted_set; /* evaluation sets; NULL: the first, the first other */
  const column *iso;            /* metric of the iso-accuracy speed-up and of the curves */
} spec_report;

/* How the cells of a sweep on one machine are scheduled. */
typedef enum {
  SCHEDULE_AUTO, /* time slices, where times are compared and stopping is cheap */
  SCHEDULE_ORDER,
  SCHEDULE_TURNS
} spec_schedule;

typedef struct {
  char *path, *name, *title, *source; /* name has "@profile" behind it when one was chosen */
  char *profile;                      /* NULL: none */
  spec_names profiles;                /* those that the file has */
  char *text;                         /* the file as it was */
  spec_schedule schedule;
  spec_names set, set_cell; /* as given in spec_options */
  spec_names notices;       /* what has no effect, as sentences */
  spec_cell *cells;         /* parents before the cells that start from them */
  size_t cell_count;
  spec_pairs environment; /* variables that every cell's process gets */
  spec_requires requires;
  spec_slurm slurm;
  spec_report report;
  spec_claim *claims;
  size_t claim_count;
} spec_experiment;

typedef struct {
  const char *profile;    /* NULL: none */
  const char *const *set; /* "key=value", over the file's settings and below the matrix */
  size_t set_count;
  const char *const *set_cell; /* "AXIS=VALUE[,…]:key=value", over the matrix, for some cells */
  size_t set_cell_count;
  bool trains; /* the cells are to be trained: not by another version's recipe */
} spec_options;

err spec_load(const char *path, const spec_options *options, spec_experiment **e) ERR_MUST_CHECK;
/* The same from text; `path` is used in messages and to resolve bases relative to it. */
err spec_parse(const char *path, const char *text, size_t length, const spec_options *options,
               spec_experiment **e) ERR_MUST_CHECK;
void spec_free(spec_experiment *e);

/* The experiment as JSON: written to results/NAME/experiment.json and read by the store. */
void spec_write_json(const spec_experiment *e, strbuf *out);

/* Is the claim judged in the selected profile? */
bool spec_claim_is_judged(const spec_experiment *e, const spec_claim *claim);

/* The value of a cell under `key`: an axis value, or else a setting (formatted into `scratch`).
 * NULL when there is no such key. */
const char *spec_cell_value(const spec_cell *cell, const char *key, strbuf *scratch);
/* What a cell that starts from another's weights does: trains a classifier, measures them (at a
 * rate of 0), or continues the training. A row of a table shows one cell of each kind. */
typedef enum { SPEC_CLASSIFIES, SPEC_MEASURES, SPEC_CONTINUES, SPEC_USES } spec_use;
spec_use spec_use_of(const spec_cell *cell);

/* The cell with this id; NULL: there is none. */
const spec_cell *spec_find_cell(const spec_experiment *e, const char *id);

/* True when the cell has every value of `where`. */
bool spec_cell_matches(const spec_cell *cell, const spec_pairs *where);

/* "ranks" and "nodes": keys of `requires` that may also be axes of the matrix. */
bool spec_is_ranks_key(const char *key);
/* The next smaller number of ranks that the cell can be trained on: at least limits.fewest_ranks,
 * a divisor of the batch, with no more of them on one machine than of `ranks`. 0: there is none. */
int64_t spec_fewer_ranks(const spec_cell *cell, const spec_limits *limits, int64_t ranks);
/* The machines that that many ranks of a cell are divided among: its nodes, or fewer. */
int64_t spec_nodes_of(const spec_cell *cell, int64_t ranks);

#endif
