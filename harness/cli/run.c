#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/progress.h"
#include "cli/cli.h"
#include "report/write.h"
#include "store/experiments.h"

static const char details[] =
    "Finished cells are not run again: a cell is identified by its settings, so the same settings "
    "are\n"
    "never trained twice, whatever the commit (the report says when commits differ). Interrupted "
    "cells\n"
    "resume from their checkpoint. Failed cells stay failed until --retry. Cells that start from\n"
    "another cell's weights (tuning) run after it.\n"
    "\n"
    "Where times are compared, cells alternate every 15 seconds, or less often if that costs more\n"
    "than 5 % of the time, by stopping and resuming (which changes no bit of the result), so that\n"
    "drift of the machine affects all of them equally. --turns sets the length; --turns 0, or\n"
    "'schedule: order' in the file, runs the cells one after another.\n"
    "\n"
    "--retry disturbed measures cells again that lost more than 5 % of their time to other "
    "processes\n"
    "(marked †). --retry data trains cells again whose data, vocabulary or evaluation sets differ "
    "from\n"
    "those of the newest run with the same settings. Previous runs are archived, not removed\n"
    "('flipbench runs list --archived').\n"
    "\n"
    "Ctrl-C asks the running cells to write a checkpoint and stop; a second Ctrl-C kills them.\n"
    "'flipbench pause EXPERIMENT' in another terminal stops them the same way and holds the sweep "
    "until\n"
    "'flipbench resume EXPERIMENT'.\n"
    "\n"
    "With --jobs N each cell gets its own CPU cores, as long as there are enough; with --gpus, one "
    "GPU\n"
    "(or as many as requires.gpus in the file says). Limits and retries given here override those "
    "of\n"
    "the file. Crashes, lack of memory, time-outs with a checkpoint and lost machines are "
    "retried;\n"
    "NaN and invalid input are not.\n"
    "\n"
    "examples:\n"
    "  flipbench run experiments/quickstart.yaml\n"
    "  flipbench run experiments/mask_ratio.yaml --dry-run\n"
    "  flipbench run experiments/quickstart.yaml --set samples=2k --results /tmp/try\n"
    "\n"
    "exit status: 0 all cells finished; 1 some failed; 2 usage error or invalid experiment file;\n"
    "130 interrupted";

#define NOT_GIVEN INT64_MIN /* a whole number */

typedef struct {
  cli_place place;
  const char *profile;
  option_list set, set_cell;
  int64_t jobs, retries;
  const char *gpus, *time_limit, *memory_limit, *retry_wait;
  const char *retry, *turns;
  bool dry_run, progress, check_memory;
} run_words;

/* ---- predictions ---- */

/* 4.00 TFLOP. */
static void append_flops(strbuf *out, double flops, const char *unit) {
  char text[TEXT_NUMBER_SIZE];
  strbuf_format(out, " · %s", text_si(flops, unit, text));
}

static void append_dry_cell(const run_cell *c, const run_prediction *p, strbuf *out) {
  char samples[TEXT_NUMBER_SIZE], time[TEXT_NUMBER_SIZE], memory[TEXT_NUMBER_SIZE];
  const settings *own = &c->cell->settings;
  double count = (double)run_predict_samples(own), each = p->flops_per_sample;
  const char *elsewhere = c->is_elsewhere && c->reason ? c->reason : "";
  strbuf_format(out, "%-11s %.8s  %s%s%s\n",
                c->has_begun && c->state == CELL_WAITING ? "interrupted" : run_state_name(c->state),
                c->cell->id, c->cell->label, *elsewhere ? ": " : "", elsewhere);
  if (count > 0)
    strbuf_format(out, "%22s%s samples", "", text_count(count, samples));
  else
    strbuf_format(out, "%22s%g epochs", "", own->epochs);
  if (each > 0) append_flops(out, each, "FLOP/sample");
  if (each > 0 && count > 0) append_flops(out, each * count, "FLOP");
  if (p->seconds > 0)
    strbuf_format(out, " · about %s%s", text_duration(p->seconds * (1 - c->done_share), time),
                  c->done_share > 0 ? " left" : "");
  cli_name_ranks(c->cell, out);
  if (p->bytes > 0) strbuf_format(out, " · %s", text_bytes((uint64_t)p->bytes, memory));
  if (p->like) strbuf_format(out, " (like run %lld)", (long long)p->like);
  strbuf_append_char(out, '\n');
}

static void append_duration(const run_duration *all, strbuf *out) {
  char time[TEXT_NUMBER_SIZE];
  if (!(all->seconds > 0)) return;
  strbuf_format(out, ": about %s", text_duration(all->seconds, time));
  if (all->parallel < 2)
    strbuf_append(out, " sequentially");
  else if (all->shared_cores)
    strbuf_format(out, ", %d in parallel that share %d %s", all->parallel, all->shared_cores,
                  text_plural(all->shared_cores, "core", "cores"));
  else
    strbuf_format(out, ", %d in parallel", all->parallel);
}

