/* Streams, events, captures and graphs.
 *
 * A stream is a queue. An event that is recorded is a mark in the queue; to wait for the event is
 * to run that queue as far as the mark. A wait names a mark that was put in its queue before the
 * wait was put in its own, so that running one for the other always ends.
 *
 * A capture has a queue for each stream that joined it. A launched graph runs them as streams run:
 * the branches as late as a wait allows, as early, or by turns (FLIP_IMITATION_ORDER). */
#include <stdlib.h>
#include <string.h>

#include "imitation/imitation.h"

typedef enum { HANDLE_STREAM, HANDLE_EVENT, HANDLE_GRAPH, HANDLE_RUNNABLE } handle_kind;

/* The beginning of everything that a handle points to. */
typedef struct handle_head {
  struct handle_head *next;
  handle_kind kind;
} handle_head;

typedef struct mark mark;

typedef struct item {
  struct item *next;
  const char *what;
  stream_work run;
  mark *at;     /* in a capture: what is recorded or waited for here; held */
  bool is_wait; /* for `at` */
  double cost;
  size_t bytes;
  _Alignas(16) char data[]; /* CUDA's structs of arguments may hold vectors */
} item;

typedef struct {
  item *first, **end;
} queue;

struct CUstream_st {
  handle_head head;
  queue work;
  struct CUgraph_st *capture; /* NULL: not capturing */
  int branch;                 /* of the capture */
  bool is_spoilt;             /* the capture, by a call that it forbids */
};

/* One recording of an event; the event and waits in queues hold it. */
struct mark {
  int holders;
  bool is_done, is_captured;
  double time; /* of the device, in seconds */
  struct CUstream_st *stream;
  int branch;    /* of the capture it is from */
  long launched; /* the launch that last came to it */
};

struct CUevent_st {
  handle_head head;
  mark *last; /* NULL: never recorded */
  bool has_time;
};

enum { MOST_BRANCHES = 4 };

/* Branch 0 is the stream that began the capture. */
struct CUgraph_st {
  handle_head head;
  queue work[MOST_BRANCHES];
  struct CUstream_st *streams[MOST_BRANCHES];
  int branches;
};

struct CUgraphExec_st {
  handle_head head;
  queue work[MOST_BRANCHES];
  int branches;
  int waiting; /* launches still in a queue */
};

static struct {
  handle_head *all; /* a list of every live object */
  double now;       /* the device's clock, in seconds */
  cudaError_t broken;
} device;

/* Handles: one list, so that a handle that never was, or is no more, is seen. */

