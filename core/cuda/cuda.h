/* Shared by the host files of the CUDA backend. Plain C; only *.cu is compiled by nvcc. Internal to
 * core/cuda/. */
#ifndef FLIP_CUDA_CUDA_H
#define FLIP_CUDA_CUDA_H

#include <cuda_runtime_api.h>

#include "base/err.h"
#include "cuda/choice.h"
#include "ops/plugin.h"

typedef struct gemm_plans gemm_plans; /* gemm.c */
typedef struct sdpa_plans sdpa_plans; /* sdpa.c */
typedef struct nvml_meter nvml_meter; /* nvml.c */

/* First part of a choice_key. */
enum { CHOICE_GEMM = 1, CHOICE_ATTENTION = 2 };

/* An outgrown scratch block: a recorded step may still use it. */
typedef struct cuda_block {
  struct cuda_block *next;
  void *data;
} cuda_block;

/* A stream and the memory its ops may write to, apart from their results. */
typedef struct {
  cudaStream_t stream;
  void *workspace; /* of cuBLASLt and cuDNN */
  void *scratch;   /* of our own kernels, one op at a time */
  size_t scratch_bytes;
} cuda_lane;

typedef struct {
  ops_request request;
  int device;
  int capability;                   /* 80, 90, … */
  int multiprocessors, cache_bytes; /* cache: that of the whole device */
  cudaStream_t compute, copy;       /* ops and results, of the current branch; prefetch uploads */
  cudaEvent_t fence;                /* on compute, at the last join: copies wait for it */
  cudaEvent_t begun, ended;         /* for cuda_time */
  cudaEvent_t uploaded;             /* on copy, at the last follow: compute waits for it */
  cudaEvent_t downloaded[OPS_DOWNLOADS]; /* on compute, after the last download_behind */
  choice_store *choices;
  gemm_plans *gemms;
  sdpa_plans *attentions;
  nvml_meter *meter;
  void *workspace; /* of cuBLASLt and cuDNN */
  size_t workspace_bytes;
  void *scratch; /* of our own kernels, one op at a time */
  size_t scratch_bytes;
  cuda_block *outgrown;
  cuda_lane aside;           /* the inactive branch: its stream, workspace, scratch */
  int branch;                /* the current one */
  bool may_branch;           /* there is memory for the other branch */
  bool branches_always;      /* not only while a step is recorded */
  bool has_branched;         /* since the last merge */
  cudaEvent_t split, joined; /* on branch 0 where they part, on branch 1 at its end */
  bool is_recording;
  int recordings;      /* outgrown but kept: recorded steps use them */
  uint64_t used, peak; /* bytes of device memory now (of what is freed only scratch is taken off),
                        * and the most */
} cuda_state;

static inline cuda_state *cuda_of(ops *o) {
  return (cuda_state *)o->state;
}

/* NULL for success; else the failure, with CUDA's description. */
err cuda_error(int code, const char *what) ERR_MUST_CHECK;

/* Device memory, counted. On failure the error gives the requested and the free size. */
err cuda_allocate(ops *o, size_t bytes, const char *what, void **block) ERR_MUST_CHECK;
void cuda_release(ops *o, void *block);

/* At least `bytes` of scratch for one op; contents undefined. Grows when a new shape is seen. */
err cuda_scratch(ops *o, size_t bytes, void **block) ERR_MUST_CHECK;
/* Releases scratch beyond `bytes`, its size before ops were only tried. */
void cuda_scratch_trim(ops *o, size_t bytes);
/* Parts of scratch start at multiples of this, as the kernels require (kernels.h). */
enum { CUDA_SCRATCH_ALIGNMENT = 256 };
static inline size_t cuda_rounded(size_t bytes) {
  return (bytes + CUDA_SCRATCH_ALIGNMENT - 1) / CUDA_SCRATCH_ALIGNMENT * CUDA_SCRATCH_ALIGNMENT;
}
static inline bool cuda_is_at_16(const void *address) {
  return (uintptr_t)address % 16 == 0;
}

/* Seconds of one run of `run`, the mean of `runs` after an untimed one, which may load code; stops
 * at the first failure. */
typedef err (*cuda_work)(ops *o, const void *work);
err cuda_time(ops *o, int runs, cuda_work run, const void *work, double *seconds) ERR_MUST_CHECK;
/* May choices be made by timing? Not while a step is recorded, nor beside another branch, nor if
 * the next run must choose the same and could not. */
static inline bool cuda_may_time(const cuda_state *state) {
  return !state->is_recording && !state->has_branched &&
         (!state->request.is_deterministic || choice_store_is_lasting(state->choices));
}

/* plugin.c: choice_store_claim, after the device has done all it was given. */
err cuda_claim_choice(ops *o, const choice_key *key, bool *is_ours) ERR_MUST_CHECK;

/* runtime.c: streams, copies, recordings. */
err cuda_runtime_create(ops *o) ERR_MUST_CHECK;
void cuda_runtime_destroy(ops *o);
err cuda_upload(ops *o, void *to, const void *from, size_t bytes);
err cuda_download(ops *o, void *to, const void *from, size_t bytes);
err cuda_clear(ops *o, void *block, size_t bytes);
err cuda_synchronize(ops *o);
err cuda_upload_ahead(ops *o, void *to, const void *from, size_t bytes);
err cuda_join(ops *o);
err cuda_follow(ops *o);
err cuda_download_behind(ops *o, int place, void *to, const void *from, size_t bytes);
err cuda_await_download(ops *o, int place);
err cuda_pin(ops *o, void *block, size_t bytes);
void cuda_unpin(ops *o, void *block);
err cuda_branch(ops *o, int which);
err cuda_merge(ops *o);
err cuda_allow_branches(ops *o, bool is_always);
err cuda_record(ops *o);
err cuda_record_end(ops *o, void **recording);
err cuda_replay(ops *o, void *recording);
void cuda_forget(ops *o, void *recording);
err cuda_memory(ops *o, ops_memory *memory);
bool cuda_is_idle(ops *o);
void *cuda_queue(ops *o, bool is_other);

/* nvml.c. The library is loaded at run time; without it every reading is negative. */
nvml_meter *nvml_open(int device);
void nvml_close(nvml_meter *meter);
void nvml_read(nvml_meter *meter, ops_usage *usage);

/* gemm.c: matrix products by cuBLASLt. */
err gemm_plans_create(ops *o, gemm_plans **out) ERR_MUST_CHECK;
void gemm_plans_destroy(gemm_plans *plans);
err cuda_gemm(ops *o, const ops_gemm *g);
err cuda_narrow(ops *o, const ops_rounding *list, size_t count); /* gemm_narrow.c */
size_t gemm_library_version(void);

/* sdpa.c: attention by cuDNN. How many ways the library has for this shape, in the same order each
 * time; 0: none, and our own kernel does it. Then one of them. */
err sdpa_plans_create(ops *o, sdpa_plans **out) ERR_MUST_CHECK;
void sdpa_plans_destroy(sdpa_plans *plans);
err sdpa_use_stream(sdpa_plans *plans, cudaStream_t stream) ERR_MUST_CHECK;
int sdpa_candidates(ops *o, const ops_attention *a, bool is_backward);
err sdpa_run(ops *o, const ops_attention *a, bool is_backward, int which) ERR_MUST_CHECK;
size_t sdpa_library_version(void);

/* attention.c: cuDNN's or ours, whichever is faster. */
err cuda_attention(ops *o, const ops_attention *a);
err cuda_attention_gradient(ops *o, const ops_attention *a);

/* plugin.c and table.c */
void cuda_destroy(ops *o);
extern const ops_table cuda_table;

#endif
