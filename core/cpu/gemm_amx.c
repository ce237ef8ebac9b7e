/* Matrix products in bf16 on a processor with AMX: c = a op(b) with its epilogue, and aᵀ b, a
 * weight gradient. (Debian's oneDNN 2.6 reaches 28 % of the tiles' rate at the shapes of a small
 * ViT.)
 *
 * Blocks of 32 x 32 of the result stay in four tiles. Each thread packs what it needs of b once per
 * product, into right operands that stay in the second-level cache, while the 32 rows of a that a
 * strip of blocks needs stay in the first. While the tiles work on a block, the vector units add
 * the bias to the block before and round it; not so with an activation, because vector instructions
 * have only one of their two ports while a product of tiles runs.
 *
 * Bound: 16 cycles per product of tiles (16 x 32 by 32 x 16); with an activation, exp. One thread
 * sums each element in one order: the same bits for any number of threads. */
#include "cpu/gemm_amx.h"

#ifdef __AMX_BF16__
#include <omp.h>

#include "cpu/amx.h"
#include "cpu/wide.h"

enum {
  BLOCK = 2 * AMX_SIDE,
  BLOCK_FLOATS = BLOCK * BLOCK,
  PANEL_BYTES = 1 << 20, /* of b, packed */
  FEWEST_ROWS = 256      /* of a weight gradient's operands, packed at once */
};

static int64_t at_most(int64_t value, int64_t most) {
  return value < most ? value : most;
}

/* ---- c = a op(b) ---- */

/* A strip of 32 rows of c, from column `from` to `to`. */
typedef struct {
  const ops_gemm *g;
  amx_left a;
  amx_right b; /* from column `from` on, as deep as g->k */
  int64_t row, from, to;
  float *sums; /* [2, 32, 32] */
} strip;

/* A block whose product is in `sums` and not yet finished, from row `next` on. */
typedef struct {
  const float *sums;
  int64_t column, rows, next;
  bool has_right;
} pending;

/* 32 columns of a row, or 16: bias, activation, rounding. */
AMX_INLINE void finish_row(const ops_gemm *g, const ops_epilogue epilogue,
                           const ops_activation activation, const float *sums, int64_t at,
                           const bool has_right, __m512 bias, __m512 bias_right) {
  const __mmask32 columns = has_right ? ~0u : 0xffff;
  __m512 left = _mm512_add_ps(_mm512_load_ps(sums), bias);
  __m512 right = _mm512_add_ps(_mm512_load_ps(sums + AMX_SIDE), bias_right);
  if (epilogue == OPS_EPILOGUE_ACTIVATION) {
    __m512i rounded = (__m512i)_mm512_cvtne2ps_pbh(right, left);
    _mm512_mask_storeu_epi16((uint16_t *)g->pre.data + at, columns, rounded);
    wide_of_pair(rounded, &left, &right);
    __m512 slope;
    left = wide_activation(activation, true, left, &slope);
    right = wide_activation(activation, true, right, &slope);
  } else if (epilogue == OPS_EPILOGUE_ACTIVATION_GRADIENT) {
    __m512 x, x_right, slope, slope_right;
    wide_of_pair(_mm512_maskz_loadu_epi16(columns, (const uint16_t *)g->pre.data + at), &x,
                 &x_right);
    x = wide_activation(activation, true, x, &slope);
    x_right = wide_activation(activation, true, x_right, &slope_right);
    if (g->activated.data)
      _mm512_mask_storeu_epi16((uint16_t *)g->activated.data + at, columns,
                               (__m512i)_mm512_cvtne2ps_pbh(x_right, x));
    left = _mm512_mul_ps(left, slope);
    right = _mm512_mul_ps(right, slope_right);
  }
  if (g->c.type == OPS_BF16) {
    _mm512_mask_storeu_epi16((uint16_t *)g->c.data + at, columns,
                             (__m512i)_mm512_cvtne2ps_pbh(right, left));
  } else {
    _mm512_storeu_ps(cpu_f32(g->c) + at, left);
    _mm512_mask_storeu_ps(cpu_f32(g->c) + at + AMX_SIDE, (__mmask16)(columns >> AMX_SIDE), right);
  }
}

