#include "timing/range.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/progress.h"
#include "store/json_lines.h"
#include "store/samples.h"
#include "timing/checkouts.h"
#include "timing/identity.h"
#include "timing/words.h"

typedef struct {
  const range_options *options;
  store *s;
  range_result *result;
  bisect_builds builds;
  bisect_commit *commits;
  size_t count, *missing; /* [count]: rounds still missing for each commit */
  size_t *order;          /* [count]: the commits as they are measured */
  bool *has_failed;       /* already recorded */
  char machine[160];
  strbuf words, failures, logs; /* failures: the file's path */
  progress bar;
  double done;  /* rounds in the progress bar's total; a build counts as BUILD_ROUNDS */
  double spent; /* seconds spent on commits so far */
  size_t begun;
  const bisect_commit *now;
  char reference_id[48]; /* measured in turns with every commit; "": none yet */
  char *reference;       /* its program */
  bool is_reference_new; /* of the range, and not measured before */
} range;

enum { BUILD_ROUNDS = 2 };

static bool is_stopped(const range *r) {
  return r->options->stop && *r->options->stop;
}

/* Adds a line to one of the files in RESULTS/benchmarks/, and frees it. */
static err append_line(const char *path, strbuf *line) {
  strbuf_append_char(line, '\n');
  int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  err error = fd < 0            ? err_new(ERR_IO, "%s: cannot be written", path)
              : line->is_broken ? mem_error(0, "a line")
                                : fs_write_all(fd, line->data, line->length, path);
  if (fd >= 0) close(fd);
  strbuf_free(line);
  return error;
}

/* ---- failures ---- */

static err record_failure(range *r, const bisect_commit *c, const char *kind, const char *message) {
  char now[CLOCK_STAMP_SIZE];
  strbuf line = {0};
  json_writer w = jsonw_start(&line);
  jsonw_object(&w, NULL);
  jsonw_string(&w, "event", kind);
  jsonw_string(&w, "commit", c->id);
  jsonw_integer(&w, "committed", c->seconds);
  jsonw_string(&w, "machine", r->machine);
  jsonw_string(&w, "words", strbuf_string(&r->words));
  jsonw_string(&w, "build_command", r->options->builds.build);
  jsonw_string(&w, "message", message);
  jsonw_string(&w, "time", clock_stamp(now));
  jsonw_end(&w);
  return append_line(strbuf_string(&r->failures), &line);
}

static bool is_text(const json_t *object, const char *key, const char *wanted) {
  const char *text = json_string_value(json_object_get(object, key));
  return text && strcmp(text, wanted) == 0;
}

/* Does a line record that this build command failed, or that these arguments measured nothing, on
 * this machine? */
static bool is_failure_of(const range *r, const json_t *line, const char *commit) {
  if (!is_text(line, "commit", commit) || !is_text(line, "machine", r->machine)) return false;
  if (is_text(line, "event", "not_built"))
    return is_text(line, "build_command", r->options->builds.build);
  return is_text(line, "event", "not_measured") && is_text(line, "words", strbuf_string(&r->words));
}

static void take_failure(const json_t *line, void *context) {
  range *r = context;
  for (size_t i = 0; i < r->count; i++)
    if (is_failure_of(r, line, r->commits[i].id)) r->has_failed[i] = true;
}

static err read_failures(range *r) {
  if (r->options->builds_again) return NULL;
  return json_lines_each(strbuf_string(&r->failures), 0, take_failure, r);
}

/* ---- builds ---- */

/* BENCHMARKS/builds.jsonl: which compiler and flags each build command gave on a machine. */
static err name_builds(const range *r, strbuf *path) {
  strbuf_format(path, "%s/benchmarks/builds.jsonl", r->options->how.results);
  return path->is_broken ? mem_error(0, "a path") : NULL;
}

static bool has_value(const json_t *list, const char *text) {
  for (size_t i = 0; i < json_array_size(list); i++)
    if (strcmp(json_string_value(json_array_get(list, i)), text) == 0) return true;
  return false;
}

/* Those of this build command on this machine, and of others. */
typedef struct {
  const range *r;
  json_t *own, *others; /* free both with json_decref */
} known_builds;

static void take_build(const json_t *line, void *context) {
  const known_builds *known = context;
  const range *r = known->r;
  json_t *build = json_object_get(line, "build");
  if (!json_is_string(build) || !is_text(line, "machine", r->machine)) return;
  bool is_own = is_text(line, "build_command", r->options->builds.build);
  json_array_append(is_own ? known->own : known->others, build);
}

