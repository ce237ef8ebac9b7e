/* Attention: one of cuDNN's engines or our own kernel, whichever is fastest for a shape when it is
 * first seen. The choice is stored, so that the next run makes the same (choice.h), and so are the
 * measured times: tests/gpu/attention_times.sh prints them. The sums for the bias of qkv and the
 * gradient's 8-bit form are timed with the gradient: our kernels for short sequences compute them
 * at no extra cost. */
#include "cuda/cuda.h"
#include "cuda/kernels.h"

enum {
  TIMED_RUNS = 5,
  OWN = -1,       /* else a candidate of sdpa.c */
  OWN_VERSION = 2 /* of our kernels: increased when the fastest may have changed */
};

static err run_own(ops *o, const ops_attention *a, bool is_backward) {
  void *scratch, *stream = cuda_of(o)->compute;
  if (!is_backward) return cuda_error(kernel_attention(a, stream), "attention");
  err error = cuda_scratch(o, kernel_attention_gradient_scratch(a), &scratch);
  return error ? error
               : cuda_error(kernel_attention_gradient(a, scratch, stream), "attention's gradient");
}

/* The sums over dqkv, after an engine that does not compute them. */
static err add_sums(ops *o, const ops_attention *a) {
  void *scratch;
  int64_t rows = a->batch * a->tokens, columns = 3 * a->heads * a->head_width;
  err error = cuda_scratch(o, kernel_column_sums_scratch(rows, columns), &scratch);
  return error ? error
               : cuda_error(kernel_column_sums(rows, columns, columns, a->dqkv, a->dqkv_sums,
                                               scratch, cuda_of(o)->compute),
                            "a bias gradient");
}

/* Where the maximum of the result goes, or absent. */
static ops_buffer maximum_of(const ops_attention *a, bool is_backward) {
  return is_backward ? a->dqkv_maximum : a->out_maximum;
}

static err find_maximum(ops *o, const ops_attention *a, bool is_backward) {
  int64_t count = a->batch * a->tokens * a->heads * a->head_width;
  const ops_buffer maximum = maximum_of(a, is_backward);
  if (!maximum.data) return NULL;
  return cuda_error(kernel_maximum(is_backward ? 3 * count : count, is_backward ? a->dqkv : a->out,
                                   maximum, cuda_of(o)->compute),
                    "a maximum");
}

static err run(ops *o, const ops_attention *a, bool is_backward, int which) {
  if (which == OWN) return run_own(o, a, is_backward);
  err error = sdpa_run(o, a, is_backward, which);
  if (!error) error = find_maximum(o, a, is_backward);
  if (!error && is_backward)
    error = cuda_error(kernel_attention_gradient_round(a, cuda_of(o)->compute), "rounding");
  return error || !is_backward || !a->dqkv_sums.data ? error : add_sums(o, a);
}

typedef struct {
  const ops_attention *a;
  bool is_backward;
  int which;
} attempt;

/* The op's outputs are overwritten each time, so trying changes nothing; sums, which are added to,
 * go elsewhere (choose_by_running). */
static err run_attempt(ops *o, const void *work) {
  const attempt *t = work;
  return run(o, t->a, t->is_backward, t->which);
}

static err time_run(ops *o, const ops_attention *a, bool is_backward, int which, double *seconds) {
  const attempt t = {a, is_backward, which};
  return cuda_time(o, TIMED_RUNS, run_attempt, &t, seconds);
}

/* What is computed besides: passes that only an engine of cuDNN's needs. */
static int64_t extras_of(const ops_attention *a, bool is_backward) {
  return (is_backward && a->dqkv_sums.data) + 2 * (maximum_of(a, is_backward).data != NULL) +
         4 * (is_backward && a->dqkv_narrow.scale.data);
}

static choice_key key_of(ops *o, const ops_attention *a, bool is_backward) {
  return (choice_key){{CHOICE_ATTENTION, is_backward, a->batch, a->tokens, a->heads, a->head_width,
                       a->is_causal, cuda_of(o)->request.is_deterministic,
                       extras_of(a, is_backward), OWN_VERSION}};
}

/* At least 1 if timed: 0 means not timed. */
static int64_t nanoseconds(double seconds) {
  if (seconds > 1e9) return 0;
  return seconds < 1e-9 ? 1 : (int64_t)(seconds * 1e9);
}

/* The fastest of cuDNN's candidates and ours. A candidate that fails when it is first run is
 * skipped: our own kernel supports every shape. Without timing, the first of cuDNN's that runs.
 * value: the choice, then the nanoseconds of ours and of cuDNN's fastest, 0 if not timed. */
