/* Streams and events. */
#include <stdlib.h>
#include <string.h>

#include "imitation/queue.h"

static struct {
  handle_head *all;   /* a list of every live object */
  double now;         /* the device's clock, in seconds */
  cudaError_t broken; /* as a context: until the process ends */
} device;

cudaError_t stream_context_error(void) {
  return device.broken;
}

void stream_break(cudaError_t code) {
  if (!device.broken) device.broken = code;
}

/* Handles: one list, so that an invalid or destroyed handle is detected. */

void *handle_make(size_t bytes, handle_kind kind) {
  handle_head *head = calloc(1, bytes);
  if (!head) abort();
  *head = (handle_head){device.all, kind};
  device.all = head;
  return head;
}

static bool is_live(const void *handle, handle_kind kind) {
  const handle_head *head = device.all;
  while (head && head != handle) head = head->next;
  return head && head->kind == kind;
}

void handle_unmake(void *handle) {
  handle_head **at = &device.all;
  while (*at != handle) at = &(*at)->next;
  *at = (*at)->next;
  free(handle);
}

/* A stream takes in what another in the list may hold: streams are looked for by this. */
static struct CUstream_st *next_stream(const handle_head *after) {
  const handle_head *head = after ? after->next : device.all;
  while (head && head->kind != HANDLE_STREAM) head = head->next;
  return (struct CUstream_st *)(uintptr_t)head;
}

size_t stream_live_objects(void) {
  size_t count = 0;
  for (const handle_head *head = device.all; head; head = head->next) count++;
  return count;
}

bool handle_is_known(const void *handle, handle_kind kind, const char *call) {
  static const char *const names[] = {"stream", "event", "graph", "graph that can be launched"};
  if (is_live(handle, kind)) return true;
  if (!handle && kind == HANDLE_STREAM)
    imitation_misuse("%s: the legacy stream is not imitated: name a stream", call);
  else
    imitation_misuse("%s: %p is no %s, or was destroyed", call, handle, names[kind]);
  return false;
}

/* Queues. */

queue_item *queue_put(queue *q, const char *what, double cost, stream_work run, const void *data,
                      size_t bytes) {
  queue_item *i = malloc(sizeof *i + bytes);
  if (!i) abort();
  *i = (queue_item){.what = what, .run = run, .cost = cost, .bytes = bytes};
  if (bytes > 0) memcpy(i->data, data, bytes);
  if (!q->first) q->end = &q->first;
  *q->end = i;
  q->end = &i->next;
  return i;
}

static void let_go(mark *m) {
  if (m && --m->holders == 0) free(m);
}

void queue_empty(queue *q) {
  while (q->first) {
    queue_item *i = q->first;
    q->first = i->next;
    let_go(i->at);
    free(i);
  }
}

/* After an error nothing runs any more, as on a device. */
cudaError_t queue_run_item(const queue_item *i) {
  if (device.broken) return device.broken;
  device.now += i->cost;
  device.broken = i->run(i->data);
  return device.broken;
}

static void run_first(struct CUstream_st *stream) {
  queue_item *i = stream->work.first;
  stream->work.first = i->next;
  (void)queue_run_item(i);
  free(i);
}

static cudaError_t run_until(struct CUstream_st *stream, const mark *until) {
  if (!stream->work.first) return device.broken;
  memory_open();
  while (stream->work.first && !(until && until->is_done)) run_first(stream);
  memory_close();
  return device.broken;
}

cudaError_t stream_run_all(void) {
  for (struct CUstream_st *s = next_stream(NULL); s; s = next_stream(&s->head))
    (void)run_until(s, NULL);
  return device.broken;
}

bool queue_is_order(const char *name) {
  const char *order = getenv("FLIP_IMITATION_ORDER");
  return order && strcmp(order, name) == 0;
}

bool stream_graphs_hold(const char *what) {
  for (handle_head *head = device.all; head; head = head->next) {
    if (head->kind != HANDLE_RUNNABLE) continue;
    const struct CUgraphExec_st *runnable = (const struct CUgraphExec_st *)(void *)head;
    for (int branch = 0; branch < runnable->branches; branch++)
      for (const queue_item *i = runnable->work[branch].first; i; i = i->next)
        if (i->what == what) return true;
  }
  return false;
}

bool stream_exists(cudaStream_t stream) {
  return is_live(stream, HANDLE_STREAM);
}

bool stream_is_capturing(cudaStream_t stream) {
  return stream_exists(stream) && stream->capture;
}

cudaError_t capture_spoil(struct CUstream_st *stream, const char *call, cudaError_t code) {
  imitation_misuse("%s is forbidden while a stream is captured", call);
  stream->is_spoilt = true;
  return runtime_fail(code);
}

