/* What the two files of NCCL's imitation share: nccl.c has its calls, nccl_link.c moves bytes
 * between the processes of the ranks.
 *
 * Ranks are processes; each imitates one GPU. They share a segment of memory that the unique id
 * names, with a channel from every rank to every other. An operation is a list of transfers, run
 * when its stream comes to it; it goes on when all its transfers are done, as a kernel of NCCL
 * does. Every piece says what operation it belongs to, so that ranks that call different ones, or
 * with different counts, are found out; NCCL would hang or give wrong numbers. */
#ifndef FLIP_IMITATION_NCCL_LINK_H
#define FLIP_IMITATION_NCCL_LINK_H

#include <nccl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What ranks have to agree about. */
typedef struct {
  int32_t kind, type, root_or_op, is_captured;
  int64_t count;
} link_meaning;

typedef struct {
  bool is_send;
  int peer;
  char *at;
  size_t left;
  link_meaning meaning;
} link_transfer;

typedef struct link_segment link_segment;

typedef struct {
  link_segment *shared; /* NULL: one rank alone */
  int rank, size;
  char name[64];
  atomic_bool is_aborted;
  atomic_int failure; /* ncclResult_t, seen by ncclCommGetAsyncError */
} nccl_link;

/* Takes part under the id's name; false: no shared memory. bus: of this rank's GPU. */
bool link_open(nccl_link *l, const char *id, int size, int rank, const char *bus);
void link_close(nccl_link *l);
/* All ranks have come (or left). */
bool link_is_complete(const nccl_link *l);
bool link_has_everyone_left(const nccl_link *l);
void link_leave(nccl_link *l);
/* Another rank that has the same GPU; -1. */
int link_duplicate(const nccl_link *l);
/* Runs all of them; in the order of the list for each peer and direction. False after a mismatch
 * or an abort. */
bool link_run(nccl_link *l, link_transfer *list, int count);

#endif
