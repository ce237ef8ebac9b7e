#include "run/timing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/mem.h"
#include "run/command.h"

typedef struct {
  const timing_options *options;
  timing_result *result;
  char commit[2][48], dirty[2][16], committed[2][40];
  char machine[160];
  int fd; /* of the session's file */
  int64_t ordinal;
  strbuf path;
} timing;

void timing_free(timing_result *result) {
  for (size_t i = 0; i < result->count; i++) {
    free(result->series[i].name);
    free(result->series[i].base);
    free(result->series[i].other);
  }
  free(result->series);
  *result = (timing_result){0};
}

/* "flip 0.1.0 (COMMIT+DIRTY, gcc 12.2.0)", and when git says that the commit was made. */
static err identify(timing *t, int side, const char *program) {
  char *version[] = {(char *)program, "--version", NULL};
  strbuf said = {0}, date = {0};
  err error = command_capture(version, &said);
  const char *open = strchr(strbuf_string(&said), '(');
  if (!error && open) {
    size_t length = strcspn(open + 1, "+,)");
    snprintf(t->commit[side], sizeof t->commit[side], "%.*s", (int)(length < 40 ? length : 40),
             open + 1);
    if (open[1 + length] == '+')
      snprintf(t->dirty[side], sizeof t->dirty[side], "%.*s", (int)strcspn(open + 2 + length, ",)"),
               open + 2 + length);
  }
  char *show[] = {"git", "show", "-s", "--format=%cI", t->commit[side], NULL};
  bool is_known = !error && *t->commit[side] && access(".git", F_OK) == 0;
  if (is_known && !(error = command_capture(show, &date)))
    snprintf(t->committed[side], sizeof t->committed[side], "%.*s",
             (int)strcspn(strbuf_string(&date), "\n"), strbuf_string(&date));
  if (is_known && error) { /* a commit of another repository */
    err_free(error);
    error = NULL;
  }
  snprintf(t->result->commits[side], sizeof t->result->commits[side], "%s%s%s", t->commit[side],
           *t->dirty[side] ? "+" : "", t->dirty[side]);
  strbuf_free(&said);
  strbuf_free(&date);
  return error;
}

static void name_machine(timing *t) {
  char line[256], *colon = NULL;
  machine_state m = machine_look("");
  FILE *file = fopen("/proc/cpuinfo", "re");
  while (file && !colon && fgets(line, sizeof line, file))
    if (strncmp(line, "model name", 10) == 0) colon = strchr(line, ':');
  if (file) fclose(file);
  if (colon) colon[strcspn(colon, "\n")] = '\0';
  snprintf(t->machine, sizeof t->machine, "%.120s, %d CPUs", colon ? colon + 2 : "unknown", m.cpus);
}

/* What tells a row from the others: its name, or the mask it was measured at. */
static void name_series(const json_t *row, size_t number, char *name, size_t size) {
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
  *one = (timing_series){mem_copy_string(name), mem_zeroed(t->options->rounds, sizeof(double)),
                         mem_zeroed(t->options->rounds, sizeof(double)), 0, 0};
  *found = one;
  return one->name && one->base && one->other ? NULL : mem_error(0, "a comparison");
}

static err write_sample(timing *t, int side, const char *series, double value) {
  char now[CLOCK_STAMP_SIZE];
  strbuf line = {0};
  json_writer w = jsonw_start(&line);
  jsonw_object(&w, NULL);
  jsonw_integer(&w, "ordinal", t->ordinal++);
  jsonw_string(&w, "series", series);
  jsonw_string(&w, "metric", t->options->metric);
  jsonw_string(&w, "side", !t->options->other ? "" : side ? "new" : "base");
  jsonw_string(&w, "commit", t->commit[side]);
  jsonw_string(&w, "dirty", t->dirty[side]);
  jsonw_string(&w, "committed", t->committed[side]);
  jsonw_string(&w, "machine", t->machine);
  jsonw_string(&w, "time", clock_stamp(now));
  jsonw_number(&w, "value", value);
  jsonw_end(&w);
  strbuf_append_char(&line, '\n');
  err error = line.is_broken ? mem_error(0, "a sample")
                             : fs_write_all(t->fd, line.data, line.length, strbuf_string(&t->path));
  strbuf_free(&line);
  return error;
}

static err take_row(timing *t, int side, const json_t *row, size_t number) {
  const json_t *value = json_object_get(row, t->options->metric);
  char name[160];
  timing_series *series = NULL;
  if (!json_is_number(value)) return NULL;
  name_series(row, number, name, sizeof name);
  err error = find_series(t, name, &series);
  if (error) return error;
  size_t *count = side ? &series->other_count : &series->base_count;
  if (*count < t->options->rounds)
    (side ? series->other : series->base)[(*count)++] = json_number_value(value);
  return write_sample(t, side, name, json_number_value(value));
}

static err measure_side(timing *t, int side) {
  char *words[64] = {(char *)(side ? t->options->other : t->options->base)};
  strbuf out = {0};
  size_t rows = 0;
  for (size_t i = 0; i < t->options->words->count && i < 62; i++)
    words[i + 1] = (char *)t->options->words->items[i];
  err error = command_capture(words, &out);
  for (char *rest = out.data, *line; !error && (line = strsep(&rest, "\n"));) {
    json_t *row = json_loads(line, 0, NULL);
    if (json_is_object(row)) error = take_row(t, side, row, ++rows);
    json_decref(row);
  }
  if (!error && t->result->count == 0)
    error = err_new(ERR_INPUT, "%s prints no JSON object with a number '%s'", words[0],
                    t->options->metric);
  strbuf_free(&out);
  return error;
}

/* A file of this measurement alone: a process may make several in one second. */
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

err timing_measure(const timing_options *options, timing_result *result) {
  timing t = {.options = options, .result = result, .fd = -1};
  strbuf doubts = {0};
  err error = NULL;
  *result = (timing_result){0};
  machine_state before = machine_look("");
  name_machine(&t);
  TRY(identify(&t, 0, options->base));
  if (options->other) TRY(identify(&t, 1, options->other));
  TRY(open_session(&t));
  for (size_t round = 0; round < options->rounds; round++) {
    int first = round % 2 && options->other ? 1 : 0;
    log_info("round %zu of %zu", round + 1, options->rounds);
    TRY(measure_side(&t, first));
    if (options->other) TRY(measure_side(&t, !first));
  }
  machine_state after = machine_look("");
  machine_doubts(&after, 1, &doubts);
  if (after.throttled > before.throttled) strbuf_append(&doubts, "heat lowered the clock\n");
  if (doubts.length) log_warning("%.*s", (int)doubts.length - 1, strbuf_string(&doubts));
cleanup:
  if (t.fd >= 0) close(t.fd);
  strbuf_free(&t.path);
  strbuf_free(&doubts);
  if (error) timing_free(result);
  return error;
}
