/* Algorithms that the heuristics did not name: one of theirs with another tile, cluster, option or
 * split of k. The library checks each, by the layouts: it does not see the addresses, so there are
 * none for those with less than the full alignment, which only the heuristics are told. Which tiles
 * and splits are worth a trial is estimated from how evenly they fill the multiprocessors. */
#include <stdlib.h>

#include "cuda/gemm.h"
#include "cuda/gemm_tiles.h"

enum {
  MOST_TILE_IDS = 1024,
  TILES_LISTED = 24, /* of those the library has, by the estimate */
  MOST_OPTIONS = 16,
  MOST_PARTS = 8
};

typedef struct {
  uint32_t id;
  int rows, columns;
} tile;

#define TILE(rows, columns) {CUBLASLT_MATMUL_TILE_##rows##x##columns, rows, columns},
static const tile known_tiles[] = {GEMM_TILES(TILE)};
#undef TILE
enum { KNOWN_TILES = sizeof known_tiles / sizeof *known_tiles };
_Static_assert((int)KNOWN_TILES <= (int)MOST_TILE_IDS, "all fit into a list");

static const tile *tile_of(uint32_t id) {
  for (size_t i = 0; i < KNOWN_TILES; i++)
    if (known_tiles[i].id == id) return &known_tiles[i];
  return NULL;
}

/* Seconds on an H100; on others only the order counts. The constants are fitted to the products of
 * ViT-L/16 that ran there (docs/performance.md, tests/gpu/waves.py): a multiprocessor's share of
 * 804 TFLOP/s, less the smaller the tile is, and what a kernel costs besides. */
double gemm_estimate(const gemm_key *key, int rows, int columns, int parts, int multiprocessors) {
  const double rate = 804e12 / 132, kernel_seconds = 3e-6, bytes_per_second = 3e12;
  int64_t tiles = (key->n + rows - 1) / rows * ((key->m + columns - 1) / columns) * parts;
  double waves = (double)((tiles + multiprocessors - 1) / multiprocessors);
  double slowness = 0.92 + 9 * (1.0 / rows + 1.0 / columns);
  double work = 2.0 * rows * columns * (double)key->k / parts;
  double sums = parts > 1 ? 8.0 * parts * (double)(key->m * key->n) / bytes_per_second : 0;
  return waves * work / rate * slowness + sums + kernel_seconds * (parts > 1 ? 2 : 1);
}

static uint64_t read_setting(const cublasLtMatmulAlgo_t *a, int setting, size_t bytes) {
  uint64_t value = 0;
  size_t written;
  if (cublasLtMatmulAlgoConfigGetAttribute(a, (cublasLtMatmulAlgoConfigAttributes_t)setting, &value,
                                           bytes, &written) != CUBLAS_STATUS_SUCCESS)
    return 0;
  return value;
}

/* Little-endian, as the library's hosts are: the low bytes are the value. */
static bool write_setting(cublasLtMatmulAlgo_t *a, int setting, uint64_t value, size_t bytes) {
  return cublasLtMatmulAlgoConfigSetAttribute(a, (cublasLtMatmulAlgoConfigAttributes_t)setting,
                                              &value, bytes) == CUBLAS_STATUS_SUCCESS;
}

/* `untold` where the library does not say: then the check of each variant decides. */
static int64_t capability(const cublasLtMatmulAlgo_t *a, cublasLtMatmulAlgoCapAttributes_t which,
                          int64_t untold) {
  int32_t value = 0;
  size_t written;
  return cublasLtMatmulAlgoCapGetAttribute(a, which, &value, sizeof value, &written) ==
                 CUBLAS_STATUS_SUCCESS
             ? value
             : untold;
}

enum { ID_BYTES = 4, CLUSTER_BYTES = 2 };

void gemm_tile_of(const cublasLtMatmulAlgo_t *algorithm, int64_t *rows, int64_t *columns) {
  const tile *t =
      tile_of((uint32_t)read_setting(algorithm, CUBLASLT_ALGO_CONFIG_TILE_ID, ID_BYTES));
  *rows = t ? t->rows : 0;
  *columns = t ? t->columns : 0;
}

bool gemm_is_kindred(const cublasLtMatmulAlgo_t *a, const cublasLtMatmulAlgo_t *b) {
  static const int settings[] = {CUBLASLT_ALGO_CONFIG_ID, CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION};
  for (int i = 0; i < 2; i++)
    if (read_setting(a, settings[i], ID_BYTES) != read_setting(b, settings[i], ID_BYTES))
      return false;
  return true;
}

