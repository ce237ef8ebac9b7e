/* What the two files of cuBLASLt's imitation share.
 *
 * It does what cuBLASLt 13.1 did on an H100 (docs/gpu-ledger.md). Among the choices of that run no
 * bias was of another type than the result, no bias gradient was made by an epilogue, and of GELU's
 * gradients those in 16 bits were fused and those in 8 bits were not; the forms that were never
 * chosen do not exist here, though there they may only have been slower. 8-bit products with a bias
 * in fp32 were offered and then refused.
 *
 * As cuBLASLt 13.1 did there, algorithms of several parts leave out the terms that core/cuda's
 * gemm_is_sound tells of; and they may round the parts' sums to the result's type, as documented.
 *
 * FLIP_IMITATION_BLAS takes these words, each a way in which versions of the library and GPUs may
 * differ:
 *   bgradb        there is a bias gradient in the epilogue
 *   dgelu_bgrad   and one with GELU's gradient, in the result's type
 *   no_gelu       no GELU in the epilogue
 *   gelu_in_vain  GELU's epilogues are offered and then refused when run
 *   erf_gelu      the epilogue's GELU is the exact one
 *   failing       the algorithm named first fails when it is run; another is named last
 *   slow_first    the algorithm named first is slower than the second
 *   bad_result    the heuristics' first result is one that only says it cannot be used
 *   noisy         the algorithms' times differ from process to process
 *   better_tile, better_cluster, better_option, better_split
 *                 an algorithm that the heuristics do not name is faster by that setting
 *   better_pair   the heuristics name one more algorithm, with another option, that is slower than
 *                 the first, and fastest of all with another tile
 *   wrong_tile    one with another tile is fastest, but leaves columns of its result unwritten
 *   failing_tile  one is accepted by the check, and fails when it is run
 *   faulting_tile one is started, and breaks the device
 *   untold        the library does not say which tiles, splits and options an algorithm has */
#ifndef FLIP_IMITATION_CUBLASLT_H
#define FLIP_IMITATION_CUBLASLT_H

#include <cublasLt.h>

#include "imitation/imitation.h"

typedef enum { BLAS_HANDLE, BLAS_DESCRIPTOR, BLAS_LAYOUT, BLAS_PREFERENCE } blas_kind;

/* Objects hold their attributes by the documented sizes; `value` is zero-extended. */
enum { BLAS_MOST_ATTRIBUTES = 40 };
typedef struct blas_object {
  struct blas_object *next;
  blas_kind kind;
  uint64_t value[BLAS_MOST_ATTRIBUTES];
} blas_object;

/* NULL after telling that it is none, or was destroyed. */
const blas_object *blas_find(const void *handle, blas_kind kind, const char *call);

/* A product, read from its descriptor and layouts. All matrices column-major. */
typedef struct {
  int64_t m, n, k;
  bool transpose_a, transpose_b;
  cudaDataType_t type_a, type_b, type_c, type_bias;
  int64_t ld_a, ld_b, ld_c, ld_d, ld_aux;
  int64_t rows_a, columns_a, rows_b, columns_b;
  cublasLtEpilogue_t epilogue;
  void *bias, *aux;
  const float *scale_a, *scale_b;
} blas_product;

typedef enum {
  BLAS_PLAIN,
  BLAS_HALVES,
  BLAS_IN_PLACE,
  BLAS_OTHER_OPTION,
  BLAS_ALGORITHMS
} blas_way;

/* What cublasLtMatmulAlgo_t holds, the settings in the library's own order, as a run on an H100
 * left them in its choices; its bytes may be kept and given again. */
typedef struct {
  uint32_t id, tile, stages, parts, scheme, swizzling, option;
  uint16_t inner, cluster;
  uint32_t alignment; /* in bytes, of every matrix */
  uint32_t unused[3];
  uint64_t magic;
  uint64_t more_unused;
} blas_algorithm;

/* cublaslt_algorithm.c. One of those that the heuristics name; what kind it is; seconds on the
 * device. */
blas_algorithm blas_named_algorithm(blas_way way, uint32_t alignment);
blas_way blas_way_of(const blas_algorithm *a);
double blas_cost_of(const blas_algorithm *a);
bool blas_has_wrong_tile(const blas_algorithm *a), blas_has_failing_tile(const blas_algorithm *a);
bool blas_has_faulting_tile(const blas_algorithm *a);
/* False: no algorithm of this library. */
bool blas_read_algorithm(const cublasLtMatmulAlgo_t *bytes, blas_algorithm *out);

/* NULL, or why no algorithm exists for it by the documents. */
const char *blas_refusal(const blas_product *p);
size_t blas_type_bytes(cudaDataType_t type);

/* The same of an algorithm's settings; the workspace that it needs. */
const char *blas_setting_refusal(const blas_algorithm *a);
size_t blas_workspace_of(const blas_product *p, const blas_algorithm *a);

/* cublaslt_run.c. What a product is when its stream comes to it. */
typedef struct {
  blas_product p;
  const void *a, *b, *c;
  void *d;
  float alpha, beta;
  blas_way way;
  int64_t parts;    /* of k */
  bool is_narrowed; /* sums of parts are kept in the result's type */
  bool is_wrong;    /* the last quarter of the columns is not written */
} blas_work;
cudaError_t blas_run(const void *work);
cudaError_t blas_fault(const void *work); /* as a kernel that reads where nothing is */

#endif