/* Finishes the next `count` rows. */
AMX_INLINE void finish_rows(const strip *s, const ops_epilogue epilogue,
                            const ops_activation activation, pending *p, int64_t count) {
  const ops_gemm g = *s->g; /* a copy, which stores cannot change */
  const int64_t end = at_most(p->next + count, p->rows);
  if (p->next >= end) return;
  const __m512 zero = _mm512_setzero_ps();
  const float *bias = g.bias.data ? cpu_f32(g.bias) + p->column : NULL;
  const __m512 left = bias ? _mm512_loadu_ps(bias) : zero;
  const __m512 right = bias && p->has_right ? _mm512_loadu_ps(bias + AMX_SIDE) : zero;
  for (int64_t i = p->next; i < end; i++)
    finish_row(&g, epilogue, activation, p->sums + i * BLOCK, (s->row + i) * g.n + p->column,
               p->has_right, left, right);
  p->next = end;
}

/* Fetches part `i` of `parts` of the rows after a strip's into the second-level cache: blocks read
 * 64 bytes of each of 32 rows, which no hardware predicts. */
AMX_INLINE void fetch_next(const strip *s, ops_buffer of, int64_t width, int64_t i, int64_t parts) {
  enum { LINE = 64 };
  const int64_t first = s->row + BLOCK, rows = at_most(s->g->m - first, BLOCK);
  const int64_t row = width * (int64_t)ops_size_of(of.type), bytes = rows * row;
  const char *at = (const char *)of.data + first * row;
  if (rows <= 0) return;
  for (int64_t k = bytes * i / parts; k < bytes * (i + 1) / parts; k += LINE)
    _mm_prefetch(at + k, _MM_HINT_T1);
}

AMX_INLINE void strip_of(const strip *s, const ops_epilogue epilogue,
                         const ops_activation activation) {
  const ops_gemm *g = s->g;
  const int64_t depth = g->k / AMX_DEPTH, rows = at_most(g->m - s->row, BLOCK);
  const int64_t share = (rows + depth - 1) / depth;
  const bool has_lower = rows > AMX_SIDE;
  pending before = {0};
  amx_right b = s->b;
  int which = 0;
  for (int64_t column = s->from; column < s->to; column += BLOCK, b.at += 2 * b.beside) {
    const bool has_right = column + AMX_SIDE < s->to;
    const char *upper = s->a.at, *lower = upper + s->a.down;
    const char *left = b.at, *right = left + b.beside;
    float *sums = s->sums + which * BLOCK_FLOATS;
    const int64_t i = (column - s->from) / BLOCK, parts = (s->to - s->from + BLOCK - 1) / BLOCK;
    fetch_next(s, g->a, g->k, i, parts);
    if (epilogue == OPS_EPILOGUE_ACTIVATION_GRADIENT) fetch_next(s, g->pre, g->n, i, parts);
    amx_zero();
    if (has_lower && has_right)
      for (int64_t k = 0; k < depth; k++) {
        amx_step(upper + k * s->a.right, lower + k * s->a.right, s->a.row, left + k * b.deeper,
                 right + k * b.deeper);
        if (epilogue == OPS_EPILOGUE_NONE) finish_rows(s, epilogue, activation, &before, share);
      }
    else
      amx_block(depth, s->a, b, has_lower, has_right);
    amx_store(sums, BLOCK, has_lower, has_right);
    finish_rows(s, epilogue, activation, &before, BLOCK);
    before = (pending){sums, column, rows, 0, has_right};
    which ^= 1;
  }
  finish_rows(s, epilogue, activation, &before, BLOCK);
}

#define STRIP(name, epilogue, activation)                                                          \
  static __attribute__((noinline)) void strip_##name(const strip *s) {                             \
    strip_of(s, epilogue, activation);                                                             \
  }
STRIP(plain, OPS_EPILOGUE_NONE, OPS_GELU_TANH)
STRIP(gelu, OPS_EPILOGUE_ACTIVATION, OPS_GELU_TANH)
STRIP(erf_gelu, OPS_EPILOGUE_ACTIVATION, OPS_GELU_ERF)
STRIP(quick_gelu, OPS_EPILOGUE_ACTIVATION, OPS_QUICK_GELU)
STRIP(gelu_gradient, OPS_EPILOGUE_ACTIVATION_GRADIENT, OPS_GELU_TANH)
STRIP(erf_gelu_gradient, OPS_EPILOGUE_ACTIVATION_GRADIENT, OPS_GELU_ERF)
STRIP(quick_gelu_gradient, OPS_EPILOGUE_ACTIVATION_GRADIENT, OPS_QUICK_GELU)

