#include "timing/timing.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/mem.h"
#include "base/command.h"
#include "timing/identity.h"
#include "timing/words.h"

/* Load of the machine during one run of a program. */
typedef struct {
  machine_span span;
  double wall_seconds;
  bool is_disturbed;
} reading;

typedef struct {
  const timing_options *options;
  timing_result *result;
  program_identity programs[2];
  char machine[160];
  strbuf words;
  int fd; /* of the session's file */
  int64_t ordinal;
  size_t round;
  const volatile bool *stop; /* may be NULL */
  strbuf path;
} timing;

void timing_free(timing_result *result) {
  for (size_t i = 0; i < result->count; i++) {
    free(result->series[i].name);
    free(result->series[i].base);
    free(result->series[i].other);
  }
  free(result->series);
  free(result->words);
  *result = (timing_result){0};
}

static err identify(timing *t, int side, const char *program) {
  const char *repository = t->options->repository ? t->options->repository : ".";
  program_identity *p = &t->programs[side];
  err error = identity_of_program(program, repository, p);
  snprintf(t->result->commits[side], sizeof t->result->commits[side], "%s%s%s", p->commit,
           *p->dirty ? "+" : "", p->dirty);
  snprintf(t->result->builds[side], sizeof t->result->builds[side], "%s", p->build);
  return error;
}

/* ---- the machine ---- */

