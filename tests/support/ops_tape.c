#include "support/ops_tape.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

typedef err (*runner)(ops *inner, const void *arguments);

typedef struct entry {
  struct entry *next;
  runner run;
  _Alignas(16) unsigned char arguments[512];
} entry;

typedef struct {
  ops *inner;
  ops_table table; /* tape_table, with the sums of the inner one */
  bool is_recording;
  entry *first, **end;
  int *replays, *recorded_ops;
} tape;

static tape *tape_of(ops *o) {
  return o->state;
}

static err push(tape *t, runner run, const void *arguments, size_t bytes) {
  entry *e = mem_zeroed(1, sizeof *e);
  if (!e || bytes > sizeof e->arguments) {
    free(e);
    return mem_error(bytes, "an op on tape");
  }
  e->run = run;
  memcpy(e->arguments, arguments, bytes);
  *t->end = e;
  t->end = &e->next;
  if (t->recorded_ops) ++*t->recorded_ops;
  return NULL;
}

/* An op with one struct of arguments. */
#define TAPED(op, type)                                                                            \
  static err run_##op(ops *inner, const void *arguments) {                                         \
    return inner->call->op(inner, (const type *)arguments);                                        \
  }                                                                                                \
  static err tape_##op(ops *o, const type *a) {                                                    \
    tape *t = tape_of(o);                                                                          \
    return t->is_recording ? push(t, run_##op, a, sizeof *a) : run_##op(t->inner, a);              \
  }

TAPED(gemm, ops_gemm)
TAPED(activate, ops_activate)
TAPED(layer_norm, ops_layer_norm)
TAPED(layer_norm_gradient, ops_layer_norm_gradient)
TAPED(attention, ops_attention)
TAPED(attention_gradient, ops_attention)
TAPED(attended, ops_attended)
TAPED(patches, ops_patches)
TAPED(assemble, ops_assemble)
TAPED(assemble_gradient, ops_assemble)
TAPED(embed, ops_embed)
TAPED(embed_gradient, ops_embed)
TAPED(pool, ops_pool)
TAPED(pool_gradient, ops_pool)
TAPED(dropout, ops_dropout)
TAPED(normalize, ops_normalize)
TAPED(normalize_gradient, ops_normalize)
TAPED(contrastive_statistics, ops_contrastive)
TAPED(contrastive_gradient, ops_contrastive)
TAPED(contrastive_finish, ops_contrastive_end)
TAPED(pixel_error, ops_pixel_error)
TAPED(adamw, ops_adamw)

/* The ops whose arguments are no struct. */
typedef struct {
  int64_t count;
  ops_buffer x, out;
  double value;
  void *block;
  size_t bytes;
} loose;

#define TAPED_LOOSE(op, call_it)                                                                   \
  static err loose_##op(ops *inner, const loose *a) {                                              \
    return inner->call->call_it;                                                                   \
  }                                                                                                \
  TAPED_AS(op)

#define TAPED_AS(op)                                                                               \
  static err run_##op(ops *inner, const void *arguments) {                                         \
    return loose_##op(inner, (const loose *)arguments);                                            \
  }                                                                                                \
  static err keep_##op(ops *o, loose a) {                                                          \
    tape *t = tape_of(o);                                                                          \
    return t->is_recording ? push(t, run_##op, &a, sizeof a) : run_##op(t->inner, &a);             \
  }

TAPED_LOOSE(clear, clear(inner, a->block, a->bytes))
TAPED_LOOSE(sum_squares, sum_squares(inner, a->count, a->x, a->out))
TAPED_LOOSE(sum_square_blocks, sum_square_blocks(inner, a->count, a->x, a->out))
TAPED_LOOSE(sum, sum(inner, a->count, a->x, a->out))
TAPED_LOOSE(average, average(inner, a->count, a->x, a->out, a->value))
TAPED_LOOSE(fill, fill(inner, a->count, a->x, a->value))
TAPED_LOOSE(cast, cast(inner, a->count, a->x, a->out))

static err tape_clear(ops *o, void *block, size_t bytes) {
  return keep_clear(o, (loose){.block = block, .bytes = bytes});
}

static err tape_sum_squares(ops *o, int64_t count, ops_buffer x, ops_buffer out) {
  return keep_sum_squares(o, (loose){.count = count, .x = x, .out = out});
}

static err tape_sum_square_blocks(ops *o, int64_t count, ops_buffer x, ops_buffer out) {
  return keep_sum_square_blocks(o, (loose){.count = count, .x = x, .out = out});
}

static err tape_sum(ops *o, int64_t count, ops_buffer x, ops_buffer out) {
  return keep_sum(o, (loose){.count = count, .x = x, .out = out});
}

static err tape_average(ops *o, int64_t count, ops_buffer x, ops_buffer average, double momentum) {
  return keep_average(o, (loose){.count = count, .x = x, .out = average, .value = momentum});
}

static err tape_fill(ops *o, int64_t count, ops_buffer x, double value) {
  return keep_fill(o, (loose){.count = count, .x = x, .value = value});
}

static err tape_cast(ops *o, int64_t count, ops_buffer from, ops_buffer to) {
  return keep_cast(o, (loose){.count = count, .x = from, .out = to});
}

