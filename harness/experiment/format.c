#include "experiment/format.h"

#include "experiment/spec.h"

#define LIMITS(field) offsetof(spec_limits, field)
#define REQUIRES(field) offsetof(spec_requires, field)
#define CLAIM(field) offsetof(spec_claim, field)
#define SLURM(field) offsetof(spec_slurm, field)

static const format_row table[] = {
    {FORMAT_TOP, "name", FORMAT_TEXT, 0, "names the folder under results/; default: the file's"},
    {FORMAT_TOP, "title", FORMAT_TEXT, 0, "heading of the table"},
    {FORMAT_TOP, "source", FORMAT_TEXT, 0, "where the table and its published values come from"},
    {FORMAT_TOP, "base", FORMAT_BASES, 0, "settings files, merged in order"},
    {FORMAT_TOP, "settings", FORMAT_SETTINGS, 0, "settings of every cell, over the base"},
    {FORMAT_TOP, "matrix", FORMAT_AXES, 0, "axes: the cells are their product"},
    {FORMAT_TOP, "include", FORMAT_CELLS, 0, "extends cells that agree with it, else a new cell"},
    {FORMAT_TOP, "exclude", FORMAT_EXCLUSIONS, 0,
     "removes cells by some or all of their axis values"},
    {FORMAT_TOP, "profiles", FORMAT_PROFILES, 0, "named overrides of this file: --profile NAME"},
    {FORMAT_TOP, "tuning", FORMAT_TUNINGS, 0, "cells that start from another cell's weights"},
    {FORMAT_TOP, "schedule", FORMAT_SCHEDULE, 0,
     "turns: cells run in alternating time slices; order: one after another [turns where times are "
     "compared]"},
    {FORMAT_TOP, "environment", FORMAT_VARIABLES, 0, "environment variables of every cell"},
    {FORMAT_TOP, "requires", FORMAT_REQUIRES_MAP, 0, "requirements on a machine that runs a cell"},
    {FORMAT_TOP, "limits", FORMAT_LIMITS_LIST, 0, "time, memory and retries of a cell"},
    {FORMAT_TOP, "slurm", FORMAT_SLURM_MAP, 0, "how cells are submitted to Slurm"},
    {FORMAT_TOP, "report", FORMAT_REPORT_MAP, 0, "what the table and the figures show"},
    {FORMAT_TOP, "claims", FORMAT_CLAIMS, 0, "statements that the report judges"},

    {FORMAT_TUNING, "from", FORMAT_TEXT, 0, "\"${cell}\", or \"${NAME}\" of another tuning"},
    {FORMAT_TUNING, "when", FORMAT_CONDITIONS, 0, "only from cells that have these values"},
    {FORMAT_TUNING, "unless", FORMAT_CONDITIONS, 0, "not from cells that have these values"},

    {FORMAT_LIMITS, "when", FORMAT_CONDITIONS, 0, "cells that the entry is for; default: all"},
    {FORMAT_LIMITS, "time", FORMAT_DURATION, LIMITS(time_seconds),
     "wall-clock limit of a process; it is then stopped and the cell recorded as failed"},
    {FORMAT_LIMITS, "memory", FORMAT_BYTES, LIMITS(memory_bytes), "memory of a process"},
    {FORMAT_LIMITS, "fewest_ranks", FORMAT_COUNT, LIMITS(fewest_ranks),
     "minimum number of ranks of a retry after a lost rank [as many as before]"},
    {FORMAT_LIMITS, "retries", FORMAT_COUNT, LIMITS(retries), "times a failed cell is tried again"},
    {FORMAT_LIMITS, "retry_wait", FORMAT_DURATION, LIMITS(retry_wait_seconds),
     "wait before the first retry, doubled for each further one [10s]"},

    {FORMAT_REQUIRES, "ranks", FORMAT_COUNT, REQUIRES(ranks),
     "processes that train a cell together, started by mpirun or srun [1]"},
    {FORMAT_REQUIRES, "nodes", FORMAT_COUNT, REQUIRES(nodes),
     "machines that the ranks are divided among evenly [1]"},
    {FORMAT_REQUIRES, "gpus", FORMAT_COUNT, REQUIRES(gpus), "GPUs of a cell, of each rank"},
    {FORMAT_REQUIRES, "cores", FORMAT_COUNT, REQUIRES(cores), "CPU cores of a cell, of each rank"},
    {FORMAT_REQUIRES, "memory", FORMAT_BYTES, REQUIRES(memory_bytes), "memory of the machine"},
    {FORMAT_REQUIRES, "variables", FORMAT_NAMES, REQUIRES(variables),
     "environment variables that must be set"},
    {FORMAT_REQUIRES, "files", FORMAT_NAMES, REQUIRES(files), "files or folders that must exist"},

    {FORMAT_SLURM, "partition", FORMAT_TEXT, SLURM(partition), "sbatch --partition"},
    {FORMAT_SLURM, "account", FORMAT_TEXT, SLURM(account), "sbatch --account"},
    {FORMAT_SLURM, "qos", FORMAT_TEXT, SLURM(qos), "sbatch --qos"},
    {FORMAT_SLURM, "constraint", FORMAT_TEXT, SLURM(constraint), "sbatch --constraint"},
    {FORMAT_SLURM, "at_once", FORMAT_COUNT, SLURM(at_once), "tasks of the array that run at once"},
    {FORMAT_SLURM, "mpi", FORMAT_TEXT, SLURM(mpi), "srun --mpi, for cells of several ranks [pmix]"},
    {FORMAT_SLURM, "options", FORMAT_NAMES, SLURM(options), "further sbatch options, as written"},
    {FORMAT_SLURM, "setup", FORMAT_NAMES, SLURM(setup),
     "shell lines before a cell starts (module load …)"},

    {FORMAT_REPORT, "rows", FORMAT_NAMES, 0, "axes whose values make a row; seeds are averaged"},
    {FORMAT_REPORT, "columns", FORMAT_COLUMN_NAMES, 0, "columns of the table, or settings"},
    {FORMAT_REPORT, "baseline", FORMAT_ROW_VALUES, 0, "the row that ratios are relative to"},
    {FORMAT_REPORT, "reference", FORMAT_REFERENCES, 0, "published values of a row"},
    {FORMAT_REPORT, "plots", FORMAT_PLOTS, 0, "figures"},
    {FORMAT_REPORT, "main_set", FORMAT_TEXT, 0, "evaluation set of the accuracy columns"},
    {FORMAT_REPORT, "shifted_set", FORMAT_TEXT, 0, "evaluation set of the shifted columns"},
    {FORMAT_REPORT, "iso", FORMAT_CURVE_COLUMN, 0, "metric of the curves and of iso_speedup"},

    {FORMAT_REFERENCE, "verified", FORMAT_FLAG, 0, "false: not checked against the source"},
    {FORMAT_REFERENCE, "source", FORMAT_TEXT, 0, "where the value comes from"},

    {FORMAT_CLAIM, "claim", FORMAT_TEXT, CLAIM(sentence), "the statement, in a sentence"},
    {FORMAT_CLAIM, "from", FORMAT_TEXT, CLAIM(from), "table or section that states it"},
    {FORMAT_CLAIM, "compare", FORMAT_TEXT, CLAIM(compare_name),
     "difference (accuracies), ratio (times, speeds, memory) or speedup (time to equal accuracy)"},
    {FORMAT_CLAIM, "metric", FORMAT_CURVE_COLUMN, 0,
     "column that is compared; speedup: report.iso"},
    {FORMAT_CLAIM, "against_metric", FORMAT_CURVE_COLUMN, 0,
     "difference: column of the other row [metric]"},
    {FORMAT_CLAIM, "of", FORMAT_ROW_VALUES, 0, "the row, by its axis values"},
    {FORMAT_CLAIM, "against", FORMAT_ROW_VALUES, 0,
     "the other row [the same with against_metric, else every other row]"},
    {FORMAT_CLAIM, "expect", FORMAT_TEXT, CLAIM(expect_name), "greater, smaller or equal"},
    {FORMAT_CLAIM, "than", FORMAT_REAL, 0, "bound, or centre of equal [0; 1 of a ratio]"},
    {FORMAT_CLAIM, "within", FORMAT_REAL, 0, "equal: greatest distance from `than`"},
    {FORMAT_CLAIM, "published", FORMAT_REAL, 0, "the published quantity [from report.reference]"},
    {FORMAT_CLAIM, "profiles", FORMAT_NAMES, CLAIM(profiles),
     "profiles in which it is judged [all, and the file without one]"}};
enum { ROW_COUNT = sizeof table / sizeof *table };

const format_row *format_table(size_t *count) {
  *count = ROW_COUNT;
  return table;
}

size_t format_keys(format_group group, const char *keys[FORMAT_MOST_KEYS]) {
  size_t count = 0;
  for (size_t i = 0; i < ROW_COUNT && count < FORMAT_MOST_KEYS; i++)
    if (table[i].group == group) keys[count++] = table[i].key;
  return count;
}