/* A reading whose own time includes child processes. */
static machine_state look(void) {
  struct rusage use;
  machine_state m = machine_look("");
  getrusage(RUSAGE_CHILDREN, &use);
  m.own_seconds += (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
                   1e-6 * (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
  return m;
}

static reading read_between(const machine_state *first, const machine_state *last) {
  const double tick_seconds = 0.05; /* the kernel counts in hundredths of a second; up to five are
                                     * ignored */
  strbuf doubts = {0};
  reading r = {machine_between(first, last), last->wall_seconds - first->wall_seconds, false};
  machine_span_doubts(&r.span, last->cpus, &doubts);
  bool is_measurable = r.span.other_cpus * r.wall_seconds > tick_seconds ||
                       r.span.stolen_share * r.wall_seconds > tick_seconds || r.span.throttled > 0;
  r.is_disturbed = doubts.length > 0 && is_measurable;
  strbuf_free(&doubts);
  return r;
}

static void count_reading(timing_disturbance *d, const reading *r, int cpus) {
  double before = (double)d->runs++;
  d->cpus = cpus;
  d->disturbed += r->is_disturbed;
  d->other_cpus = (d->other_cpus * before + r->span.other_cpus) / (double)d->runs;
  d->stolen_share = (d->stolen_share * before + r->span.stolen_share) / (double)d->runs;
  d->most_other_cpus = fmax(d->most_other_cpus, r->span.other_cpus);
  d->throttled += r->span.throttled;
}

void timing_describe_disturbance(const timing_disturbance *d, strbuf *out) {
  if (!d->disturbed) return;
  strbuf_format(out,
                "%zu of %zu runs %s disturbed: other processes used %.1f of %d CPUs (at most "
                "%.1f)",
                d->disturbed, d->runs, text_plural((int64_t)d->disturbed, "was", "were"),
                d->other_cpus, d->cpus, d->most_other_cpus);
  if (d->stolen_share > 0.005)
    strbuf_format(out, ", the hypervisor took %.0f %%", 100 * d->stolen_share);
  if (d->throttled > 0)
    strbuf_format(out, ", thermal throttling lowered the clock %lld %s", (long long)d->throttled,
                  text_plural(d->throttled, "time", "times"));
}

/* ---- samples ---- */

/* A row's name, or its mask ratio. */
static void name_row(const json_t *row, size_t number, char *name, size_t size) {
  static const char *const keys[] = {"name", "op", "series"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    const char *text = json_string_value(json_object_get(row, keys[i]));
    if (text) {
      snprintf(name, size, "%s", text);
      return;
    }
  }
  const json_t *mask = json_object_get(row, "mask_ratio");
  if (json_is_number(mask))
    snprintf(name, size, "mask_ratio=%g", json_number_value(mask));
  else
    snprintf(name, size, "row %zu", number);
}

/* The identity of a row: its name, and where it names them the device, and a precision other than
 * fp32, which `auto` may have chosen: numbers of two of them are not compared. */
static void name_series(const json_t *row, size_t number, char *name, size_t size) {
  const char *device = json_string_value(json_object_get(row, "device_name"));
  const char *precision = json_string_value(json_object_get(row, "precision"));
  name_row(row, number, name, size);
  size_t used = strlen(name);
  if (precision && strcmp(precision, "fp32") != 0)
    used += (size_t)snprintf(name + used, size - used, ", %s", precision);
  if (device && used < size) snprintf(name + used, size - used, ", %s", device);
}

static double *empty_rounds(size_t count) {
  double *values = mem_zeroed(count, sizeof *values);
  for (size_t i = 0; values && i < count; i++) values[i] = NAN;
  return values;
}

static err find_series(timing *t, const char *name, timing_series **found) {
  timing_result *r = t->result;
  for (size_t i = 0; i < r->count; i++)
    if (strcmp(r->series[i].name, name) == 0) {
      *found = &r->series[i];
      return NULL;
    }
  timing_series *grown = mem_resize(r->series, r->count + 1, sizeof *grown);
  if (!grown) return mem_error(sizeof *grown, "a comparison");
  r->series = grown;
  timing_series *one = &grown[r->count++];
  *one = (timing_series){mem_copy_string(name), empty_rounds(t->options->rounds),
                         empty_rounds(t->options->rounds), 0, 0};
  *found = one;
  return one->name && one->base && one->other ? NULL : mem_error(0, "a comparison");
}

static err write_sample(timing *t, int side, const char *series, double value, const reading *r) {
  char now[CLOCK_STAMP_SIZE];
  const program_identity *p = &t->programs[side];
  strbuf line = {0};
  json_writer w = jsonw_start(&line);
  jsonw_object(&w, NULL);
  jsonw_integer(&w, "ordinal", t->ordinal++);
  jsonw_string(&w, "series", series);
  jsonw_string(&w, "metric", t->options->metric);
  jsonw_string(&w, "side", !t->options->other ? "" : side ? "new" : "base");
  jsonw_integer(&w, "round", (int64_t)t->round + 1);
  jsonw_string(&w, "commit", p->commit);
  jsonw_string(&w, "dirty", p->dirty);
  jsonw_string(&w, "committed", p->committed);
  jsonw_string(&w, "machine", t->machine);
  jsonw_string(&w, "words", strbuf_string(&t->words));
  jsonw_string(&w, "build", p->build);
  jsonw_string(&w, "time", clock_stamp(now));
  jsonw_number(&w, "value", value);
  jsonw_number(&w, "run_seconds", r->wall_seconds);
  jsonw_number(&w, "other_cpus", r->span.other_cpus);
  jsonw_number(&w, "stolen_share", r->span.stolen_share);
  jsonw_integer(&w, "throttled", r->span.throttled);
  jsonw_bool(&w, "is_disturbed", r->is_disturbed);
  jsonw_end(&w);
  strbuf_append_char(&line, '\n');
  err error = line.is_broken ? mem_error(0, "a sample")
                             : fs_write_all(t->fd, line.data, line.length, strbuf_string(&t->path));
  strbuf_free(&line);
  return error;
}

/* `names`: of the rows printed so far in this run, to detect duplicates. */
static err take_row(timing *t, int side, const json_t *row, size_t number, strbuf *names,
                    const reading *r) {
  const json_t *given = json_object_get(row, t->options->metric);
  char name[160], again[192], key[200];
  timing_series *series = NULL;
  if (!given) return NULL;
  double value = json_is_number(given) ? json_number_value(given) : (double)NAN;
  name_series(row, number, name, sizeof name);
  snprintf(again, sizeof again, "%s", name);
  for (int i = 2;; i++) {
    snprintf(key, sizeof key, "\n%s\n", again);
    if (!strstr(strbuf_string(names), key)) break;
    snprintf(again, sizeof again, "%s (%d)", name, i);
  }
  strbuf_append(names, key);
  err error = find_series(t, again, &series);
  if (error) return error;
  if (isfinite(value) && value > 0)
    (side ? series->other : series->base)[t->round] = value;
  else
    (*(side ? &series->other_left_out : &series->base_left_out))++;
  return write_sample(t, side, again, value, r);
}

static err take_rows(timing *t, int side, char *text, const reading *r) {
  strbuf names = {0};
  size_t rows = 0, unreadable = 0;
  err error = NULL;
  for (char *rest = text, *line; !error && (line = strsep(&rest, "\n"));) {
    json_t *row = json_loads(line, 0, NULL);
    unreadable += !row && *line == '{';
    if (json_is_object(row)) error = take_row(t, side, row, ++rows, &names, r);
    json_decref(row);
  }
  if (unreadable)
    log_warning("round %zu: ignored %zu %s (NaN and Infinity are not valid JSON)", t->round + 1,
                unreadable,
                text_plural((int64_t)unreadable, "line that begins with '{' but is not JSON",
                            "lines that begin with '{' but are not JSON"));
  strbuf_free(&names);
  return error;
}

/* ---- runs ---- */

/* A run of a program: when it is to be ended. */
typedef struct {
  const volatile bool *stop; /* may be NULL */
  double start, limit;       /* limit: seconds; 0: none */
} timed_run;

static bool is_to_end(const void *context) {
  const timed_run *run = context;
  return (run->stop && *run->stop) || (run->limit > 0 && clock_seconds() - run->start > run->limit);
}

/* The output of a program. One that hangs must not keep the others from being measured. */
static err read_output(const timing *t, char *const *words, strbuf *out) {
  const timing_options *options = t->options;
  timed_run run = {.stop = t->stop, .start = clock_seconds()};
  if (!t->stop && options->deadline <= 0) return command_capture(words, out);
  if (options->deadline > 0)
    run.limit = fmax(fmax(options->deadline - run.start, 10 * *options->longest_run), 1e-3);
  err error = command_capture_until(words, &(command_stop){is_to_end, &run}, out);
  double seconds = clock_seconds() - run.start;
  if (!error && options->longest_run) *options->longest_run = fmax(*options->longest_run, seconds);
  if (!error || err_kind_of(error) != ERR_INTERRUPTED || (t->stop && *t->stop)) return error;
  err_free(error);
  return err_new(ERR_INPUT, "%s was ended after %.1f s, when the budget was used up", words[0],
                 seconds);
}

static err measure_side(timing *t, int side) {
  char *words[64] = {(char *)(side ? t->options->other : t->options->base)};
  strbuf out = {0};
  if (t->options->words->count > 62)
    return err_new(ERR_INPUT, "%zu arguments after '--': at most 62", t->options->words->count);
  for (size_t i = 0; i < t->options->words->count; i++)
    words[i + 1] = (char *)t->options->words->items[i];
  machine_state before = look();
  err error = read_output(t, words, &out);
  machine_state after = look();
  reading r = read_between(&before, &after);
  count_reading(&t->result->disturbance, &r, after.cpus);
  if (!error && out.data) error = take_rows(t, side, out.data, &r);
  if (!error && t->result->count == 0)
    error = err_new(ERR_INPUT, "%s prints no JSON object with a number '%s'", words[0],
                    t->options->metric);
  strbuf_free(&out);
  return error;
}

/* A separate file for this measurement: a process may make several within a second. */
static err open_session(timing *t) {
  char now[CLOCK_STAMP_SIZE];
  strbuf folder = {0};
  strbuf_format(&folder, "%s/benchmarks", t->options->results);
  err error = fs_make_folders(strbuf_string(&folder));
  clock_stamp(now);
  for (int i = 0; !error && t->fd < 0; i++) {
    t->path.length = 0;
    strbuf_format(&t->path, "%s/%.19s-%ld", strbuf_string(&folder), now, (long)getpid());
    if (i) strbuf_format(&t->path, "-%d", i);
    strbuf_append(&t->path, ".jsonl");
    t->fd = open(strbuf_string(&t->path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (t->fd < 0 && errno != EEXIST)
      error = err_errno(errno, "%s: cannot be written", strbuf_string(&t->path));
  }
  strbuf_free(&folder);
  return error;
}

static err measure_rounds(timing *t) {
  const timing_options *options = t->options;
  err error = NULL;
  for (t->round = 0; t->round < options->rounds && !error; t->round++) {
    int first = t->round % 2 && options->other ? 1 : 0;
    if (t->stop && *t->stop)
      return err_new(ERR_INTERRUPTED, "stopped after %zu %s", t->round,
                     text_plural((int64_t)t->round, "round", "rounds"));
    if (options->on_round)
      options->on_round(options->context, t->round, options->rounds);
    else
      log_info("round %zu of %zu", t->round + 1, options->rounds);
    error = measure_side(t, first);
    if (!error && options->other) error = measure_side(t, !first);
  }
  return error;
}

err timing_measure(const timing_options *options, const volatile bool *stop,
                   timing_result *result) {
  timing t = {.options = options, .result = result, .stop = stop, .fd = -1};
  strbuf doubts = {0};
  err error = NULL;
  *result = (timing_result){0};
  identity_of_machine(t.machine, sizeof t.machine);
  words_write(options->words, &t.words);
  TRY(identify(&t, 0, options->base));
  if (options->other) TRY(identify(&t, 1, options->other));
  if (!(result->words = mem_copy_string(strbuf_string(&t.words))) || t.words.is_broken)
    FAIL(ERR_MEMORY, "out of memory: a comparison");
  TRY(open_session(&t));
  TRY(measure_rounds(&t));
  machine_state after = machine_look("");
  machine_doubts(&after, 1, &doubts);
  if (doubts.length) log_warning("%.*s", (int)doubts.length - 1, strbuf_string(&doubts));
  strbuf_clear(&doubts);
  timing_describe_disturbance(&result->disturbance, &doubts);
  if (doubts.length) log_warning("%s", strbuf_string(&doubts));
cleanup:
  if (t.fd >= 0 && lseek(t.fd, 0, SEEK_END) == 0) unlink(strbuf_string(&t.path));
  if (t.fd >= 0) close(t.fd);
  strbuf_free(&t.path);
  strbuf_free(&t.words);
  strbuf_free(&doubts);
  if (error) timing_free(result);
  return error;
}
