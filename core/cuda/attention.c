/* Attention: one of cuDNN's engines or our own kernel, whichever is fastest at a shape when it is
 * first seen. The choice is kept, so that the next run makes the same (choice.h). */
#include "cuda/cuda.h"
#include "cuda/kernels.h"

enum { TIMED_RUNS = 5, OWN = -1 /* else a candidate of sdpa.c */ };

static err run_own(ops *o, const ops_attention *a, bool is_backward) {
  void *scratch, *stream = cuda_of(o)->compute;
  if (!is_backward) return cuda_error(kernel_attention(a, stream), "attention");
  err error =
      cuda_scratch(o, kernel_attention_gradient_scratch(a->batch, a->heads, a->tokens), &scratch);
  return error ? error
               : cuda_error(kernel_attention_gradient(a, scratch, stream), "attention's gradient");
}

static err run(ops *o, const ops_attention *a, bool is_backward, int which) {
  return which == OWN ? run_own(o, a, is_backward) : sdpa_run(o, a, is_backward, which);
}

typedef struct {
  const ops_attention *a;
  bool is_backward;
  int which;
} attempt;

/* The op's outputs are overwritten each time, so trying changes nothing. */
static err run_attempt(ops *o, const void *work) {
  const attempt *t = work;
  return run(o, t->a, t->is_backward, t->which);
}

static err time_run(ops *o, const ops_attention *a, bool is_backward, int which, double *seconds) {
  const attempt t = {a, is_backward, which};
  return cuda_time(o, TIMED_RUNS, run_attempt, &t, seconds);
}

static choice_key key_of(ops *o, const ops_attention *a, bool is_backward) {
  return (choice_key){{CHOICE_ATTENTION, is_backward, a->batch, a->tokens, a->heads, a->head_width,
                       a->is_causal, cuda_of(o)->request.is_deterministic}};
}

/* The fastest of cuDNN's candidates and ours. A candidate that fails when it is first run is no
 * reason to fail: our own kernel does every shape. Without timing, cuDNN's first that runs. */
static err choose_by_running(ops *o, const ops_attention *a, bool is_backward, int candidates,
                             int *which) {
  bool may_time = cuda_may_time(cuda_of(o));
  double least = 1e30, seconds;
  *which = OWN;
  if (may_time) {
    err error = time_run(o, a, is_backward, OWN, &least);
    if (error) return error;
  }
  for (int i = 0; i < candidates && (may_time || *which == OWN); i++) {
    err refused = time_run(o, a, is_backward, i, &seconds);
    if (refused) {
      (void)cudaGetLastError();
      err_free(refused);
    } else if (seconds < least) {
      least = seconds;
      *which = i;
    }
  }
  return NULL;
}

static err choose(ops *o, const ops_attention *a, bool is_backward, int *which) {
  cuda_state *state = cuda_of(o);
  const choice_key key = key_of(o, a, is_backward);
  choice_value value;
  bool is_known = choice_store_find(state->choices, &key, &value);
  *which = OWN;
  if (is_known && value.part[0] == OWN) return NULL; /* cuDNN is not needed */
  int candidates = sdpa_candidates(o, a, is_backward);
  if (candidates == 0) return NULL;
  if (is_known && value.part[0] >= 0 && value.part[0] < candidates) {
    *which = (int)value.part[0];
    return NULL;
  }
  if (state->is_recording) return NULL;
  err error = choose_by_running(o, a, is_backward, candidates, which);
  cuda_scratch_trim(o); /* what those not chosen took */
  if (error) return error;
  value = (choice_value){{*which}};
  choice_store_add(state->choices, &key, &value);
  return NULL;
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
