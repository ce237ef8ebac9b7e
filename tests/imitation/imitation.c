#include "imitation/dnn.h"
#include "imitation/imitation.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
  FILE *trace;
  bool is_started;
  pthread_t thread;
  int misuses, failing, breaking; /* calls so far of the name that is to fail, or to break */
} imitation;

static void start(void) {
  const char *path = getenv("FLIP_IMITATION_TRACE");
  imitation.is_started = true;
  imitation.thread = pthread_self();
  if (path && *path) imitation.trace = fopen(path, "ae");
}

/* This is the call that `variable` names: "cudaMalloc:3". */
static bool is_wished(const char *variable, const char *call, int *calls) {
  const char *wish = getenv(variable);
  size_t length = strlen(call);
  if (!wish || strncmp(wish, call, length) != 0 || wish[length] != ':') return false;
  return ++*calls == atoi(wish + length + 1);
}

void imitation_enter(const char *call) {
  if (!imitation.is_started) start();
  if (!pthread_equal(imitation.thread, pthread_self()))
    imitation_misuse("%s from a second thread, which is not imitated", call);
  if (imitation.trace) fprintf(imitation.trace, "%s\n", call);
  if (is_wished("FLIP_IMITATION_BREAK", call, &imitation.breaking))
    stream_break(cudaErrorIllegalAddress);
}

bool imitation_enter_or_fail(const char *call) {
  imitation_enter(call);
  return is_wished("FLIP_IMITATION_FAIL", call, &imitation.failing);
}

bool imitation_enter_from_any_thread(const char *call) {
  if (imitation.is_started && !pthread_equal(imitation.thread, pthread_self())) return false;
  return imitation_enter_or_fail(call);
}

void imitation_misuse(const char *format, ...) {
  va_list list;
  char text[512];
  va_start(list, format);
  vsnprintf(text, sizeof text, format, list);
  va_end(list);
  fprintf(stderr, "imitation: %s\n", text);
  imitation.misuses++;
}

int imitation_misuses(void) {
  return imitation.misuses;
}

bool imitation_has_word(const char *variable, const char *word) {
  const char *at = getenv(variable);
  size_t length = strlen(word);
  while (at && *at) {
    size_t span = strcspn(at, ",");
    if (span == length && strncmp(at, word, span) == 0) return true;
    at += span + (at[span] == ',');
  }
  return false;
}

void imitation_version(const char *variable, int *major, int *minor) {
  const char *text = getenv(variable);
  if (!text) return;
  *major = *minor = 0; /* "none" stays that */
  (void)sscanf(text, "%d.%d", major, minor);
}

int64_t imitation_number(const char *variable, int64_t fallback) {
  const char *text = getenv(variable);
  return text && *text ? strtoll(text, NULL, 10) : fallback;
}

/* Where NCCL is imitated too, nccl.c counts. */
__attribute__((weak)) size_t nccl_live_objects(void) {
  return 0;
}

/* A backend that gave its libraries back must have given back all: else the process ended with it
 * open, by an error or a signal, and nothing can be said. */
__attribute__((destructor)) static void look_for_leaks(void) {
  if (blas_live_objects() + dnn_live_objects() + nccl_live_objects() == 0) {
    if (memory_blocks() > 0)
      imitation_misuse("%zu blocks of device memory leaked", memory_blocks());
    if (stream_live_objects() > 0)
      imitation_misuse("%zu streams, events or graphs leaked", stream_live_objects());
    if (runtime_pinned() > 0)
      imitation_misuse("%zu ranges of host memory are still registered", runtime_pinned());
  }
  if (imitation.trace) fclose(imitation.trace);
  imitation.trace = NULL;
}