/* The lost terms were found on an H100 with cuBLASLt 13.1.1, over 1.5 million products: exactly
 * where blocks of 64 terms divide evenly among the parts, and fewer terms are left over than there
 * are parts (facebookexperimental/triton, pull request 2767). */
static bool loses_terms(const gemm_key *key, int64_t parts) {
  enum { TERMS = 64 };
  const int64_t blocks = key->k / TERMS, left_over = key->k % TERMS;
  bool is_16_bit = key->type_a == CUDA_R_16BF && key->type_b == CUDA_R_16BF;
  return is_16_bit && parts > left_over && left_over > 0 && blocks % parts == 0;
}

bool gemm_is_sound(const gemm_key *key, const cublasLtMatmulAlgo_t *a) {
  const int64_t parts = (int64_t)read_setting(a, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, ID_BYTES);
  const uint64_t scheme = read_setting(a, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, ID_BYTES);
  const bool is_narrowed =
      key->type_c == CUDA_R_16BF &&
      scheme & (CUBLASLT_REDUCTION_SCHEME_INPLACE | CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE);
  return parts <= 1 || (!is_narrowed && !loses_terms(key, parts));
}

/* Appends *a if the library can run it with the workspace, and is right. */
static bool append(const gemm_variants *v, const cublasLtMatmulAlgo_t *a, gemm_algorithms *out) {
  cublasLtMatmulHeuristicResult_t result;
  const gemm_plan *plan = v->plan;
  if (out->count == GEMM_MOST_VARIANTS || !gemm_is_sound(&plan->key, a)) return false;
  if (cublasLtMatmulAlgoCheck(v->library, plan->product, plan->first, plan->second, plan->result,
                              plan->result, a, &result) != CUBLAS_STATUS_SUCCESS ||
      result.workspaceSize > v->workspace_bytes)
    return false;
  out->item[out->count++] = *a;
  return true;
}

static const uint16_t clusters[] = {CUBLASLT_CLUSTER_SHAPE_2x1x1, CUBLASLT_CLUSTER_SHAPE_1x2x1,
                                    CUBLASLT_CLUSTER_SHAPE_1x1x1, CUBLASLT_CLUSTER_SHAPE_4x1x1,
                                    CUBLASLT_CLUSTER_SHAPE_1x4x1, CUBLASLT_CLUSTER_SHAPE_2x2x1,
                                    CUBLASLT_CLUSTER_SHAPE_4x2x1, CUBLASLT_CLUSTER_SHAPE_2x4x1};
enum { CLUSTERS = sizeof clusters / sizeof *clusters, USUAL_CLUSTERS = 3 };

static void vary_cluster(const gemm_variants *v, const cublasLtMatmulAlgo_t *base,
                         gemm_algorithms *out) {
  uint64_t own = read_setting(base, CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, CLUSTER_BYTES);
  for (int i = 0; i < CLUSTERS; i++) {
    cublasLtMatmulAlgo_t a = *base;
    if (clusters[i] != own &&
        write_setting(&a, CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, clusters[i], CLUSTER_BYTES))
      (void)append(v, &a, out);
  }
}

typedef struct {
  const tile *tile;
  double seconds;
} estimated;

static int by_seconds(const void *a, const void *b) {
  double x = ((const estimated *)a)->seconds, y = ((const estimated *)b)->seconds;
  return (x > y) - (x < y);
}

/* The algorithm's tiles that the table has, those with the least estimate first; where the library
 * does not say which it has, all of the table. */
static int list_tiles(const gemm_variants *v, const cublasLtMatmulAlgo_t *base,
                      estimated list[MOST_TILE_IDS]) {
  uint32_t ids[MOST_TILE_IDS];
  size_t written = 0;
  int count = 0;
  bool is_told = cublasLtMatmulAlgoCapGetAttribute(base, CUBLASLT_ALGO_CAP_TILE_IDS, ids,
                                                   sizeof ids, &written) == CUBLAS_STATUS_SUCCESS;
  if (!is_told) {
    for (size_t i = 0; i < KNOWN_TILES; i++) ids[i] = known_tiles[i].id;
    written = KNOWN_TILES * sizeof *ids;
  }
  uint64_t own = read_setting(base, CUBLASLT_ALGO_CONFIG_TILE_ID, ID_BYTES);
  uint64_t parts = read_setting(base, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, ID_BYTES);
  for (size_t i = 0; i < written / sizeof *ids; i++) {
    const tile *t = tile_of(ids[i]);
    if (t && t->id != own)
      list[count++] = (estimated){t, gemm_estimate(&v->plan->key, t->rows, t->columns,
                                                   parts > 1 ? (int)parts : 1, v->multiprocessors)};
  }
  qsort(list, (size_t)count, sizeof *list, by_seconds);
  return count < TILES_LISTED || !is_told ? count : TILES_LISTED;
}

