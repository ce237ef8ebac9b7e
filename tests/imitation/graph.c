/* Captures and graphs. */
#include "imitation/queue.h"

/* A mark, or a wait for one, in the capture that `stream` belongs to. */
void capture_put(struct CUstream_st *stream, mark *m, bool is_wait) {
  queue_item *i = queue_put(&stream->capture->work[stream->branch], is_wait ? "wait" : "mark", 0,
                            queue_run_nothing, NULL, 0);
  i->at = m;
  i->is_wait = is_wait;
  m->holders++;
}

/* To wait for an event of a capture is to join that capture. */
cudaError_t capture_wait(struct CUstream_st *stream, mark *m) {
  struct CUgraph_st *graph = m->stream->capture;
  if (!graph || (stream->capture && stream->capture != graph)) {
    imitation_misuse("cudaStreamWaitEvent for an event of another capture, or of one that ended");
    return runtime_fail(cudaErrorStreamCaptureIsolation);
  }
  if (!stream->capture) {
    if (graph->branches == MOST_BRANCHES)
      return capture_spoil(m->stream, "a capture over so many streams (not imitated)",
                           cudaErrorStreamCaptureUnsupported);
    stream->capture = graph;
    stream->branch = graph->branches++;
    graph->streams[stream->branch] = stream;
  }
  capture_put(stream, m, true);
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode) {
  if (imitation_enter_or_fail("cudaStreamBeginCapture"))
    return runtime_fail(cudaErrorLaunchFailure);
  if (!handle_is_known(stream, HANDLE_STREAM, "cudaStreamBeginCapture"))
    return runtime_fail(stream ? cudaErrorInvalidResourceHandle
                               : cudaErrorStreamCaptureUnsupported);
  if (stream_context_error()) return runtime_fail(stream_context_error());
  if (mode != cudaStreamCaptureModeThreadLocal && mode != cudaStreamCaptureModeGlobal) {
    imitation_misuse("cudaStreamBeginCapture: only strict captures are imitated");
    return runtime_fail(cudaErrorInvalidValue);
  }
  if (stream->capture)
    return capture_spoil(stream, "cudaStreamBeginCapture", cudaErrorIllegalState);
  stream->capture = handle_make(sizeof *stream->capture, HANDLE_GRAPH);
  stream->capture->streams[0] = stream;
  stream->capture->branches = 1;
  stream->branch = 0;
  return cudaSuccess;
}

/* The first branch waited for the end of every other one. */
static bool is_joined(const struct CUgraph_st *graph) {
  for (int branch = 1; branch < graph->branches; branch++) {
    const queue_item *last = graph->work[branch].first, *i = graph->work[0].first;
    while (last && last->next) last = last->next;
    while (i && !(i->is_wait && last && i->at == last->at)) i = i->next;
    if (!i || last->is_wait) return false;
  }
  return true;
}

