/* Rank monitoring: when a rank dies, hangs or loses its network, all ranks exit within ten seconds,
 * with a message that names it: one, or one of each of two machines if rank 0's is lost. A
 * collective call cannot detect this: it waits.
 *
 * Every rank has a thread that exchanges a heartbeat with rank 0 once a second over a dedicated TCP
 * connection. The process exits after WATCH_SILENCE seconds without a heartbeat, or when the
 * connection breaks. A rank that computes or evaluates for minutes still sends heartbeats: the
 * thread keeps running. A silent process that still exists (stopped, or stuck in a driver) is
 * killed by the other ranks of its machine. One that is alone there ends when it continues, or is
 * ended by its launcher. */
#ifndef FLIP_COMM_WATCH_H
#define FLIP_COMM_WATCH_H

#include "comm/comm.h"

enum { WATCH_SILENCE = 6 };

typedef struct watch watch;

/* Collective. */
err watch_start(comm *c, watch **out) ERR_MUST_CHECK;
/* Processes of the run on this machine, with this one; 1 for NULL. */
int watch_here(const watch *w);
/* Also monitors the comm of buffers: an error that its `check` reports ends all ranks, unless a
 * rank was lost meanwhile. NULL: stops that; call it before the comm is destroyed. */
void watch_also(watch *w, comm *buffers);
/* Ends the processes of all ranks, after this one has reported the reason; does not return. */
_Noreturn void watch_end_all(watch *w, const char *why);
/* Call when this rank has finished. NULL is allowed. */
void watch_stop(watch *w);

#endif
