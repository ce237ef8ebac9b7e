#include "cli/bench_rows.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/numbers.h"
#include "cli/bench.h"
#include "cli/bench_rig.h"

enum { WARM_UP = 4 };     /* steps of each model that are not timed */
enum { PARTS_STEPS = 3 }; /* steps that are timed part by part */
enum { WHOLE, IMAGE, TEXT, LOSS, RECONSTRUCTION, SCORING, REST, PARTS };

/* A model being timed. */
typedef struct {
  settings s; /* shallow: only numbers differ between rows */
  bench_rig rig;
  int64_t number, done; /* steps so far; timed ones */
  double *times, turns[BENCH_ROUNDS], parts[PARTS][PARTS_STEPS];
  double joules; /* of a step; -1: not measured */
} timed_model;

static err open_model(const settings *s, int64_t vocabulary, int64_t steps, timed_model *m) {
  *m = (timed_model){.s = *s};
  err error = bench_rig_make(&m->s, vocabulary, &m->rig);
  strbuf lines = {0};
  if (error) return error;
  clip_explain_narrow(m->rig.model, &lines);
  if (lines.length) log_info("%.*s", (int)lines.length - 1, strbuf_string(&lines));
  strbuf_free(&lines);
  m->times = mem_zeroed((size_t)steps, sizeof *m->times);
  if (!m->times) return mem_error((size_t)steps * sizeof *m->times, "timings");
  while (m->number < WARM_UP && !error) error = bench_rig_step(&m->rig, ++m->number);
  return error;
}

static void close_model(timed_model *m) {
  free(m->times);
  if (m->rig.o) bench_rig_free(&m->rig);
}

static err take_turn(timed_model *m, int round, int64_t steps) {
  err error = NULL;
  for (int64_t i = 0; i < steps && !error; i++) {
    double start = clock_seconds();
    error = bench_rig_step(&m->rig, ++m->number);
    m->times[m->done] = clock_seconds() - start;
    m->turns[round] += m->times[m->done++] / (double)steps;
  }
  return error;
}

/* Of a span of its own: the meter counts in steps of up to some tenths of a second, longer than a
 * turn. */
static err take_energy(timed_model *m) {
  enum { SPAN_SECONDS = 2 };
  double before = ops_read_usage(m->rig.o).energy_joules, start = clock_seconds();
  int64_t steps = 0;
  err error = NULL;
  m->joules = -1; /* no meter */
  if (before < 0) return NULL;
  for (; !error && clock_seconds() - start < SPAN_SECONDS; steps++)
    error = bench_rig_step(&m->rig, ++m->number);
  m->joules = (ops_read_usage(m->rig.o).energy_joules - before) / (double)steps;
  return error;
}

/* Time by part: a step that waits at the end of each part. */
static err take_parts(timed_model *m, int k) {
  clip_profile profile = {0};
  m->rig.step.may_record = false;
  clip_set_profile(m->rig.model, &profile);
  double start = clock_seconds();
  err error = bench_rig_step(&m->rig, ++m->number);
  m->parts[WHOLE][k] = clock_seconds() - start;
  m->parts[IMAGE][k] = profile.image_forward + profile.image_backward;
  m->parts[TEXT][k] = profile.text_forward + profile.text_backward;
  m->parts[LOSS][k] = profile.loss;
  m->parts[RECONSTRUCTION][k] = profile.reconstruction;
  m->parts[SCORING][k] = m->rig.scoring_seconds;
  m->parts[REST][k] = m->parts[WHOLE][k]; /* within one step, so that it is not negative */
  for (int part = 0; part < PARTS; part++)
    if (part != WHOLE && part != REST) m->parts[REST][k] -= m->parts[part][k];
  clip_set_profile(m->rig.model, NULL);
  return error;
}