static err read_builds(const range *r, known_builds *known) {
  strbuf path = {0};
  *known = (known_builds){r, json_array(), json_array()};
  err error = name_builds(r, &path);
  if (!error) error = json_lines_each(strbuf_string(&path), 0, take_build, known);
  strbuf_free(&path);
  return error;
}

static err append_build(const range *r, const char *build) {
  strbuf line = {0}, path = {0};
  json_writer w = jsonw_start(&line);
  jsonw_object(&w, NULL);
  jsonw_string(&w, "event", "built"); /* no sample (store_ingest_samples) */
  jsonw_string(&w, "build_command", r->options->builds.build);
  jsonw_string(&w, "machine", r->machine);
  jsonw_string(&w, "build", build);
  jsonw_end(&w);
  err error = name_builds(r, &path);
  if (!error) error = append_line(strbuf_string(&path), &line);
  strbuf_free(&line);
  strbuf_free(&path);
  return error;
}

/* Remembers what the build command gave, so that a later call with another does not take its rounds
 * for that one's. */
static err record_build(const range *r, const char *program) {
  program_identity identity;
  known_builds known = {0};
  err error = identity_of_program(program, r->options->builds.repository, &identity);
  if (!error) error = read_builds(r, &known);
  if (!error && *identity.build && !has_value(known.own, identity.build))
    error = append_build(r, identity.build);
  json_decref(known.own);
  json_decref(known.others);
  return error;
}

/* A JSON array of the builds that only other commands gave. */
static err list_other_builds(const range *r, char **text) {
  known_builds known;
  json_t *list = json_array();
  err error = read_builds(r, &known);
  for (size_t i = 0; i < json_array_size(known.others); i++)
    if (!has_value(known.own, json_string_value(json_array_get(known.others, i))))
      json_array_append(list, json_array_get(known.others, i));
  *text = error ? NULL : json_dumps(list, 0);
  json_decref(known.own);
  json_decref(known.others);
  json_decref(list);
  return error || *text ? error : mem_error(0, "builds");
}

/* ---- one commit ---- */

static void show(void *context, size_t round, size_t rounds) {
  range *r = context;
  char note[160];
  snprintf(note, sizeof note, "%.10s round %zu of %zu · %s", r->now->id, round + 1, rounds,
           r->now->subject);
  progress_update(&r->bar, r->done + (double)(BUILD_ROUNDS + round), note);
}

static void name_log(const range *r, const char *commit, strbuf *path) {
  strbuf_format(path, "%s/%s.log", r->builds.logs, commit);
}

/* A commit that failed is recorded and skipped, unless interrupted. */
static err pass_over(range *r, const bisect_commit *c, const char *kind, err why) {
  if (is_stopped(r)) {
    err_free(why);
    return err_new(ERR_INTERRUPTED, "stopped");
  }
  if (err_kind_of(why) != ERR_INPUT) return why;
  progress_clear(&r->bar);
  log_warning("%.10s is skipped: %s", c->id, err_message(why));
  r->result->failed++;
  err error = record_failure(r, c, kind, err_message(why));
  err_free(why);
  return error;
}

/* ERR_INPUT when none of the samples of the program measured last is a number. */
static err check_numbers(const timing_result *result, const timing_options *how) {
  const char *metric = how->metric;
  for (size_t i = 0; i < result->count; i++) {
    const timing_series *one = &result->series[i];
    for (size_t k = 0; k < how->rounds; k++)
      if (!isnan(how->other ? one->other[k] : one->base[k])) return NULL;
  }
  return err_new(ERR_INPUT, "'%s' is not a positive number in any row", metric);
}

/* The program of a commit, whose build log is only kept when it fails. */
static err build(range *r, const bisect_commit *c, char **program) {
  char note[160];
  r->now = c;
  snprintf(note, sizeof note, "%.10s building · %s", c->id, c->subject);
  progress_update(&r->bar, r->done, note);
  err error = bisect_build(&r->builds, c->id, program);
  if (error) return error;
  strbuf log = {0};
  name_log(r, c->id, &log);
  unlink(strbuf_string(&log));
  strbuf_free(&log);
  return NULL;
}

