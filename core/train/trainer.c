/* The training loop. */
#include "train/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/mask.h"
#include "train/run.h"

static err save_checkpoint(run *r) {
  double start = clock_seconds();
  size_t bytes = 0;
  char *path = checkpoint_path(r->checkpoints, r->at.step);
  if (!path) return mem_error(0, "a path");
  err error = checkpoint_save(path, r->model, &r->moments, r->s, &r->at, &bytes);
  if (!error) {
    json_writer *w = events_begin(&r->events, "checkpoint");
    jsonw_integer(w, "step", r->at.step);
    jsonw_integer(w, "samples", r->at.samples);
    jsonw_string(w, "path", path);
    jsonw_integer(w, "bytes", (int64_t)bytes);
    jsonw_number(w, "seconds", clock_seconds() - start);
    error = events_end(&r->events);
  }
  if (!error) error = checkpoint_prune(r->checkpoints, r->s->checkpoint_keep);
  r->checkpoint_time = clock_seconds();
  free(path);
  return error;
}

static err evaluate(run *r) {
  progress_clear(&r->bar);
  for (size_t i = 0; i < r->set_count; i++) {
    double start = clock_seconds();
    eval_result result;
    err error =
        eval_run(r->sets[i], r->model, r->s->eval_mask_ratio, (uint64_t)r->s->seed, &result);
    if (error) return err_context(error, "evaluating on %s", eval_set_name(r->sets[i]));
    if (result.has_zeroshot && i == 0) r->last_accuracy = result.zeroshot.mean_per_class;
    error = run_report_eval(r, r->sets[i], &result, clock_seconds() - start);
    const char *left_out = eval_set_new_warnings(r->sets[i]);
    if (!error && *left_out) error = events_warn(&r->events, "skipped_sample", left_out);
    if (error) return error;
  }
  return run_report_memory(r);
}

static clip_inputs inputs_of(const run *r) {
  const loader_batch *b = &r->batch;
  return (clip_inputs){b->count, b->images, r->index, b->tokens, b->token_counts, b->first_sample};
}

/* The next batch, and its copy begun. *waited: seconds for which the device had nothing to do. */
static err stage_batch(run *r, double *waited) {
  const settings *s = r->s;
  mask_config mask = {s->mask_mode, s->mask_ratio, s->image_size / s->image_patch,
                      s->mask_replacement};
  err error = NULL;
  TRY(loader_next(r->batches, &r->batch, waited));
  if (!r->o->call->is_idle(r->o)) *waited = 0; /* it computed all the while */
  TRY(mask_draw(&mask, (uint64_t)s->seed, r->batch.first_sample, r->batch.count, r->index));
  clip_inputs in = inputs_of(r);
  TRY(step_stage(&r->step, &in));
  r->is_staged = true;
cleanup:
  return error;
}

static err take_step(run *r) {
  const settings *s = r->s;
  double start = clock_seconds(), waited = 0, waited_after = 0;
  double rate = schedule_rate(schedule_peak(s), r->at.step + 1, r->warmup_steps, r->total_steps);
  err error = NULL;
  if (!r->is_staged) TRY(stage_batch(r, &waited));
  clip_inputs in = inputs_of(r);
  r->is_staged = false;
  TRY(step_launch(&r->step, &in, r->at.step + 1, rate));
  if (r->at.step + 1 < r->total_steps) TRY(stage_batch(r, &waited_after));
  TRY(step_finish(&r->step, &r->result));
  if (!isfinite(r->result.loss) || !isfinite(r->result.grad_norm))
    FAIL(ERR_NUMERIC,
         "step %" PRId64 ": loss %g, gradient norm %g: not finite; the last good "
         "checkpoint is kept (try a lower learning_rate, a longer warmup_samples or "
         "clip_norm)",
         r->at.step + 1, r->result.loss, r->result.grad_norm);
  double seconds = clock_seconds() - start;
  waited += waited_after;
  r->at.step++;
  r->at.samples += in.count;
  r->at.train_seconds += seconds;
  r->at.data_wait_seconds += waited;
  r->step_seconds[r->steps_timed++] = seconds;
  if (r->at.step % s->log_every == 0 || r->at.step == r->total_steps)
    TRY(run_report_step(r, seconds, waited, rate));
cleanup:
  return error;
}

static err warn_of_skipped(run *r) {
  strbuf lines = {0};
  err error = NULL;
  if (loader_take_warnings(r->batches, &lines) > 0)
    error = events_warn(&r->events, "skipped_sample", strbuf_string(&lines));
  strbuf_free(&lines);
  return error;
}

static void show(run *r) {
  char note[160], accuracy[48] = "";
  if (r->last_accuracy >= 0)
    snprintf(accuracy, sizeof accuracy, " · zero-shot %.1f %%", 100 * r->last_accuracy);
  snprintf(note, sizeof note, "loss %.3f · %.0f samples/s%s", r->result.loss,
           (double)r->s->batch_size / r->step_seconds[r->steps_timed - 1], accuracy);
  progress_update(&r->bar, (double)r->at.step, note);
}

