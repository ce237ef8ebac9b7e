/* Adds rows to the rows of a table by key: the gradient of an embedding.
 *
 * The row numbers are sorted by key (stable, so that the order within a key is fixed), then each
 * run of equal keys is summed. The runs vary greatly in length: half of all tokens may be padding.
 * So the sorted list is divided into chunks of equal length. A chunk adds every run that starts in
 * it to the table, and no other chunk does; the part of a run that an earlier chunk started goes to
 * a scratch row of the chunk, and a second kernel adds these rows in order.
 *
 * The sort is an 8-bit radix sort, two passes for 16-bit keys. Atomics on the table, the usual way,
 * would be half the code, but add in a different order each time, and serialise on the padding's
 * row. */
#include "cuda/scatter_rows.h"

#include "cuda/kernel.cuh"
#include "cuda/kernels.h"

enum {
  SORT_BLOCK = 256, /* threads; also one per digit */
  SORT_WARPS = SORT_BLOCK / LANES,
  SORT_ROUNDS = 8,
  SORT_TILE = SORT_BLOCK * SORT_ROUNDS, /* items per block */
  DIGITS = 256,
  SCAN_BLOCK = 1024,
  CHUNK = 128, /* sorted rows that a block sums */
  CHUNK_BLOCK = 128
};

typedef struct {
  scatter_rows s;
  const uint32_t *keys_in, *rows_in; /* NULL in the first pass: from ids */
  uint32_t *keys, *rows;             /* [count], sorted by the pass */
  uint32_t *offsets;                 /* [DIGITS, tiles] */
  float *parts;                      /* [chunks, width] */
  int64_t tiles, chunks;
  int shift;
  bool is_vector;
} scatter_arguments;

DEVICE uint32_t key_at(const scatter_arguments *a, int64_t i) {
  if (a->keys_in) return a->keys_in[i];
  int32_t id = a->s.ids[i];
  return (uint32_t)((id < 0 ? ~id : id) + a->s.key_offset);
}

DEVICE uint32_t row_at(const scatter_arguments *a, int64_t i) {
  const scatter_rows *s = &a->s;
  if (a->rows_in) return a->rows_in[i];
  if (s->group == 0) return (uint32_t)i;
  return (uint32_t)(i / s->group * s->group_stride + i % s->group + s->group_first);
}

/* The lanes whose item has this lane's digit; items beyond the end match only each other. */
DEVICE unsigned same_digit(int digit) {
  return __match_any_sync(FULL_WARP, (unsigned)digit);
}

DEVICE int digit_at(const scatter_arguments *a, int64_t i) {
  return i < a->s.count ? (int)(key_at(a, i) >> a->shift & (DIGITS - 1)) : DIGITS;
}

/* Stores how many items each warp has of each digit; thread d then owns digit d. Returns the number
 * of this lane's digit in earlier lanes of its warp. */
DEVICE int count_digits(int *counts, int digit) {
  for (int i = thread_index(); i < SORT_WARPS * DIGITS; i += SORT_BLOCK) counts[i] = 0;
  __syncthreads();
  unsigned same = same_digit(digit), before = same & ((1u << lane_index()) - 1);
  if (before == 0 && digit < DIGITS) counts[warp_index() * DIGITS + digit] = __popc(same);
  __syncthreads();
  return __popc(before);
}

/* Grid: one block per tile. offsets[digit, tile] = items of the tile with this digit. */
KERNEL(sort_counts, scatter_arguments, SORT_BLOCK) {
  SHARED(int, counts, SORT_WARPS *DIGITS);
  int64_t first = (int64_t)blockIdx.x * SORT_TILE;
  int total = 0;
  for (int round = 0; round < SORT_ROUNDS; round++) {
    count_digits(counts, digit_at(&a, first + round * SORT_BLOCK + thread_index()));
    for (int warp = 0; warp < SORT_WARPS; warp++) total += counts[warp * DIGITS + thread_index()];
    __syncthreads();
  }
  a.offsets[thread_index() * a.tiles + blockIdx.x] = (uint32_t)total;
}

