#include "timing/range.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
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
#include "timing/builds.h"
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
  char *other_builds;     /* a JSON array: those that only other build commands gave */
  char machine[160];
  strbuf words, failures, ranges, logs; /* failures, ranges: paths of files */
  progress bar;
  double done;     /* rounds in the progress bar's total; a build counts as BUILD_ROUNDS */
  double deadline; /* of the budget, on clock_seconds; 0: none */
  double longest_run;
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

/* Would another commit take longer than the budget? */
static bool is_over_budget(const range *r) {
  double one = r->begun ? r->spent / (double)r->begun : 0;
  return r->deadline > 0 && clock_seconds() + one > r->deadline;
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
  return json_lines_append(strbuf_string(&r->failures), &line);
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

/* Which commits at the end of the range failed, and which of those before them: their dates do not
 * tell where a clock was behind, or where a rebase made several within a second. */
static err record_range(const range *r) {
  strbuf line = {0};
  size_t end = r->count;
  while (end > 0 && r->missing[end - 1]) end--;
  json_writer w = jsonw_start(&line);
  jsonw_object(&w, NULL);
  jsonw_string(&w, "event", "range");
  jsonw_string(&w, "machine", r->machine);
  jsonw_string(&w, "words", strbuf_string(&r->words));
  jsonw_string(&w, "build_command", r->options->builds.build);
  jsonw_integer(&w, "seconds", (int64_t)time(NULL));
  jsonw_array(&w, "passed");
  for (size_t i = 0; i < end; i++)
    if (r->missing[i] && r->has_failed[i]) jsonw_string(&w, NULL, r->commits[i].id);
  jsonw_end(&w);
  jsonw_array(&w, "newest");
  for (size_t i = end; i < r->count; i++)
    if (r->has_failed[i]) jsonw_string(&w, NULL, r->commits[i].id);
  jsonw_end(&w);
  jsonw_end(&w);
  return json_lines_append(strbuf_string(&r->ranges), &line);
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
    return err_new(ERR_INTERRUPTED, "stopped at %.10s %s", c->id, c->subject);
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

/* Samples are recorded for the commit that the program names: of any other, or of none, they would
 * be taken for another commit's.
 * Remembers which compiler and flags the build command gave, so that a later call with another does
 * not take its rounds for that one's, and that two of one command continue each other. */
static err identify(const range *r, const bisect_commit *c, const char *program) {
  program_identity identity;
  const builds_place place = {r->options->how.results, r->machine, r->options->builds.build};
  err error = identity_of_program(program, r->options->builds.repository, &identity);
  if (error) return error;
  if (strcmp(identity.commit, c->id) != 0)
    return err_new(ERR_INPUT, "its program's --version names commit '%s'", identity.commit);
  return builds_record(&place, identity.build);
}

/* `rounds` of a program, in turns with the reference if there is one. */
static err measure(range *r, const char *program, size_t rounds) {
  timing_options how = r->options->how;
  timing_result result = {0};
  how.base = r->reference ? r->reference : program;
  how.other = r->reference ? program : NULL;
  how.rounds = rounds;
  how.repository = r->options->builds.repository;
  how.deadline = r->deadline;
  how.longest_run = &r->longest_run;
  how.on_round = show;
  how.context = r;
  err error = timing_measure(&how, r->options->stop, &result);
  if (!error) error = check_numbers(&result, &how);
  timing_free(&result);
  return error;
}

static err measure_commit(range *r, size_t at) {
  const bisect_commit *c = &r->commits[at];
  const char *failure = "not_built";
  char *program = NULL;
  err error = build(r, c, &program);
  if (!error) {
    failure = "not_measured";
    error = identify(r, c, program);
  }
  if (!error) error = measure(r, program, r->missing[at]);
  r->done += (double)(BUILD_ROUNDS + r->missing[at]);
  if (error) {
    error = pass_over(r, c, failure, error);
    r->has_failed[at] = !error;
  } else {
    r->result->measured++;
    r->missing[at] = 0;
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
  if (!error) error = identify(r, c, program);
  if (!error) error = measure(r, program, 1);
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
    if (!error) return NULL;
    if (is_stopped(r)) return pass_over(r, &c, failure, error);
    if (err_kind_of(error) != ERR_INPUT) return error;
    progress_clear(&r->bar);
    log_warning("%.10s, the reference of earlier measurements, cannot be measured: %s", id,
                err_message(error));
    err_free(error);
  }
  for (size_t k = 0; k < r->count && !r->reference && !is_over_budget(r); k++) {
    size_t i = r->order[k];
    if (r->missing[i] && r->has_failed[i]) continue;
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

/* ---- links ---- */

static bool is_known(const range *r, size_t i) {
  return !r->missing[i] && !r->has_failed[i];
}

/* The newest known commits, one of each group of them, that no chain of rounds connects with a
 * commit or with each other: at[0..count). */
static err find_unlinked(const range *r, const char *from, size_t *at, size_t *count) {
  bool *is_linked = mem_zeroed(r->count, sizeof *is_linked);
  err error = is_linked ? NULL : mem_error(r->count, "commits");
  *count = 0;
  for (size_t next = 0; !error && next < r->count;) {
    char *linked = NULL;
    error = store_list_linked(r->s, r->options->how.metric, strbuf_string(&r->words), r->machine,
                              from, r->other_builds, &linked);
    next = r->count;
    for (size_t i = 0; i < r->count && !error; i++) {
      is_linked[i] = is_linked[i] || strstr(linked, r->commits[i].id);
      if (is_known(r, i) && !is_linked[i]) next = i;
    }
    free(linked);
    if (error || next == r->count) break;
    at[(*count)++] = next;
    from = r->commits[next].id;
  }
  free(is_linked);
  return error;
}

/* Known commits that nothing connects with the reference are measured with it too, one of each
 * group: where an earlier reference is gone, they could be compared with no newer commit. */
static err add_links(range *r) {
  size_t count = 0, *at = mem_zeroed(r->count, sizeof *at);
  err error = at ? find_unlinked(r, r->reference_id, at, &count) : mem_error(r->count, "commits");
  for (size_t i = 0; i < count && !error; i++) {
    r->missing[at[i]] = r->options->how.rounds;
    r->bar.total += (double)(BUILD_ROUNDS + r->missing[at[i]]);
    r->result->known--;
  }
  free(at);
  return error;
}

static err are_linked(const range *r, bool *are) {
  size_t count = 0, newest = r->count, *at = mem_zeroed(r->count, sizeof *at);
  err error = at ? NULL : mem_error(r->count, "commits");
  while (newest > 0 && !is_known(r, newest - 1)) newest--;
  if (!error && newest) error = find_unlinked(r, r->commits[newest - 1].id, at, &count);
  *are = count == 0;
  free(at);
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
  if (!r->missing || !r->has_failed) return mem_error(r->count, "commits");
  err error = read_failures(r);
  const builds_place place = {r->options->how.results, r->machine, r->options->builds.build};
  if (!error) error = builds_list_others(&place, &r->other_builds);
  for (size_t i = 0; i < r->count && !error; i++) {
    size_t known = 0, wanted = r->options->how.rounds;
    error = store_count_rounds(r->s, r->options->how.metric, strbuf_string(&r->words), r->machine,
                               r->commits[i].id, r->other_builds, &known);
    r->missing[i] = known < wanted ? wanted - known : 0;
    if (r->missing[i] == 0)
      r->result->known++;
    else if (r->has_failed[i])
      r->result->failed++;
  }
  for (size_t i = 0; i < r->count && !error; i++)
    total += r->missing[i] && !r->has_failed[i] ? (double)(BUILD_ROUNDS + r->missing[i]) : 0;
  r->bar = progress_start("measuring", total, 0, r->options->shows_progress);
  return error;
}

static err look_whether_complete(const range *r, bool *is_complete) {
  *is_complete = false;
  for (size_t i = 0; i < r->count; i++)
    if (r->missing[i] && !r->has_failed[i]) return NULL;
  return are_linked(r, is_complete);
}

static err measure_all(range *r) {
  bool is_complete;
  err error = look_whether_complete(r, &is_complete);
  if (error || is_complete) return error;
  if (r->options->budget_seconds > 0) r->deadline = clock_seconds() + r->options->budget_seconds;
  error = is_stopped(r) ? err_new(ERR_INTERRUPTED, "stopped") : open_reference(r);
  if (!error && r->reference) error = add_links(r);
  if (!error) count_reference(r);
  for (size_t k = 0; k < r->count && !error; k++) {
    size_t i = r->order[k];
    if (!r->missing[i] || r->has_failed[i]) continue;
    if (is_stopped(r)) error = err_new(ERR_INTERRUPTED, "stopped");
    if (error || is_over_budget(r)) {
      r->result->left++;
      continue;
    }
    double before = clock_seconds();
    error = measure_commit(r, i);
    r->spent += clock_seconds() - before;
    r->begun++;
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
  strbuf_format(&r.logs, "%s/benchmarks", options->how.results);
  TRY(fs_make_folders(strbuf_string(&r.logs)));
  strbuf_format(&r.failures, "%s/failures.jsonl", strbuf_string(&r.logs));
  strbuf_format(&r.ranges, "%s/ranges.jsonl", strbuf_string(&r.logs));
  strbuf_append(&r.logs, "/logs");
  TRY(bisect_list_commits(options->builds.repository, options->first, options->last, &r.commits,
                          &r.count));
  result->commits = r.count;
  r.builds.stop = options->stop;
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
  err unrecorded = record_range(&r);
  if (error)
    err_free(unrecorded);
  else
    error = unrecorded;
cleanup:
  checkouts_end(&folder);
  bisect_free_commits(r.commits, r.count);
  free(r.reference);
  free(r.missing);
  free(r.order);
  free(r.has_failed);
  free(r.other_builds);
  strbuf_free(&r.words);
  strbuf_free(&r.failures);
  strbuf_free(&r.ranges);
  strbuf_free(&r.logs);
  return error;
}
