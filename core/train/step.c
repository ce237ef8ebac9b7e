#include "train/step.h"

#include <math.h>

/* Before a step is recorded, or branches, this many have run op by op: each shape was seen, its
 * matrix-product algorithm chosen by timing, its scratch memory grown. */
enum { STEPS_BEFORE_RECORDING = 2 };

void step_open(train_step *t, const settings *s, clip_model *model, optimizer *moments,
               int64_t encoded_patches, buckets *shared) {
  *t = (train_step){.s = s,
                    .model = model,
                    .moments = moments,
                    .encoded_patches = encoded_patches,
                    .shared = shared,
                    .wants_norm = true,
                    .may_record = !shared || shared->ranks->can_record};
}

void step_close(train_step *t) {
  if (!t->model) return;
  ops *o = clip_weights(t->model)->o;
  for (int i = 0; i < 2; i++)
    if (t->recordings[i]) o->call->forget(o, t->recordings[i]);
  *t = (train_step){0};
}

static int64_t micro_batch(const train_step *t, int64_t count) {
  int64_t micro = t->s->micro_batch_size;
  return micro > 0 && micro < count ? micro : count;
}

/* Samples [first, first + one micro-batch) of a batch. */
static clip_inputs part_of(const train_step *t, const clip_inputs *b, int64_t first) {
  int64_t pixels = t->s->image_size * t->s->image_size * 3, micro = micro_batch(t, b->count);
  int64_t tokens = settings_text_tokens(t->s);
  return (clip_inputs){.count = b->count - first < micro ? b->count - first : micro,
                       .images = b->images + first * pixels,
                       .index = b->index + first * t->encoded_patches,
                       .ids = b->ids + first * tokens,
                       .places = b->places ? b->places + first * tokens : NULL,
                       .id_counts = b->id_counts + first,
                       .first_sample = b->first_sample + first,
                       .numbers = b->numbers ? b->numbers + first : NULL};
}

err step_stage(train_step *t, const clip_inputs *batch) {
  clip_inputs first = part_of(t, batch, 0);
  return clip_stage(t->model, &first);
}

/* The step's first ops, which do not need all weights yet. */
static err begin(train_step *t) {
  err error = clip_begin_gradients(t->model);
  return error ? error : optimizer_settle(t->moments);
}

/* The backward pass that completes the gradients, which are summed over ranks meanwhile. */
static err last_backward(train_step *t, int64_t first, int64_t count) {
  if (!t->shared) return clip_backward(t->model, first, count);
  bool is_timed = clip_weights(t->model)->o->call->record && t->launched < STEPS_BEFORE_RECORDING;
  buckets_begin(t->shared, is_timed);
  clip_set_watch(t->model, &t->shared->watch);
  err error = clip_backward(t->model, first, count);
  clip_set_watch(t->model, NULL);
  return error ? error : buckets_finish(t->shared);
}

static err update(train_step *t) {
  err error = clip_share_reconstruction(t->model);
  if (!error) error = clip_advance_scales(t->model);
  return error ? error : optimizer_update(t->moments, t->s);
}

/* The whole batch at once, from the current inputs to new weights. */
static err compute(train_step *t, int64_t count) {
  err error = NULL;
  TRY(begin(t));
  TRY(clip_encode(t->model, 0, true));
  TRY(clip_loss(t->model, count, NULL));
  TRY(last_backward(t, 0, count));
  TRY(update(t));
cleanup:
  return error;
}

/* Encodes every micro-batch, each copied while the previous one is computed; the first is staged. A
 * copy is requested after the computation beside it, because a device may make its host wait for
 * one from pageable memory. is_last: the second pass, with gradients. */
static err pass(train_step *t, const clip_inputs *batch, bool is_last) {
  int64_t micro = micro_batch(t, batch->count);
  err error = NULL;
  for (int64_t at = 0; at < batch->count; at += micro) {
    if (at > 0 || is_last) TRY(clip_take_staged(t->model));
    bool has_more = at + micro < batch->count;
    TRY(clip_encode(t->model, at, is_last));
    if (has_more || !is_last) {
      clip_inputs next = part_of(t, batch, has_more ? at + micro : 0);
      TRY(clip_stage(t->model, &next));
    }
    if (!is_last) continue;
    int64_t count = part_of(t, batch, at).count;
    TRY(has_more ? clip_backward(t->model, at, count) : last_backward(t, at, count));
  }
cleanup:
  return error;
}

