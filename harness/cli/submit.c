#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/shipped.h"
#include "cli/cli.h"
#include "sweep/retry.h"
#include "cluster/slurm.h"

static const char details[] =
    "Writes a job array, one task per cell, to RESULTS/NAME/slurm/, submits it with sbatch and "
    "follows\n"
    "it: the database is updated by this process alone. Tuning cells form a separate array whose "
    "tasks\n"
    "wait for their parents. Partition, account, GPUs, cores and limits come from the file "
    "('slurm',\n"
    "'requires', 'limits'), usually from a --profile.\n"
    "\n"
    "RESULTS must be on a file system shared by the nodes; if that is NFS, keep the database on a "
    "local\n"
    "disk (--db). Ctrl-C and --detach leave the jobs running: the same command finds and follows "
    "them\n"
    "again. Cells that are finished or queued are not submitted again.\n"
    "\n"
    "examples:\n"
    "  flipbench submit experiments/paper/table1a.yaml --slurm --profile paper --results "
    "/shared/results\n"
    "  flipbench submit experiments/paper/table1a.yaml --slurm --dry-run\n"
    "\n"
    "exit status: as for 'flipbench run'";

typedef struct {
  cli_place place;
  const char *profile, *partition, *account;
  option_list set, set_cell;
  const char *retry;
  bool slurm, detach, dry_run, progress;
  char *results, *flip, *self; /* absolute; owned */
} submit_words;

/* The nodes start in another folder: every path must be absolute. */
static err find_paths(submit_words *words) {
  char self[PATH_MAX];
  err error = words->dry_run ? NULL : fs_make_folders(words->place.results);
  if (!error) error = run_find_flip(&words->flip);
  if (error) return error;
  words->results = fs_exists(words->place.results)
                       ? realpath(words->place.results, NULL)
                       : mem_copy_string(words->place.results); /* of a dry run */
  char *flip = realpath(words->flip, NULL);
  free(words->flip);
  words->flip = flip;
  words->self = shipped_program(self) ? realpath(self, NULL) : NULL;
  if (!words->results || !words->flip || !words->self)
    return err_errno(errno, "%s: cannot resolve the path", words->place.results);
  return NULL;
}

static void say_submitted(const slurm_tasks *tasks) {
  int64_t last = 0;
  for (size_t i = 0; i < tasks->count; i++) {
    size_t own = 0;
    if (tasks->items[i].job == last) continue;
    last = tasks->items[i].job;
    for (size_t k = 0; k < tasks->count; k++) own += tasks->items[k].job == last;
    log_info("job %lld: %zu task%s (cancel with 'scancel %lld')", (long long)last, own,
             own == 1 ? "" : "s", (long long)last);
  }
}

static double longest_wait(const run_sweep *sweep) {
  double wait = 0;
  for (size_t i = 0; i < sweep->count; i++) {
    const run_cell *c = &sweep->cells[i];
    double own = c->tries ? retry_wait(&c->limits, c->tries) : 0;
    if (c->state == CELL_WAITING && own > wait) wait = own;
  }
  return wait;
}

/* Why there is no job: a cell that has failed waits for --retry. */
static void write_nothing(const run_sweep *sweep, strbuf *out) {
  size_t finished = run_count(sweep, CELL_FINISHED), failed = run_count(sweep, CELL_FAILED);
  if (finished == sweep->count)
    strbuf_format(out, "nothing to submit: all %zu cells are finished", sweep->count);
  else
    strbuf_format(out, "nothing to submit: %zu of %zu cells are finished", finished, sweep->count);
  if (failed) strbuf_format(out, ", %zu failed (--retry submits them again)", failed);
}

static void say_nothing(const run_sweep *sweep) {
  strbuf line = {0};
  write_nothing(sweep, &line);
  log_info("%s", strbuf_string(&line));
  strbuf_free(&line);
}

/* What sbatch wrote to the user, line by line; empties it. */
static void pass_on(strbuf *said) {
  for (char *rest = said->data, *line; rest && (line = strsep(&rest, "\n"));)
    if (*line) log_info("%s", line);
  strbuf_free(said);
}

/* So that the database is not rebuilt meanwhile: the descriptor to close, -1: none. */
static int hold_jobs(const char *results, const char *name) {
  strbuf folder = {0};
  strbuf_format(&folder, "%s/slurm", name);
  int fd = run_hold_folder(results, strbuf_string(&folder));
  strbuf_free(&folder);
  return fd;
}

/* Submits, follows, and resubmits while retries are left, or cells wait again because their parent
 * was trained again. */
static err submit_and_follow(const submit_words *words, const spec_experiment *e, store *s,
                             const run_options *options, run_sweep *sweep) {
  strbuf said = {0};
  slurm_wishes wishes = {words->partition, words->account, words->self, NULL, &said};
  slurm_tasks tasks = {0};
  size_t again = 0;
  int held = -1;
  err error = NULL;
  do {
    if (again) {
      double wait = longest_wait(sweep);
      char text[TEXT_NUMBER_SIZE];
      log_info("%zu failed and %s submitted again in %s", again, again == 1 ? "is" : "are",
               text_duration(wait, text));
      usleep((useconds_t)(fmin(wait, 3600) * 1e6));
    }
    slurm_free(&tasks);
    error = slurm_submit(e, s, options, &wishes, sweep, &tasks);
    pass_on(&said);
    if (error) goto cleanup;
    if (held < 0 && !words->detach && tasks.count) held = hold_jobs(options->results, e->name);
    say_submitted(&tasks);
    if (words->detach && !tasks.count) say_nothing(sweep);
    if (words->detach || !tasks.count) break;
    TRY(slurm_watch(e, s, options, sweep, &tasks));
    if (sweep->is_interrupted) break;
    TRY(slurm_prepare_retries(s, options, sweep, &again));
  } while (again || run_count(sweep, CELL_WAITING));
cleanup:
  if (held >= 0) close(held);
  slurm_free(&tasks);
  return error;
}

