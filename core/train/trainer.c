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
#include "train/ranks.h"
#include "train/run.h"

static bool is_writer(const run *r) {
  return comm_rank(r->ranks) == 0;
}

static bool is_stop_wanted(const run *r) {
  return r->options->stop && *r->options->stop;
}

/* The checkpoint that was written last, once it is on disk, into the record; it takes the place of
 * older ones. */
static err note_saved(run *r, bool is_waiting) {
  saved done;
  bool is_new;
  err error = saver_finish(&r->saving, is_waiting, &done, &is_new);
  if (error || !is_new) return error;
  json_writer *w = events_begin(&r->events, "checkpoint");
  jsonw_integer(w, "step", done.step);
  jsonw_integer(w, "samples", done.samples);
  jsonw_string(w, "path", done.path);
  jsonw_integer(w, "bytes", (int64_t)done.bytes);
  jsonw_number(w, "seconds", done.seconds);
  jsonw_number(w, "blocked_seconds", done.blocked_seconds);
  free(done.path);
  error = events_end(&r->events);
  return error ? error : checkpoint_prune(r->checkpoints, r->s->checkpoint_keep);
}

static err note_saving(run *r) {
  json_writer *w = events_begin(&r->events, "saving");
  jsonw_integer(w, "step", r->at.step);
  return events_end(&r->events);
}

/* Training stops only for the copy from the device: a thread writes the file. Events that precede
 * the checkpoint are on disk before it. Rank 0 writes for all. Weights that are not finite, which
 * the loss may not show yet, end the run: as its newest checkpoint they would be resumed from, and
 * replace an older one. */
static err save_checkpoint(run *r) {
  double start = clock_seconds();
  checkpoint_image *image = NULL;
  strbuf times = {0};
  err error = note_saved(r, true);
  if (!error) error = checkpoint_capture(r->model, &r->moments, r->s, &r->at, is_writer(r), &image);
  r->checkpoint_time = clock_seconds();
  r->place.is_saved = true;
  if (!error) error = ranks_agree(r->ranks, image ? checkpoint_check(image, r->s) : NULL);
  if (error) checkpoint_image_free(image);
  if (error || !image) return error;
  r->state_file.is_evaluated = r->place.is_evaluated;
  saved result = {.step = r->at.step,
                  .samples = r->at.samples,
                  .path = checkpoint_path(r->checkpoints, r->at.step)};
  error = result.path ? state_file_describe(&r->state_file, &times) : mem_error(0, "a path");
  if (!error) error = note_saving(r);
  if (!error) return saver_start(&r->saving, &r->events, image, times, result, start);
  checkpoint_image_free(image);
  strbuf_free(&times);
  free(result.path);
  return error;
}

/* Records that this step's checkpoint has been evaluated. */
static err note_evaluation(run *r) {
  if (!r->place.is_saved) return NULL;
  strbuf times = {0};
  char *path = checkpoint_path(r->checkpoints, r->at.step);
  err error = path ? note_saved(r, true) : mem_error(0, "a path");
  r->state_file.is_evaluated = true;
  if (!error) error = events_sync(&r->events);
  if (!error) error = state_file_describe(&r->state_file, &times);
  if (!error) error = state_file_write(path, &times);
  strbuf_free(&times);
  free(path);
  return error;
}

err run_warn_of_left_out(run *r, eval_set *set) {
  strbuf lines = {0};
  strbuf_append(&lines, eval_set_new_warnings(set));
  int64_t longest = (int64_t)lines.length;
  err error = lines.is_broken ? mem_error(0, "warnings") : ranks_most(r->ranks, &longest);
  if (!error) error = ranks_collect_lines(r->ranks, longest, &lines);
  if (!error && lines.length && is_writer(r))
    error = events_warn(&r->events, "skipped_sample", strbuf_string(&lines));
  strbuf_free(&lines);
  return error;
}