/* `rounds` of a program, in turns with the reference if there is one. */
static err measure(range *r, const char *program, size_t rounds) {
  timing_options how = r->options->how;
  timing_result result = {0};
  how.base = r->reference ? r->reference : program;
  how.other = r->reference ? program : NULL;
  how.rounds = rounds;
  how.repository = r->options->builds.repository;
  how.on_round = show;
  how.context = r;
  err error = timing_measure(&how, r->options->stop, &result);
  if (!error) error = check_numbers(&result, &how);
  timing_free(&result);
  return error;
}

static err measure_commit(range *r, size_t at) {
  const bisect_commit *c = &r->commits[at];
  char *program = NULL;
  err error = build(r, c, &program);
  if (error) {
    error = pass_over(r, c, "not_built", error);
  } else {
    error = measure(r, program, r->missing[at]);
    if (error)
      error = pass_over(r, c, "not_measured", error);
    else
      r->result->measured++;
  }
  free(program);
  if (!r->options->builds.folder) bisect_remove_build(&r->builds, c->id);
  return error;
}

/* ---- the reference ---- */

static size_t find_commit(const range *r, const char *id) {
  for (size_t i = 0; i < r->count; i++)
    if (strcmp(r->commits[i].id, id) == 0) return i;
  return r->count;
}

/* Takes a commit as the reference when it can be built and prints a number: measured once, which
 * is no level of its own. */
static err try_reference(range *r, const bisect_commit *c, const char **failure) {
  char *program = NULL;
  err error = build(r, c, &program);
  *failure = error ? "not_built" : "not_measured";
  if (!error) error = measure(r, program, 1);
  if (!error) error = record_build(r, program);
  if (error) {
    if (!r->options->builds.folder) bisect_remove_build(&r->builds, c->id);
    free(program);
    return error;
  }
  r->reference = program;
  snprintf(r->reference_id, sizeof r->reference_id, "%s", c->id);
  return NULL;
}

/* The machine's speed drifts, so each commit is measured in turns with one and the same: the one of
 * earlier measurements, or the newest of the range that can be measured (of several of its second,
 * the oldest: the reference is measured first of all). */
static err open_reference(range *r) {
  const char *failure;
  char id[48];
  err error =
      store_find_reference(r->s, r->options->how.metric, strbuf_string(&r->words), r->machine, id);
  if (error) return error;
  if (*id) {
    bisect_commit c = {.subject = "the reference of earlier measurements"};
    snprintf(c.id, sizeof c.id, "%.40s", id);
    error = try_reference(r, &c, &failure);
    if (!error || err_kind_of(error) != ERR_INPUT || is_stopped(r)) return error;
    progress_clear(&r->bar);
    log_warning("%.10s, the reference of earlier measurements, cannot be measured: %s", id,
                err_message(error));
    err_free(error);
  }
  for (size_t k = 0; k < r->count && !r->reference; k++) {
    size_t i = r->order[k];
    if (r->has_failed[i]) continue;
    error = try_reference(r, &r->commits[i], &failure);
    if (error) error = pass_over(r, &r->commits[i], failure, error);
    if (error) return error;
    r->has_failed[i] = !r->reference;
  }
  return NULL;
}

/* The reference itself is measured with every other commit. */
static void count_reference(range *r) {
  size_t at = find_commit(r, r->reference_id);
  if (at == r->count || !r->missing[at]) return;
  r->is_reference_new = true;
  r->done += (double)(BUILD_ROUNDS + r->missing[at]);
  r->missing[at] = 0;
}

/* With no other commit to measure it is measured alone. */
static err finish_reference(range *r) {
  if (r->result->measured == 0 && r->result->left > 0) {
    r->result->left++;
    return NULL;
  }
  char *program = r->reference;
  err error = NULL;
  if (r->result->measured == 0) {
    r->reference = NULL;
    error = measure(r, program, r->options->how.rounds);
    r->reference = program;
  }
  if (!error) r->result->measured++;
  return error;
}

/* ---- the range ---- */

/* Newest first, but commits of the same second oldest first: the record has their dates in seconds
 * and places equal ones in order of their first measurement. This does not help commits of one
 * second that separate calls measure: there the later call's come last, whichever they are. */