static err preview(const submit_words *words, const spec_experiment *e, store *s,
                   const run_options *options, run_sweep *sweep) {
  strbuf out = {0};
  slurm_tasks tasks = {0};
  slurm_wishes wishes = {words->partition, words->account, words->self, &out, NULL};
  err error = slurm_submit(e, s, options, &wishes, sweep, &tasks);
  if (!error && !out.length) {
    write_nothing(sweep, &out);
    strbuf_append_char(&out, '\n');
  }
  if (!error) error = cli_print(&out);
  slurm_free(&tasks);
  strbuf_free(&out);
  return error;
}

static err plan_and_submit(const submit_words *words, const char *given, const spec_experiment *e,
                           store *s, bool *all_finished) {
  run_sweep sweep = {0};
  strbuf again = {0};
  run_options options = {.results = words->results,
                         .flip = words->flip,
                         .limits = spec_limits_not_given,
                         .is_remote = true,
                         .is_dry = words->dry_run,
                         .again = cli_read_retry(words->retry),
                         .shows_progress = words->progress};
  err error = NULL;
  TRY(run_plan(e, s, &options, &sweep));
  TRY(words->dry_run ? preview(words, e, s, &options, &sweep)
                     : submit_and_follow(words, e, s, &options, &sweep));
  *all_finished = words->dry_run || words->detach;
  if (*all_finished) goto cleanup;
  cli_write_command("submit", given, &words->place,
                    &(cli_changes){words->profile, &words->set, &words->set_cell}, &again);
  strbuf_append(&again, " --slurm");
  if (sweep.is_interrupted)
    FAIL(ERR_INTERRUPTED, "the jobs keep running; '%s' follows them again", strbuf_string(&again));
  TRY(cli_end_sweep(words->results, e, s, &sweep, strbuf_string(&again)));
  *all_finished = run_count(&sweep, CELL_FINISHED) == sweep.count;
cleanup:
  run_free(&sweep);
  strbuf_free(&again);
  return error;
}

static err submit(submit_words *words, const option_list *rest, bool *all_finished) {
  const char *given;
  spec_experiment *e = NULL;
  store *s = NULL;
  err error = NULL;
  TRY(cli_one_word(rest, "EXPERIMENT.yaml", &given));
  if (!words->slurm) FAIL(ERR_INPUT, "no scheduler given: pass --slurm");
  TRY(cli_find_place(&words->place));
  spec_options spec = {.profile = words->profile,
                       .set = words->set.items,
                       .set_count = words->set.count,
                       .set_cell = words->set_cell.items,
                       .set_cell_count = words->set_cell.count,
                       .trains = true};
  TRY(cli_load_experiment(NULL, NULL, given, &spec, &e));
  cli_tell_notices(e);
  TRY(find_paths(words));
  TRY(words->dry_run ? cli_copy_place(&words->place, &s) : cli_make_place(&words->place, &s));
  TRY(plan_and_submit(words, given, e, s, all_finished));
cleanup:
  store_close(s);
  spec_free(e);
  return error;
}

int cli_submit(int argc, char **argv) {
  submit_words words = {.place = {.results = "results"}, .progress = true};
  option options[] = {
      {"slurm", 0, OPTION_FLAG, &words.slurm, NULL, "submit to Slurm", false},
      {"profile", 'p', OPTION_STRING, &words.profile, "NAME", "a profile of the file", false},
      CLI_CELL_OPTIONS(words.set, words.set_cell),
      {"partition", 0, OPTION_STRING, &words.partition, "NAME", "overrides slurm.partition", false},
      {"account", 0, OPTION_STRING, &words.account, "NAME", "overrides slurm.account", false},
      CLI_RETRY_OPTION(words.retry),
      {"detach", 0, OPTION_FLAG, &words.detach, NULL, "submit and exit without following the jobs",
       false},
      {"dry-run", 'n', OPTION_FLAG, &words.dry_run, NULL,
       "print the job scripts without submitting them", false},
      {"progress", 0, OPTION_FLAG, &words.progress, NULL,
       "the live display [on; --no-progress turns it off]", false},
      CLI_PLACE_OPTIONS(words.place),
      {0}};
  command c = {"flipbench submit", "submit the cells of an experiment to Slurm",
               "EXPERIMENT.yaml --slurm [OPTIONS]", options, details};
  option_list rest = {0};
  bool is_help_wanted, all_finished = false;
  err error = options_parse(&c, argc, argv, &rest, &is_help_wanted);
  if (!error && is_help_wanted) all_finished = true;
  if (!error && !is_help_wanted) error = submit(&words, &rest, &all_finished);
  free(words.results);
  free(words.flip);
  free(words.self);
  free(words.place.path);
  options_free_list(&rest);
  options_free(options);
  int status = options_exit_status(error);
  return status ? status : all_finished ? 0 : 1;
}