static err print_dry_run(const spec_experiment *e, store *s, const run_options *options,
                         run_sweep *sweep) {
  strbuf out = {0};
  run_predictor *predictor = NULL;
  run_duration all;
  size_t waiting = run_count(sweep, CELL_WAITING);
  int cores = 1;
  err error = NULL;
  TRY(run_predictor_open(s, &predictor));
  for (size_t i = 0; i < sweep->count; i++) {
    run_prediction p;
    run_cell *c = &sweep->cells[i];
    TRY(run_cores_of_rank(options, e, c->cell, &cores));
    TRY(run_find_done_share(s, c));
    run_predict(predictor, &c->cell->settings, c->cell->ranks.ranks, cores, &p);
    c->predicted_seconds = p.seconds;
    append_dry_cell(c, &p, &out);
  }
  TRY(run_estimate(e, options, sweep, &all));
  strbuf_format(&out, "%zu cell%s, %zu to run", sweep->count, sweep->count == 1 ? "" : "s",
                waiting);
  append_duration(&all, &out);
  if (waiting && isnan(all.seconds))
    strbuf_append(&out, "; times can be predicted once a similar run has finished here");
  strbuf_append_char(&out, '\n');
  TRY(cli_print(&out));
cleanup:
  run_predictor_close(predictor);
  strbuf_free(&out);
  return error;
}

static err read_limits(const run_words *words, spec_limits *limits) {
  if (words->time_limit && !text_parse_duration(words->time_limit, &limits->time_seconds))
    return err_new(ERR_INPUT, "--time-limit: '%s' is not a duration (90, 30s, 1h30m)",
                   words->time_limit);
  if (words->retry_wait && !text_parse_duration(words->retry_wait, &limits->retry_wait_seconds))
    return err_new(ERR_INPUT, "--retry-wait: '%s' is not a duration (90, 30s, 1h30m)",
                   words->retry_wait);
  if (words->memory_limit && !text_parse_bytes(words->memory_limit, &limits->memory_bytes))
    return err_new(ERR_INPUT, "--memory-limit: '%s' is not a size (512MiB, 8GiB)",
                   words->memory_limit);
  if (words->retries == NOT_GIVEN) return NULL;
  if (words->retries < 0)
    return err_new(ERR_INPUT, "--retries: %lld is negative; 0 turns retries off",
                   (long long)words->retries);
  limits->retries = words->retries;
  return NULL;
}

/* Nothing given: 0. */
static err read_turns(const run_words *words, double *seconds) {
  *seconds = 0;
  if (!words->turns) return NULL;
  *seconds = RUN_TURNS_CHOSEN;
  if (!*words->turns) return NULL;
  if (!text_parse_duration(words->turns, seconds) || *seconds < 0)
    return err_new(ERR_INPUT,
                   "--turns: '%s' is not a duration (90, 30s, 5m); 0 turns alternation off",
                   words->turns);
  if (*seconds == 0) *seconds = -1;
  return NULL;
}

/* The value of --turns may be left out, so the parser takes a word after it that is no number for
 * another experiment. */
static err one_experiment(const option_list *rest, int argc, char **argv, const char **given) {
  for (int i = 1; rest->count > 1 && i + 1 < argc; i++)
    if (strcmp(argv[i], "--turns") == 0 && *argv[i + 1] != '-' && !fs_exists(argv[i + 1]) &&
        !isdigit((unsigned char)*argv[i + 1]))
      return err_new(ERR_INPUT,
                     "--turns: '%s' is not a duration (90, 30s, 5m); 0 turns alternation off, and "
                     "without a value the length is chosen",
                     argv[i + 1]);
  return cli_one_word(rest, "EXPERIMENT.yaml", given);
}

/* Both files would be shown under one name: the one that was run last. */
static err warn_of_namesake(const spec_experiment *e, store *s) {
  store_experiment before;
  struct stat now, then;
  err error = store_find_experiment(s, e->name, &before);
  if (error) return error;
  if (before.is_known && stat(before.path, &then) == 0 && stat(e->path, &now) == 0 &&
      (then.st_ino != now.st_ino || then.st_dev != now.st_dev))
    log_warning("%s replaces %s, which is called '%s' too: reports, status and figures of that "
                "name are of %s from now on; give one of them another 'name:'",
                e->path, before.path, e->name, e->path);
  store_free_experiment(&before);
  return NULL;
}