/* What a recording must not contain. */
static err refused(ops *o, const char *what) {
  return tape_of(o)->is_recording ? err_new(ERR_INTERNAL, "%s inside a recording", what) : NULL;
}

static err tape_allocate(ops *o, size_t bytes, const char *what, void **block) {
  err error = refused(o, "an allocation");
  ops *inner = tape_of(o)->inner;
  return error ? error : inner->call->allocate(inner, bytes, what, block);
}

static void tape_release(ops *o, void *block) {
  ops *inner = tape_of(o)->inner;
  inner->call->release(inner, block);
}

static err tape_upload(ops *o, void *to, const void *from, size_t bytes) {
  err error = refused(o, "an upload");
  ops *inner = tape_of(o)->inner;
  return error ? error : inner->call->upload(inner, to, from, bytes);
}

static err tape_upload_ahead(ops *o, void *to, const void *from, size_t bytes) {
  err error = refused(o, "an upload ahead");
  ops *inner = tape_of(o)->inner;
  return error ? error : inner->call->upload_ahead(inner, to, from, bytes);
}

static err tape_download(ops *o, void *to, const void *from, size_t bytes) {
  err error = refused(o, "a download");
  ops *inner = tape_of(o)->inner;
  return error ? error : inner->call->download(inner, to, from, bytes);
}

static err tape_synchronize(ops *o) {
  err error = refused(o, "a wait");
  ops *inner = tape_of(o)->inner;
  return error ? error : inner->call->synchronize(inner);
}

static err tape_join(ops *o) {
  err error = refused(o, "a join");
  ops *inner = tape_of(o)->inner;
  return error ? error : inner->call->join(inner);
}

static bool tape_is_idle(ops *o) {
  ops *inner = tape_of(o)->inner;
  return inner->call->is_idle(inner);
}

static err tape_record(ops *o) {
  tape *t = tape_of(o);
  t->first = NULL;
  t->end = &t->first;
  t->is_recording = true;
  return NULL;
}

static err tape_record_end(ops *o, void **recording) {
  tape *t = tape_of(o);
  t->is_recording = false;
  *recording = t->first;
  return NULL;
}

static err tape_replay(ops *o, void *recording) {
  tape *t = tape_of(o);
  err error = NULL;
  for (entry *e = recording; e && !error; e = e->next) error = e->run(t->inner, e->arguments);
  if (t->replays) ++*t->replays;
  return error;
}

static void tape_forget(ops *o, void *recording) {
  (void)o;
  for (entry *e = recording, *next; e; e = next) {
    next = e->next;
    free(e);
  }
}

static void tape_destroy(ops *o) {
  ops_destroy(tape_of(o)->inner);
  free(o->state);
  free(o);
}

static const ops_table tape_table = {.name = "tape",
                                     .allocate = tape_allocate,
                                     .release = tape_release,
                                     .upload = tape_upload,
                                     .download = tape_download,
                                     .clear = tape_clear,
                                     .synchronize = tape_synchronize,
                                     .upload_ahead = tape_upload_ahead,
                                     .join = tape_join,
                                     .record = tape_record,
                                     .record_end = tape_record_end,
                                     .replay = tape_replay,
                                     .forget = tape_forget,
                                     .is_idle = tape_is_idle,
                                     .gemm = tape_gemm,
                                     .activate = tape_activate,
                                     .layer_norm = tape_layer_norm,
                                     .layer_norm_gradient = tape_layer_norm_gradient,
                                     .attention = tape_attention,
                                     .attention_gradient = tape_attention_gradient,
                                     .attended = tape_attended,
                                     .patches = tape_patches,
                                     .assemble = tape_assemble,
                                     .assemble_gradient = tape_assemble_gradient,
                                     .embed = tape_embed,
                                     .embed_gradient = tape_embed_gradient,
                                     .pool = tape_pool,
                                     .pool_gradient = tape_pool_gradient,
                                     .dropout = tape_dropout,
                                     .normalize = tape_normalize,
                                     .normalize_gradient = tape_normalize_gradient,
                                     .contrastive_statistics = tape_contrastive_statistics,
                                     .contrastive_gradient = tape_contrastive_gradient,
                                     .contrastive_finish = tape_contrastive_finish,
                                     .pixel_error = tape_pixel_error,
                                     .sum_squares = tape_sum_squares,
                                     .sum_square_blocks = tape_sum_square_blocks,
                                     .sum = tape_sum,
                                     .adamw = tape_adamw,
                                     .average = tape_average,
                                     .fill = tape_fill,
                                     .cast = tape_cast,
                                     .destroy = tape_destroy};

err ops_create_tape(ops *inner, int *replays, int *recorded_ops, ops **out) {
  ops *o = mem_zeroed(1, sizeof *o);
  tape *t = mem_zeroed(1, sizeof *t);
  if (!o || !t) {
    free(o);
    free(t);
    return mem_error(sizeof *t, "a tape");
  }
  *t = (tape){.inner = inner, .replays = replays, .recorded_ops = recorded_ops};
  *o = *inner;
  t->table = tape_table;
  t->table.sums = inner->call->sums; /* the same ops compute the same bias gradients */
  o->call = &t->table;
  o->state = t;
  *out = o;
  return NULL;
}