static err compute_in_parts(train_step *t, const clip_inputs *batch) {
  err error = NULL;
  TRY(begin(t));
  TRY(pass(t, batch, false));
  TRY(clip_loss(t->model, batch->count, NULL));
  TRY(pass(t, batch, true));
  TRY(update(t));
cleanup:
  return error;
}

/* A classifier's loss needs no other sample's features: one pass over the micro-batches. */
static err compute_classes(train_step *t, const clip_inputs *batch) {
  int64_t micro = micro_batch(t, batch->count);
  err error = NULL;
  TRY(begin(t));
  for (int64_t at = 0; at < batch->count; at += micro) {
    const clip_inputs part = part_of(t, batch, at);
    if (at > 0) TRY(clip_take_staged(t->model));
    TRY(clip_encode(t->model, at, true));
    bool has_more = at + micro < batch->count;
    if (has_more) {
      clip_inputs next = part_of(t, batch, at + micro);
      TRY(clip_stage(t->model, &next));
    }
    TRY(clip_class_loss(t->model, at, part.count, t->targets));
    TRY(has_more ? clip_backward(t->model, at, part.count) : last_backward(t, at, part.count));
  }
  TRY(clip_share_class_loss(t->model));
  TRY(update(t));
cleanup:
  return error;
}

/* Records the step on the current set of inputs. */
static err record(train_step *t, int64_t count, void **recording) {
  ops *o = clip_weights(t->model)->o;
  comm *ranks = t->shared ? t->shared->ranks : NULL;
  int64_t moved = ranks ? ranks->bytes_moved : 0;
  err error = optimizer_settle(t->moments);
  if (!error && o->call->allow_branches) error = o->call->allow_branches(o, false);
  if (!error) error = o->call->record(o);
  if (error) return error;
  error = compute(t, count);
  if (!error)
    error = optimizer_settle(t->moments); /* what was started in the step must end in it */
  if (ranks) {                            /* nothing has moved yet */
    t->recorded_bytes[clip_current_set(t->model)] = ranks->bytes_moved - moved;
    ranks->bytes_moved = moved;
  }
  err ending = o->call->record_end(o, recording);
  if (!error) return ending;
  err_free(ending);
  if (*recording) o->call->forget(o, *recording);
  *recording = NULL;
  return error;
}

err step_launch(train_step *t, const clip_inputs *batch, int64_t number, double learning_rate) {
  err error = NULL;
  ops *o = clip_weights(t->model)->o;
  TRY(optimizer_stage(t->moments, t->s, number, learning_rate));
  TRY(clip_take_staged(t->model));
  bool is_whole = micro_batch(t, batch->count) == batch->count;
  bool can_record = is_whole && t->may_record && !t->targets && o->call->record != NULL;
  if (!is_whole && t->may_record && t->launched == STEPS_BEFORE_RECORDING &&
      o->call->allow_branches)
    TRY(o->call->allow_branches(o, true));
  if (can_record && t->launched >= STEPS_BEFORE_RECORDING) {
    void **recording = &t->recordings[clip_current_set(t->model)];
    if (!*recording) TRY(record(t, batch->count, recording));
    TRY(o->call->replay(o, *recording));
    if (t->shared) t->shared->ranks->bytes_moved += t->recorded_bytes[clip_current_set(t->model)];
  } else {
    TRY(t->targets ? compute_classes(t, batch)
        : is_whole ? compute(t, batch->count)
                   : compute_in_parts(t, batch));
  }
  t->launched++;
  t->has_norm = optimizer_has_norm(t->moments, t->s);
  if (t->wants_norm && !t->has_norm) TRY(step_measure_norm(t));
cleanup:
  return error;
}

err step_measure_norm(train_step *t) {
  t->has_norm = true;
  return optimizer_measure_norm(t->moments);
}

/* Reading waits for the update, which reads the rates that the next step's replace. Of a classifier
 * nothing may be left to read: its loss is computed on the host. */
err step_finish(train_step *t, step_result *result) {
  ops *o = clip_weights(t->model)->o;
  err error = t->targets ? o->call->synchronize(o) : NULL;
  if (!error) error = clip_read_loss(t->model, &result->loss);
  if (!error) error = clip_read_reconstruction(t->model, &result->reconstruction_loss);
  if (!error) error = clip_read_saturated(t->model, &result->values_saturated);
  result->grad_norm = NAN;
  if (!error && t->has_norm) error = optimizer_read_norm(t->moments, &result->grad_norm);
  return error ? error : optimizer_read_scale(t->moments, &result->logit_scale);
}