static err evaluate_on(run *r, size_t which) {
  eval_set *set = r->sets[which];
  eval_result result;
  eval_outcomes outcomes = {0};
  double start = clock_seconds();
  eval_how how = eval_how_of(r->s);
  how.ranks = r->ranks;
  err error = run_is_classifier(r)
                  ? eval_run_classes(r->ranks, set, r->train_set, r->model, &result, &outcomes)
                  : eval_run_items(set, r->model, &how, &result, &outcomes);
  if (error) {
    r->is_agreed = err_kind_of(error) != ERR_LOST;
    error = err_context(error, "evaluating on %s", eval_set_name(set));
  } else if (is_writer(r)) {
    if (result.has_classes && which == 0) r->last_accuracy = result.zeroshot.top1;
    if (result.has_zeroshot && which == 0)
      r->last_accuracy = result.zeroshot.metric == EVAL_MAP_11POINT
                             ? result.zeroshot.map_11point
                             : result.zeroshot.mean_per_class;
    error = run_report_eval(r, which, &result, &outcomes, clock_seconds() - start);
    if (!error && r->options->evaluated)
      r->options->evaluated(r->options->context, eval_set_name(set), r->at.step, &result);
  }
  if (!error) error = run_warn_of_left_out(r, set);
  eval_outcomes_free(&outcomes);
  return error;
}

/* The same answer on all ranks: a signal may reach any of them. */
static err agree_on_stop(const run *r, int64_t *is_stopped) {
  *is_stopped = is_stop_wanted(r);
  return ranks_most(r->ranks, is_stopped);
}

/* All ranks evaluate, rank 0 records. Skipped when a stop is requested between two sets;
 * the next process then runs it. */
static err evaluate(run *r) {
  progress_clear(&r->bar);
  err error = optimizer_settle(&r->moments);
  for (size_t i = 0; i < r->set_count && !error; i++) {
    int64_t is_stopped;
    error = agree_on_stop(r, &is_stopped);
    if (!error && is_stopped) return NULL;
    if (!error) error = evaluate_on(r, i);
  }
  if (!error && r->probe_set && r->at.step == r->total_steps) {
    int64_t is_stopped;
    error = agree_on_stop(r, &is_stopped);
    if (!error && is_stopped) return NULL;
    if (!error) error = run_probe(r);
  }
  if (!error && is_writer(r)) error = run_report_memory(r);
  if (error) return error;
  r->place.is_evaluated = true;
  return is_writer(r) ? note_evaluation(r) : NULL;
}

static clip_inputs inputs_of(const run *r) {
  const loader_batch *b = &r->batch;
  const uint8_t *images = run_is_classifier(r) ? r->mixed : b->images;
  return (clip_inputs){.count = b->count,
                       .images = images,
                       .index = r->index,
                       .ids = b->tokens,
                       .places = b->token_places,
                       .id_counts = b->token_counts,
                       .first_sample = b->first_sample,
                       .numbers = run_is_mixing(r) ? b->numbers : NULL};
}

/* The keep-lists of the batch that the loader returned. */
static err choose_patches(run *r) {
  const settings *s = r->s;
  const loader_batch *b = &r->batch;
  mask_config mask = {s->mask_mode, s->mask_ratio, s->image_size / s->image_patch,
                      s->mask_replacement};
  if (!r->chooser.model)
    return mask_draw(&mask, (uint64_t)s->seed, b->first_sample, b->count, r->index);
  double momentum = attentive_momentum(s->attentive_momentum, r->at.step, r->total_steps);
  err error = optimizer_settle(&r->moments);
  return error ? error : attentive_choose(&r->chooser, b->count, b->images, momentum, r->index);
}

/* Gets the next batch and starts its copy. *waited: seconds during which the device was idle. */
static err stage_batch(run *r, double *waited) {
  err error = NULL;
  TRY(loader_next(r->batches, &r->batch, waited));
  if (!r->o->call->is_idle(r->o)) *waited = 0; /* it was computing all the time */
  if (run_is_classifier(r)) run_mix_batch(r);
  TRY(choose_patches(r));
  clip_inputs in = inputs_of(r);
  TRY(step_stage(&r->step, &in));
  r->is_staged = true;
cleanup:
  return error;
}