cudaError_t stream_refuse_in_capture(const char *call) {
  for (struct CUstream_st *s = next_stream(NULL); s; s = next_stream(&s->head))
    if (s->capture) return capture_spoil(s, call, cudaErrorStreamCaptureUnsupported);
  return cudaSuccess;
}

cudaError_t stream_give(cudaStream_t stream, const char *what, double cost, stream_work run,
                        const void *data, size_t bytes) {
  if (!handle_is_known(stream, HANDLE_STREAM, what)) {
    if (!stream)
      for (struct CUstream_st *s = next_stream(NULL); s; s = next_stream(&s->head))
        if (s->capture) return capture_spoil(s, what, cudaErrorStreamCaptureImplicit);
    return runtime_fail(cudaErrorInvalidResourceHandle);
  }
  if (device.broken) return runtime_fail(device.broken);
  if (stream->is_spoilt) return runtime_fail(cudaErrorStreamCaptureInvalidated);
  queue_put(stream->capture ? &stream->capture->work[stream->branch] : &stream->work, what, cost,
            run, data, bytes);
  if (!stream->capture && queue_is_order("eager")) (void)run_until(stream, NULL);
  return cudaSuccess;
}

/* Streams. */

static cudaError_t create_stream(cudaStream_t *stream, unsigned int flags, const char *call) {
  if (imitation_enter_or_fail(call)) return runtime_fail(cudaErrorMemoryAllocation);
  if (device.broken) return runtime_fail(device.broken);
  if (!stream || flags > cudaStreamNonBlocking) return runtime_fail(cudaErrorInvalidValue);
  *stream = handle_make(sizeof **stream, HANDLE_STREAM);
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned int flags) {
  return create_stream(stream, flags, "cudaStreamCreateWithFlags");
}

/* Priorities change nothing here; those beyond the range are taken as its ends. */
cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned int flags, int priority) {
  (void)priority;
  return create_stream(stream, flags, "cudaStreamCreateWithPriority");
}

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest) {
  imitation_enter("cudaDeviceGetStreamPriorityRange");
  *least = 0;
  *greatest = -5;
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  imitation_enter("cudaStreamDestroy");
  if (!handle_is_known(stream, HANDLE_STREAM, "cudaStreamDestroy"))
    return runtime_fail(cudaErrorInvalidResourceHandle);
  if (stream->capture) {
    imitation_misuse("cudaStreamDestroy of a stream that is captured");
    handle_unmake(stream->capture);
  }
  (void)run_until(stream, NULL);
  handle_unmake(stream);
  return runtime_fail(device.broken);
}

/* For calls that look at a stream's work. */
static cudaError_t enter_on_stream(cudaStream_t stream, const char *call) {
  imitation_enter(call);
  cudaError_t code = stream_refuse_in_capture(call);
  if (code) return code;
  bool is_known = handle_is_known(stream, HANDLE_STREAM, call);
  return is_known ? cudaSuccess : runtime_fail(cudaErrorInvalidResourceHandle);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  cudaError_t code = enter_on_stream(stream, "cudaStreamSynchronize");
  if (code) return code;
  return runtime_fail(run_until(stream, NULL));
}

cudaError_t cudaDeviceSynchronize(void) {
  imitation_enter("cudaDeviceSynchronize");
  cudaError_t code = stream_refuse_in_capture("cudaDeviceSynchronize");
  return code ? code : runtime_fail(stream_run_all());
}

static bool has_peers;

void stream_has_peers(void) {
  has_peers = true;
}

/* Asked, it says truly that work waits, and does the first piece of it: who asks again and again
 * sees its end, and who asks once has not waited. With other ranks it does all, as a device would
 * have done meanwhile: they may need it while this process waits for one of them. */
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  cudaError_t code = enter_on_stream(stream, "cudaStreamQuery");
  if (code) return code;
  bool is_busy = stream->work.first != NULL;
  if (is_busy) {
    memory_open();
    run_first(stream);
    memory_close();
  }
  code = has_peers ? run_until(stream, NULL) : device.broken;
  return runtime_fail(code ? code : is_busy ? cudaErrorNotReady : cudaSuccess);
}

/* Events. */

static cudaError_t run_mark(const void *data) {
  mark *m = *(mark *const *)data;
  m->is_done = true;
  m->time = device.now;
  let_go(m);
  return cudaSuccess;
}

static cudaError_t run_wait(const void *data) {
  mark *m = *(mark *const *)data;
  cudaError_t code = m->is_done ? cudaSuccess : run_until(m->stream, m);
  let_go(m);
  return code;
}

