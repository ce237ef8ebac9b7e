/* Device memory, streams, copies and recordings.
 *
 * Three streams. `compute` runs all ops and the copies that the host waits for; ops of the second
 * branch go to a separate stream, with its own workspace and scratch, while a step is recorded, so
 * that the recording contains both as concurrent branches, and in steps that are not recorded, of
 * micro-batches, after the first ones. `copy` uploads the next batch; it
 * waits for the fence, which is recorded on `compute` at every join, so that a buffer is not
 * overwritten before the ops queued before that join have read it. In evaluation the host waits for
 * neither: `compute` waits for the copies (follow), and the host for the download of an earlier
 * batch, before it reuses that batch's buffers. */
#include "cuda/cuda.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

enum { WORKSPACE_BYTES = 64 << 20 }; /* algorithms for Hopper need 32 MiB or more */

err cuda_error(int code, const char *what) {
  if (code == cudaSuccess) return NULL;
  err_kind kind = code == cudaErrorMemoryAllocation ? ERR_MEMORY : ERR_UNSUPPORTED;
  return err_new(kind, "CUDA: %s: %s", what, cudaGetErrorString((cudaError_t)code));
}

err cuda_allocate(ops *o, size_t bytes, const char *what, void **block) {
  cuda_state *state = cuda_of(o);
  size_t available = 0, total = 0;
  cudaError_t code = cudaMalloc(block, bytes);
  if (code == cudaSuccess) {
    state->used += bytes;
    if (state->used > state->peak) state->peak = state->used;
    return NULL;
  }
  *block = NULL;
  (void)cudaGetLastError(); /* the failure is reported here and must not be seen by later calls */
  if (code != cudaErrorMemoryAllocation) return cuda_error(code, what);
  (void)cudaMemGetInfo(&available, &total);
  char wanted[TEXT_NUMBER_SIZE], has[TEXT_NUMBER_SIZE], all[TEXT_NUMBER_SIZE];
  return err_new(ERR_MEMORY, "out of GPU memory: %s needed for %s; %s of %s free",
                 text_bytes(bytes, wanted), what, text_bytes(available, has),
                 text_bytes(total, all));
}

void cuda_release(ops *o, void *block) {
  (void)o;
  (void)cudaFree(block);
}

/* Scratch that no recorded step uses is freed; other scratch is kept until the end. */
static err retire_scratch(ops *o) {
  cuda_state *state = cuda_of(o);
  if (!state->scratch) return NULL;
  if (state->recordings) {
    cuda_block *old = mem_zeroed(1, sizeof *old);
    if (!old) return mem_error(sizeof *old, "scratch");
    *old = (cuda_block){state->outgrown, state->scratch};
    state->outgrown = old;
  } else {
    err error = cuda_synchronize(o);
    if (error) return error;
    (void)cudaFree(state->scratch);
    state->used -= state->scratch_bytes;
  }
  state->scratch = NULL;
  state->scratch_bytes = 0;
  return NULL;
}

err cuda_scratch(ops *o, size_t bytes, void **block) {
  cuda_state *state = cuda_of(o);
  if (bytes > state->scratch_bytes) {
    if (state->is_recording)
      return err_new(
          ERR_INTERNAL,
          "the captured step needs more scratch memory than the warm-up steps allocated");
    err error = retire_scratch(o);
    if (!error) error = cuda_allocate(o, bytes, "kernels' scratch", &state->scratch);
    if (error) return error;
    state->scratch_bytes = bytes;
  }
  *block = state->scratch;
  return NULL;
}

/* Not below `bytes`: a later recording of ops that have run may need them. */
void cuda_scratch_trim(ops *o, size_t bytes) {
  cuda_state *state = cuda_of(o);
  if (state->recordings || state->scratch_bytes <= bytes) return;
  err error = retire_scratch(o);
  if (!error && bytes > 0) error = cuda_allocate(o, bytes, "kernels' scratch", &state->scratch);
  if (!error) state->scratch_bytes = bytes;
  err_free(error); /* allocated again when an op needs it */
}