static void run_strip(const strip *s) {
  static void (*const forward[])(const strip *) = {[OPS_GELU_TANH] = strip_gelu,
                                                   [OPS_GELU_ERF] = strip_erf_gelu,
                                                   [OPS_QUICK_GELU] = strip_quick_gelu};
  static void (*const backward[])(const strip *) = {[OPS_GELU_TANH] = strip_gelu_gradient,
                                                    [OPS_GELU_ERF] = strip_erf_gelu_gradient,
                                                    [OPS_QUICK_GELU] = strip_quick_gelu_gradient};
  switch (s->g->epilogue) {
  case OPS_EPILOGUE_ACTIVATION:
    forward[s->g->activation](s);
    break;
  case OPS_EPILOGUE_ACTIVATION_GRADIENT:
    backward[s->g->activation](s);
    break;
  default:
    strip_plain(s);
  }
}

/* Rows of a as a left operand: in place, or copied to whole tiles, where rows are missing and where
 * rows at a multiple of 4 KiB would evict each other. */
static amx_left left_of(const ops_gemm *g, int64_t row, uint16_t *copy) {
  enum { PAGE = 4096 };
  const uint16_t *from = (const uint16_t *)g->a.data + row * g->k;
  const int64_t rows = at_most(g->m - row, BLOCK), bytes = g->k * 2;
  if (rows == BLOCK && bytes % PAGE) return amx_left_of_rows(from, g->k);
  char *to = (char *)copy;
  for (int64_t i = 0; i < BLOCK; i++)
    for (int64_t k = 0; k < g->k; k += AMX_DEPTH) {
      char *at = to + k / AMX_DEPTH * 2 * AMX_TILE_BYTES + i * AMX_ROW_BYTES;
      _mm512_store_si512(at, i < rows ? _mm512_loadu_si512(from + i * g->k + k)
                                      : _mm512_setzero_si512());
    }
  return (amx_left){to, AMX_ROW_BYTES, AMX_TILE_BYTES, 2 * AMX_TILE_BYTES};
}

/* The panel of b with the columns from `first` to `end`. */
static void pack_panel(const ops_gemm *g, int64_t first, int64_t end, amx_right panel) {
  const uint16_t *b = g->b.data;
  if (g->transpose_b)
    amx_pack_columns(end - first, g->k, b + first * g->k, g->k, panel);
  else
    amx_pack_rows(g->k, end - first, b + first, g->n, panel);
}

/* A thread's part of c, in blocks: it packs what it needs of b itself, because lines that another
 * core has written take longer than packing them again. */
typedef struct {
  int64_t rows_from, rows_to, columns_from, columns_to;
} share;

/* The part of blocks of rows and columns that a thread has, with `across` threads side by side. */
static share cell_of(int64_t rows, int64_t columns, int64_t thread, int64_t threads,
                     int64_t across) {
  const int64_t down = threads / across, i = thread / across, j = thread % across;
  return (share){rows * i / down, rows * (i + 1) / down, columns * j / across,
                 columns * (j + 1) / across};
}

/* Rows are divided, as by the ops before and after, which then find them in their own caches;
 * columns as well where a panel would otherwise be packed for few rows. */
static share share_of(const ops_gemm *g, int64_t thread, int64_t threads) {
  enum { ENOUGH = 8 };
  const int64_t strips = (g->m + BLOCK - 1) / BLOCK, blocks = (g->n + BLOCK - 1) / BLOCK;
  int64_t across = 1;
  while (strips * across < ENOUGH * threads && threads % (2 * across) == 0 && 4 * across <= blocks)
    across *= 2;
  return cell_of(strips, blocks, thread, threads, across);
}

static void multiply_share(const ops_gemm *g, share mine, int64_t wide, float *scratch) {
  const amx_right panel = {(char *)scratch, AMX_TILE_BYTES, g->k / AMX_DEPTH * AMX_TILE_BYTES};
  float *sums = scratch + wide * g->k / 2;
  uint16_t *copy = (uint16_t *)(sums + 2 * BLOCK_FLOATS);
  const int64_t columns_end = at_most(mine.columns_to * BLOCK, g->n);
  for (int64_t first = mine.columns_from * BLOCK; first < columns_end; first += wide) {
    const int64_t end = at_most(first + wide, columns_end);
    pack_panel(g, first, end, panel);
    for (int64_t i = mine.rows_from; i < mine.rows_to; i++) {
      const strip s = {.g = g,
                       .a = left_of(g, i * BLOCK, copy),
                       .b = panel,
                       .row = i * BLOCK,
                       .from = first,
                       .to = end,
                       .sums = sums};
      run_strip(&s);
    }
  }
}