static void free_graph(struct CUgraph_st *graph) {
  for (int branch = 0; branch < graph->branches; branch++) queue_empty(&graph->work[branch]);
  handle_unmake(graph);
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
  imitation_enter("cudaStreamEndCapture");
  if (!handle_is_known(stream, HANDLE_STREAM, "cudaStreamEndCapture"))
    return runtime_fail(cudaErrorInvalidResourceHandle);
  if (!graph) return runtime_fail(cudaErrorInvalidValue);
  *graph = NULL;
  if (!stream->capture) {
    imitation_misuse("cudaStreamEndCapture of a stream that is not captured");
    return runtime_fail(cudaErrorIllegalState);
  }
  struct CUgraph_st *captured = stream->capture;
  cudaError_t code = stream_context_error();
  if (!code && (stream->branch != 0 || !is_joined(captured))) {
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
  if (!handle_is_known(graph, HANDLE_GRAPH, "cudaGraphDestroy"))
    return runtime_fail(cudaErrorInvalidValue);
  free_graph(graph);
  return runtime_fail(stream_context_error());
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *runnable, cudaGraph_t graph,
                                 unsigned long long flags) {
  if (imitation_enter_or_fail("cudaGraphInstantiate"))
    return runtime_fail(cudaErrorMemoryAllocation);
  if (!handle_is_known(graph, HANDLE_GRAPH, "cudaGraphInstantiate") || !runnable ||
      (flags & ~(unsigned long long)cudaGraphInstantiateFlagUseNodePriority))
    return runtime_fail(cudaErrorInvalidValue);
  if (stream_context_error()) return runtime_fail(stream_context_error());
  *runnable = handle_make(sizeof **runnable, HANDLE_RUNNABLE);
  (*runnable)->branches = graph->branches;
  for (int branch = 0; branch < graph->branches; branch++)
    for (const queue_item *i = graph->work[branch].first; i; i = i->next) {
      queue_item *copy =
          queue_put(&(*runnable)->work[branch], i->what, i->cost, i->run, i->data, i->bytes);
      copy->at = i->at;
      copy->is_wait = i->is_wait;
      if (i->at) i->at->holders++;
    }
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t runnable) {
  imitation_enter("cudaGraphExecDestroy");
  if (!handle_is_known(runnable, HANDLE_RUNNABLE, "cudaGraphExecDestroy"))
    return runtime_fail(cudaErrorInvalidValue);
  if (runnable->waiting > 0) {
    imitation_misuse("cudaGraphExecDestroy of a graph that still has to run");
    (void)stream_run_all();
  }
  for (int branch = 0; branch < runnable->branches; branch++) queue_empty(&runnable->work[branch]);
  handle_unmake(runnable);
  return runtime_fail(stream_context_error());
}

/* One launch: how far each branch has come. */
typedef struct {
  const queue_item *next[MOST_BRANCHES];
  long number;
} launch;

/* Runs a branch up to a mark, or to its end. */
static cudaError_t run_branch(launch *l, int branch, const mark *until) {
  cudaError_t code = cudaSuccess;
  while (!code && l->next[branch] && !(until && until->launched == l->number)) {
    const queue_item *i = l->next[branch];
    if (i->is_wait && i->at->launched != l->number) {
      code = run_branch(l, i->at->branch, i->at);
      continue; /* this branch may have been run on meanwhile */
    }
    l->next[branch] = i->next;
    if (i->at && !i->is_wait) i->at->launched = l->number;
    code = queue_run_item(i);
  }
  return code;
}

/* Alternates one piece of work of each branch, so that each sees shared memory changed by the
 * other. */
static cudaError_t run_by_turns(launch *l, int branches) {
  cudaError_t code = cudaSuccess;
  for (int idle = 0, branch = 0; idle < branches && !code; branch = (branch + 1) % branches) {
    const queue_item *i = l->next[branch];
    idle++;
    if (!i || (i->is_wait && i->at->launched != l->number)) continue;
    l->next[branch] = i->next;
    if (i->at && !i->is_wait) i->at->launched = l->number;
    code = queue_run_item(i);
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
  if (queue_is_order("turns")) return run_by_turns(&l, runnable->branches);
  for (int i = 0; i < runnable->branches && !code; i++)
    code = run_branch(&l, queue_is_order("eager") ? runnable->branches - 1 - i : i, NULL);
  return code;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t runnable, cudaStream_t stream) {
  imitation_enter("cudaGraphUpload");
  if (!handle_is_known(runnable, HANDLE_RUNNABLE, "cudaGraphUpload"))
    return runtime_fail(cudaErrorInvalidValue);
  return stream_give(stream, "cudaGraphUpload", 0, queue_run_nothing, NULL, 0);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t runnable, cudaStream_t stream) {
  if (imitation_enter_or_fail("cudaGraphLaunch")) return runtime_fail(cudaErrorLaunchFailure);
  if (!handle_is_known(runnable, HANDLE_RUNNABLE, "cudaGraphLaunch"))
    return runtime_fail(cudaErrorInvalidValue);
  if (stream_is_capturing(stream))
    return capture_spoil(stream, "cudaGraphLaunch (as a child graph, not imitated)",
                         cudaErrorStreamCaptureUnsupported);
  runnable->waiting++;
  cudaError_t code =
      stream_give(stream, "cudaGraphLaunch", 0, run_graph, &runnable, sizeof(cudaGraphExec_t));
  if (code) runnable->waiting--;
  return code;
}