/* The batch of the next step, unless its data ended when a stop was requested: there is none. */
static err stage_next(run *r, double *waited) {
  err error = stage_batch(r, waited);
  if (!error || err_kind_of(error) != ERR_INTERRUPTED) return error;
  err_free(error);
  return NULL;
}

/* What of a step this rank computed, and what it waited for others. */
static void note_load(run *r, const row_step *row) {
  if (!r->ranks) return;
  r->comm_seconds += row->comm_seconds;
  r->comm_bytes += (int64_t)row->comm_bytes;
  r->busy_seconds += fmax(row->seconds - row->comm_seconds - row->data_wait_seconds, 0);
}

/* A non-finite gradient that was not measured appears in the next step's loss. */
static err check_finite(const run *r, int64_t step) {
  if (isfinite(r->result.loss) && (!r->step.has_norm || isfinite(r->result.grad_norm))) return NULL;
  return err_new(ERR_NUMERIC,
                 "step %" PRId64 ": loss %g, gradient norm %g: not finite; the last good "
                 "checkpoint is kept (try %s)",
                 step, r->result.loss, r->result.grad_norm, optimizer_remedy(r->s));
}

/* A row ends before a checkpoint or an evaluation that was not planned when its last step ran: the
 * gradients are still available. */
static err complete_row(run *r) {
  if (!r->step.launched || r->step.has_norm) return NULL;
  err error = NULL;
  TRY(step_measure_norm(&r->step));
  TRY(optimizer_read_norm(&r->moments, &r->result.grad_norm));
  TRY(check_finite(r, r->at.step));
  rows_set_norm(r->rows, r->result.grad_norm);
cleanup:
  return error;
}

/* Between two steps ranks meet once more (next_act), and wait there for the slowest, whose update
 * or next batch took longer: that time is of the next step. */
static void begin_step(run *r) {
  r->step_began = clock_seconds();
  r->comm_before = r->ranks ? r->ranks->seconds : 0;
}

static void begin_steps(run *r) {
  rows_begin(r->rows);
  begin_step(r);
}

static err take_step(run *r) {
  const settings *s = r->s;
  double start = r->ranks ? r->step_began : clock_seconds(), waited = 0, waited_after = 0;
  double rate = schedule_rate(schedule_peak(s), r->at.step, r->warmup_steps, r->total_steps);
  const int64_t bytes_before = r->ranks ? r->ranks->bytes_moved : 0;
  err error = NULL;
  if (!r->is_staged) TRY(r->ranks ? stage_batch(r, &waited) : stage_next(r, &waited));
  if (!r->is_staged) goto cleanup; /* next_act stops */
  clip_inputs in = inputs_of(r);
  stream_position after = r->batch.after;
  r->is_staged = false;
  r->step.targets = run_is_classifier(r) ? &r->targets : NULL;
  r->step.wants_norm = course_is_row_due(&r->rules, r->at.step + 1, COURSE_STEP);
  TRY(step_launch(&r->step, &in, r->at.step + 1, rate));
  bool is_chosen_after = r->chooser.model; /* with the weights of this update */
  if (r->at.step + 1 < r->total_steps && !is_chosen_after) TRY(stage_next(r, &waited_after));
  TRY(step_finish(&r->step, &r->result));
  TRY(check_finite(r, r->at.step + 1));
  row_step row = {.step = r->at.step + 1,
                  .samples = r->at.samples + r->s->batch_size,
                  .loss = r->result.loss,
                  .reconstruction_loss = r->result.reconstruction_loss,
                  .values_saturated = r->result.values_saturated,
                  .learning_rate = rate,
                  .logit_scale = r->result.logit_scale,
                  .grad_norm = r->result.grad_norm,
                  .seconds = clock_seconds() - start,
                  .data_wait_seconds = waited + waited_after,
                  .comm_seconds = r->ranks ? r->ranks->seconds - r->comm_before : (double)NAN,
                  .comm_bytes =
                      r->ranks ? (double)(r->ranks->bytes_moved - bytes_before) : (double)NAN};
  begin_step(r);
  rows_add(r->rows, &row);
  r->at.step = row.step;
  r->at.samples = row.samples;
  r->at.order = after;
  r->state_file.train_seconds += row.seconds;
  r->state_file.data_wait_seconds += row.data_wait_seconds;
  note_load(r, &row);
  r->rate_of_last_step = (double)r->s->batch_size / row.seconds;
  r->place = (course_place){.step = r->at.step,
                            .is_evaluated = !course_is_evaluation_due(&r->rules, r->at.step)};
cleanup:
  return error;
}