static err order_commits(range *r) {
  const bisect_commit *all = r->commits;
  size_t placed = 0;
  r->order = mem_zeroed(r->count, sizeof *r->order);
  if (!r->order) return mem_error(r->count, "commits");
  for (size_t last = r->count, first; last > 0; last = first) {
    for (first = last - 1; first > 0 && all[first - 1].seconds == all[first].seconds;) first--;
    for (size_t i = first; i < last; i++) r->order[placed++] = i;
  }
  return NULL;
}

static err plan(range *r) {
  double total = 0;
  r->missing = mem_zeroed(r->count, sizeof *r->missing);
  r->has_failed = mem_zeroed(r->count, sizeof *r->has_failed);
  char *other_builds = NULL;
  if (!r->missing || !r->has_failed) return mem_error(r->count, "commits");
  err error = read_failures(r);
  if (!error) error = list_other_builds(r, &other_builds);
  for (size_t i = 0; i < r->count && !error; i++) {
    size_t known = 0, wanted = r->options->how.rounds;
    error = store_count_rounds(r->s, r->options->how.metric, strbuf_string(&r->words), r->machine,
                               r->commits[i].id, other_builds, &known);
    r->missing[i] = known < wanted ? wanted - known : 0;
    if (r->missing[i] == 0)
      r->result->known++;
    else if (r->has_failed[i])
      r->result->failed++;
    else
      total += (double)(BUILD_ROUNDS + r->missing[i]);
    if (r->missing[i] == 0) r->has_failed[i] = false;
  }
  free(other_builds);
  r->bar = progress_start("measuring", total, 0, r->options->shows_progress);
  return error;
}

static bool is_over_budget(const range *r, double started) {
  double budget = r->options->budget_seconds, one = r->begun ? r->spent / (double)r->begun : 0;
  return budget > 0 && clock_seconds() - started + one > budget;
}

static bool is_complete(const range *r) {
  for (size_t i = 0; i < r->count; i++)
    if (r->missing[i] && !r->has_failed[i]) return false;
  return true;
}

static err measure_all(range *r) {
  double started = clock_seconds();
  if (is_complete(r)) return NULL;
  err error = is_stopped(r) ? err_new(ERR_INTERRUPTED, "stopped") : open_reference(r);
  if (!error) count_reference(r);
  for (size_t k = 0; k < r->count && !error; k++) {
    size_t i = r->order[k];
    if (!r->missing[i] || r->has_failed[i]) continue;
    if (is_stopped(r)) error = err_new(ERR_INTERRUPTED, "stopped");
    if (error || is_over_budget(r, started)) {
      r->result->left++;
      continue;
    }
    double before = clock_seconds();
    error = measure_commit(r, i);
    r->spent += clock_seconds() - before;
    r->begun++;
    r->done += (double)(BUILD_ROUNDS + r->missing[i]);
  }
  if (!error && r->is_reference_new) error = finish_reference(r);
  if (r->reference && !r->options->builds.folder) bisect_remove_build(&r->builds, r->reference_id);
  return error;
}

err range_measure(const range_options *options, store *s, range_result *result) {
  range r = {.options = options, .s = s, .result = result, .builds = options->builds};
  checkouts_folder folder = {.path = ""};
  err error = NULL;
  *result = (range_result){0};
  identity_of_machine(r.machine, sizeof r.machine);
  words_write(options->how.words, &r.words);
  strbuf_format(&r.failures, "%s/benchmarks", options->how.results);
  TRY(fs_make_folders(strbuf_string(&r.failures)));
  strbuf_append(&r.failures, "/failures.jsonl");
  TRY(bisect_list_commits(options->builds.repository, options->first, options->last, &r.commits,
                          &r.count));
  result->commits = r.count;
  r.builds.stop = options->stop;
  strbuf_format(&r.logs, "%s/benchmarks/logs", options->how.results);
  r.builds.logs = strbuf_string(&r.logs);
  if (!options->builds.folder) {
    checkouts_remove_left(options->builds.repository);
    TRY(checkouts_begin(&folder));
    r.builds.folder = folder.path;
  }
  TRY(order_commits(&r));
  TRY(plan(&r));
  error = measure_all(&r);
  progress_finish(&r.bar, NULL);
cleanup:
  checkouts_end(&folder);
  bisect_free_commits(r.commits, r.count);
  free(r.reference);
  free(r.missing);
  free(r.order);
  free(r.has_failed);
  strbuf_free(&r.words);
  strbuf_free(&r.failures);
  strbuf_free(&r.logs);
  return error;
}