err cuda_runtime_create(ops *o) {
  cuda_state *state = cuda_of(o);
  err error = NULL;
  TRY(cuda_error(cudaSetDevice(state->device), "selecting the device"));
  TRY(cuda_error(cudaStreamCreateWithFlags(&state->compute, cudaStreamNonBlocking), "a stream"));
  TRY(cuda_error(cudaStreamCreateWithFlags(&state->copy, cudaStreamNonBlocking), "a stream"));
  TRY(cuda_error(cudaEventCreateWithFlags(&state->fence, cudaEventDisableTiming), "an event"));
  TRY(cuda_error(cudaEventCreateWithFlags(&state->uploaded, cudaEventDisableTiming), "an event"));
  for (int i = 0; i < OPS_DOWNLOADS; i++)
    TRY(cuda_error(cudaEventCreateWithFlags(&state->downloaded[i], cudaEventDisableTiming),
                   "an event"));
  TRY(cuda_error(cudaEventCreate(&state->begun), "an event"));
  TRY(cuda_error(cudaEventCreate(&state->ended), "an event"));
  TRY(cuda_error(cudaStreamCreateWithFlags(&state->aside.stream, cudaStreamNonBlocking),
                 "a stream"));
  TRY(cuda_error(cudaEventCreateWithFlags(&state->split, cudaEventDisableTiming), "an event"));
  TRY(cuda_error(cudaEventCreateWithFlags(&state->joined, cudaEventDisableTiming), "an event"));
  state->workspace_bytes = WORKSPACE_BYTES;
  TRY(cuda_allocate(o, state->workspace_bytes, "the libraries' workspace", &state->workspace));
cleanup:
  return error;
}

void cuda_runtime_destroy(ops *o) {
  cuda_state *state = cuda_of(o);
  if (state->compute) (void)cudaStreamSynchronize(state->compute);
  while (state->outgrown) {
    cuda_block *next = state->outgrown->next;
    (void)cudaFree(state->outgrown->data);
    free(state->outgrown);
    state->outgrown = next;
  }
  (void)cudaFree(state->scratch);
  (void)cudaFree(state->workspace);
  (void)cudaFree(state->aside.scratch);
  (void)cudaFree(state->aside.workspace);
  if (state->joined) (void)cudaEventDestroy(state->joined);
  if (state->split) (void)cudaEventDestroy(state->split);
  if (state->aside.stream) (void)cudaStreamDestroy(state->aside.stream);
  if (state->ended) (void)cudaEventDestroy(state->ended);
  if (state->begun) (void)cudaEventDestroy(state->begun);
  for (int i = 0; i < OPS_DOWNLOADS; i++)
    if (state->downloaded[i]) (void)cudaEventDestroy(state->downloaded[i]);
  if (state->uploaded) (void)cudaEventDestroy(state->uploaded);
  if (state->fence) (void)cudaEventDestroy(state->fence);
  if (state->copy) (void)cudaStreamDestroy(state->copy);
  if (state->compute) (void)cudaStreamDestroy(state->compute);
}

err cuda_time(ops *o, int runs, cuda_work run, const void *work, double *seconds) {
  cuda_state *state = cuda_of(o);
  float milliseconds = 0;
  err error = NULL;
  TRY(run(o, work));
  TRY(cuda_error(cudaEventRecord(state->begun, state->compute), "an event"));
  for (int i = 0; i < runs; i++) TRY(run(o, work));
  TRY(cuda_error(cudaEventRecord(state->ended, state->compute), "an event"));
  TRY(cuda_error(cudaEventSynchronize(state->ended), "waiting for the GPU"));
  TRY(cuda_error(cudaEventElapsedTime(&milliseconds, state->begun, state->ended),
                 "reading an event"));
  *seconds = (double)milliseconds / 1e3 / runs;
cleanup:
  return error;
}

err cuda_upload(ops *o, void *to, const void *from, size_t bytes) {
  cudaStream_t stream = cuda_of(o)->compute;
  err error =
      cuda_error(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream), "an upload");
  return error ? error : cuda_error(cudaStreamSynchronize(stream), "an upload");
}

err cuda_download(ops *o, void *to, const void *from, size_t bytes) {
  cudaStream_t stream = cuda_of(o)->compute;
  err error =
      cuda_error(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream), "a download");
  return error ? error : cuda_error(cudaStreamSynchronize(stream), "waiting for the GPU");
}