static void *make(size_t bytes, handle_kind kind) {
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

static void unmake(void *handle) {
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

static bool known(const void *handle, handle_kind kind, const char *call) {
  static const char *const names[] = {"stream", "event", "graph", "graph that can be launched"};
  if (is_live(handle, kind)) return true;
  if (!handle && kind == HANDLE_STREAM)
    imitation_misuse("%s: the legacy stream is not imitated: name a stream", call);
  else
    imitation_misuse("%s: %p is no %s, or was destroyed", call, handle, names[kind]);
  return false;
}

/* Queues. */

static item *put(queue *q, const char *what, double cost, stream_work run, const void *data,
                 size_t bytes) {
  item *i = malloc(sizeof *i + bytes);
  if (!i) abort();
  *i = (item){.what = what, .run = run, .cost = cost, .bytes = bytes};
  if (bytes > 0) memcpy(i->data, data, bytes);
  if (!q->first) q->end = &q->first;
  *q->end = i;
  q->end = &i->next;
  return i;
}

static void let_go(mark *m) {
  if (m && --m->holders == 0) free(m);
}

static void empty(queue *q) {
  while (q->first) {
    item *i = q->first;
    q->first = i->next;
    let_go(i->at);
    free(i);
  }
}

/* After an error nothing runs any more, as on a device. */
static cudaError_t run_item(const item *i) {
  if (device.broken) return device.broken;
  device.now += i->cost;
  device.broken = i->run(i->data);
  return device.broken;
}

static cudaError_t run_until(struct CUstream_st *stream, const mark *until) {
  if (!stream->work.first) return device.broken;
  memory_open();
  while (stream->work.first && !(until && until->is_done)) {
    item *i = stream->work.first;
    stream->work.first = i->next;
    (void)run_item(i);
    free(i);
  }
  memory_close();
  return device.broken;
}

cudaError_t stream_run_all(void) {
  for (struct CUstream_st *s = next_stream(NULL); s; s = next_stream(&s->head))
    (void)run_until(s, NULL);
  return device.broken;
}

static bool is_order(const char *name) {
  const char *order = getenv("FLIP_IMITATION_ORDER");
  return order && strcmp(order, name) == 0;
}

static bool is_eager(void) {
  return is_order("eager");
}

bool stream_exists(cudaStream_t stream) {
  return is_live(stream, HANDLE_STREAM);
}

bool stream_is_capturing(cudaStream_t stream) {
  return stream_exists(stream) && stream->capture;
}

static cudaError_t spoil(struct CUstream_st *stream, const char *call, cudaError_t code) {
  imitation_misuse("%s is forbidden while a stream is captured", call);
  stream->is_spoilt = true;
  return runtime_fail(code);
}

cudaError_t stream_refuse_in_capture(const char *call) {
  for (struct CUstream_st *s = next_stream(NULL); s; s = next_stream(&s->head))
    if (s->capture) return spoil(s, call, cudaErrorStreamCaptureUnsupported);
  return cudaSuccess;
}

cudaError_t stream_give(cudaStream_t stream, const char *what, double cost, stream_work run,
                        const void *data, size_t bytes) {
  if (!known(stream, HANDLE_STREAM, what)) {
    if (!stream)
      for (struct CUstream_st *s = next_stream(NULL); s; s = next_stream(&s->head))
        if (s->capture) return spoil(s, what, cudaErrorStreamCaptureImplicit);
    return runtime_fail(cudaErrorInvalidResourceHandle);
  }
  if (device.broken) return runtime_fail(device.broken);
  if (stream->is_spoilt) return runtime_fail(cudaErrorStreamCaptureInvalidated);
  put(stream->capture ? &stream->capture->work[stream->branch] : &stream->work, what, cost, run,
      data, bytes);
  if (!stream->capture && is_eager()) (void)run_until(stream, NULL);
  return cudaSuccess;
}

/* Streams. */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned int flags) {
  if (imitation_enter_or_fail("cudaStreamCreateWithFlags"))
    return runtime_fail(cudaErrorMemoryAllocation);
  if (!stream || flags > cudaStreamNonBlocking) return runtime_fail(cudaErrorInvalidValue);
  *stream = make(sizeof **stream, HANDLE_STREAM);
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  imitation_enter("cudaStreamDestroy");
  if (!known(stream, HANDLE_STREAM, "cudaStreamDestroy"))
    return runtime_fail(cudaErrorInvalidResourceHandle);
  if (stream->capture) {
    imitation_misuse("cudaStreamDestroy of a stream that is captured");
    unmake(stream->capture);
  }
  (void)run_until(stream, NULL);
  unmake(stream);
  return cudaSuccess;
}

/* For calls that look at a stream's work. */
static cudaError_t enter_on_stream(cudaStream_t stream, const char *call) {
  imitation_enter(call);
  cudaError_t code = stream_refuse_in_capture(call);
  if (code) return code;
  bool is_known = known(stream, HANDLE_STREAM, call);
  return is_known ? cudaSuccess : runtime_fail(cudaErrorInvalidResourceHandle);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  cudaError_t code = enter_on_stream(stream, "cudaStreamSynchronize");
  if (code) return code;
  return runtime_fail(run_until(stream, NULL));
}

/* Asked, it says truly that work waits; and then does it, as a device would have done meanwhile. */
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  cudaError_t code = enter_on_stream(stream, "cudaStreamQuery");
  if (code) return code;
  bool is_busy = stream->work.first != NULL;
  code = run_until(stream, NULL);
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

static cudaError_t run_nothing(const void *data) {
  (void)data;
  return cudaSuccess;
}

/* A mark, or a wait for one, in the capture that `stream` belongs to. */
static void put_in_capture(struct CUstream_st *stream, mark *m, bool is_wait) {
  item *i = put(&stream->capture->work[stream->branch], is_wait ? "wait" : "mark", 0, run_nothing,
                NULL, 0);
  i->at = m;
  i->is_wait = is_wait;
  m->holders++;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags) {
  const unsigned int legal = cudaEventBlockingSync | cudaEventDisableTiming | cudaEventInterprocess;
  if (imitation_enter_or_fail("cudaEventCreateWithFlags"))
    return runtime_fail(cudaErrorMemoryAllocation);
  if (!event || (flags & ~legal)) return runtime_fail(cudaErrorInvalidValue);
  *event = make(sizeof **event, HANDLE_EVENT);
  (*event)->has_time = !(flags & cudaEventDisableTiming);
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  imitation_enter("cudaEventDestroy");
  if (!known(event, HANDLE_EVENT, "cudaEventDestroy"))
    return runtime_fail(cudaErrorInvalidResourceHandle);
  let_go(event->last);
  unmake(event);
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (imitation_enter_or_fail("cudaEventRecord")) return runtime_fail(cudaErrorLaunchFailure);
  if (!known(event, HANDLE_EVENT, "cudaEventRecord") ||
      !known(stream, HANDLE_STREAM, "cudaEventRecord"))
    return runtime_fail(cudaErrorInvalidResourceHandle);
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
    put_in_capture(stream, m, false);
    return cudaSuccess;
  }
  m->holders++;
  return stream_give(stream, "cudaEventRecord", 0, run_mark, &m, sizeof(mark *));
}

