/* One of several ranks that watch each other, started by ranks_by_tcp_keep_apart.sh: rank 0 ends
 * its watch two seconds after the others, after its thread has seen them leave. */
#include <stdio.h>
#include <unistd.h>

#include "comm/comm.h"
#include "comm/open.h"
#include "comm/watch.h"

int main(void) {
  enum { LATER_SECONDS = 2 };
  comm *ranks = NULL;
  watch *lives = NULL;
  err error = comm_open(&ranks);
  if (!error) error = watch_start(ranks, &lives);
  if (error) {
    fprintf(stderr, "%s\n", err_message(error));
    return 1;
  }
  if (comm_rank(ranks) == 0) sleep(LATER_SECONDS);
  watch_stop(lives);
  comm_close(ranks);
  return 0;
}
