#include "train/rows.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/readings.h"
#include "train/spin.h"

enum { MOST_WAITING = 256, MOST_KEPT = 1 << 16 };
static const double shortest_interval = 0.02, longest_interval = 1, most_cost = 1.0 / 500;
/* The machine's time is counted in ticks of 10 ms: a mean over less is not meaningful. */
static const double least_measured = 0.5;

typedef struct {
  row_step last;
  int64_t steps;
  double seconds, data_wait_seconds, train_seconds; /* sums; the last one over the whole run */
  double comm_seconds, comm_bytes;                  /* sums, and so is */
  double values_saturated;
  int slowest_rank;
  double rank_spread; /* NaN: not known */
} row;

/* The readings of which a row gets its share: the machine's counters and the device's meter, or
 * their increase. */
typedef struct {
  reading machine;
  double energy_joules; /* negative: no meter */
  double mhz, other_processes;
} counters;

struct step_rows {
  ops *o;
  event_stream *events;
  readings *machine;
  spin *spin;      /* NULL where the host does not compute */
  counters before; /* time of the last reading */
  double read_at, interval;
  row current, waiting[MOST_WAITING];
  size_t waiting_count;
  double train_seconds;
  double measured_seconds, other_cpu_seconds; /* of this process; the latter used by others */
  int64_t process;
  pace_row *kept; /* [MOST_KEPT]: of the run so far; neighbours are merged when it is full */
  size_t kept_count;
  uint64_t merges; /* of rows so far */
};

err rows_create(ops *o, event_stream *events, double train_seconds, step_rows **out) {
  step_rows *rows = mem_zeroed(1, sizeof *rows);
  if (!rows) return mem_error(sizeof *rows, "rows");
  *rows = (step_rows){.o = o,
                      .events = events,
                      .train_seconds = train_seconds,
                      .interval = shortest_interval,
                      .current = {.rank_spread = NAN}};
  if (!o->call->memory) rows->spin = spin_create(o->threads);
  rows->kept = mem_zeroed(MOST_KEPT, sizeof *rows->kept);
  err error = rows->kept ? readings_open("", &rows->machine)
                         : mem_error(MOST_KEPT * sizeof *rows->kept, "rows");
  if (error)
    rows_destroy(rows);
  else
    *out = rows;
  return error;
}

void rows_destroy(step_rows *rows) {
  if (!rows) return;
  spin_destroy(rows->spin);
  readings_close(rows->machine);
  free(rows->kept);
  free(rows);
}

/* ---- the rows of the whole run ---- */

/* Halves the number of rows when full. `steps`: the last step of each row, or NULL. */
static void make_room(step_rows *rows, int64_t *steps) {
  size_t count = 0;
  if (rows->kept_count < MOST_KEPT) return;
  for (size_t i = 0; i < MOST_KEPT; i++, count++) {
    const pace_row *a = &rows->kept[i];
    bool has_twin = i + 1 < MOST_KEPT && a[1].process == a->process;
    rows->kept[count] = has_twin ? pace_merge(a, a + 1, rows->merges++) : *a;
    i += has_twin;
    if (steps) steps[count] = steps[i];
  }
  rows->kept_count = count; /* processes with one row each: then the later ones are dropped */
}

static void keep(step_rows *rows, const pace_row *one, int64_t *steps, int64_t step) {
  make_room(rows, steps);
  if (rows->kept_count == MOST_KEPT) return;
  if (steps) steps[rows->kept_count] = step;
  rows->kept[rows->kept_count++] = *one;
}

