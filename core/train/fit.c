#include "train/fit.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "model/count.h"

/* Bytes that the run needs of the device's memory with another micro-batch and recomputation: on a
 * CPU with what is needed beside the plan. */
static err plan(const settings *s, int64_t vocabulary, int ranks, const ops *o, int64_t micro,
                bool recompute, uint64_t *bytes) {
  settings changed = *s; /* shallow: only numbers differ */
  model_counts counts;
  changed.micro_batch_size = micro;
  if (recompute) {
    changed.image_recompute = s->image_layers;
    changed.text_recompute = s->text_layers;
  }
  clip_limits limits = model_limits(&changed);
  limits.ranks = ranks;
  err error = model_count_of(&changed, vocabulary, &limits, o->compute, o->chunk_bytes, &counts);
  *bytes = error ? 0 : counts.planned_bytes;
  if (error || o->call->memory) return error;
  const model_host_bytes beside = model_beside_plan(s, &counts);
  *bytes += beside.batches + beside.checkpoint;
  return NULL;
}

/* The largest micro-batch that divides the batch of all ranks, as settings_check wants it, and
 * whose plan is at most `limit`; 0: none. */
static err largest_micro_batch(const settings *s, int64_t vocabulary, int ranks, const ops *o,
                               bool recompute, uint64_t limit, int64_t *micro, uint64_t *bytes) {
  int64_t now = model_limits(s).micro_batch;
  err error = NULL;
  *micro = 0;
  for (int64_t size = now; size >= 1 && !error && !*micro; size--) {
    if (s->batch_size * ranks % size) continue;
    error = plan(s, vocabulary, ranks, o, size, recompute, bytes);
    if (!error && *bytes <= limit) *micro = size;
  }
  return error;
}

/* "micro_batch_size: 64 (3.1 GiB), or image.recompute: …"; empty if nothing would fit. */
static err advise(const settings *s, int64_t vocabulary, int ranks, const ops *o, uint64_t limit,
                  strbuf *advice) {
  char needed[TEXT_NUMBER_SIZE];
  err error = NULL;
  for (int recompute = 0; recompute < 2 && !error; recompute++) {
    int64_t micro;
    uint64_t bytes;
    error = largest_micro_batch(s, vocabulary, ranks, o, recompute, limit, &micro, &bytes);
    if (error || !micro) continue;
    strbuf_format(advice, "%s", advice->length ? ", or " : "");
    if (recompute)
      strbuf_format(advice, "image.recompute: %" PRId64 ", text.recompute: %" PRId64 ", ",
                    s->image_layers, s->text_layers);
    strbuf_format(advice, "micro_batch_size: %" PRId64 " (%s)", micro, text_bytes(bytes, needed));
  }
  return error;
}

/* "eval.batch_size: 4 (1.2 GiB)" where evaluation is what takes the memory; empty if no smaller one
 * would fit. */
static err advise_evaluation(const settings *s, int64_t vocabulary, int ranks, const ops *o,
                             uint64_t limit, strbuf *advice) {
  char needed[TEXT_NUMBER_SIZE];
  err error = NULL;
  for (int64_t size = s->eval_batch_size / 2; size >= 1 && !error && !advice->length; size /= 2) {
    settings changed = *s; /* shallow: only a number differs */
    uint64_t bytes;
    changed.eval_batch_size = size;
    error = plan(&changed, vocabulary, ranks, o, s->micro_batch_size, false, &bytes);
    if (!error && bytes <= limit)
      strbuf_format(advice, "eval.batch_size: %" PRId64 " (%s)", size, text_bytes(bytes, needed));
  }
  return error;
}

uint64_t fit_share(uint64_t free_bytes) {
  return free_bytes - free_bytes / 20;
}

err fit_check(const settings *s, int64_t vocabulary, int ranks, ops *o, fit_memory host) {
  const uint64_t sharers = host.ranks > 1 ? (uint64_t)host.ranks : 1;
  ops_memory memory = {.free = host.bytes ? host.bytes / sharers : UINT64_MAX};
  bool is_host = !o->call->memory;
  err error = is_host ? NULL : o->call->memory(o, &memory);
  uint64_t limit = is_host ? memory.free : fit_share(memory.free);
  uint64_t needed = 0;
  if (!error) error = plan(s, vocabulary, ranks, o, s->micro_batch_size, false, &needed);
  if (error || needed <= limit) return error;
  char planned[TEXT_NUMBER_SIZE], available[TEXT_NUMBER_SIZE], shared[64] = "";
  if (is_host && sharers > 1)
    snprintf(shared, sizeof shared, " for each of %d ranks on this machine", host.ranks);
  strbuf advice = {0};
  error = advise(s, vocabulary, ranks, o, limit, &advice);
  if (!error && !advice.length) error = advise_evaluation(s, vocabulary, ranks, o, limit, &advice);
  if (!error)
    error = err_new(ERR_MEMORY, "the run needs an estimated %s of %s%s, but %s are %s%s%s: %s%s",
                    text_bytes(needed, planned), is_host ? "memory" : "GPU memory",
                    ranks > 1 ? " a rank" : "", text_bytes(memory.free, available),
                    !is_host        ? "free"
                    : host.is_group ? "available to this control group"
                                    : "available",
                    is_host ? "" : " (a twentieth of them for the libraries)", shared,
                    advice.length ? "it would fit with "
                    : is_host ? "no micro-batch is small enough; (data.prefetch + 1) batches of "
                                "batch_size images and a checkpoint's copy are part of it"
                              : "no micro-batch is small enough",
                    strbuf_string(&advice));
  strbuf_free(&advice);
  return error;
}
