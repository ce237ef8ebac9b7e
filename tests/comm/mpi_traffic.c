/* The bytes of a training step that MPI moved (comm.bytes_moved), on any number of ranks, against
 * traffic.h, which 'flip plan' uses. Run by mpirun (predicted_bytes_are_those_that_move.sh): whole
 * batches and micro-batches, in fp32, bf16 and 8 bits with delayed scaling, with and without
 * reconstruction and a sharded optimizer. */
#include <stdio.h>
#include <stdlib.h>

#include "comm/open.h"
#include "model/mask.h"
#include "model/traffic.h"
#include "support/open_cpu.h"
#include "train/step.h"

enum { BATCH = 24, VOCABULARY = 13, STEPS = 2 };

static void must(err error) {
  if (!error) return;
  fprintf(stderr, "%s\n", err_message(error));
  exit(1);
}

static void set_up(settings *s, int64_t micro, bool reconstructs, bool shards, bool is_narrow) {
  static const char *const changes[] = {"image.size=24", "image.patch=8",  "image.width=24",
                                        "image.heads=3", "image.layers=1", "text.width=16",
                                        "text.heads=2",  "text.layers=1",  "text.length=7",
                                        "embed_dim=8",   "mask_ratio=0.5"};
  must(settings_init(s));
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) must(settings_set(s, changes[i]));
  if (reconstructs) {
    must(settings_set(s, "reconstruction.weight=0.5"));
    must(settings_set(s, "reconstruction.width=16"));
  }
  if (is_narrow) {
    must(settings_set(s, "precision=fp8"));
    must(settings_set(s, "fp8_scaling=delayed"));
    must(settings_set(s, "image.width=32"));
    must(settings_set(s, "image.heads=2"));
  }
  s->optimizer_shard = shards;
  s->comm_bucket_bytes = 8192; /* several buckets */
  s->batch_size = BATCH;
  s->micro_batch_size = micro;
}

/* What one step moves, after a first one. */
static int64_t measure(const settings *s, const clip_limits *limits, ops *o, comm *c) {
  clip_model *model;
  optimizer moments;
  buckets shared;
  train_step step;
  step_result result;
  clip_config config;
  clip_config_from(s, VOCABULARY, &config);
  must(clip_create(o, &config, limits, true, &model));
  must(clip_initialise(model, 1));
  clip_set_ranks(model, c);
  must(buckets_open(&shared, model, c, s->comm_bucket_bytes, OPS_F32, s->optimizer_shard));
  must(optimizer_create(model, &shared, &moments));
  step_open(&step, s, model, &moments, limits->train_patches, &shared);
  int64_t own = limits->batch, words = s->text_length, moved = 0;
  uint8_t *images = calloc((size_t)(own * s->image_size * s->image_size), 3);
  int32_t *index = calloc((size_t)(own * limits->train_patches), sizeof *index);
  int32_t *ids = calloc((size_t)(own * words), sizeof *ids), *counts = calloc((size_t)own, 4);
  mask_config mask = {s->mask_mode, s->mask_ratio, s->image_size / s->image_patch, false};
  must(mask_draw(&mask, 3, c->rank * own, (int)own, index));
  for (int64_t i = 0; i < own; i++) {
    counts[i] = 1 + (int32_t)(i % words);
    ids[i * words] = (int32_t)(i + c->rank) % VOCABULARY;
    images[i] = (uint8_t)(i * 7);
  }
  clip_inputs in = {.count = own,
                    .images = images,
                    .index = index,
                    .ids = ids,
                    .id_counts = counts,
                    .first_sample = c->rank * own};
  for (int i = 0; i < STEPS; i++) {
    must(step_stage(&step, &in));
    int64_t before = c->bytes_moved;
    must(step_launch(&step, &in, i + 1, 1e-3));
    must(step_finish(&step, &result));
    moved = c->bytes_moved - before;
  }
  step_close(&step);
  optimizer_destroy(&moments);
  buckets_close(&shared);
  clip_destroy(model);
  free(images), free(index), free(ids), free(counts);
  return moved;
}

static int compare(comm *c, int64_t micro, ops_type compute, bool is_narrow, bool reconstructs,
                   bool shards) {
  settings s;
  ops *o;
  model_counts counts;
  set_up(&s, micro, reconstructs, shards, is_narrow);
  must(open_on_cpu((ops_request){.compute = compute, .is_narrow = is_narrow, .threads = 1}, &o));
  settings own = s;
  own.batch_size = BATCH / c->size;
  clip_limits limits = model_limits(&own);
  limits.ranks = c->size;
  must(model_count_of(&s, VOCABULARY, &limits, o->compute, o->chunk_bytes, &counts));
  traffic_shape shape = traffic_shape_of(&counts, &s, c->size, o->compute, OPS_F32);
  traffic_bytes predicted = traffic_of(&shape, c->rank);
  int64_t moved = measure(&s, &limits, o, c);
  bool is_same = moved == traffic_total(&predicted);
  if (!is_same || c->rank == 0)
    fprintf(is_same ? stdout : stderr,
            "rank %d of %d, micro-batch %ld, %s%s%s: %ld bytes a step predicted, %ld moved\n",
            c->rank, c->size, (long)micro,
            is_narrow             ? "8 bits"
            : compute == OPS_BF16 ? "bf16"
                                  : "fp32",
            reconstructs ? ", reconstruction" : "", shards ? ", sharded" : "",
            (long)traffic_total(&predicted), (long)moved);
  ops_destroy(o);
  settings_free(&s);
  return !is_same;
}

int main(void) {
  comm *c;
  must(comm_open(&c));
  if (!c) {
    fprintf(stderr, "started alone\n");
    return 1;
  }
  int wrong = compare(c, 0, OPS_F32, false, false, false);
  wrong += compare(c, 2, OPS_F32, false, false, false);
  wrong += compare(c, 0, OPS_BF16, false, false, false);
  wrong += compare(c, 2, OPS_F32, false, true, false);
  wrong += compare(c, 0, OPS_F32, false, false, true);
  wrong += compare(c, 2, OPS_F32, false, true, true);
  wrong += compare(c, 0, OPS_BF16, true, true, false);
  comm_close(c);
  return wrong != 0;
}
