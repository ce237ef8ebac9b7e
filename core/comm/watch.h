/* Watching that all ranks live: a rank that dies, hangs or loses its network ends all of them
 * within ten seconds, with one message that names it. A collective call cannot do that: it waits.
 *
 * Every rank has a thread that tells rank 0 once a second that it lives, over a TCP connection of
 * its own, and hears the same from rank 0. What ends the process is silence of WATCH_SILENCE
 * seconds, or a connection that breaks off. A rank that computes or evaluates for minutes is not
 * silent: the thread goes on. */
#ifndef FLIP_COMM_WATCH_H
#define FLIP_COMM_WATCH_H

#include "comm/comm.h"

enum { WATCH_SILENCE = 6 };

typedef struct watch watch;

/* Collective. */
err watch_start(comm *c, watch **out) ERR_MUST_CHECK;
/* Ends the processes of all ranks with this one, which has said why; does not return. */
_Noreturn void watch_end_all(watch *w, const char *why);
/* When this rank has come to its end. NULL is allowed. */
void watch_stop(watch *w);

#endif