static err choose_by_running(ops *o, const ops_attention *a, bool is_backward, int candidates,
                             choice_value *value) {
  bool may_time = cuda_may_time(cuda_of(o));
  double own = 1e30, least = 1e30, seconds;
  int fastest = OWN;
  if (may_time) {
    err error = time_run(o, a, is_backward, OWN, &own);
    if (error) return error;
  }
  for (int i = 0; i < candidates && (may_time || fastest == OWN); i++) {
    err refused = time_run(o, a, is_backward, i, &seconds);
    if (refused) {
      (void)cudaGetLastError();
      err_free(refused);
      /* unless the device failed, and can do nothing more */
      refused = cuda_error(cudaStreamSynchronize(cuda_of(o)->compute),
                           "a candidate of cuDNN for attention was tried");
      if (refused) return refused;
    } else if (seconds < least) {
      least = seconds;
      fastest = i;
    }
  }
  *value = (choice_value){{may_time && own <= least ? OWN : fastest, nanoseconds(own),
                           may_time ? nanoseconds(least) : 0}};
  return NULL;
}

/* The same, with separate sums, maxima and scale for the trials to add to. */
static err choose_untouched(ops *o, const ops_attention *a, bool is_backward, int candidates,
                            choice_value *value) {
  ops_attention tried = *a;
  const int64_t columns = 3 * a->heads * a->head_width;
  size_t bytes = (size_t)(columns + OPS_SCALE_FLOATS) * ops_size_of(OPS_F32);
  ops_buffer aside = {NULL, OPS_F32};
  *value = (choice_value){{OWN}};
  if (extras_of(a, is_backward)) {
    err error = cuda_error(cudaMalloc(&aside.data, bytes), "sums");
    if (!error) error = o->call->clear(o, aside.data, bytes); /* a factor of 0: nothing saturates */
    if (error) {
      if (aside.data) (void)cudaFree(aside.data);
      return error;
    }
    if (a->dqkv_sums.data) tried.dqkv_sums = aside;
    if (a->dqkv_maximum.data) tried.dqkv_maximum = aside;
    if (a->out_maximum.data) tried.out_maximum = aside;
    if (a->dqkv_narrow.scale.data) tried.dqkv_narrow.scale = ops_at(aside, columns);
  }
  err error = choose_by_running(o, &tried, is_backward, candidates, value);
  if (aside.data) (void)cudaFree(aside.data);
  return error;
}

static err choose_and_keep(ops *o, const ops_attention *a, bool is_backward, int candidates,
                           const choice_key *key, int *which) {
  cuda_state *state = cuda_of(o);
  const size_t scratch_bytes = state->scratch_bytes;
  bool was_timed;
  do {
    choice_value value;
    was_timed = cuda_may_time(state);
    err error = choose_untouched(o, a, is_backward, candidates, &value);
    cuda_scratch_trim(o, scratch_bytes); /* allocated by the rejected candidates */
    if (error) {
      choice_store_release(state->choices);
      return error;
    }
    *which = (int)value.part[0];
    choice_store_add(state->choices, key, &value);
    /* once more if it could not be kept, and the next run must choose the same */
  } while (was_timed && !cuda_may_time(state));
  return NULL;
}

static err choose(ops *o, const ops_attention *a, bool is_backward, int *which) {
  cuda_state *state = cuda_of(o);
  const choice_key key = key_of(o, a, is_backward);
  bool is_ours = false;
  int candidates;
  do {
    choice_value value;
    bool is_known = choice_store_find(state->choices, &key, &value);
    *which = OWN;
    if (is_known && value.part[0] == OWN) return NULL; /* cuDNN is not needed */
    candidates = sdpa_candidates(o, a, is_backward);
    if (candidates == 0) return NULL;
    if (is_known && value.part[0] >= 0 && value.part[0] < candidates) {
      *which = (int)value.part[0];
      return NULL;
    }
    if (state->is_recording) return NULL;
    err error = cuda_claim_choice(o, &key, &is_ours);
    if (error) return error;
  } while (!is_ours);
  return choose_and_keep(o, a, is_backward, candidates, &key, which);
}

static err attend(ops *o, const ops_attention *a, bool is_backward) {
  int which;
  err error = choose(o, a, is_backward, &which);
  return error ? error : run(o, a, is_backward, which);
}

err cuda_attention(ops *o, const ops_attention *a) {
  return attend(o, a, false);
}

err cuda_attention_gradient(ops *o, const ops_attention *a) {
  return attend(o, a, true);
}
