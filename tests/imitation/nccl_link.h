/* Shared by the two files of NCCL's imitation: nccl.c has its calls, nccl_link.c moves bytes
 * between the processes of the ranks.
 *
 * Ranks are processes; each imitates one GPU. They share a segment of memory named by the unique
 * id, with a channel from every rank to every other. An operation is a list of transfers, run when
 * its stream reaches it, and complete when all its transfers are, like a kernel of NCCL. Every
 * piece carries its operation, so that ranks that call different ones, or with different counts,
 * are detected; NCCL would hang or give wrong numbers. */
#ifndef FLIP_IMITATION_NCCL_LINK_H
#define FLIP_IMITATION_NCCL_LINK_H

#include <nccl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What must be equal on all ranks. */
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

/* Joins the segment with the id's name; false: no shared memory. bus: of this rank's GPU. */
bool link_open(nccl_link *l, const char *id, int size, int rank, const char *bus);
void link_close(nccl_link *l);
/* All ranks have joined (or left). */
bool link_is_complete(const nccl_link *l);
bool link_has_everyone_left(const nccl_link *l);
void link_leave(nccl_link *l);
/* Another rank with the same GPU; -1: none. */
int link_duplicate(const nccl_link *l);
/* Runs all of them; in the order of the list for each peer and direction. False after a mismatch
 * or an abort. */
bool link_run(nccl_link *l, link_transfer *list, int count);

#endif