static err multiply(ops *o, const ops_gemm *g) {
  const int64_t most = PANEL_BYTES / (g->k * 2) / BLOCK * BLOCK + BLOCK;
  const int64_t wide = at_most((g->n + BLOCK - 1) / BLOCK * BLOCK, most);
  const size_t floats = (size_t)((wide + BLOCK) * g->k / 2 + 2 * BLOCK_FLOATS);
  float *scratch;
  err error = cpu_scratch(o, floats * (size_t)o->threads, &scratch);
  if (error) return error;
#pragma omp parallel num_threads(o->threads)
  {
    const int thread = omp_get_thread_num();
    amx_begin();
    multiply_share(g, share_of(g, thread, o->threads), wide, scratch + floats * (size_t)thread);
    amx_end();
  }
  return NULL;
}

/* ---- c (+)= aᵀ b, and the sums of a's columns ---- */

/* What a thread computes of c, and its operands: some rows of both at a time, packed. */
typedef struct {
  const ops_gemm *g;
  int64_t rows_from, rows_to, columns_from, columns_to; /* of c */
  amx_right a, b; /* a's tiles are left operands of aᵀ, otherwise arranged in the same way */
  float *sums;    /* [rows, 16], all columns alike, or NULL */
} summed;

/* 32 rows of a (`count` of them there) to a column of left operands. */
static void pack_left(const summed *s, const uint16_t *from, int64_t count, int64_t deep) {
  const int64_t width = s->rows_to - s->rows_from;
  uint16_t last[AMX_DEPTH * AMX_SIDE];
  for (int64_t j = 0; j < width; j += AMX_SIDE) {
    char *to = s->a.at + j / AMX_SIDE * s->a.beside + deep * s->a.deeper;
    if (count >= AMX_DEPTH) {
      amx_transpose_left(from + j, s->g->m, to);
      continue;
    }
    memset(last, 0, sizeof last);
    for (int64_t i = 0; i < count; i++)
      memcpy(last + i * AMX_SIDE, from + i * s->g->m + j, AMX_SIDE * sizeof *last);
    amx_transpose_left(last, AMX_SIDE, to);
  }
}

/* Sums of the tiles' rows: their products with ones. */
static void add_sums(const summed *s, int64_t depth) {
  const uint16_t one = 0x3f80;
  const int64_t packed = AMX_ROW_BYTES;
  uint16_t ones[AMX_TILE_BYTES / 2];
  for (size_t i = 0; i < sizeof ones / sizeof *ones; i++) ones[i] = one;
  AMX_LOAD(6, ones, packed);
  for (int64_t i = 0; i < (s->rows_to - s->rows_from) / AMX_SIDE; i++) {
    const char *tile = s->a.at + i * s->a.beside;
    float *sums = s->sums + i * AMX_SIDE * AMX_SIDE;
    AMX_LOAD(0, sums, packed);
    for (int64_t k = 0; k < depth; k++) {
      AMX_LOAD(4, tile + k * s->a.deeper, packed);
      AMX_MULTIPLY(0, 4, 6);
    }
    AMX_STORE(0, sums, packed);
  }
}

/* Adds the products of `rows` rows of both operands, from `first` on. */
static void add_rows(const summed *s, int64_t first, int64_t rows) {
  const ops_gemm *g = s->g;
  const int64_t depth = amx_tiles(rows, AMX_DEPTH);
  const uint16_t *a = (const uint16_t *)g->a.data + first * g->m + s->rows_from;
  const uint16_t *b = (const uint16_t *)g->b.data + first * g->n + s->columns_from;
  for (int64_t k = 0; k < depth; k++)
    pack_left(s, a + k * AMX_DEPTH * g->m, at_most(rows - k * AMX_DEPTH, AMX_DEPTH), k);
  amx_pack_rows(rows, s->columns_to - s->columns_from, b, g->n, s->b);
  if (s->sums) add_sums(s, depth);
  for (int64_t i = s->rows_from; i < s->rows_to; i += BLOCK)
    for (int64_t j = s->columns_from; j < s->columns_to; j += BLOCK) {
      const bool has_lower = i + AMX_SIDE < s->rows_to, has_right = j + AMX_SIDE < s->columns_to;
      float *c = cpu_f32(g->c) + i * g->n + j;
      const char *left = s->a.at + (i - s->rows_from) / AMX_SIDE * s->a.beside;
      if (g->accumulate || first > 0)
        amx_load(c, g->n, has_lower, has_right);
      else
        amx_zero();
      amx_block(depth, (amx_left){left, AMX_ROW_BYTES, s->a.beside, s->a.deeper},
                amx_beside(s->b, (j - s->columns_from) / AMX_SIDE), has_lower, has_right);
      amx_store(c, g->n, has_lower, has_right);
    }
}