/* To wait for an event of a capture is to join that capture. */
static cudaError_t wait_in_capture(struct CUstream_st *stream, mark *m) {
  struct CUgraph_st *graph = m->stream->capture;
  if (!graph || (stream->capture && stream->capture != graph)) {
    imitation_misuse("cudaStreamWaitEvent for an event of another capture, or of one that ended");
    return runtime_fail(cudaErrorStreamCaptureIsolation);
  }
  if (!stream->capture) {
    if (graph->branches == MOST_BRANCHES)
      return spoil(m->stream, "a capture over so many streams (not imitated)",
                   cudaErrorStreamCaptureUnsupported);
    stream->capture = graph;
    stream->branch = graph->branches++;
    graph->streams[stream->branch] = stream;
  }
  put_in_capture(stream, m, true);
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int flags) {
  imitation_enter("cudaStreamWaitEvent");
  if (!known(event, HANDLE_EVENT, "cudaStreamWaitEvent") ||
      !known(stream, HANDLE_STREAM, "cudaStreamWaitEvent"))
    return runtime_fail(cudaErrorInvalidResourceHandle);
  if (flags != cudaEventWaitDefault) return runtime_fail(cudaErrorInvalidValue);
  mark *m = event->last;
  if (!m) return cudaSuccess; /* an empty set of work */
  if (stream->capture && !m->is_captured)
    return spoil(stream, "cudaStreamWaitEvent for an event from outside",
                 cudaErrorStreamCaptureIsolation);
  if (m->is_captured) return wait_in_capture(stream, m);
  m->holders++;
  return stream_give(stream, "cudaStreamWaitEvent", 0, run_wait, &m, sizeof(mark *));
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  imitation_enter("cudaEventSynchronize");
  if (!known(event, HANDLE_EVENT, "cudaEventSynchronize"))
    return runtime_fail(cudaErrorInvalidResourceHandle);
  mark *m = event->last;
  if (m && m->is_captured) return spoil(m->stream, "cudaEventSynchronize", cudaErrorCapturedEvent);
  cudaError_t code = stream_refuse_in_capture("cudaEventSynchronize");
  if (code || !m || m->is_done) return code;
  return runtime_fail(run_until(m->stream, m));
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t end) {
  imitation_enter("cudaEventElapsedTime");
  if (!known(start, HANDLE_EVENT, "cudaEventElapsedTime") ||
      !known(end, HANDLE_EVENT, "cudaEventElapsedTime"))
    return runtime_fail(cudaErrorInvalidResourceHandle);
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

/* Captures and graphs. */

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode) {
  if (imitation_enter_or_fail("cudaStreamBeginCapture"))
    return runtime_fail(cudaErrorLaunchFailure);
  if (!known(stream, HANDLE_STREAM, "cudaStreamBeginCapture"))
    return runtime_fail(stream ? cudaErrorInvalidResourceHandle
                               : cudaErrorStreamCaptureUnsupported);
  if (mode != cudaStreamCaptureModeThreadLocal && mode != cudaStreamCaptureModeGlobal) {
    imitation_misuse("cudaStreamBeginCapture: only strict captures are imitated");
    return runtime_fail(cudaErrorInvalidValue);
  }
  if (stream->capture) return spoil(stream, "cudaStreamBeginCapture", cudaErrorIllegalState);
  stream->capture = make(sizeof *stream->capture, HANDLE_GRAPH);
  stream->capture->streams[0] = stream;
  stream->capture->branches = 1;
  stream->branch = 0;
  return cudaSuccess;
}

