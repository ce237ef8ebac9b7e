#include "eval/share.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

static const size_t most_round_bytes = (size_t)64 << 20; /* of all ranks, at once */

static int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

comm_slice share_of(int64_t rows, int64_t batch, int size, int rank) {
  int64_t batches = (rows + batch - 1) / batch;
  int64_t first = least(batches * rank / size * batch, rows);
  int64_t end = least(batches * (rank + 1) / size * batch, rows);
  return (comm_slice){first, end - first};
}

/* Rows [at, at + most) of every rank's part. */
static err gather_round(comm *ranks, const comm_slice *parts, int64_t at, int64_t most,
                        size_t row_bytes, char *all, char *round) {
  const comm_slice own = parts[ranks->rank];
  size_t stride = (size_t)most * row_bytes;
  char *mine = round + (size_t)ranks->size * stride;
  int64_t count = least(own.count - at, most);
  if (count > 0)
    memcpy(mine, all + (size_t)(own.first + at) * row_bytes, (size_t)count * row_bytes);
  err error = ranks->call->gather_bytes(ranks, mine, stride, round);
  for (int r = 0; r < ranks->size && !error; r++) {
    count = least(parts[r].count - at, most);
    if (count > 0)
      memcpy(all + (size_t)(parts[r].first + at) * row_bytes, round + (size_t)r * stride,
             (size_t)count * row_bytes);
  }
  return error;
}

err share_agree(comm *ranks, err own) {
  return ranks ? comm_agree(ranks, own) : own;
}

err share_same(comm *ranks, err own, const char *digest, const char *what) {
  enum { SHOWN = 12 };
  if (!ranks) return own;
  char mine[HASH_SIZE] = "", (*all)[HASH_SIZE] = mem_zeroed((size_t)ranks->size, HASH_SIZE);
  if (!own && !all) own = mem_error((size_t)ranks->size * HASH_SIZE, "messages of the ranks");
  if (!own) memcpy(mine, digest, HASH_SIZE);
  err error = comm_agree(ranks, own);
  if (!error) error = ranks->call->gather_bytes(ranks, mine, HASH_SIZE, all);
  for (int r = 1; r < ranks->size && !error; r++)
    if (strcmp(all[r], all[0]) != 0)
      error = err_new(ERR_INPUT, "rank %d has %s than rank 0 (fingerprint %.*s, rank 0: %.*s)", r,
                      what, SHOWN, all[r], SHOWN, all[0]);
  free(all);
  return error;
}

err share_gather(comm *ranks, err own, int64_t rows, int64_t batch, size_t row_bytes, void *all) {
  if (!ranks) return own;
  size_t size = (size_t)ranks->size;
  int64_t longest = 0, most = (int64_t)(most_round_bytes / size / row_bytes);
  comm_slice *parts = mem_zeroed(size, sizeof *parts);
  for (int r = 0; r < ranks->size && parts; r++) {
    parts[r] = share_of(rows, batch, ranks->size, r);
    if (parts[r].count > longest) longest = parts[r].count;
  }
  if (most > longest) most = longest;
  if (most < 1) most = 1;
  size_t bytes = (size + 1) * (size_t)most * row_bytes;
  char *round = mem_zeroed(1, bytes);
  if (!own && (!round || !parts)) own = mem_error(bytes, "shares of an evaluation");
  err error = comm_agree(ranks, own);
  for (int64_t at = 0; at < longest && !error; at += most)
    error = gather_round(ranks, parts, at, most, row_bytes, all, round);
  free(round);
  free(parts);
  return error;
}

/* all [size, most]: every rank's text, ended by zeros. */
static err gather_texts(comm *ranks, const strbuf *own, size_t most, char *all, char *mine) {
  err error = all && mine && !own->is_broken ? NULL : mem_error(most, "messages of the ranks");
  if (!error) memcpy(mine, strbuf_string(own), own->length);
  error = comm_agree(ranks, error);
  return error ? error : ranks->call->gather_bytes(ranks, mine, most, all);
}

err share_lines(comm *ranks, strbuf *lines) {
  if (!ranks) return NULL;
  size_t size = (size_t)ranks->size, most = 0;
  size_t *lengths = mem_zeroed(size, sizeof *lengths);
  err error = comm_agree(ranks, lengths ? NULL : mem_error(size * sizeof *lengths, "messages"));
  if (!error)
    error = ranks->call->gather_bytes(ranks, &lines->length, sizeof lines->length, lengths);
  for (size_t r = 0; r < size && !error; r++)
    if (lengths[r] > most) most = lengths[r];
  free(lengths);
  if (error || !most) return error;
  char *all = mem_zeroed(size, most + 1), *mine = mem_zeroed(1, most + 1);
  error = gather_texts(ranks, lines, most + 1, all, mine);
  if (!error) strbuf_clear(lines);
  for (size_t r = 0; r < size && !error; r++) strbuf_append(lines, all + r * (most + 1));
  free(all);
  free(mine);
  return error;
}