/* Each tile with the base's cluster, else with the first of the usual ones that it may have. */
static void vary_tile(const gemm_variants *v, const cublasLtMatmulAlgo_t *base,
                      gemm_algorithms *out) {
  estimated list[MOST_TILE_IDS];
  int count = list_tiles(v, base, list);
  for (int i = 0; i < count; i++) {
    cublasLtMatmulAlgo_t a = *base;
    if (!write_setting(&a, CUBLASLT_ALGO_CONFIG_TILE_ID, list[i].tile->id, ID_BYTES)) continue;
    bool is_taken = append(v, &a, out);
    for (int c = 0; c < USUAL_CLUSTERS && !is_taken; c++)
      is_taken =
          write_setting(&a, CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, clusters[c], CLUSTER_BYTES) &&
          append(v, &a, out);
  }
}

/* Options without a public meaning, and the order in which blocks take tiles. */
static void vary_option(const gemm_variants *v, const cublasLtMatmulAlgo_t *base,
                        gemm_algorithms *out) {
  int64_t most = capability(base, CUBLASLT_ALGO_CAP_CUSTOM_OPTION_MAX, MOST_OPTIONS - 1);
  uint64_t own = read_setting(base, CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION, ID_BYTES);
  for (int64_t i = 0; i <= most && i < MOST_OPTIONS; i++) {
    cublasLtMatmulAlgo_t a = *base;
    if ((uint64_t)i != own &&
        write_setting(&a, CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION, (uint64_t)i, ID_BYTES))
      (void)append(v, &a, out);
  }
  if (!capability(base, CUBLASLT_ALGO_CAP_CTA_SWIZZLING_SUPPORT, 1)) return;
  cublasLtMatmulAlgo_t a = *base;
  uint64_t order = read_setting(base, CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING, ID_BYTES);
  if (write_setting(&a, CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING, !order, ID_BYTES))
    (void)append(v, &a, out);
}

/* k in parts, whose sums go through the workspace and are added in order: reproducible. */
static void vary_split(const gemm_variants *v, const cublasLtMatmulAlgo_t *base,
                       gemm_algorithms *out) {
  const tile *t = tile_of((uint32_t)read_setting(base, CUBLASLT_ALGO_CONFIG_TILE_ID, ID_BYTES));
  uint64_t own = read_setting(base, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, ID_BYTES);
  const uint32_t scheme = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
  if (!t || !capability(base, CUBLASLT_ALGO_CAP_SPLITK_SUPPORT, 1) ||
      !(capability(base, CUBLASLT_ALGO_CAP_REDUCTION_SCHEME_MASK, scheme) & scheme))
    return;
  const gemm_key *key = &v->plan->key;
  double whole = gemm_estimate(key, t->rows, t->columns, 1, v->multiprocessors);
  for (int parts = 2; parts <= MOST_PARTS; parts++) {
    cublasLtMatmulAlgo_t a = *base;
    if ((uint64_t)parts == own ||
        gemm_estimate(key, t->rows, t->columns, parts, v->multiprocessors) > 1.1 * whole)
      continue;
    if (write_setting(&a, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, (uint64_t)parts, ID_BYTES) &&
        write_setting(&a, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, scheme, ID_BYTES))
      (void)append(v, &a, out);
  }
}

void gemm_list_variants(const gemm_variants *v, gemm_variation which,
                        const cublasLtMatmulAlgo_t *base, gemm_algorithms *out) {
  static void (*const lists[GEMM_VARIATIONS])(const gemm_variants *, const cublasLtMatmulAlgo_t *,
                                              gemm_algorithms *) = {
      [GEMM_VARY_TILE] = vary_tile,
      [GEMM_VARY_SPLIT] = vary_split,
      [GEMM_VARY_CLUSTER] = vary_cluster,
      [GEMM_VARY_OPTION] = vary_option};
  out->count = 0;
  if (v->plan->key.alignment >= GEMM_ALIGNMENT) lists[which](v, base, out);
}