/* True when evaluation i of `points` falls due after this step: at total * i / points. */
static bool is_eval_due(const run *r) {
  int64_t points = r->s->eval_points;
  if (points == 0 || r->set_count == 0) return false;
  int64_t before = (r->at.step - 1) * points / r->total_steps;
  return r->at.step * points / r->total_steps > before;
}

static bool is_checkpoint_due(const run *r, bool was_evaluated) {
  int64_t every = r->s->checkpoint_every, batch = r->s->batch_size;
  if (r->at.step == r->total_steps) return true;
  if (clock_seconds() - r->checkpoint_time > r->s->checkpoint_seconds) return true;
  return every ? r->at.samples / every > (r->at.samples - batch) / every : was_evaluated;
}

/* Energy is counted while training only. */
static void start_meter(run *r) {
  r->energy_mark = ops_read_usage(r->o).energy_joules;
}

static void stop_meter(run *r) {
  double now = ops_read_usage(r->o).energy_joules;
  if (now >= 0 && r->energy_mark >= 0) r->energy_joules += now - r->energy_mark;
}

static err run_steps(run *r) {
  err error = NULL;
  r->checkpoint_time = clock_seconds();
  start_meter(r);
  while (r->at.step < r->total_steps) {
    TRY(take_step(r));
    TRY(warn_of_skipped(r));
    show(r);
    bool is_stopped = r->options->stop && *r->options->stop;
    bool is_evaluated = !is_stopped && is_eval_due(r);
    bool is_saved = is_stopped || is_checkpoint_due(r, is_evaluated);
    if (is_evaluated || is_saved) stop_meter(r);
    if (is_evaluated) TRY(evaluate(r));
    if (is_saved) TRY(save_checkpoint(r));
    if (is_evaluated || is_saved) start_meter(r);
    if (is_stopped && r->at.step < r->total_steps)
      FAIL(ERR_INTERRUPTED, "stopped after step %" PRId64 " of %" PRId64 "; --resume continues",
           r->at.step, r->total_steps);
  }
cleanup:
  return error;
}

static err write_config(const run *r) {
  strbuf yaml = {0};
  char *path = fs_join(r->options->out, "config.yaml");
  settings_write_yaml(r->s, &yaml);
  err error = path && !yaml.is_broken ? fs_write_atomic(path, strbuf_string(&yaml), yaml.length)
                                      : mem_error(yaml.length, "the configuration");
  strbuf_free(&yaml);
  free(path);
  return error;
}

/* Two processes on one run folder would remove each other's checkpoints. */
static err lock_folder(run *r) {
  err error = fs_make_folders(r->options->out);
  if (error) return error;
  char *path = fs_join(r->options->out, ".lock");
  error = path ? fs_lock(path, r->options->out, &r->lock) : mem_error(0, "a path");
  free(path);
  return error;
}

static err open_events(run *r) {
  err error = NULL;
  if (r->options->events) return events_open(&r->events, r->options->events);
  char *path = fs_join(r->options->out, "events.jsonl");
  error = path ? events_open(&r->events, path) : mem_error(0, "a path");
  free(path);
  return error;
}

static err train(run *r) {
  char closing[256], time_text[TEXT_NUMBER_SIZE];
  err error = NULL;
  TRY(settings_check(r->s));
  TRY(run_open(r));
  TRY(write_config(r));
  TRY(run_report_start(r));
  TRY(run_report_conditions(r));
  const char *left_out = dataset_warnings(r->data, NULL);
  if (*left_out) TRY(events_warn(&r->events, "skipped_sample", left_out));
  r->bar = progress_start("training", (double)r->total_steps, (double)r->at.step,
                          r->options->has_progress);
  error = run_steps(r);
  snprintf(closing, sizeof closing,
           "%s at step %" PRId64 " of %" PRId64 ": loss %.3f, %s of training, %.0f samples/s",
           error ? "stopped" : "finished", r->at.step, r->total_steps, r->result.loss,
           text_duration(r->at.train_seconds, time_text), run_median_rate(r));
  progress_finish(&r->bar, closing);
cleanup:
  return error;
}

err trainer_run(const settings *s, const trainer_options *options) {
  run r = {.s = s, .options = options, .last_accuracy = -1, .events = {.fd = -1}, .lock = -1};
  err error = lock_folder(&r);
  if (!error) error = open_events(&r);
  if (!error) {
    error = train(&r);
    err told = run_report_end(&r, error);
    if (error)
      err_free(told);
    else
      error = told;
  }
  run_close(&r);
  events_close(&r.events);
  if (r.lock >= 0) close(r.lock);
  return error;
}