cudaError_t queue_run_nothing(const void *data) {
  (void)data;
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags) {
  const unsigned int legal = cudaEventBlockingSync | cudaEventDisableTiming | cudaEventInterprocess;
  if (imitation_enter_or_fail("cudaEventCreateWithFlags"))
    return runtime_fail(cudaErrorMemoryAllocation);
  if (device.broken) return runtime_fail(device.broken);
  if (!event || (flags & ~legal)) return runtime_fail(cudaErrorInvalidValue);
  *event = handle_make(sizeof **event, HANDLE_EVENT);
  (*event)->has_time = !(flags & cudaEventDisableTiming);
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  imitation_enter("cudaEventDestroy");
  if (!handle_is_known(event, HANDLE_EVENT, "cudaEventDestroy"))
    return runtime_fail(cudaErrorInvalidResourceHandle);
  let_go(event->last);
  handle_unmake(event);
  return runtime_fail(device.broken);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (imitation_enter_or_fail("cudaEventRecord")) return runtime_fail(cudaErrorLaunchFailure);
  if (!handle_is_known(event, HANDLE_EVENT, "cudaEventRecord") ||
      !handle_is_known(stream, HANDLE_STREAM, "cudaEventRecord"))
    return runtime_fail(cudaErrorInvalidResourceHandle);
  if (device.broken) return runtime_fail(device.broken);
  if (stream->is_spoilt) return runtime_fail(cudaErrorStreamCaptureInvalidated);
  mark *m = calloc(1, sizeof *m);
  if (!m) abort();
  *m = (mark){.holders = 1,
              .stream = stream,
              .is_captured = stream->capture != NULL,
              .branch = stream->branch};
  let_go(event->last);
  event->last = m;
  if (m->is_captured) {
    capture_put(stream, m, false);
    return cudaSuccess;
  }
  m->holders++;
  return stream_give(stream, "cudaEventRecord", 0, run_mark, &m, sizeof(mark *));
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int flags) {
  imitation_enter("cudaStreamWaitEvent");
  if (!handle_is_known(event, HANDLE_EVENT, "cudaStreamWaitEvent") ||
      !handle_is_known(stream, HANDLE_STREAM, "cudaStreamWaitEvent"))
    return runtime_fail(cudaErrorInvalidResourceHandle);
  if (device.broken) return runtime_fail(device.broken);
  if (flags != cudaEventWaitDefault) return runtime_fail(cudaErrorInvalidValue);
  mark *m = event->last;
  if (!m) return cudaSuccess; /* an empty set of work */
  if (stream->capture && !m->is_captured)
    return capture_spoil(stream, "cudaStreamWaitEvent for an event from outside",
                         cudaErrorStreamCaptureIsolation);
  if (m->is_captured) return capture_wait(stream, m);
  m->holders++;
  return stream_give(stream, "cudaStreamWaitEvent", 0, run_wait, &m, sizeof(mark *));
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  imitation_enter("cudaEventSynchronize");
  if (!handle_is_known(event, HANDLE_EVENT, "cudaEventSynchronize"))
    return runtime_fail(cudaErrorInvalidResourceHandle);
  mark *m = event->last;
  if (m && m->is_captured)
    return capture_spoil(m->stream, "cudaEventSynchronize", cudaErrorCapturedEvent);
  cudaError_t code = stream_refuse_in_capture("cudaEventSynchronize");
  if (!code) code = runtime_fail(device.broken);
  if (code || !m || m->is_done) return code;
  return runtime_fail(run_until(m->stream, m));
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t end) {
  imitation_enter("cudaEventElapsedTime");
  if (!handle_is_known(start, HANDLE_EVENT, "cudaEventElapsedTime") ||
      !handle_is_known(end, HANDLE_EVENT, "cudaEventElapsedTime"))
    return runtime_fail(cudaErrorInvalidResourceHandle);
  if (device.broken) return runtime_fail(device.broken);
  const mark *from = start->last, *to = end->last;
  if (!from || !to || !start->has_time || !end->has_time) {
    imitation_misuse("cudaEventElapsedTime of an event that was not recorded or keeps no time");
    return runtime_fail(cudaErrorInvalidResourceHandle);
  }
  if (from->is_captured || to->is_captured) return runtime_fail(cudaErrorCapturedEvent);
  if (!from->is_done || !to->is_done) {
    imitation_misuse("cudaEventElapsedTime before the event was waited for");
    return runtime_fail(cudaErrorNotReady);
  }
  *milliseconds = (float)((to->time - from->time) * 1e3);
  return cudaSuccess;
}