/* The first branch waited for the end of every other one. */
static bool is_joined(const struct CUgraph_st *graph) {
  for (int branch = 1; branch < graph->branches; branch++) {
    const item *last = graph->work[branch].first, *i = graph->work[0].first;
    while (last && last->next) last = last->next;
    while (i && !(i->is_wait && last && i->at == last->at)) i = i->next;
    if (!i || last->is_wait) return false;
  }
  return true;
}

static void free_graph(struct CUgraph_st *graph) {
  for (int branch = 0; branch < graph->branches; branch++) empty(&graph->work[branch]);
  unmake(graph);
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
  imitation_enter("cudaStreamEndCapture");
  if (!known(stream, HANDLE_STREAM, "cudaStreamEndCapture"))
    return runtime_fail(cudaErrorInvalidResourceHandle);
  if (!graph) return runtime_fail(cudaErrorInvalidValue);
  *graph = NULL;
  if (!stream->capture) {
    imitation_misuse("cudaStreamEndCapture of a stream that is not captured");
    return runtime_fail(cudaErrorIllegalState);
  }
  struct CUgraph_st *captured = stream->capture;
  cudaError_t code = cudaSuccess;
  if (stream->branch != 0 || !is_joined(captured)) {
    imitation_misuse("cudaStreamEndCapture: a stream that joined the capture did not come back");
    code = cudaErrorStreamCaptureUnjoined;
  }
  for (int branch = 0; branch < captured->branches; branch++) {
    struct CUstream_st *s = captured->streams[branch];
    if (s->is_spoilt) code = cudaErrorStreamCaptureInvalidated;
    s->capture = NULL;
    s->is_spoilt = false;
  }
  if (code) {
    free_graph(captured);
    return runtime_fail(code);
  }
  *graph = captured;
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  imitation_enter("cudaGraphDestroy");
  if (!known(graph, HANDLE_GRAPH, "cudaGraphDestroy")) return runtime_fail(cudaErrorInvalidValue);
  free_graph(graph);
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *runnable, cudaGraph_t graph,
                                 unsigned long long flags) {
  if (imitation_enter_or_fail("cudaGraphInstantiate"))
    return runtime_fail(cudaErrorMemoryAllocation);
  if (!known(graph, HANDLE_GRAPH, "cudaGraphInstantiate") || !runnable || flags != 0)
    return runtime_fail(cudaErrorInvalidValue);
  *runnable = make(sizeof **runnable, HANDLE_RUNNABLE);
  (*runnable)->branches = graph->branches;
  for (int branch = 0; branch < graph->branches; branch++)
    for (const item *i = graph->work[branch].first; i; i = i->next) {
      item *copy = put(&(*runnable)->work[branch], i->what, i->cost, i->run, i->data, i->bytes);
      copy->at = i->at;
      copy->is_wait = i->is_wait;
      if (i->at) i->at->holders++;
    }
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t runnable) {
  imitation_enter("cudaGraphExecDestroy");
  if (!known(runnable, HANDLE_RUNNABLE, "cudaGraphExecDestroy"))
    return runtime_fail(cudaErrorInvalidValue);
  if (runnable->waiting > 0) {
    imitation_misuse("cudaGraphExecDestroy of a graph that still has to run");
    (void)stream_run_all();
  }
  for (int branch = 0; branch < runnable->branches; branch++) empty(&runnable->work[branch]);
  unmake(runnable);
  return cudaSuccess;
}