/* Collects what the loaders skipped since the last call: r->skipped, of which no rank has more than
 * `longest` bytes; and remarks of a stream, which has one rank. */
static err warn_of_skipped(run *r, int64_t longest, const strbuf *remarks) {
  err error = ranks_collect_lines(r->ranks, longest, &r->skipped);
  if (!error && r->skipped.length && is_writer(r))
    error = events_warn(&r->events, "skipped_sample", strbuf_string(&r->skipped));
  if (!error && (r->skipped.is_broken || remarks->is_broken)) error = mem_error(0, "warnings");
  if (!error) error = events_warn_lines(&r->events, "data", remarks);
  strbuf_clear(&r->skipped);
  return error;
}

static void show(run *r) {
  char note[160], accuracy[48] = "";
  if (r->last_accuracy >= 0)
    snprintf(accuracy, sizeof accuracy, " · %s %.1f %%",
             run_is_classifier(r) ? "top-1" : "zero-shot", 100 * r->last_accuracy);
  snprintf(note, sizeof note, "loss %.3f · %.0f samples/s%s", r->result.loss, r->rate_of_last_step,
           accuracy);
  progress_update(&r->bar, (double)r->at.step, note);
}

static err stop(const run *r) {
  bool is_at_end = r->at.step == r->total_steps;
  if (r->at.step == 0)
    return err_new(ERR_INTERRUPTED, "stopped before the first step; --resume starts");
  return err_new(ERR_INTERRUPTED, "stopped after step %" PRId64 " of %" PRId64 "%s; --resume %s",
                 r->at.step, r->total_steps, is_at_end ? ", before its evaluation" : "",
                 is_at_end ? "makes it" : "continues");
}

/* The same on every rank. */
static err next_act(run *r, course_act *act, bool *are_rows_due) {
  strbuf remarks = {0};
  loader_take_warnings(r->batches, &r->skipped, &remarks);
  const loader_stats seen = loader_get_stats(r->batches);
  if (r->skipped.length >= UINT32_MAX) r->skipped.is_broken = true;
  ranks_place now = {.is_stop_wanted = is_stop_wanted(r),
                     .are_rows_due = rows_are_due(r->rows),
                     .unsaved_seconds = clock_seconds() - r->checkpoint_time,
                     .replaced = (uint32_t)seen.replaced,
                     .text_bytes = (uint32_t)r->skipped.length,
                     .fell_back = (uint32_t)seen.fell_back,
                     .busy_seconds = r->busy_seconds};
  err error = ranks_share_place(r->ranks, &now, &r->load);
  r->place.is_stop_wanted = now.is_stop_wanted;
  r->place.unsaved_seconds = now.unsaved_seconds;
  r->replaced = now.replaced;
  r->fell_back = now.fell_back;
  if (!error) error = warn_of_skipped(r, now.text_bytes, &remarks);
  strbuf_free(&remarks);
  *act = course_next(&r->rules, &r->place);
  *are_rows_due = now.are_rows_due || *act != COURSE_STEP;
  if (!error) error = note_saved(r, *act == COURSE_STOP || *act == COURSE_FINISH);
  return error;
}

