/* What the two files of streams share: stream.c has streams, events and their queues, graph.c what
 * a capture makes of them.
 *
 * A stream is a queue. An event that is recorded is a mark in the queue; to wait for the event is
 * to run that queue as far as the mark. A wait names a mark that was put in its queue before the
 * wait was put in its own, so that running one for the other always ends.
 *
 * A capture has a queue for each stream that joined it. A launched graph runs them as streams run:
 * the branches as late as a wait allows, as early, or alternately (FLIP_IMITATION_ORDER). */
#ifndef FLIP_IMITATION_QUEUE_H
#define FLIP_IMITATION_QUEUE_H

#include "imitation/imitation.h"

typedef enum { HANDLE_STREAM, HANDLE_EVENT, HANDLE_GRAPH, HANDLE_RUNNABLE } handle_kind;

/* The beginning of everything that a handle points to. */
typedef struct handle_head {
  struct handle_head *next;
  handle_kind kind;
} handle_head;

typedef struct mark mark;

typedef struct queue_item {
  struct queue_item *next;
  const char *what;
  stream_work run;
  mark *at;     /* in a capture: what is recorded or waited for here; held */
  bool is_wait; /* for `at` */
  double cost;
  size_t bytes;
  _Alignas(16) char data[]; /* CUDA's structs of arguments may hold vectors */
} queue_item;

typedef struct {
  queue_item *first, **end;
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

/* Handles: one list, so that an invalid or destroyed handle is detected. */
void *handle_make(size_t bytes, handle_kind kind);
void handle_unmake(void *handle);
/* False after telling that it is none, or was destroyed. */
bool handle_is_known(const void *handle, handle_kind kind, const char *call);

queue_item *queue_put(queue *q, const char *what, double cost, stream_work run, const void *data,
                      size_t bytes);
void queue_empty(queue *q);
/* After an error nothing runs any more, as on a device. */
cudaError_t queue_run_item(const queue_item *i);
bool queue_is_order(const char *name);
cudaError_t queue_run_nothing(const void *data);

/* A capture is spoilt by a call that it forbids. */
cudaError_t capture_spoil(struct CUstream_st *stream, const char *call, cudaError_t code);
/* graph.c. A mark, or a wait for one, in the capture that `stream` belongs to; to wait for an event
 * of a capture is to join it. */
void capture_put(struct CUstream_st *stream, mark *m, bool is_wait);
cudaError_t capture_wait(struct CUstream_st *stream, mark *m);

#endif
