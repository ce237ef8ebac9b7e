/* The imitation catches what it is for: mistakes planted here, each of which a GPU would answer
 * with wrong numbers, an error or nothing at all. */
#include "support/test.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "imitation/imitation.h"

enum { COUNT = 64 };

static cudaStream_t one, other;
static float *device;

static int set_up(void **state) {
  (void)state;
  assert_int_equal(cudaStreamCreateWithFlags(&one, cudaStreamNonBlocking), cudaSuccess);
  assert_int_equal(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking), cudaSuccess);
  assert_int_equal(cudaMalloc((void **)&device, COUNT * sizeof *device), cudaSuccess);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  assert_int_equal(cudaFree(device), cudaSuccess);
  assert_int_equal(cudaStreamDestroy(one), cudaSuccess);
  assert_int_equal(cudaStreamDestroy(other), cudaSuccess);
  assert_int_equal(stream_live_objects(), 0);
  assert_int_equal(memory_blocks(), 0);
  (void)cudaGetLastError();
  return 0;
}

/* The call is answered with `code`, told on stderr, and leaves its error. */
#define assert_caught(call, code)                                                                  \
  do {                                                                                             \
    int before_ = imitation_misuses();                                                             \
    assert_int_equal(call, code);                                                                  \
    assert_int_equal(imitation_misuses(), before_ + 1);                                            \
    assert_int_equal(cudaGetLastError(), code);                                                    \
  } while (0)

static void send(cudaStream_t stream, const float *values) {
  assert_int_equal(
      cudaMemcpyAsync(device, values, COUNT * sizeof *values, cudaMemcpyHostToDevice, stream),
      cudaSuccess);
}

/* The first value as `stream` sees it. */
static float first_value(cudaStream_t stream) {
  float value;
  assert_int_equal(cudaMemcpyAsync(&value, device, sizeof value, cudaMemcpyDeviceToHost, stream),
                   cudaSuccess);
  return value;
}

static void a_wait_left_out_shows_as_wrong_numbers(void **state) {
  (void)state;
  const float values[COUNT] = {5};
  cudaEvent_t sent;
  assert_int_equal(cudaEventCreateWithFlags(&sent, cudaEventDisableTiming), cudaSuccess);
  send(one, values);
  assert_false(first_value(other) == 5); /* nothing made the copy run */
  send(one, values);
  assert_int_equal(cudaEventRecord(sent, one), cudaSuccess);
  assert_int_equal(cudaStreamWaitEvent(other, sent, 0), cudaSuccess);
  assert_true(first_value(other) == 5);
  assert_int_equal(cudaEventDestroy(sent), cudaSuccess);
}

static void pinned_memory_is_read_when_the_copy_runs_pageable_at_the_call(void **state) {
  (void)state;
  float values[COUNT] = {1};
  send(one, values);
  values[0] = 2;
  assert_true(first_value(one) == 1);
  assert_int_equal(cudaHostRegister(values, sizeof values, cudaHostRegisterDefault), cudaSuccess);
  send(one, values);
  values[0] = 3; /* too early: the copy has not run */
  assert_true(first_value(one) == 3);
  assert_int_equal(cudaHostUnregister(values), cudaSuccess);
  /* registered in part: neither pinned nor pageable */
  assert_int_equal(cudaHostRegister(values + 1, sizeof *values, cudaHostRegisterDefault),
                   cudaSuccess);
  assert_int_equal(cudaMemcpyAsync(device, values, sizeof values, cudaMemcpyHostToDevice, one),
                   cudaErrorInvalidValue);
  assert_int_equal(cudaGetLastError(), cudaErrorInvalidValue);
  assert_int_equal(cudaHostUnregister(values + 1), cudaSuccess);
  assert_int_equal(cudaHostUnregister(values), cudaErrorHostMemoryNotRegistered);
}

