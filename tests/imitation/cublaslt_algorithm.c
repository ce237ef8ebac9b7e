/* cuBLASLt's algorithms: what they can do, their settings, and which of these go together. Which
 * tiles and clusters exist is ours; the library's own lists are known only on a GPU. */
#include "imitation/cublaslt.h"

#include <string.h>
#include <unistd.h>

static const uint64_t algorithm_magic = 0x696d697461746532;
static const uint64_t least_workspace = 4096; /* of an algorithm that adds parts */

/* 24x64 is no tile for large products; 256x128 needs clusters of two. */
static const uint32_t tiles[] = {CUBLASLT_MATMUL_TILE_24x64,   CUBLASLT_MATMUL_TILE_64x64,
                                 CUBLASLT_MATMUL_TILE_64x128,  CUBLASLT_MATMUL_TILE_128x128,
                                 CUBLASLT_MATMUL_TILE_128x160, CUBLASLT_MATMUL_TILE_128x192,
                                 CUBLASLT_MATMUL_TILE_192x192, CUBLASLT_MATMUL_TILE_256x128};
enum { MOST_OPTION = 5, MOST_PARTS = 32, ALGORITHM_ID = 66, PAIR_OPTION = 2 };

static bool has(const char *word) {
  return imitation_has_word("FLIP_IMITATION_BLAS", word);
}

blas_algorithm blas_named_algorithm(blas_way way, uint32_t alignment) {
  static const uint32_t schemes[] = {
      CUBLASLT_REDUCTION_SCHEME_NONE, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE,
      CUBLASLT_REDUCTION_SCHEME_INPLACE, CUBLASLT_REDUCTION_SCHEME_NONE};
  return (blas_algorithm){.magic = algorithm_magic,
                          .alignment = alignment,
                          .id = ALGORITHM_ID,
                          .tile = CUBLASLT_MATMUL_TILE_128x128,
                          .parts = way == BLAS_PLAIN || way == BLAS_OTHER_OPTION ? 1 : 2,
                          .scheme = schemes[way],
                          .option = way == BLAS_OTHER_OPTION ? PAIR_OPTION : 0,
                          .stages = CUBLASLT_MATMUL_STAGES_64xAUTO,
                          .cluster = CUBLASLT_CLUSTER_SHAPE_1x1x1};
}

blas_way blas_way_of(const blas_algorithm *a) {
  return a->parts == 1                                    ? BLAS_PLAIN
         : a->scheme == CUBLASLT_REDUCTION_SCHEME_INPLACE ? BLAS_IN_PLACE
                                                          : BLAS_HALVES;
}

bool blas_has_wrong_tile(const blas_algorithm *a) {
  return a->tile == CUBLASLT_MATMUL_TILE_128x192 && has("wrong_tile");
}

bool blas_has_failing_tile(const blas_algorithm *a) {
  return a->tile == CUBLASLT_MATMUL_TILE_192x192 && has("failing_tile");
}

bool blas_has_faulting_tile(const blas_algorithm *a) {
  return a->tile == CUBLASLT_MATMUL_TILE_192x192 && has("faulting_tile");
}

double blas_cost_of(const blas_algorithm *a) {
  static const double usual[] = {10e-6, 11e-6, 8e-6}, slow_first[] = {30e-6, 11e-6, 8e-6};
  const blas_way way = blas_way_of(a);
  const blas_algorithm named = blas_named_algorithm(way, a->alignment);
  double seconds = has("slow_first") ? slow_first[way] : usual[way];
  if (has("noisy")) return 1e-6 * (double)(10 + (getpid() >> way & 1));
  if (memcmp(a, &named, sizeof named) != 0) seconds *= 1.05; /* the heuristics know best */
  if (a->tile == CUBLASLT_MATMUL_TILE_128x160 && has("better_tile")) seconds *= 0.5;
  if (a->tile == CUBLASLT_MATMUL_TILE_256x128 && has("better_cluster")) seconds *= 0.6;
  if (a->cluster == CUBLASLT_CLUSTER_SHAPE_4x1x1 && has("better_cluster")) seconds *= 0.5;
  if (a->tile == CUBLASLT_MATMUL_TILE_128x160 && a->option == PAIR_OPTION && has("better_pair"))
    seconds *= 0.4;
  if (a->option == 3 && has("better_option")) seconds *= 0.5;
  if (a->parts == 4 && has("better_split")) seconds *= 0.5;
  return blas_has_wrong_tile(a) ? seconds * 0.1 : seconds;
}

bool blas_read_algorithm(const cublasLtMatmulAlgo_t *bytes, blas_algorithm *out) {
  _Static_assert(sizeof(blas_algorithm) == sizeof(cublasLtMatmulAlgo_t), "it is opaque bytes");
  memcpy(out, bytes, sizeof *out);
  return out->magic == algorithm_magic;
}