/* Grid: one block. Replaces offsets by their exclusive prefix sum. */
KERNEL(sort_scan, scatter_arguments, SCAN_BLOCK) {
  SHARED(int, sums, SCAN_BLOCK / LANES);
  int64_t count = DIGITS * a.tiles, share = (count + SCAN_BLOCK - 1) / SCAN_BLOCK;
  int64_t start = share * thread_index(), end = start + share < count ? start + share : count;
  int own = 0;
  for (int64_t i = start; i < end; i++) own += (int)a.offsets[i];
  int running = own; /* inclusive over the warp */
  for (int distance = 1; distance < LANES; distance *= 2) {
    int other = __shfl_up_sync(FULL_WARP, running, distance);
    if (lane_index() >= distance) running += other;
  }
  if (lane_index() == LANES - 1) sums[warp_index()] = running;
  __syncthreads();
  running -= own;
  for (int warp = 0; warp < warp_index(); warp++) running += sums[warp];
  for (int64_t i = start; i < end; i++) {
    int here = (int)a.offsets[i];
    a.offsets[i] = (uint32_t)running;
    running += here;
  }
}

/* Grid: one block per tile. Each item goes to its digit's offset plus the number of equal digits
 * before it in the tile. */
KERNEL(sort_move, scatter_arguments, SORT_BLOCK) {
  SHARED(int, counts, SORT_WARPS *DIGITS);
  int64_t first = (int64_t)blockIdx.x * SORT_TILE;
  int next = (int)a.offsets[thread_index() * a.tiles + blockIdx.x];
  for (int round = 0; round < SORT_ROUNDS; round++) {
    int64_t i = first + round * SORT_BLOCK + thread_index();
    int digit = digit_at(&a, i), before = count_digits(counts, digit);
    for (int warp = 0; warp < SORT_WARPS; warp++) { /* counts become positions */
      int here = counts[warp * DIGITS + thread_index()];
      counts[warp * DIGITS + thread_index()] = next;
      next += here;
    }
    __syncthreads();
    if (digit < DIGITS) {
      int64_t to = counts[warp_index() * DIGITS + digit] + before;
      a.keys[to] = key_at(&a, i);
      a.rows[to] = row_at(&a, i);
    }
    __syncthreads();
  }
}

DEVICE void add_to_row(float *row, int64_t column, int64_t count, bool is_vector, pack sum) {
  pack there = pack_load(row, OPS_F32, column, count, is_vector);
  UNROLL for (int j = 0; j < PACK; j++) there.v[j] += sum.v[j];
  pack_store(row, OPS_F32, column, count, is_vector, there);
}

/* Grid: [chunks, strips of 1024 columns]; a thread sums eight columns down the chunk. */
DEVICE void chunk_sums_body(scatter_arguments a, const int type) {
  SHARED(uint32_t, keys, CHUNK);
  SHARED(uint32_t, rows, CHUNK);
  int64_t first = (int64_t)blockIdx.x * CHUNK;
  int length = (int)(a.s.count - first < CHUNK ? a.s.count - first : CHUNK);
  for (int i = thread_index(); i < length; i += block_threads()) {
    keys[i] = a.keys[first + i];
    rows[i] = a.rows[first + i];
  }
  __syncthreads();
  int64_t column = ((int64_t)blockIdx.y * block_threads() + thread_index()) * PACK;
  int64_t width = a.s.width, count = width - column;
  if (count <= 0) return;
  bool is_continued = blockIdx.x > 0 && a.keys[first - 1] == keys[0];
  pack sum = {{0}};
  for (int i = 0; i < length; i++) {
    pack x = pack_load(a.s.x.data, type, rows[i] * width + column, count, a.is_vector);
    UNROLL for (int j = 0; j < PACK; j++) sum.v[j] += x.v[j];
    if (i + 1 < length && keys[i + 1] == keys[i]) continue;
    if (is_continued)
      pack_store(a.parts + blockIdx.x * width, OPS_F32, column, count, a.is_vector, sum);
    else
      add_to_row((float *)a.s.table.data + keys[i] * width, column, count, a.is_vector, sum);
    is_continued = false;
    UNROLL for (int j = 0; j < PACK; j++) sum.v[j] = 0;
  }
}
KERNEL_PAIR(chunk_sums, scatter_arguments, CHUNK_BLOCK)

/* Chunk `i` begins with a run that an earlier chunk started. */
DEVICE bool begins_inside(const scatter_arguments *a, int64_t i) {
  return a->keys[i * CHUNK] == a->keys[i * CHUNK - 1];
}