static double real_of(const json_t *event, const char *key) {
  const json_t *value = json_object_get(event, key);
  return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

/* A start at step n discards what an earlier process recorded beyond n. */
static void take_back(step_rows *rows, const int64_t *steps, int64_t first_step) {
  while (rows->kept_count && steps[rows->kept_count - 1] > first_step) rows->kept_count--;
}

/* `steps` [MOST_KEPT]: the last step of each kept row. */
static void take_event(step_rows *rows, int64_t *steps, const json_t *event) {
  const char *name = json_string_value(json_object_get(event, "event"));
  if (name && strcmp(name, "start") == 0) {
    rows->process++;
    take_back(rows, steps, json_integer_value(json_object_get(event, "first_step")));
  } else if (name && strcmp(name, "step") == 0) {
    const json_t *count = json_object_get(event, "steps");
    const pace_row one = {.process = rows->process,
                          .steps = json_is_integer(count) ? json_integer_value(count) : 1,
                          .seconds = real_of(event, "seconds"),
                          .cpu_seconds = real_of(event, "cpu_seconds"),
                          .delay_seconds = real_of(event, "delay_seconds"),
                          .stolen_seconds = real_of(event, "stolen_seconds"),
                          .other_cpu_seconds = real_of(event, "other_cpu_seconds")};
    keep(rows, &one, steps, json_integer_value(json_object_get(event, "step")));
  }
}

/* A number is an open descriptor, which may be write-only. */
static FILE *open_earlier(const char *target) {
  char path[64];
  struct stat status;
  bool is_number = *target && target[strspn(target, "0123456789")] == '\0';
  snprintf(path, sizeof path, "/proc/self/fd/%.20s", target);
  FILE *file = fopen(is_number ? path : target, "re");
  if (file && (fstat(fileno(file), &status) != 0 || !S_ISREG(status.st_mode))) {
    fclose(file);
    file = NULL;
  }
  return file;
}

err rows_read_earlier(step_rows *rows, const char *target, int64_t step) {
  FILE *file = open_earlier(target);
  if (!file) return NULL;
  char *line = NULL;
  size_t room = 0;
  int64_t *steps = mem_zeroed(MOST_KEPT, sizeof *steps);
  while (steps && getline(&line, &room, file) >= 0) {
    if (!strstr(line, "\"step\"") && !strstr(line, "\"start\"")) continue;
    json_t *event = json_loads(line, 0, NULL);
    if (event) take_event(rows, steps, event);
    json_decref(event);
  }
  if (steps) take_back(rows, steps, step);
  rows->process++;
  free(line);
  fclose(file);
  free(steps);
  return steps ? NULL : mem_error(MOST_KEPT * sizeof *steps, "rows");
}

err rows_pace(const step_rows *rows, int threads, int cpus, pace *out) {
  return pace_of(rows->kept, rows->kept_count, threads, cpus, out);
}

double rows_other_cpus(const step_rows *rows) {
  bool is_known = rows->measured_seconds >= least_measured;
  return is_known ? rows->other_cpu_seconds / rows->measured_seconds : (double)NAN;
}

/* ---- counters ---- */

static counters read_counters(step_rows *rows) {
  double start = clock_seconds();
  ops_usage usage = ops_read_usage(rows->o);
  counters now = {.machine = readings_take(rows->machine),
                  .energy_joules = usage.energy_joules,
                  .mhz = usage.clock_mhz,
                  .other_processes = usage.other_processes};
  rows->read_at = clock_seconds();
  rows->interval =
      fmin(fmax((rows->read_at - start) / most_cost, shortest_interval), longest_interval);
  return now;
}

void rows_begin(step_rows *rows) {
  rows->before = read_counters(rows);
}

static counters rise(const counters *now, const counters *before) {
  const reading *a = &now->machine, *b = &before->machine;
  bool has_meter = now->energy_joules >= 0 && before->energy_joules >= 0;
  return (counters){.machine = {.cpu_seconds = a->cpu_seconds - b->cpu_seconds,
                                .delay_seconds = a->delay_seconds - b->delay_seconds,
                                .switches = a->switches - b->switches,
                                .other_cpu_seconds = a->other_cpu_seconds - b->other_cpu_seconds,
                                .stolen_seconds = a->stolen_seconds - b->stolen_seconds,
                                .pressure_seconds = a->pressure_seconds - b->pressure_seconds},
                    .energy_joules = has_meter ? now->energy_joules - before->energy_joules : -1,
                    .mhz = now->mhz,
                    .other_processes = now->other_processes};
}

/* The readings' time may have parts in which no step was taken, such as the one that failed: the
 * steps have a share of the increase. */
static void reduce(counters *rose, double share) {
  if (!(share < 1)) return;
  reading *m = &rose->machine;
  m->cpu_seconds *= share;
  m->delay_seconds *= share;
  m->switches *= share;
  m->other_cpu_seconds *= share;
  m->stolen_seconds *= share;
  m->pressure_seconds *= share;
  if (rose->energy_joules >= 0) rose->energy_joules *= share;
}

/* ---- writing ---- */

static void write_known(json_writer *w, const char *key, double value) {
  if (!isnan(value)) jsonw_number(w, key, value);
}

/* `m`: of the rank that was delayed most. */
static err write_row(step_rows *rows, const row *r, const reading *m, const counters *rose,
                     double share) {
  json_writer *w = events_begin(rows->events, "step");
  jsonw_integer(w, "step", r->last.step);
  jsonw_integer(w, "samples", r->last.samples);
  jsonw_number(w, "loss", r->last.loss);
  write_known(w, "reconstruction_loss", r->last.reconstruction_loss);
  write_known(w, "values_saturated", r->values_saturated);
  jsonw_number(w, "learning_rate", r->last.learning_rate);
  write_known(w, "logit_scale", r->last.logit_scale);
  jsonw_number(w, "grad_norm", r->last.grad_norm);
  jsonw_integer(w, "steps", r->steps);
  jsonw_number(w, "seconds", r->seconds);
  jsonw_number(w, "data_wait_seconds", r->data_wait_seconds);
  write_known(w, "comm_seconds", r->comm_seconds);
  write_known(w, "comm_bytes", r->comm_bytes);
  if (!isnan(r->rank_spread)) jsonw_integer(w, "slowest_rank", r->slowest_rank);
  write_known(w, "rank_spread", r->rank_spread);
  jsonw_number(w, "train_seconds", r->train_seconds);
  write_known(w, "cpu_seconds", m->cpu_seconds * share);
  write_known(w, "delay_seconds", m->delay_seconds * share);
  write_known(w, "switches", m->switches * share);
  write_known(w, "other_cpu_seconds", m->other_cpu_seconds * share);
  write_known(w, "stolen_seconds", m->stolen_seconds * share);
  write_known(w, "pressure_seconds", m->pressure_seconds * share);
  if (rose->energy_joules >= 0) jsonw_number(w, "energy_joules", rose->energy_joules * share);
  if (rose->mhz >= 0) jsonw_number(w, "device_mhz", rose->mhz);
  if (rose->other_processes >= 0)
    jsonw_integer(w, "device_other_processes", (int64_t)rose->other_processes);
  return events_end(rows->events);
}

static double waiting_seconds(const step_rows *rows) {
  double seconds = 0;
  for (size_t i = 0; i < rows->waiting_count; i++) seconds += rows->waiting[i].seconds;
  return seconds;
}

static err write_waiting(step_rows *rows, delays *d) {
  const double since = rows->read_at, seconds = waiting_seconds(rows);
  counters now = read_counters(rows), rose = rise(&now, &rows->before);
  reading most;
  rows->before = now;
  reduce(&rose, seconds / (rows->read_at - since));
  /* other ranks count here: their threads, too, need the CPUs on which these spin */
  spin_consider(rows->spin, seconds, rose.machine.delay_seconds, rose.machine.other_cpu_seconds);
  err error = delays_share(d, &rose.machine, &most);
  rows->measured_seconds += seconds;
  rows->other_cpu_seconds += rose.machine.other_cpu_seconds;
  for (size_t i = 0; i < rows->waiting_count && !error; i++) {
    const row *r = &rows->waiting[i];
    double share = seconds > 0 ? r->seconds / seconds : 1 / (double)rows->waiting_count;
    error = write_row(rows, r, &most, &rose, share);
    const pace_row one = {.process = rows->process,
                          .steps = r->steps,
                          .seconds = r->seconds,
                          .cpu_seconds = most.cpu_seconds * share,
                          .delay_seconds = most.delay_seconds * share,
                          .stolen_seconds = most.stolen_seconds * share,
                          .other_cpu_seconds = most.other_cpu_seconds * share};
    keep(rows, &one, NULL, 0);
  }
  rows->waiting_count = 0;
  return error;
}

void rows_add(step_rows *rows, const row_step *step) {
  row *r = &rows->current;
  r->last = *step;
  r->steps++;
  r->seconds += step->seconds;
  r->data_wait_seconds += step->data_wait_seconds;
  r->comm_seconds += step->comm_seconds;
  r->comm_bytes += step->comm_bytes;
  r->values_saturated += step->values_saturated;
  rows->train_seconds += step->seconds;
  r->train_seconds = rows->train_seconds;
}

void rows_set_spread(step_rows *rows, int slowest, double spread) {
  rows->current.slowest_rank = slowest;
  rows->current.rank_spread = spread;
}

void rows_set_norm(step_rows *rows, double grad_norm) {
  rows->current.last.grad_norm = grad_norm;
}

bool rows_are_due(const step_rows *rows) {
  return clock_seconds() - rows->read_at >= rows->interval;
}

err rows_end_row(step_rows *rows, delays *d, bool is_due) {
  if (rows->current.steps) rows->waiting[rows->waiting_count++] = rows->current;
  rows->current = (row){.rank_spread = NAN};
  bool is_written = rows->waiting_count && (is_due || rows->waiting_count == MOST_WAITING);
  return is_written ? write_waiting(rows, d) : NULL;
}