static void a_capture_is_kept_and_replayed(void **state) {
  (void)state;
  cudaGraph_t graph;
  cudaGraphExec_t runnable;
  assert_int_equal(cudaMemsetAsync(device, 0, COUNT * sizeof *device, one), cudaSuccess);
  assert_int_equal(cudaStreamBeginCapture(one, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  assert_int_equal(cudaMemsetAsync(device, 0x40, 4, one), cudaSuccess);
  assert_int_equal(cudaStreamEndCapture(one, &graph), cudaSuccess);
  assert_true(first_value(one) == 0);
  assert_int_equal(cudaGraphInstantiate(&runnable, graph, 0), cudaSuccess);
  assert_int_equal(cudaGraphDestroy(graph), cudaSuccess);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(cudaMemsetAsync(device, 0, 4, one), cudaSuccess);
    assert_int_equal(cudaGraphLaunch(runnable, one), cudaSuccess);
    assert_true(first_value(one) > 3);
  }
  assert_int_equal(cudaGraphLaunch(runnable, one), cudaSuccess);
  int before = imitation_misuses();
  assert_int_equal(cudaGraphExecDestroy(runnable), cudaSuccess); /* while it still has to run */
  assert_int_equal(imitation_misuses(), before + 1);
}

/* Two streams in one capture: `other` joins at a fork and comes back. With the wait for it left
 * out, the capture cannot end; with the wait before its work, the work may come too late. */
static void a_capture_may_branch(void **state) {
  (void)state;
  for (int is_late = 0; is_late < 2; is_late++) {
    cudaGraph_t graph;
    cudaGraphExec_t runnable;
    cudaEvent_t fork_, join;
    setenv("FLIP_IMITATION_ORDER", is_late ? "lazy" : "eager", 1);
    assert_int_equal(cudaEventCreate(&fork_), cudaSuccess);
    assert_int_equal(cudaEventCreate(&join), cudaSuccess);
    assert_int_equal(cudaStreamBeginCapture(one, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    assert_int_equal(cudaMemsetAsync(device, 0x40, 4, one), cudaSuccess);
    assert_int_equal(cudaEventRecord(fork_, one), cudaSuccess);
    assert_int_equal(cudaStreamWaitEvent(other, fork_, 0), cudaSuccess);
    assert_int_equal(cudaMemcpyAsync(device + 1, device, 4, cudaMemcpyDeviceToDevice, other),
                     cudaSuccess);
    assert_int_equal(cudaEventRecord(join, other), cudaSuccess);
    assert_int_equal(cudaStreamWaitEvent(one, join, 0), cudaSuccess);
    assert_int_equal(cudaMemcpyAsync(device, device + 1, 4, cudaMemcpyDeviceToDevice, one),
                     cudaSuccess);
    assert_int_equal(cudaStreamEndCapture(one, &graph), cudaSuccess);
    assert_int_equal(cudaGraphInstantiate(&runnable, graph, 0), cudaSuccess);
    for (int i = 0; i < 2; i++) {
      assert_int_equal(cudaMemsetAsync(device, 0, 8, one), cudaSuccess);
      assert_int_equal(cudaGraphLaunch(runnable, one), cudaSuccess);
      assert_true(first_value(one) > 3);
    }
    assert_int_equal(cudaGraphDestroy(graph), cudaSuccess);
    assert_int_equal(cudaGraphExecDestroy(runnable), cudaSuccess);
    assert_int_equal(cudaEventDestroy(fork_), cudaSuccess);
    assert_int_equal(cudaEventDestroy(join), cudaSuccess);
  }
  setenv("FLIP_IMITATION_ORDER", "lazy", 1);
}

static void a_branch_that_does_not_come_back_spoils_a_capture(void **state) {
  (void)state;
  cudaGraph_t graph;
  cudaEvent_t fork_;
  assert_int_equal(cudaEventCreate(&fork_), cudaSuccess);
  assert_int_equal(cudaStreamBeginCapture(one, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  assert_int_equal(cudaEventRecord(fork_, one), cudaSuccess);
  assert_int_equal(cudaStreamWaitEvent(other, fork_, 0), cudaSuccess);
  assert_int_equal(cudaMemsetAsync(device, 0, 4, other), cudaSuccess);
  assert_caught(cudaStreamEndCapture(one, &graph), cudaErrorStreamCaptureUnjoined);
  assert_null(graph);
  assert_int_equal(cudaMemsetAsync(device, 0, 4, other), cudaSuccess); /* it is free again */
  assert_int_equal(cudaEventDestroy(fork_), cudaSuccess);
}

/* One call that a capture forbids, by number; -1 when there is none of that number. */
static int forbidden(int number, cudaEvent_t event) {
  static const float pageable[COUNT];
  void *block;
  switch (number) {
  case 0:
    return cudaMalloc(&block, 16);
  case 1:
    return cudaFree(device);
  case 2:
    return cudaStreamSynchronize(one);
  case 3:
    return cudaStreamQuery(one);
  case 4:
    return cudaEventSynchronize(event);
  case 5:
    return cudaStreamBeginCapture(one, cudaStreamCaptureModeThreadLocal);
  case 6:
    return cudaMemcpyAsync(device, pageable, 4, cudaMemcpyHostToDevice, one);
  case 7:
    return cudaStreamSynchronize(other);
  case 8:
    return cudaStreamWaitEvent(one, event, 0); /* recorded outside */
  default:
    return -1;
  }
}

static void what_a_capture_forbids_spoils_it(void **state) {
  (void)state;
  cudaEvent_t event;
  cudaGraph_t graph;
  assert_int_equal(cudaEventCreate(&event), cudaSuccess);
  assert_int_equal(cudaEventRecord(event, other), cudaSuccess);
  for (int i = 0;; i++) {
    assert_int_equal(cudaStreamBeginCapture(one, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    int before = imitation_misuses(), code = forbidden(i, event);
    if (code < 0) break;
    assert_int_not_equal(code, cudaSuccess);
    assert_int_equal(imitation_misuses(), before + 1);
    assert_int_equal(cudaMemsetAsync(device, 0, 4, one), cudaErrorStreamCaptureInvalidated);
    assert_int_equal(cudaStreamEndCapture(one, &graph), cudaErrorStreamCaptureInvalidated);
    assert_null(graph);
  }
  assert_int_equal(cudaStreamEndCapture(one, &graph), cudaSuccess);
  assert_int_equal(cudaGraphDestroy(graph), cudaSuccess);
  assert_caught(cudaStreamEndCapture(one, &graph), cudaErrorIllegalState);
  assert_int_equal(cudaEventDestroy(event), cudaSuccess);
}

static void copies_beyond_a_block_are_reported(void **state) {
  (void)state;
  float values[2 * COUNT] = {0};
  assert_caught(cudaMemcpyAsync(device, values, sizeof values, cudaMemcpyHostToDevice, one),
                cudaErrorInvalidValue);
  assert_caught(cudaMemcpyAsync(values, values, 4, cudaMemcpyHostToDevice, one),
                cudaErrorInvalidValue);
  assert_caught(cudaMemsetAsync(values, 0, 4, one), cudaErrorInvalidValue);
}

/* One call that fails on a broken context, by number; -1 when there is none of that number. */
static int on_a_broken_context(int number, cudaEvent_t event) {
  static float pageable[COUNT];
  static cudaStream_t stream;
  static cudaEvent_t another;
  void *block;
  size_t available, total;
  switch (number) {
  case 0:
    return cudaMemsetAsync(device, 0, 4, one);
  case 1:
    return cudaMemcpyAsync(pageable, device, 4, cudaMemcpyDeviceToHost, other);
  case 2:
    return cudaStreamSynchronize(other);
  case 3:
    return cudaStreamQuery(other);
  case 4:
    return cudaEventSynchronize(event); /* recorded and waited for before */
  case 5:
    return cudaEventRecord(event, other);
  case 6:
    return cudaStreamWaitEvent(other, event, 0);
  case 7:
    return cudaEventCreate(&another);
  case 8:
    return cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  case 9:
    return cudaMalloc(&block, 16);
  case 10:
    return cudaMemGetInfo(&available, &total);
  case 11:
    return cudaHostRegister(pageable, sizeof pageable, cudaHostRegisterDefault);
  case 12:
    return cudaStreamBeginCapture(other, cudaStreamCaptureModeThreadLocal);
  case 13:
    return cudaDeviceSynchronize();
  case 14:
    return cudaEventDestroy(event);
  case 15:
    return cudaFree(device);
  default:
    return -1;
  }
}

static void a_broken_context_fails_every_later_call(void **state) {
  (void)state;
  pid_t child = fork(); /* its context is broken afterwards */
  if (child == 0) {
    cudaEvent_t event;
    int wrong = cudaEventCreate(&event) || cudaEventRecord(event, other) ||
                cudaEventSynchronize(event) || cudaMemsetAsync(device, 0, 4, one);
    setenv("FLIP_IMITATION_BREAK", "cudaMemsetAsync:1", 1);
    for (int i = 0, code; (code = on_a_broken_context(i, event)) >= 0; i++)
      wrong += code != cudaErrorIllegalAddress || cudaGetLastError() != cudaErrorIllegalAddress ||
               cudaGetLastError() != cudaErrorIllegalAddress;
    _exit(wrong);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}

#ifndef __SANITIZE_ADDRESS__ /* which watches memory from malloc in its own way */
static void the_host_cannot_touch_device_memory(void **state) {
  (void)state;
  pid_t child = fork();
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL); /* cmocka's would report it and continue */
    *(volatile float *)device = 1;
    _exit(0);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static void a_write_beyond_a_block_is_reported_when_it_is_freed(void **state) {
  (void)state;
  char *block;
  assert_int_equal(cudaMalloc((void **)&block, 100), cudaSuccess);
  memory_open();
  block[100] = 1;
  memory_close();
  int before = imitation_misuses();
  assert_int_equal(cudaFree(block), cudaSuccess);
  assert_int_equal(imitation_misuses(), before + 1);
}
#endif

int main(void) {
  setenv("FLIP_IMITATION_ORDER", "lazy", 1);
  setenv("FLIP_IMITATION_MEMORY", "16", 1);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(a_wait_left_out_shows_as_wrong_numbers),
      TEST(pinned_memory_is_read_when_the_copy_runs_pageable_at_the_call),
      TEST(a_capture_is_kept_and_replayed),
      TEST(a_capture_may_branch),
      TEST(a_branch_that_does_not_come_back_spoils_a_capture),
      TEST(what_a_capture_forbids_spoils_it),
      TEST(copies_beyond_a_block_are_reported),
      TEST(a_broken_context_fails_every_later_call),
#ifndef __SANITIZE_ADDRESS__
      TEST(the_host_cannot_touch_device_memory),
      TEST(a_write_beyond_a_block_is_reported_when_it_is_freed),
#endif
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
