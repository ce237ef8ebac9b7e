/* Attention: cuDNN's engine or our own kernel, whichever is faster at a shape when it is first
 * seen. The choice is kept, so that the next run makes the same (choice.h). */
#include "cuda/cuda.h"
#include "cuda/kernels.h"

enum { TIMED_RUNS = 5 };

static err run_own(ops *o, const ops_attention *a, bool is_backward) {
  void *scratch, *stream = cuda_of(o)->compute;
  if (!is_backward) return cuda_error(kernel_attention(a, stream), "attention");
  err error =
      cuda_scratch(o, kernel_attention_gradient_scratch(a->batch, a->heads, a->tokens), &scratch);
  return error ? error
               : cuda_error(kernel_attention_gradient(a, scratch, stream), "attention's gradient");
}

static err run(ops *o, const ops_attention *a, bool is_backward, bool is_library) {
  return is_library ? sdpa_run(o, a, is_backward) : run_own(o, a, is_backward);
}

/* Seconds of one run; the op's outputs are overwritten each time, so trying changes nothing. */
static err time_run(ops *o, const ops_attention *a, bool is_backward, bool is_library,
                    double *seconds) {
  cuda_state *state = cuda_of(o);
  cudaEvent_t start = NULL, stop = NULL;
  float milliseconds = 0;
  err error = NULL;
  TRY(cuda_error(cudaEventCreate(&start), "an event"));
  TRY(cuda_error(cudaEventCreate(&stop), "an event"));
  for (int i = 0; i <= TIMED_RUNS; i++) { /* the first is not timed: it may load code */
    if (i == 1) TRY(cuda_error(cudaEventRecord(start, state->compute), "an event"));
    TRY(run(o, a, is_backward, is_library));
  }
  TRY(cuda_error(cudaEventRecord(stop, state->compute), "an event"));
  TRY(cuda_error(cudaEventSynchronize(stop), "waiting for the GPU"));
  TRY(cuda_error(cudaEventElapsedTime(&milliseconds, start, stop), "reading an event"));
  *seconds = (double)milliseconds / 1e3 / TIMED_RUNS;
cleanup:
  if (start) (void)cudaEventDestroy(start);
  if (stop) (void)cudaEventDestroy(stop);
  return error;
}

static choice_key key_of(ops *o, const ops_attention *a, bool is_backward) {
  return (choice_key){{CHOICE_ATTENTION, is_backward, a->batch, a->tokens, a->heads, a->head_width,
                       cuda_of(o)->request.is_deterministic}};
}

/* cuDNN plans this shape: can it run it, and should it? A plan that fails when it is first run is
 * no reason to fail: our own kernel does every shape. */
static err choose(ops *o, const ops_attention *a, bool is_backward, bool *is_library) {
  cuda_state *state = cuda_of(o);
  choice_key key = key_of(o, a, is_backward);
  choice_value value;
  double library = 0, own = 0;
  *is_library = !state->is_recording;
  if (choice_store_find(state->choices, &key, &value)) {
    *is_library = value.part[0] != 0;
    return NULL;
  }
  if (state->is_recording) return NULL;
  err refused = time_run(o, a, is_backward, true, &library);
  if (refused) {
    (void)cudaGetLastError();
    err_free(refused);
    *is_library = false;
  } else if (!state->request.is_deterministic || choice_store_is_lasting(state->choices)) {
    err error = time_run(o, a, is_backward, false, &own);
    if (error) return error;
    *is_library = library <= own;
  }
  value = (choice_value){{*is_library}};
  choice_store_add(state->choices, &key, &value);
  return NULL;
}

static err attend(ops *o, const ops_attention *a, bool is_backward) {
  bool is_library = sdpa_can(o, a, is_backward);
  err error = is_library ? choose(o, a, is_backward, &is_library) : NULL;
  return error ? error : run(o, a, is_backward, is_library);
}

err cuda_attention(ops *o, const ops_attention *a) {
  return attend(o, a, false);
}

err cuda_attention_gradient(ops *o, const ops_attention *a) {
  return attend(o, a, true);
}