err cuda_clear(ops *o, void *block, size_t bytes) {
  return cuda_error(cudaMemsetAsync(block, 0, bytes, cuda_of(o)->compute), "clearing memory");
}

err cuda_synchronize(ops *o) {
  return cuda_error(cudaStreamSynchronize(cuda_of(o)->compute), "waiting for the GPU");
}

err cuda_upload_ahead(ops *o, void *to, const void *from, size_t bytes) {
  return cuda_error(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, cuda_of(o)->copy),
                    "an asynchronous upload");
}

err cuda_join(ops *o) {
  cuda_state *state = cuda_of(o);
  err error = cuda_error(cudaStreamSynchronize(state->copy), "waiting for an upload");
  if (!error) error = cuda_error(cudaEventRecord(state->fence, state->compute), "a fence");
  if (!error)
    error = cuda_error(cudaStreamWaitEvent(state->copy, state->fence, 0), "waiting for a fence");
  return error;
}

err cuda_follow(ops *o) {
  cuda_state *state = cuda_of(o);
  err error = cuda_error(cudaEventRecord(state->uploaded, state->copy), "an event");
  if (error) return error;
  return cuda_error(cudaStreamWaitEvent(state->compute, state->uploaded, 0),
                    "waiting for an upload");
}

/* On the compute stream: results are small, and the next ops overwrite them. */
err cuda_download_behind(ops *o, int place, void *to, const void *from, size_t bytes) {
  cuda_state *state = cuda_of(o);
  err error = cuda_error(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, state->compute),
                         "a download");
  if (error) return error;
  return cuda_error(cudaEventRecord(state->downloaded[place], state->compute), "an event");
}

err cuda_await_download(ops *o, int place) {
  return cuda_error(cudaEventSynchronize(cuda_of(o)->downloaded[place]), "waiting for the GPU");
}

/* Memory that cannot be pinned (locked-memory limit) is still copied, only more slowly. */
err cuda_pin(ops *o, void *block, size_t bytes) {
  (void)o;
  if (cudaHostRegister(block, bytes, cudaHostRegisterDefault) != cudaSuccess)
    (void)cudaGetLastError();
  return NULL;
}

void cuda_unpin(ops *o, void *block) {
  (void)o;
  if (cudaHostUnregister(block) != cudaSuccess) (void)cudaGetLastError();
}

/* Makes the other branch current. */
static err swap_lanes(ops *o) {
  cuda_state *state = cuda_of(o);
  cuda_lane current = {state->compute, state->workspace, state->scratch, state->scratch_bytes};
  state->compute = state->aside.stream;
  state->workspace = state->aside.workspace;
  state->scratch = state->aside.scratch;
  state->scratch_bytes = state->aside.scratch_bytes;
  state->aside = current;
  state->branch = 1 - state->branch;
  return sdpa_use_stream(state->attentions, state->compute);
}

/* The first steps do not branch: they time their choices, undisturbed by another stream. */
err cuda_branch(ops *o, int which) {
  cuda_state *state = cuda_of(o);
  bool is_due = state->is_recording || state->branches_always;
  if (!is_due || !state->may_branch || which == state->branch) return NULL;
  err error = NULL;
  if (!state->has_branched) {
    TRY(cuda_error(cudaEventRecord(state->split, state->compute), "an event"));
    TRY(cuda_error(cudaStreamWaitEvent(state->aside.stream, state->split, 0), "a branch"));
    state->has_branched = true;
  }
  TRY(swap_lanes(o));
cleanup:
  return error;
}

err cuda_merge(ops *o) {
  cuda_state *state = cuda_of(o);
  err error = NULL;
  if (state->branch == 1) TRY(swap_lanes(o));
  if (!state->has_branched) goto cleanup;
  TRY(cuda_error(cudaEventRecord(state->joined, state->aside.stream), "an event"));
  TRY(cuda_error(cudaStreamWaitEvent(state->compute, state->joined, 0), "the end of a branch"));
  state->has_branched = false;
cleanup:
  return error;
}

/* The second branch may need as much scratch as the ops of earlier steps, which ran one after
 * another. */