/* One launch: how far each branch has come. */
typedef struct {
  const item *next[MOST_BRANCHES];
  long number;
} launch;

/* Runs a branch up to a mark, or to its end. */
static cudaError_t run_branch(launch *l, int branch, const mark *until) {
  cudaError_t code = cudaSuccess;
  while (!code && l->next[branch] && !(until && until->launched == l->number)) {
    const item *i = l->next[branch];
    if (i->is_wait && i->at->launched != l->number) {
      code = run_branch(l, i->at->branch, i->at);
      continue; /* this branch may have been run on meanwhile */
    }
    l->next[branch] = i->next;
    if (i->at && !i->is_wait) i->at->launched = l->number;
    code = run_item(i);
  }
  return code;
}

/* One piece of work of each branch by turns: what two share, each finds changed by the other. */
static cudaError_t run_by_turns(launch *l, int branches) {
  cudaError_t code = cudaSuccess;
  for (int idle = 0, branch = 0; idle < branches && !code; branch = (branch + 1) % branches) {
    const item *i = l->next[branch];
    idle++;
    if (!i || (i->is_wait && i->at->launched != l->number)) continue;
    l->next[branch] = i->next;
    if (i->at && !i->is_wait) i->at->launched = l->number;
    code = run_item(i);
    idle = 0;
  }
  return code;
}

static cudaError_t run_graph(const void *data) {
  static long launches;
  struct CUgraphExec_st *runnable = *(struct CUgraphExec_st *const *)data;
  launch l = {.number = ++launches};
  cudaError_t code = cudaSuccess;
  runnable->waiting--;
  for (int i = 0; i < runnable->branches; i++) l.next[i] = runnable->work[i].first;
  if (is_order("turns")) return run_by_turns(&l, runnable->branches);
  for (int i = 0; i < runnable->branches && !code; i++)
    code = run_branch(&l, is_eager() ? runnable->branches - 1 - i : i, NULL);
  return code;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t runnable, cudaStream_t stream) {
  imitation_enter("cudaGraphUpload");
  if (!known(runnable, HANDLE_RUNNABLE, "cudaGraphUpload"))
    return runtime_fail(cudaErrorInvalidValue);
  return stream_give(stream, "cudaGraphUpload", 0, run_nothing, NULL, 0);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t runnable, cudaStream_t stream) {
  if (imitation_enter_or_fail("cudaGraphLaunch")) return runtime_fail(cudaErrorLaunchFailure);
  if (!known(runnable, HANDLE_RUNNABLE, "cudaGraphLaunch"))
    return runtime_fail(cudaErrorInvalidValue);
  if (stream_is_capturing(stream))
    return spoil(stream, "cudaGraphLaunch (as a child graph, not imitated)",
                 cudaErrorStreamCaptureUnsupported);
  runnable->waiting++;
  cudaError_t code =
      stream_give(stream, "cudaGraphLaunch", 0, run_graph, &runnable, sizeof(cudaGraphExec_t));
  if (code) runnable->waiting--;
  return code;
}