const char *blas_setting_refusal(const blas_algorithm *a) {
  bool has_tile = false;
  for (size_t i = 0; i < sizeof tiles / sizeof *tiles; i++) has_tile |= tiles[i] == a->tile;
  if (!has_tile) return "this tile";
  if (a->tile == CUBLASLT_MATMUL_TILE_256x128 && a->cluster == CUBLASLT_CLUSTER_SHAPE_1x1x1)
    return "this tile without a cluster";
  if (a->cluster < CUBLASLT_CLUSTER_SHAPE_1x1x1 || a->cluster > CUBLASLT_CLUSTER_SHAPE_2x4x1)
    return "this cluster";
  if (a->option > MOST_OPTION || a->swizzling > 1) return "this option";
  if (a->parts < 1 || a->parts > MOST_PARTS) return "k in so many parts";
  if ((a->parts > 1) != (a->scheme != CUBLASLT_REDUCTION_SCHEME_NONE))
    return "parts without a way to add them, or the reverse";
  return NULL;
}

size_t blas_workspace_of(const blas_product *p, const blas_algorithm *a) {
  size_t sums = (size_t)(p->m * p->n) * 4 * a->parts;
  if (a->parts == 1) return 0;
  if (a->scheme == CUBLASLT_REDUCTION_SCHEME_INPLACE || sums < least_workspace)
    return least_workspace;
  return sums;
}

/* The setting's place in *a and its size by the documentation; NULL: there is none. */
static void *setting_of(blas_algorithm *a, cublasLtMatmulAlgoConfigAttributes_t which,
                        size_t *bytes) {
  *bytes = 4;
  switch (which) {
  case CUBLASLT_ALGO_CONFIG_ID:
    return &a->id;
  case CUBLASLT_ALGO_CONFIG_TILE_ID:
    return &a->tile;
  case CUBLASLT_ALGO_CONFIG_SPLITK_NUM:
    return &a->parts;
  case CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME:
    return &a->scheme;
  case CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING:
    return &a->swizzling;
  case CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION:
    return &a->option;
  case CUBLASLT_ALGO_CONFIG_STAGES_ID:
    return &a->stages;
  case CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID:
    *bytes = 2;
    return &a->inner;
  case CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID:
    *bytes = 2;
    return &a->cluster;
  default:
    return NULL;
  }
}

static void *find_setting(const char *call, const cublasLtMatmulAlgo_t *algo, blas_algorithm *a,
                          cublasLtMatmulAlgoConfigAttributes_t which, size_t bytes) {
  size_t expected;
  imitation_enter(call);
  if (!blas_read_algorithm(algo, a)) {
    imitation_misuse("%s: no algorithm of this library", call);
    return NULL;
  }
  void *setting = setting_of(a, which, &expected);
  if (setting && bytes == expected) return setting;
  imitation_misuse("%s: setting %d has not %zu bytes, or does not exist", call, (int)which, bytes);
  return NULL;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t *algo,
                                                    cublasLtMatmulAlgoConfigAttributes_t which,
                                                    void *value, size_t bytes, size_t *written) {
  blas_algorithm a;
  const void *setting =
      find_setting("cublasLtMatmulAlgoConfigGetAttribute", algo, &a, which, bytes);
  if (!setting) return CUBLAS_STATUS_INVALID_VALUE;
  memcpy(value, setting, bytes);
  if (written) *written = bytes;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoConfigSetAttribute(cublasLtMatmulAlgo_t *algo,
                                                    cublasLtMatmulAlgoConfigAttributes_t which,
                                                    const void *value, size_t bytes) {
  blas_algorithm a;
  void *setting = find_setting("cublasLtMatmulAlgoConfigSetAttribute", algo, &a, which, bytes);
  if (!setting || which == CUBLASLT_ALGO_CONFIG_ID) return CUBLAS_STATUS_INVALID_VALUE;
  memcpy(setting, value, bytes);
  memcpy(algo, &a, sizeof a);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoCapGetAttribute(const cublasLtMatmulAlgo_t *algo,
                                                 cublasLtMatmulAlgoCapAttributes_t which,
                                                 void *value, size_t bytes, size_t *written) {
  const char *const call = "cublasLtMatmulAlgoCapGetAttribute";
  blas_algorithm a;
  imitation_enter(call);
  if (!blas_read_algorithm(algo, &a) || !value || !written) {
    imitation_misuse("%s: no algorithm of this library, or nowhere to write", call);
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  if (has("untold")) return CUBLAS_STATUS_INVALID_VALUE;
  if (which == CUBLASLT_ALGO_CAP_TILE_IDS) {
    if (bytes < sizeof tiles) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(value, tiles, sizeof tiles);
    *written = sizeof tiles;
    return CUBLAS_STATUS_SUCCESS;
  }
  const int32_t number = which == CUBLASLT_ALGO_CAP_SPLITK_SUPPORT          ? 1
                         : which == CUBLASLT_ALGO_CAP_CTA_SWIZZLING_SUPPORT ? 1
                         : which == CUBLASLT_ALGO_CAP_CUSTOM_OPTION_MAX     ? MOST_OPTION
                         : which == CUBLASLT_ALGO_CAP_REDUCTION_SCHEME_MASK
                             ? CUBLASLT_REDUCTION_SCHEME_MASK
                             : -1;
  if (number < 0 || bytes != sizeof number) {
    imitation_misuse("%s: capability %d has not %zu bytes, or is not imitated", call, (int)which,
                     bytes);
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  memcpy(value, &number, sizeof number);
  *written = sizeof number;
  return CUBLAS_STATUS_SUCCESS;
}