static err take_stock(timed_model *m, bench_row *row) {
  ops_memory memory = {0};
  double samples = (double)m->s.batch_size, seconds = numbers_median(m->times, (size_t)m->done);
  *row = (bench_row){
      .mask_ratio = m->s.mask_ratio,
      .seconds = seconds,
      .image = numbers_median(m->parts[IMAGE], PARTS_STEPS),
      .text = numbers_median(m->parts[TEXT], PARTS_STEPS),
      .loss = numbers_median(m->parts[LOSS], PARTS_STEPS),
      .reconstruction = numbers_median(m->parts[RECONSTRUCTION], PARTS_STEPS),
      .scoring = numbers_median(m->parts[SCORING], PARTS_STEPS),
      .parameters = m->rig.counts.parameters_total,
      .samples_per_second = samples / seconds,
      .flops_per_second = m->rig.counts.train_sample * samples / seconds,
      .encode_flops = m->rig.counts.forward_image + m->rig.counts.forward_text,
      .recomputed = m->rig.counts.recomputed,
      .image_flops = 3 * m->rig.counts.forward_image * samples,
      .joules_per_sample = m->joules < 0 ? -1 : m->joules / samples,
      .peak_bytes = mem_peak_bytes(),
      .planned_bytes = m->rig.counts.planned_bytes,
      .batch = m->s.batch_size,
      .micro_batch = m->s.micro_batch_size < m->s.batch_size ? m->s.micro_batch_size : 0,
      .precision = m->rig.precision,
      .delays_scales = clip_get_config(m->rig.model)->delays_scales,
  };
  snprintf(row->device, sizeof row->device, "%s", m->rig.o->device);
  row->rest = numbers_median(m->parts[REST], PARTS_STEPS);
  if (!m->rig.o->call->memory) return NULL;
  err error = m->rig.o->call->memory(m->rig.o, &memory);
  row->peak_bytes = memory.peak;
  return error;
}

static double ratio_over_rounds(const timed_model *m, const timed_model *first, int rounds) {
  double ratios[BENCH_ROUNDS];
  for (int i = 0; i < rounds; i++)
    ratios[i] =
        m->turns[i] / (double)m->s.batch_size / first->turns[i] * (double)first->s.batch_size;
  return numbers_median(ratios, (size_t)rounds);
}

/* Times these models together. */
static err measure_group(const settings *runs, int count, int64_t vocabulary, int64_t steps,
                         bench_row *rows) {
  int rounds = steps < BENCH_ROUNDS ? (int)steps : BENCH_ROUNDS;
  timed_model *models = mem_zeroed((size_t)count, sizeof *models);
  if (!models) return mem_error((size_t)count * sizeof *models, "timings");
  err error = NULL;
  for (int i = 0; i < count; i++) {
    settings s = runs[i];
    if (i > 0) s.precision = models[0].rig.precision; /* the result of `auto` is reused */
    TRY(open_model(&s, vocabulary, steps, &models[i]));
  }
  for (int k = 0; k < rounds; k++)
    for (int i = 0; i < count; i++)
      TRY(take_turn(&models[i], k, steps * (k + 1) / rounds - steps * k / rounds));
  for (int i = 0; i < count; i++) TRY(take_energy(&models[i]));
  for (int k = 0; k < PARTS_STEPS; k++)
    for (int i = 0; i < count; i++) TRY(take_parts(&models[i], k));
  for (int i = 0; i < count; i++) {
    TRY(take_stock(&models[i], &rows[i]));
    rows[i].time_ratio = ratio_over_rounds(&models[i], &models[0], rounds);
  }
cleanup:
  for (int i = 0; i < count; i++) close_model(&models[i]);
  free(models);
  return error;
}

err bench_measure_rows(const settings *runs, int count, int64_t vocabulary, int64_t steps,
                       bench_row *rows, bool *is_in_turns, const bench_taker *taker) {
  err error = NULL;
  *is_in_turns = false;
  if (count > 1) TRY(bench_can_hold(runs, count, vocabulary, is_in_turns));
  if (*is_in_turns) TRY(measure_group(runs, count, vocabulary, steps, rows));
  for (int i = 0; i < count; i++) {
    if (!*is_in_turns) {
      settings s = runs[i];
      if (i > 0) s.precision = rows[0].precision;
      TRY(measure_group(&s, 1, vocabulary, steps, &rows[i]));
      rows[i].time_ratio = rows[0].samples_per_second / rows[i].samples_per_second;
    }
    if (taker) TRY(taker->take(taker->context, i, *is_in_turns));
  }
cleanup:
  return error;
}
