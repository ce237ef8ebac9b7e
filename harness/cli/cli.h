/* The subcommands of `flipbench`: each takes its arguments and returns the exit status. */
#ifndef FLIPBENCH_CLI_CLI_H
#define FLIPBENCH_CLI_CLI_H

#include "base/options.h"
#include "report/plot.h"
#include "report/table.h"
#include "sweep/run.h"
#include "experiment/spec.h"
#include "store/store.h"

int cli_run(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_runs(int argc, char **argv);
int cli_show(int argc, char **argv);
int cli_report(int argc, char **argv);
int cli_plot(int argc, char **argv);
int cli_export(int argc, char **argv);
int cli_pause(int argc, char **argv);
int cli_resume(int argc, char **argv);
int cli_submit(int argc, char **argv);
int cli_task(int argc, char **argv);
int cli_rank(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_db(int argc, char **argv);
int cli_diff(int argc, char **argv);
int cli_verify(int argc, char **argv);
int cli_bundle(int argc, char **argv);
int cli_reproduce(int argc, char **argv);
int cli_compare(int argc, char **argv);
int cli_cost(int argc, char **argv);
int cli_bisect(int argc, char **argv);
int cli_history(int argc, char **argv);
int cli_regress(int argc, char **argv);

/* ---- shared by the subcommands (common.c) ---- */

/* " · 4 ranks on 2 nodes"; nothing for one rank. */
void cli_name_ranks(const spec_cell *cell, strbuf *out);

/* Locations of results and database: --results (default "results"), --db, else $FLIPBENCH_DB, else
 * RESULTS/flipbench.db. */
typedef struct {
  const char *results, *db;
  char *path; /* of the database; owned */
} cli_place;
#define CLI_PLACE_OPTIONS(place)                                                                   \
  {"results", 0, OPTION_STRING, &(place).results, "DIR", "results folder [results]", false}, {     \
    "db", 0, OPTION_STRING, &(place).db, "FILE",                                                   \
        "database [RESULTS/flipbench.db, or $FLIPBENCH_DB]", false                                 \
  }
/* How commits are built (timing/bisect.h): 'flipbench bisect' and 'history --measure'. */
#define CLI_BUILD_DEFAULTS                                                                         \
  {                                                                                                \
    .repository = ".", .build = "cmake --preset release && cmake --build build --target flip",     \
    .program = "build/bin/flip"                                                                    \
  }
#define CLI_BUILD_OPTIONS(builds)                                                                  \
  {"repository", 0, OPTION_STRING, &(builds).repository, "DIR", "git repository [.]", false},      \
      {"build",                                                                                    \
       0,                                                                                          \
       OPTION_STRING,                                                                              \
       &(builds).build,                                                                            \
       "COMMAND",                                                                                  \
       "build command, run in each checkout [cmake --preset release && cmake --build build "       \
       "--target flip]",                                                                           \
       false},                                                                                     \
  {                                                                                                \
    "program", 0, OPTION_STRING, &(builds).program, "PATH",                                        \
        "program it builds, relative to the checkout [build/bin/flip]", false                      \
  }
/* Settings from the command line, for all cells and for some. */
#define CLI_CELL_OPTIONS(set, set_cell)                                                            \
  {"set",  's',         OPTION_LIST,                                                               \
   &(set), "KEY=VALUE", "set a setting of all cells; overrides the file's base, not its matrix",   \
   false},                                                                                         \
  {                                                                                                \
    "set-cell", 0, OPTION_LIST, &(set_cell), "WHERE:KEY=VALUE",                                    \
        "override the matrix for some cells: mask_ratio=0.5,seed=1:batch_size=64", false           \
  }
err cli_find_place(cli_place *place) ERR_MUST_CHECK;
/* Opens the database of the place. One outside the results folder may record the runs of another
 * folder: that is an error (place.c). */
err cli_open_place(const cli_place *place, store **s) ERR_MUST_CHECK;
/* The same for commands that change nothing: also where this user may not write the database. */
err cli_read_place(const cli_place *place, store **s) ERR_MUST_CHECK;
/* For commands that write runs to the results folder: the database, which may be missing before,
 * then names it as its own. */
err cli_make_place(const cli_place *place, store **s) ERR_MUST_CHECK;
/* The same error before something long whose result goes there; nothing is made. */
err cli_check_place(const cli_place *place) ERR_MUST_CHECK;
/* For a dry run: a copy of the database. */
err cli_copy_place(const cli_place *place, store **s) ERR_MUST_CHECK;
/* A new database at the place: the old one, if it can be read, must not be of another folder. */
err cli_rebuild_place(const cli_place *place, size_t *runs) ERR_MUST_CHECK;

/* What the command line changes in an experiment. */
typedef struct {
  const char *profile; /* or NULL */
  const option_list *set, *set_cell;
} cli_changes;
/* "flipbench run FILE --profile mini --results DIR": the command that goes on with the same cells,
 * quoted for a shell. */
void cli_write_command(const char *verb, const char *given, const cli_place *place,
                       const cli_changes *changes, strbuf *out);

/* Loads an experiment given as a file, or by the name of one that was run (`s` and `results` may be
 * NULL: files only): by name, its file is read again, with the profile, --set and --set-cell of its
 * last run, unless `options` has others. "NAME@PROFILE" selects the profile. */
err cli_load_experiment(store *s, const char *results, const char *given,
                        const spec_options *options, spec_experiment **e) ERR_MUST_CHECK;
/* ---- where an experiment was started (home.c) ---- */

/* The folder that holds the results, if a recorded path of an experiment leads to its file from
 * there and not from here. The caller frees; NULL: it leads there from here, or from neither. */
err cli_find_home(const char *results, const char *path, char **home) ERR_MUST_CHECK;
err cli_enter(const char *folder) ERR_MUST_CHECK;
/* spec_load of a recorded path, in the experiment's home, if it has one; the current folder is the
 * same afterwards. */
err cli_load_recorded(const char *results, const char *path, const spec_options *options,
                      spec_experiment **e) ERR_MUST_CHECK;

/* ---- runs of another version's rules (recipes.c) ---- */

/* The recipe that a run was trained with; runs from before recipes were numbered have the first. */
err cli_find_recipe(store *s, int64_t run_id, int64_t *recipe) ERR_MUST_CHECK;
/* Finished runs of the experiment that its file does not ask for, because they are of another
 * recipe: how many, and a sentence that says how they are shown, to be freed; NULL: none. */
err cli_describe_recipes(store *s, const spec_experiment *e, size_t *count,
                         char **said) ERR_MUST_CHECK;
/* A warning with it. */
err cli_tell_recipes(store *s, const spec_experiment *e) ERR_MUST_CHECK;
/* ERR_INPUT for a run, or recorded runs of an experiment, that this version cannot train again. */
err cli_refuse_other_recipe(store *s, int64_t run_id) ERR_MUST_CHECK;
err cli_refuse_other_recipes(store *s, const spec_experiment *e, const char *commit) ERR_MUST_CHECK;

/* Says what its --set does not reach. */
void cli_tell_notices(const spec_experiment *e);
/* The cells of an experiment with their state, for `status` (cells.c). The cells are those of its
 * current file, as in the report, or the recorded ones when the file cannot be read. A run is
 * "running" only while a process of it is alive. */
typedef struct {
  char *label, *status, *cell, *kind, *message, *directory; /* never NULL */
  int64_t run_id;                                           /* 0: not run */
  double samples, total_samples, train_seconds;             /* NaN: unknown */
  bool is_disturbed;
  double lost_share; /* share of its time that the run lost, disturbed or not; NaN: unknown */
} cli_cell;
typedef struct {
  cli_cell *items;
  size_t count, finished, running, failed, disturbed;
  size_t stuck;     /* not run, and a cell that they start from has failed */
  size_t strangers; /* runs of cells that are no longer in the file */
  size_t
      of_other_recipe; /* finished runs, among them; `recipes` says how they are shown; or NULL */
  char *recipes;
  char *trouble; /* why the file could not be read; NULL */
  char *unread;  /* why what Slurm's tasks have recorded could not be read; NULL */
} cli_cells;
err cli_list_cells(store *s, const char *results, const char *name,
                   cli_cells *cells) ERR_MUST_CHECK;
void cli_free_cells(cli_cells *cells);

/* Finds a run by its number, or by the first digits of its cell's id (the cell's newest finished
 * run). */
err cli_find_run(store *s, const char *word, int64_t *run_id) ERR_MUST_CHECK;
/* Exactly one positional argument, or an error that says which is missing. */
err cli_one_word(const option_list *words, const char *what, const char **word) ERR_MUST_CHECK;
/* For commands that measure a program: the words after "--" are the program's arguments, by default
 * "bench step --json". Returns how many of argc are ours. A trailing "--" does not count: it may be
 * a word being completed. */
int cli_split_words(int argc, char **argv, option_list *words);
/* Before what is recorded is shown: runs of which flipbench and the trainer were killed together
 * are recorded as running, and end here. What cannot be written stays as it is. */
err cli_close_gone(const char *results, store *s) ERR_MUST_CHECK;
/* Likewise: an experiment that was submitted to Slurm may be followed by nobody (--detach), and its
 * tasks have written to their folders alone. *why: what could not be read into the database, to be
 * freed; NULL: nothing. */
err cli_read_tasks(const char *results, const spec_experiment *e, store *s,
                   char **why) ERR_MUST_CHECK;
/* The warning that says so; `why` may be NULL. */
void cli_warn_unread(const char *name, const char *why);
/* Both, with the warning. */
err cli_catch_up(const char *results, const spec_experiment *e, store *s) ERR_MUST_CHECK;
/* Of every recorded experiment that was submitted to Slurm. */
err cli_catch_up_all(const char *results, store *s) ERR_MUST_CHECK;
/* RESULTS/index.html, over all experiments. */
err cli_write_index(const char *results, store *s) ERR_MUST_CHECK;
/* Writes the experiment's page to `path`, with its figures redrawn in RESULTS/NAME/plots, and the
 * index. */
err cli_write_page(const char *results, const spec_experiment *e, store *s,
                   const char *path) ERR_MUST_CHECK;
/* Draws the experiment's figures; those that cannot be drawn give a warning, not an error. */
err cli_draw(const spec_experiment *e, store *s, const plot_options *options,
             plot_results *results) ERR_MUST_CHECK;
/* Writes figures and page to RESULTS/NAME and prints where they are. */
err cli_write_outputs(const char *results, const spec_experiment *e, store *s) ERR_MUST_CHECK;
/* Prints the table, predictions with measurements, figures and page, and the failures with their
 * reasons. `again` is the command that continues. */
err cli_end_sweep(const char *results, const spec_experiment *e, store *s, run_sweep *sweep,
                  const char *again) ERR_MUST_CHECK;
/* Warns about cells that were disturbed or had different inputs (sweep_doubts.c). */
err cli_say_doubts(store *s, run_sweep *sweep, const char *again) ERR_MUST_CHECK;
/* --retry of `run` and `submit`. */
#define CLI_RETRY_OPTION(word)                                                                     \
  {                                                                                                \
    "retry", 0, OPTION_CHOICE, &(word), "failed|disturbed|data",                                   \
        "run cells again: failed (default), disturbed, or trained on different data", false        \
  }
run_again cli_read_retry(const char *word); /* NULL: not given */
/* False when stdout is a pipe whose reader has closed its end (| head). */
bool cli_has_reader(void);
/* Everything to stdout; a closed or full stdout is an error, a reader that has gone is not. */
err cli_print(const strbuf *text) ERR_MUST_CHECK;

#endif