static err equip_branch(ops *o) {
  cuda_state *state = cuda_of(o);
  cuda_lane *aside = &state->aside;
  err error = NULL;
  if (!aside->workspace)
    TRY(cuda_allocate(o, state->workspace_bytes, "the libraries' workspace", &aside->workspace));
  if (state->scratch_bytes > aside->scratch_bytes) {
    cuda_block *old = mem_zeroed(1, sizeof *old);
    if (!old) return mem_error(sizeof *old, "scratch");
    *old = (cuda_block){state->outgrown, aside->scratch};
    state->outgrown = old;
    aside->scratch = NULL;
    aside->scratch_bytes = 0;
    TRY(cuda_allocate(o, state->scratch_bytes, "kernels' scratch", &aside->scratch));
    aside->scratch_bytes = state->scratch_bytes;
  }
cleanup:
  return error;
}

/* Without memory for it there is none, which is said. */
static err prepare_branch(ops *o) {
  cuda_state *state = cuda_of(o);
  err error = equip_branch(o);
  state->may_branch = !error;
  if (error && err_kind_of(error) != ERR_MEMORY) return error;
  if (error)
    log_warning("the towers take turns, because a second branch of the step lacks memory: %s",
                err_message(error));
  err_free(error);
  return NULL;
}

err cuda_allow_branches(ops *o, bool is_always) {
  cuda_state *state = cuda_of(o);
  state->branches_always = state->branches_always || is_always;
  return prepare_branch(o);
}

err cuda_record(ops *o) {
  cuda_state *state = cuda_of(o);
  err error = cuda_error(cudaStreamBeginCapture(state->compute, cudaStreamCaptureModeThreadLocal),
                         "recording a step");
  state->is_recording = !error;
  return error;
}

err cuda_record_end(ops *o, void **recording) {
  cuda_state *state = cuda_of(o);
  cudaGraph_t graph = NULL;
  cudaGraphExec_t runnable = NULL;
  *recording = NULL;
  err error = cuda_merge(o); /* after a failure that left a branch open */
  state->is_recording = false;
  if (error) {
    err_free(cuda_merge(o)); /* a recording can end only after its branches have merged */
    (void)cudaStreamEndCapture(state->compute, &graph);
    if (graph) (void)cudaGraphDestroy(graph);
    return error;
  }
  error = cuda_error(cudaStreamEndCapture(state->compute, &graph), "recording a step");
  if (!error)
    error =
        cuda_error(cudaGraphInstantiate(&runnable, graph, cudaGraphInstantiateFlagUseNodePriority),
                   "preparing a recorded step");
  if (!error)
    error = cuda_error(cudaGraphUpload(runnable, state->compute), "uploading a recorded step");
  if (graph) (void)cudaGraphDestroy(graph);
  if (error && runnable)
    (void)cudaGraphExecDestroy(runnable);
  else
    *recording = runnable;
  state->recordings += !error;
  return error;
}

err cuda_replay(ops *o, void *recording) {
  return cuda_error(cudaGraphLaunch((cudaGraphExec_t)recording, cuda_of(o)->compute),
                    "a recorded step");
}

void cuda_forget(ops *o, void *recording) {
  (void)cudaStreamSynchronize(cuda_of(o)->compute);
  (void)cudaGraphExecDestroy((cudaGraphExec_t)recording);
  cuda_of(o)->recordings--;
}

err cuda_memory(ops *o, ops_memory *memory) {
  size_t available = 0, total = 0;
  err error = cuda_error(cudaMemGetInfo(&available, &total), "querying free memory");
  *memory = (ops_memory){available, total, cuda_of(o)->peak};
  return error;
}

/* "Not ready" is kept as the last error, which the next kernel's launch would take for its own. */
bool cuda_is_idle(ops *o) {
  if (cudaStreamQuery(cuda_of(o)->compute) != cudaErrorNotReady) return true;
  (void)cudaGetLastError();
  return false;
}

void *cuda_queue(ops *o, bool is_other) {
  cuda_state *state = cuda_of(o);
  if (!is_other) return state->compute;
  return state->has_branched ? state->aside.stream : NULL;
}