/* Rows and readings are of training only. */
static err run_steps(run *r) {
  err error = NULL;
  course_act act;
  bool are_rows_due, is_beginning = true;
  r->checkpoint_time = clock_seconds();
  rows_begin(r->rows);
  for (;;) {
    TRY(next_act(r, &act, &are_rows_due));
    if (act == COURSE_FINISH) break;
    /* all ranks at once: what they count afterwards is compared */
    if (is_beginning) begin_steps(r);
    is_beginning = act != COURSE_STEP;
    if (course_is_row_due(&r->rules, r->at.step, act)) {
      TRY(complete_row(r));
      ranks_spread spread = ranks_spread_of_row(r->ranks, &r->load);
      rows_set_spread(r->rows, spread.slowest, spread.spread);
      TRY(rows_end_row(r->rows, r->delays, are_rows_due));
    }
    if (act == COURSE_STEP) {
      TRY(take_step(r));
      show(r);
      continue;
    }
    if (act == COURSE_STOP) TRY(stop(r));
    if (act == COURSE_SAVE) TRY(save_checkpoint(r));
    if (act == COURSE_EVALUATE) TRY(evaluate(r));
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

/* Also where no progress is shown: these samples say nothing of the data that the run names. */
static void say_replaced(const run *r) {
  if (r->replaced)
    log_warning("%" PRId64 " %s could not be read and %s replaced by others (events.jsonl names "
                "them)",
                r->replaced, text_plural(r->replaced, "sample", "samples"),
                text_plural(r->replaced, "was", "were"));
  if (r->fell_back)
    log_warning("%" PRId64 " %s from the .txt: the JSON lacks the field that #caption= names",
                r->fell_back, text_plural(r->fell_back, "caption is", "captions are"));
}

static void finish_display(run *r, bool is_stopped) {
  char time_text[TEXT_NUMBER_SIZE];
  strbuf closing = {0};
  pace p;
  err_free(run_pace(r, &p));
  strbuf_format(&closing, "%s at step %" PRId64 " of %" PRId64 ": ",
                is_stopped ? "stopped" : "finished", r->at.step, r->total_steps);
  if (r->at.step > r->first_step) strbuf_format(&closing, "loss %.3f, ", r->result.loss);
  strbuf_format(&closing, "%s of training", text_duration(r->state_file.train_seconds, time_text));
  if (p.steps)
    strbuf_format(&closing, ", %.0f samples/s", (double)r->s->batch_size / p.steady_step_seconds);
  if (p.is_disturbed)
    strbuf_format(&closing, " (disturbed: other work took about %.0f %% of the time)",
                  100 * p.lost_share);
  if (p.steps && !p.is_measured)
    strbuf_append(&closing, " (disturbance by other work was not measured)");
  progress_finish(&r->bar, strbuf_string(&closing));
  strbuf_free(&closing);
  if (is_writer(r)) say_replaced(r);
}

static void say_lines(const strbuf *lines) {
  for (const char *at = strbuf_string(lines); *at;) {
    int length = (int)strcspn(at, "\n");
    if (length) log_info("%.*s", length, at);
    at += length + (at[length] == '\n');
  }
}

static void explain_stream(const run *r, strbuf *line) {
  strbuf_format(line,
                "data.order: stream: shards are shuffled, then samples among %" PRId64
                " (data.buffer): an epoch is shuffled only within these limits; ",
                r->s->data_buffer);
  if (dataset_epoch(r->data))
    strbuf_format(line, "it has %" PRId64 " samples by the counts next to the shards",
                  dataset_epoch(r->data));
  else
    strbuf_append(line, "its length is not known before it ends");
  strbuf_append(line, "; decoded images are not kept\n");
}

/* Reports the limits of the data's order, at the start of the run. */
static err say_order(run *r) {
  const settings *s = r->s;
  strbuf line = {0};
  if (!r->data) return NULL; /* a classifier's */
  if (s->data_order == DATA_ORDER_STREAM)
    explain_stream(r, &line);
  else
    dataset_explain_weights(r->data, s->data_train.items, &line);
  say_lines(&line);
  err error = events_warn_lines(&r->events, "data", &line);
  strbuf_free(&line);
  return error;
}

static err say_precision(run *r) {
  strbuf lines = {0};
  clip_explain_narrow(r->model, &lines);
  say_lines(&lines);
  err error = events_warn_lines(&r->events, "precision", &lines);
  strbuf_free(&lines);
  return error;
}

static err begin_record(run *r) {
  err error = NULL;
  if (!is_writer(r)) return NULL;
  TRY(write_config(r));
  TRY(run_report_start(r));
  TRY(run_report_conditions(r));
  const char *left_out =
      r->train_set ? eval_set_new_warnings(r->train_set) : dataset_warnings(r->data, NULL);
  if (*left_out) TRY(events_warn(&r->events, "skipped_sample", left_out));
  say_lines(&r->remarks);
  TRY(run_report_limits(r));
  TRY(say_order(r));
  TRY(say_precision(r));
cleanup:
  return error;
}

static err train(run *r) {
  err error = ranks_agree(r->ranks, settings_check(r->s));
  if (!error) error = run_open(r); /* fails on all ranks */
  if (!error) error = ranks_agree(r->ranks, begin_record(r));
  if (error) {
    r->is_agreed = !r->is_alone_with_failure && err_kind_of(error) != ERR_LOST;
    return error;
  }
  r->is_agreed = false;
  r->bar = progress_start("training", (double)r->total_steps, (double)r->at.step,
                          r->options->has_progress && is_writer(r));
  error = run_steps(r);
  err unsaved = note_saved(r, true); /* of a run that failed */
  if (error)
    err_free(unsaved);
  else
    error = unsaved;
  finish_display(r, error != NULL);
  /* an agreed stop and a non-finite loss affect all ranks; any other error only one of them */
  bool is_stop = !error || (err_kind_of(error) == ERR_INTERRUPTED && r->place.is_stop_wanted);
  r->is_agreed = r->is_agreed || is_stop || err_kind_of(error) == ERR_NUMERIC;
  return error;
}

static err open_folder(run *r) {
  err error = is_writer(r) ? lock_folder(r) : NULL;
  if (!error) error = run_check_folder(r); /* another run's record must not be changed */
  return error || !is_writer(r) ? error : open_events(r);
}

/* A failure of one rank: the others wait for it in a collective call, and are ended with it. */
static void end_all(const run *r, err error) {
  log_setup("flip", LOG_INFO);
  log_error("rank %d of %d: %s", r->ranks->rank, r->ranks->size, err_message(error));
  watch_end_all(r->lives, err_message(error));
}

err trainer_run(const settings *s, const trainer_options *options) {
  run r = {.s = s,
           .options = options,
           .last_accuracy = -1,
           .events = {.fd = -1},
           .lock = -1,
           .part_began = options->began};
  err error = comm_open(&r.ranks);
  if (error) return error;
  if (options->is_first_rank) *options->is_first_rank = is_writer(&r);
  if (!is_writer(&r)) log_setup("flip", LOG_WARNING);
  error = ranks_agree(r.ranks, watch_start(r.ranks, &r.lives));
  if (!error) error = ranks_agree(r.ranks, open_folder(&r));
  r.is_agreed = !error || err_kind_of(error) != ERR_LOST;
  if (!error) {
    error = train(&r);
    err told = is_writer(&r) ? run_report_end(&r, error) : NULL;
    if (error)
      err_free(told);
    else
      error = told;
  }
  bool is_alone = error && comm_size(r.ranks) > 1 && !r.is_agreed;
  if (is_alone && r.lives) end_all(&r, error);
  if (!is_writer(&r) && !is_alone) { /* rank 0 reports it, and its exit status is the run's */
    err_free(error);
    error = NULL;
  }
  run_close(&r);
  events_close(&r.events);
  if (r.lock >= 0) close(r.lock);
  watch_stop(r.lives);
  comm_close(r.ranks);
  return error;
}