/* Grid: [chunks, strips]. The chunk into which a run first continues adds the run's parts of this
 * and the following chunks. */
KERNEL(add_continued, scatter_arguments, CHUNK_BLOCK) {
  int64_t chunk = blockIdx.x, width = a.s.width;
  if (chunk == 0 || !begins_inside(&a, chunk)) return;
  uint32_t key = a.keys[chunk * CHUNK];
  if (chunk > 1 && begins_inside(&a, chunk - 1) && a.keys[(chunk - 1) * CHUNK] == key) return;
  int64_t column = ((int64_t)blockIdx.y * block_threads() + thread_index()) * PACK;
  int64_t count = width - column;
  if (count <= 0) return;
  pack sum = {{0}};
  for (; chunk < a.chunks && a.keys[chunk * CHUNK] == key; chunk++) {
    pack x = pack_load(a.parts + chunk * width, OPS_F32, column, count, a.is_vector);
    UNROLL for (int j = 0; j < PACK; j++) sum.v[j] += x.v[j];
  }
  add_to_row((float *)a.s.table.data + key * width, column, count, a.is_vector, sum);
}

/* Parts of the scratch, each aligned to 256 bytes. */
static size_t lay_out(scatter_arguments *a, void *scratch) {
  size_t at = 0, list = ((size_t)a->s.count * 4 + 255) / 256 * 256;
  char *base = (char *)scratch;
  uint32_t *lists[4];
  for (int i = 0; i < 4; i++, at += list) lists[i] = (uint32_t *)(base ? base + at : base);
  a->keys_in = lists[0];
  a->rows_in = lists[1];
  a->keys = lists[2];
  a->rows = lists[3];
  a->offsets = (uint32_t *)(base ? base + at : base);
  at += (size_t)(DIGITS * a->tiles) * 4;
  a->parts = (float *)(base ? base + at : base);
  return at + (size_t)(a->chunks * a->s.width) * 4;
}

static int sort_pass(scatter_arguments *a, void *stream) {
  int failed = CUDA_LAUNCH(sort_counts, GRID(a->tiles, 1), SORT_BLOCK, 0, stream, *a);
  if (!failed) failed = CUDA_LAUNCH(sort_scan, GRID(1, 1), SCAN_BLOCK, 0, stream, *a);
  if (!failed) failed = CUDA_LAUNCH(sort_move, GRID(a->tiles, 1), SORT_BLOCK, 0, stream, *a);
  return failed;
}

static void size_up(scatter_arguments *a) {
  a->tiles = divided_up(a->s.count, SORT_TILE);
  a->chunks = divided_up(a->s.count, CHUNK);
}

size_t kernel_scatter_rows_scratch(int64_t count, int64_t width) {
  scatter_arguments a = {.s = {.count = count, .width = width}};
  size_up(&a);
  return lay_out(&a, NULL);
}

int kernel_scatter_rows(const scatter_rows *s, void *scratch, void *stream) {
  scatter_arguments a = {.s = *s};
  if (s->count <= 0) return 0;
  if (s->count >= INT32_MAX) return KERNEL_INVALID;
  size_up(&a);
  lay_out(&a, scratch);
  a.is_vector = is_row_vector(s->width, s->x.data) && is_row_vector(PACK, s->table.data);
  uint32_t *keys = (uint32_t *)a.keys_in, *rows = (uint32_t *)a.rows_in;
  scatter_arguments low = a, high = a;
  low.keys_in = low.rows_in = NULL;
  low.keys = keys;
  low.rows = rows;
  high.shift = 8;
  int failed = sort_pass(&low, stream);
  if (!failed) failed = sort_pass(&high, stream);
  int64_t threads = at_most(divided_up(divided_up(s->width, PACK), LANES) * LANES, CHUNK_BLOCK);
  int64_t strips = divided_up(s->width, threads * PACK);
  if (!failed)
    failed = LAUNCH_PAIR(chunk_sums, s->x.type, GRID(a.chunks, strips), threads, 0, stream, a);
  return failed ? failed
                : CUDA_LAUNCH(add_continued, GRID(a.chunks, strips), threads, 0, stream, a);
}