static err run_and_report(const run_words *words, const char *given, spec_experiment *e, store *s,
                          bool *all_finished) {
  run_sweep sweep = {0};
  strbuf again = {0};
  char *flip = NULL;
  run_options options = {.results = words->place.results,
                         .jobs = words->jobs == NOT_GIVEN ? 0 : (int)words->jobs,
                         .gpus = words->gpus,
                         .limits = spec_limits_not_given,
                         .ignores_memory = !words->check_memory,
                         .is_dry = words->dry_run,
                         .again = cli_read_retry(words->retry),
                         .shows_progress = words->progress};
  err error = NULL;
  TRY(read_limits(words, &options.limits));
  TRY(read_turns(words, &options.turn_seconds));
  TRY(warn_of_namesake(e, s));
  TRY(run_plan(e, s, &options, &sweep));
  if (words->dry_run) {
    *all_finished = true;
    error = print_dry_run(e, s, &options, &sweep);
    goto cleanup;
  }
  if (run_count(&sweep, CELL_WAITING)) {
    TRY(run_find_flip(&flip));
    options.flip = flip;
    TRY(run_all(e, s, &options, &sweep));
  }
  cli_write_command("run", given, &words->place,
                    &(cli_changes){words->profile, &words->set, &words->set_cell}, &again);
  TRY(cli_end_sweep(words->place.results, e, s, &sweep, strbuf_string(&again)));
  *all_finished = run_count(&sweep, CELL_FINISHED) == sweep.count;
  if (sweep.is_interrupted) FAIL(ERR_INTERRUPTED, "interrupted");
cleanup:
  run_free(&sweep);
  strbuf_free(&again);
  free(flip);
  return error;
}

int cli_run(int argc, char **argv) {
  run_words words = {.place = {.results = "results"},
                     .jobs = NOT_GIVEN,
                     .retries = NOT_GIVEN,
                     .progress = true,
                     .check_memory = true};
  option options[] = {
      {"profile", 'p', OPTION_STRING, &words.profile, "NAME", "a profile of the file", false},
      CLI_CELL_OPTIONS(words.set, words.set_cell),
      {"jobs", 'j', OPTION_INTEGER, &words.jobs, "N",
       "cells in parallel [as the file's requires and --gpus allow, else 1]", false},
      {"gpus", 0, OPTION_STRING, &words.gpus, "0,1", "GPUs to use, one per cell", false},
      {"time-limit", 0, OPTION_STRING, &words.time_limit, "TIME",
       "wall-clock limit of a cell's process: 90, 30s, 1h30m", false},
      {"memory-limit", 0, OPTION_STRING, &words.memory_limit, "SIZE",
       "memory limit of a cell's process: 512MiB, 8GiB", false},
      {"retries", 0, OPTION_INTEGER, &words.retries, "N", "retries after a transient failure",
       false},
      {"retry-wait", 0, OPTION_STRING, &words.retry_wait, "TIME",
       "wait before the first retry, doubled each time", false},
      CLI_RETRY_OPTION(words.retry),
      {"turns", 0, OPTION_AMOUNT, &words.turns, "[TIME]",
       "alternate between cells after this time [chosen]; 0: one after another", false},
      {"check-memory", 0, OPTION_FLAG, &words.check_memory, NULL,
       "refuse cells that do not fit in memory [on; --no-check-memory]", false},
      {"dry-run", 'n', OPTION_FLAG, &words.dry_run, NULL, "print the cells without running them",
       false},
      {"progress", 0, OPTION_FLAG, &words.progress, NULL,
       "the live display [on; --no-progress turns it off]", false},
      CLI_PLACE_OPTIONS(words.place),
      {0}};
  command c = {"flipbench run", "run the cells of an experiment and print its table",
               "EXPERIMENT.yaml [OPTIONS]", options, details};
  option_list rest = {0};
  bool is_help_wanted, all_finished = false;
  const char *given;
  spec_experiment *e = NULL;
  store *s = NULL;
  err error = NULL;
  TRY(options_parse(&c, argc, argv, &rest, &is_help_wanted));
  if (is_help_wanted) {
    all_finished = true;
    goto cleanup;
  }
  TRY(one_experiment(&rest, argc, argv, &given));
  if (words.jobs != NOT_GIVEN && (words.jobs < 1 || words.jobs > 256))
    FAIL(ERR_INPUT, "--jobs: %lld is not between 1 and 256", (long long)words.jobs);
  TRY(cli_find_place(&words.place));
  spec_options spec = {.profile = words.profile,
                       .set = words.set.items,
                       .set_count = words.set.count,
                       .set_cell = words.set_cell.items,
                       .set_cell_count = words.set_cell.count,
                       .trains = true};
  TRY(cli_load_experiment(NULL, NULL, given, &spec, &e));
  cli_tell_notices(e);
  TRY(words.dry_run ? cli_copy_place(&words.place, &s) : cli_make_place(&words.place, &s));
  TRY(cli_tell_recipes(s, e));
  TRY(run_and_report(&words, given, e, s, &all_finished));
cleanup:
  store_close(s);
  spec_free(e);
  free(words.place.path);
  options_free_list(&rest);
  options_free(options);
  int status = options_exit_status(error);
  return status ? status : all_finished ? 0 : 1;
}
