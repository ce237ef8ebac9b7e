/* An imitation, in host memory, of the parts of the CUDA runtime, cuBLASLt and cuDNN that
 * core/cuda/ calls: ours, written after their documentation and corrected where an H100 behaved
 * otherwise, so that the backend's host code runs where no GPU is. It tests that code against what
 * we read and observed, not against the libraries.
 *
 * Work given to a stream is kept and run only when something waits for it, so that a missing wait
 * shows as wrong numbers. What the documents forbid is refused with the error they name and told
 * on stderr, in lines that begin with "imitation:". Device memory faults when the host touches it.
 * Time on the device is counted, not measured, so that choices by timing come out the same.
 *
 * Set by the environment:
 *   FLIP_IMITATION_ORDER       lazy (default); eager: work runs when it is given; turns: as lazy,
 *                              and the branches of a graph run alternately, piece by piece
 *   FLIP_IMITATION_MEMORY      of the device, in MiB (default 2048)
 *   FLIP_IMITATION_DRIVER      the CUDA version that the driver serves, "12.8"; "none"
 *   FLIP_IMITATION_CAPABILITY  compute capability, "9.0" (default)
 *   FLIP_IMITATION_DEVICES     how many (default 1)
 *   FLIP_IMITATION_BLAS        words of cublaslt.h's imitation, comma between: variations of it
 *   FLIP_IMITATION_DNN         words of cudnn.c, likewise
 *   FLIP_IMITATION_NCCL        words of nccl_link.c: "notices": that a rank's process has ended
 *   FLIP_IMITATION_NCCL_VERSION  NCCL's, "2.18"; default: that of its header
 *   FLIP_IMITATION_TRACE       a file that gets one line a call
 *   FLIP_IMITATION_FAIL        "cudaMalloc:3": the third call of that name fails
 *   FLIP_IMITATION_BREAK       "cudaMemcpyAsync:3": at the third call of that name (of a kernel:
 *                              its name) the context breaks, as by a kernel that reads where
 *                              nothing is: this call and all later ones return that error
 *
 * All of it is one device for the whole process, used by one thread, as the API has no argument to
 * carry it. */
#ifndef FLIP_IMITATION_H
#define FLIP_IMITATION_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Every entry point begins with it: the call's line of the trace, and the check of the thread. */
void imitation_enter(const char *call);
/* The same for a call that can be made to fail; true: now it must. */
bool imitation_enter_or_fail(const char *call);
/* The same for calls that any thread may make; only the first thread's are counted and fail. */
bool imitation_enter_from_any_thread(const char *call);
/* Tells of a misuse; imitation_misuses counts them. */
void imitation_misuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
int imitation_misuses(void);
/* True if `word` is one of the comma-separated words of `variable`. */
bool imitation_has_word(const char *variable, const char *word);
/* "12.8" as 12, 8; the fallback where the variable is not set. */
void imitation_version(const char *variable, int *major, int *minor);
int64_t imitation_number(const char *variable, int64_t fallback);

/* memory.c. Device memory; NULL when there is not enough. */
void *memory_take(size_t bytes);
bool memory_give_back(void *block); /* false: not the start of a block in use */
/* The range lies in one block in use. */
bool memory_is_device(const void *start, size_t bytes);
/* Any byte of the range lies where device memory can lie. */
bool memory_touches_device(const void *start, size_t bytes);
size_t memory_free(void), memory_total(void);
size_t memory_blocks(void); /* in use */
/* Between begin and end device memory can be read and written; calls nest. */
void memory_open(void);
void memory_close(void);

/* stream.c. Work for a stream: `run(data)`, perhaps many times if it is captured; `data` of
 * `bytes` bytes is copied. cost: seconds that it takes on the device. */
typedef cudaError_t (*stream_work)(const void *data);
cudaError_t stream_give(cudaStream_t stream, const char *what, double cost, stream_work run,
                        const void *data, size_t bytes);
bool stream_exists(cudaStream_t stream);
bool stream_is_capturing(cudaStream_t stream);
/* For calls that a capture in this thread forbids: refuses, and spoils the capture. */
cudaError_t stream_refuse_in_capture(const char *call);
/* Other ranks wait for this one's work: a question about a stream must not leave it lying. */
void stream_has_peers(void);
cudaError_t stream_run_all(void);
/* The error of the context, which each later call returns too; cudaSuccess: none. */
cudaError_t stream_context_error(void);
void stream_break(cudaError_t code);
/* Streams, events and graphs that were made and not destroyed. */
size_t stream_live_objects(void);
/* The error that later calls of cudaGetLastError see; returned as it is. */
cudaError_t runtime_fail(cudaError_t code);

/* A graph that can be launched has work of this name (the same pointer). */
bool stream_graphs_hold(const char *what);

/* nccl.c: communicators that were made and neither destroyed nor aborted. */
size_t nccl_live_objects(void);

/* cublaslt.c: library handles in use. */
size_t blas_live_objects(void);

/* runtime.c: ranges of host memory that are registered. */
size_t runtime_pinned(void);

#endif