static void multiply_transposed_share(const ops_gemm *g, share mine, int64_t rows, char *scratch) {
  summed s = {.g = g,
              .rows_from = mine.rows_from * BLOCK,
              .rows_to = at_most(mine.rows_to * BLOCK, g->m),
              .columns_from = mine.columns_from * BLOCK,
              .columns_to = at_most(mine.columns_to * BLOCK, g->n)};
  const int64_t height = s.rows_to - s.rows_from, depth = rows / AMX_DEPTH;
  if (height <= 0 || s.columns_from >= s.columns_to) return;
  s.a = (amx_right){scratch, AMX_TILE_BYTES, depth * AMX_TILE_BYTES};
  s.b = amx_beside(s.a, height / AMX_SIDE);
  /* the columns' sums are needed once, though the rows of c are divided among columns of threads */
  if (g->a_sums.data && mine.columns_from == 0) {
    s.sums = (float *)amx_beside(s.b, amx_tiles(s.columns_to - s.columns_from, AMX_SIDE)).at;
    memset(s.sums, 0, (size_t)(height * AMX_SIDE) * sizeof *s.sums);
  }
  for (int64_t first = 0; first < g->k; first += rows)
    add_rows(&s, first, at_most(g->k - first, rows));
  for (int64_t i = 0; s.sums && i < height; i++)
    cpu_f32(g->a_sums)[s.rows_from + i] += s.sums[i * AMX_SIDE];
}

/* The part of c of each thread: as square as its operands are cheap to pack, the transposed one
 * costing three times as much. */
static share part_of(const ops_gemm *g, int64_t thread, int64_t threads) {
  const int64_t rows = (g->m + BLOCK - 1) / BLOCK, columns = (g->n + BLOCK - 1) / BLOCK;
  int64_t across = 1;
  for (int64_t n = 2; n <= threads && n <= columns; n++) {
    if (threads % n) continue;
    const int64_t now = 3 * (rows * across / threads) + columns / across;
    const int64_t then = 3 * (rows * n / threads) + columns / n;
    if (then < now) across = n;
  }
  return cell_of(rows, columns, thread, threads, across);
}

static err multiply_transposed(ops *o, const ops_gemm *g) {
  const share one = part_of(g, o->threads - 1, o->threads); /* of the largest */
  const int64_t height = (one.rows_to - one.rows_from + 1) * BLOCK;
  const int64_t width = (one.columns_to - one.columns_from + 1) * BLOCK;
  const int64_t fits = PANEL_BYTES / 2 / (height + width) / AMX_DEPTH * AMX_DEPTH;
  const int64_t padded = amx_tiles(g->k, AMX_DEPTH) * AMX_DEPTH;
  const int64_t rows = at_most(padded, fits < FEWEST_ROWS ? FEWEST_ROWS : fits);
  const size_t floats = (size_t)((height + width) * rows / 2 + height * AMX_SIDE);
  float *scratch;
  err error = cpu_scratch(o, floats * (size_t)o->threads, &scratch);
  if (error) return error;
#pragma omp parallel num_threads(o->threads)
  {
    const int thread = omp_get_thread_num();
    amx_begin();
    multiply_transposed_share(g, part_of(g, thread, o->threads), rows,
                              (char *)(scratch + floats * (size_t)thread));
    amx_end();
  }
  return NULL;
}

bool CPU_KERNEL(multiplies_in_tiles)(const ops_gemm *g) {
  if (g->a.type != OPS_BF16 || g->narrow_a.scale.data || g->n % AMX_SIDE) return false;
  if (g->transpose_a)
    return !g->transpose_b && g->c.type == OPS_F32 && g->m % AMX_SIDE == 0 && !g->bias.data &&
           g->epilogue == OPS_EPILOGUE_NONE;
  return g->k % AMX_DEPTH == 0 && !g->accumulate && !g->a_sums.data &&
         (g->epilogue == OPS_EPILOGUE_NONE || g->pre.type == OPS_BF16);
}

err CPU_KERNEL(gemm_in_tiles)(ops *o, const ops_gemm *g) {
  return g->transpose_a ? multiply_transposed(o, g) : multiply(o, g);
}
#endif
