/* cuBLASLt's objects and rules: attributes, what exists as an algorithm, what a call must obey. */
#include "imitation/cublaslt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
  blas_object *all;
  size_t handles;
} blas;

static bool has(const char *word) {
  return imitation_has_word("FLIP_IMITATION_BLAS", word);
}

/* Objects. */

size_t blas_live_objects(void) {
  return blas.handles;
}

const blas_object *blas_find(const void *handle, blas_kind kind, const char *call) {
  static const char *const names[] = {"library handle", "matmul descriptor", "matrix layout",
                                      "preference"};
  for (const blas_object *o = blas.all; o; o = o->next)
    if (o == handle && o->kind == kind) return o;
  imitation_misuse("%s: %p is no %s, or was destroyed", call, handle, names[kind]);
  return NULL;
}

static blas_object *make(blas_kind kind) {
  blas_object *o = calloc(1, sizeof *o);
  if (!o) abort();
  o->kind = kind;
  o->next = blas.all;
  blas.all = o;
  return o;
}

static cublasStatus_t unmake(const void *handle, blas_kind kind, const char *call) {
  imitation_enter(call);
  if (!blas_find(handle, kind, call)) return CUBLAS_STATUS_INVALID_VALUE;
  blas_object **at = &blas.all;
  while (*at != handle) at = &(*at)->next;
  blas_object *gone = *at;
  *at = gone->next;
  free(gone);
  return CUBLAS_STATUS_SUCCESS;
}

/* Attributes: number, size; values are checked where they are used. */
typedef struct {
  int number;
  size_t bytes;
} attribute;

static const attribute descriptor_attributes[] = {{CUBLASLT_MATMUL_DESC_TRANSA, 4},
                                                  {CUBLASLT_MATMUL_DESC_TRANSB, 4},
                                                  {CUBLASLT_MATMUL_DESC_EPILOGUE, 4},
                                                  {CUBLASLT_MATMUL_DESC_BIAS_POINTER, 8},
                                                  {CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, 4},
                                                  {CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, 8},
                                                  {CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, 8},
                                                  {CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, 8},
                                                  {CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, 8},
                                                  {CUBLASLT_MATMUL_DESC_FAST_ACCUM, 1},
                                                  {-1, 0}};

static const attribute preference_attributes[] = {{CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, 8},
                                                  {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, 4},
                                                  {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, 4},
                                                  {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, 4},
                                                  {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, 4},
                                                  {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, 4},
                                                  {-1, 0}};

static cublasStatus_t set_attribute(const void *handle, blas_kind kind, const attribute *known,
                                    int number, const void *value, size_t bytes, const char *call) {
  imitation_enter(call);
  blas_object *o = (blas_object *)(uintptr_t)blas_find(handle, kind, call);
  if (!o) return CUBLAS_STATUS_INVALID_VALUE;
  while (known->number >= 0 && known->number != number) known++;
  if (known->number < 0 || !value || bytes != known->bytes) {
    if (known->number < 0)
      imitation_misuse("%s: attribute %d does not exist, or is not imitated", call, number);
    else
      imitation_misuse("%s: attribute %d has %zu bytes, not %zu", call, number, known->bytes,
                       bytes);
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  o->value[number] = 0;
  memcpy(&o->value[number], value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

size_t cublasLtGetVersion(void) {
  return CUBLAS_VERSION;
}

const char *cublasLtGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_SUCCESS            ? "success"
         : status == CUBLAS_STATUS_INVALID_VALUE    ? "an unsupported value or parameter was passed"
         : status == CUBLAS_STATUS_NOT_SUPPORTED    ? "the requested functionality is not supported"
         : status == CUBLAS_STATUS_NOT_INITIALIZED  ? "the library was not initialized"
         : status == CUBLAS_STATUS_EXECUTION_FAILED ? "the program failed to execute"
                                                    : "unknown status";
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle) {
  if (imitation_enter_or_fail("cublasLtCreate")) return CUBLAS_STATUS_NOT_INITIALIZED;
  *handle = (cublasLtHandle_t)(void *)make(BLAS_HANDLE);
  blas.handles++;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  cublasStatus_t status = unmake(handle, BLAS_HANDLE, "cublasLtDestroy");
  if (!status) blas.handles--;
  return status;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *descriptor,
                                        cublasComputeType_t compute, cudaDataType_t scale) {
  if (imitation_enter_or_fail("cublasLtMatmulDescCreate")) return CUBLAS_STATUS_ALLOC_FAILED;
  if (compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F) {
    imitation_misuse("cublasLtMatmulDescCreate: only sums and scales in fp32 are imitated");
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  blas_object *o = make(BLAS_DESCRIPTOR);
  o->value[CUBLASLT_MATMUL_DESC_EPILOGUE] = CUBLASLT_EPILOGUE_DEFAULT;
  o->value[CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE] = UINT32_MAX; /* -1: that of the result */
  *descriptor = (cublasLtMatmulDesc_t)(void *)o;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t descriptor) {
  return unmake(descriptor, BLAS_DESCRIPTOR, "cublasLtMatmulDescDestroy");
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t descriptor,
                                              cublasLtMatmulDescAttributes_t number,
                                              const void *value, size_t bytes) {
  return set_attribute(descriptor, BLAS_DESCRIPTOR, descriptor_attributes, (int)number, value,
                       bytes, "cublasLtMatmulDescSetAttribute");
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type,
                                          uint64_t rows, uint64_t columns, int64_t ld) {
  if (imitation_enter_or_fail("cublasLtMatrixLayoutCreate")) return CUBLAS_STATUS_ALLOC_FAILED;
  if (rows == 0 || columns == 0 || ld < (int64_t)rows || blas_type_bytes(type) == 0) {
    imitation_misuse("cublasLtMatrixLayoutCreate: %lu rows, %lu columns, ld %ld, type %d",
                     (unsigned long)rows, (unsigned long)columns, (long)ld, (int)type);
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  blas_object *o = make(BLAS_LAYOUT);
  o->value[CUBLASLT_MATRIX_LAYOUT_TYPE] = (uint64_t)type;
  o->value[CUBLASLT_MATRIX_LAYOUT_ROWS] = rows;
  o->value[CUBLASLT_MATRIX_LAYOUT_COLS] = columns;
  o->value[CUBLASLT_MATRIX_LAYOUT_LD] = (uint64_t)ld;
  *layout = (cublasLtMatrixLayout_t)(void *)o;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  return unmake(layout, BLAS_LAYOUT, "cublasLtMatrixLayoutDestroy");
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference) {
  if (imitation_enter_or_fail("cublasLtMatmulPreferenceCreate")) return CUBLAS_STATUS_ALLOC_FAILED;
  blas_object *o = make(BLAS_PREFERENCE);
  o->value[CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK] = CUBLASLT_REDUCTION_SCHEME_MASK;
  for (int i = CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES;
       i <= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES; i++)
    o->value[i] = 256;
  *preference = (cublasLtMatmulPreference_t)(void *)o;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  return unmake(preference, BLAS_PREFERENCE, "cublasLtMatmulPreferenceDestroy");
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t number,
                                                    const void *value, size_t bytes) {
  return set_attribute(preference, BLAS_PREFERENCE, preference_attributes, (int)number, value,
                       bytes, "cublasLtMatmulPreferenceSetAttribute");
}

/* Rules. */

size_t blas_type_bytes(cudaDataType_t type) {
  return type == CUDA_R_32F                                 ? 4
         : type == CUDA_R_16BF                              ? 2
         : type == CUDA_R_8F_E4M3 || type == CUDA_R_8F_E5M2 ? 1
                                                            : 0;
}

static bool is_narrow(const blas_product *p) {
  return blas_type_bytes(p->type_a) == 1;
}

static bool has_bias(const blas_product *p) {
  return p->epilogue == CUBLASLT_EPILOGUE_BIAS || p->epilogue == CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
}

static bool has_aux(const blas_product *p) {
  return p->epilogue == CUBLASLT_EPILOGUE_GELU_AUX || p->epilogue == CUBLASLT_EPILOGUE_DGELU ||
         p->epilogue == CUBLASLT_EPILOGUE_GELU_AUX_BIAS ||
         p->epilogue == CUBLASLT_EPILOGUE_DGELU_BGRAD;
}

static const char *refuse_types(const blas_product *p) {
  if (p->type_c != CUDA_R_32F && p->type_c != CUDA_R_16BF) return "a result of this type";
  if (!is_narrow(p)) {
    bool is_wide = p->type_a == CUDA_R_32F && p->type_c != CUDA_R_32F;
    return p->type_a != p->type_b || is_wide ? "operands of these types together" : NULL;
  }
  int major = 9, minor = 0;
  imitation_version("FLIP_IMITATION_CAPABILITY", &major, &minor);
  if (10 * major + minor < 89) return "8-bit products on this GPU";
  if (blas_type_bytes(p->type_b) != 1 ||
      (p->type_a == CUDA_R_8F_E5M2 && p->type_b == CUDA_R_8F_E5M2))
    return "operands of these 8-bit types together";
  if (!p->transpose_a || p->transpose_b) return "8-bit products but of the form TN";
  if (p->m % 16 || p->n % 16 || p->k % 16)
    return "8-bit products of sizes that are no multiple of 16";
  return NULL;
}

/* Offered by the heuristics and then refused when run, as cuBLASLt 13.1 did on an H100 with a bias
 * in fp32 of 8-bit products. */
static bool is_offered_in_vain(const blas_product *p) {
  return (is_narrow(p) && has_bias(p) && p->type_bias == CUDA_R_32F) ||
         (has_aux(p) && has("gelu_in_vain"));
}

static const char *refuse_epilogue(const blas_product *p) {
  cudaDataType_t bias = is_narrow(p) ? CUDA_R_16BF : p->type_c;
  switch (p->epilogue) {
  case CUBLASLT_EPILOGUE_DEFAULT:
    return NULL;
  case CUBLASLT_EPILOGUE_BIAS:
    break;
  case CUBLASLT_EPILOGUE_GELU_AUX:
  case CUBLASLT_EPILOGUE_GELU_AUX_BIAS:
  case CUBLASLT_EPILOGUE_DGELU:
  case CUBLASLT_EPILOGUE_DGELU_BGRAD:
    if (has("no_gelu")) return "GELU";
    if (p->epilogue == CUBLASLT_EPILOGUE_DGELU_BGRAD &&
        (!has("dgelu_bgrad") || p->type_bias != p->type_c))
      return "a bias gradient with GELU's";
    if (is_narrow(p) && p->epilogue != CUBLASLT_EPILOGUE_GELU_AUX &&
        p->epilogue != CUBLASLT_EPILOGUE_GELU_AUX_BIAS)
      return "GELU's gradient in 8 bits";
    if (p->ld_aux % 8 || p->ld_aux < p->m) return "this leading dimension of GELU's input";
    if ((uintptr_t)p->aux % 16) return "GELU's input at an address that is no multiple of 16";
    break;
  case CUBLASLT_EPILOGUE_BGRADB:
    if (!has("bgradb") || is_narrow(p)) return "a bias gradient";
    return p->type_bias != p->type_c ? "a bias gradient of this type" : NULL;
  default:
    return "this epilogue (or it is not imitated)";
  }
  bool is_taken = !has_bias(p) || p->type_bias == bias || is_offered_in_vain(p);
  return is_taken ? NULL : "a bias of this type";
}

const char *blas_refusal(const blas_product *p) {
  if (p->k != (p->transpose_b ? p->columns_b : p->rows_b) ||
      p->n != (p->transpose_b ? p->rows_b : p->columns_b) ||
      p->m != (p->transpose_a ? p->columns_a : p->rows_a))
    return "matrices that do not fit each other";
  const char *types = refuse_types(p);
  return types ? types : refuse_epilogue(p);
}

/* False where a handle is none. */
static bool read_product(blas_product *p, const void *descriptor, const void *layout_a,
                         const void *layout_b, const void *layout_c, const void *layout_d,
                         const char *call) {
  const blas_object *o = blas_find(descriptor, BLAS_DESCRIPTOR, call),
                    *a = blas_find(layout_a, BLAS_LAYOUT, call),
                    *b = blas_find(layout_b, BLAS_LAYOUT, call),
                    *c = blas_find(layout_c, BLAS_LAYOUT, call),
                    *d = blas_find(layout_d, BLAS_LAYOUT, call);
  if (!o || !a || !b || !c || !d) return false;
  if (c->value[CUBLASLT_MATRIX_LAYOUT_TYPE] != d->value[CUBLASLT_MATRIX_LAYOUT_TYPE] ||
      c->value[CUBLASLT_MATRIX_LAYOUT_ROWS] != d->value[CUBLASLT_MATRIX_LAYOUT_ROWS] ||
      c->value[CUBLASLT_MATRIX_LAYOUT_COLS] != d->value[CUBLASLT_MATRIX_LAYOUT_COLS]) {
    imitation_misuse("%s: c and d differ in type or shape, which is not imitated", call);
    return false;
  }
  const uint64_t *v = o->value;
  bool is_turned = v[CUBLASLT_MATMUL_DESC_TRANSA] == CUBLAS_OP_T;
  *p = (blas_product){
      .m = (int64_t)d->value[CUBLASLT_MATRIX_LAYOUT_ROWS],
      .n = (int64_t)d->value[CUBLASLT_MATRIX_LAYOUT_COLS],
      .k = (int64_t)a->value[is_turned ? CUBLASLT_MATRIX_LAYOUT_ROWS : CUBLASLT_MATRIX_LAYOUT_COLS],
      .transpose_a = is_turned,
      .transpose_b = v[CUBLASLT_MATMUL_DESC_TRANSB] == CUBLAS_OP_T,
      .type_a = (cudaDataType_t)a->value[CUBLASLT_MATRIX_LAYOUT_TYPE],
      .type_b = (cudaDataType_t)b->value[CUBLASLT_MATRIX_LAYOUT_TYPE],
      .type_c = (cudaDataType_t)d->value[CUBLASLT_MATRIX_LAYOUT_TYPE],
      .ld_a = (int64_t)a->value[CUBLASLT_MATRIX_LAYOUT_LD],
      .ld_b = (int64_t)b->value[CUBLASLT_MATRIX_LAYOUT_LD],
      .ld_c = (int64_t)c->value[CUBLASLT_MATRIX_LAYOUT_LD],
      .ld_d = (int64_t)d->value[CUBLASLT_MATRIX_LAYOUT_LD],
      .ld_aux = (int64_t)v[CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD],
      .rows_a = (int64_t)a->value[CUBLASLT_MATRIX_LAYOUT_ROWS],
      .columns_a = (int64_t)a->value[CUBLASLT_MATRIX_LAYOUT_COLS],
      .rows_b = (int64_t)b->value[CUBLASLT_MATRIX_LAYOUT_ROWS],
      .columns_b = (int64_t)b->value[CUBLASLT_MATRIX_LAYOUT_COLS],
      .epilogue = (cublasLtEpilogue_t)v[CUBLASLT_MATMUL_DESC_EPILOGUE],
      .bias = (void *)v[CUBLASLT_MATMUL_DESC_BIAS_POINTER],
      .aux = (void *)v[CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER],
      .scale_a = (const float *)v[CUBLASLT_MATMUL_DESC_A_SCALE_POINTER],
      .scale_b = (const float *)v[CUBLASLT_MATMUL_DESC_B_SCALE_POINTER]};
  uint64_t bias = v[CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE];
  p->type_bias = bias == UINT32_MAX ? p->type_c : (cudaDataType_t)bias;
  return true;
}

/* Algorithms. */

/* Bytes that the leading dimensions keep aligned, up to 16. */
static uint32_t row_alignment(const blas_product *p) {
  uint64_t bytes = 16 | (uint64_t)p->ld_a * blas_type_bytes(p->type_a) |
                   (uint64_t)p->ld_b * blas_type_bytes(p->type_b) |
                   (uint64_t)p->ld_d * blas_type_bytes(p->type_c);
  return (uint32_t)(bytes & -bytes);
}

/* Which of the algorithms may be used: one that adds in place only where its scheme is allowed. */
static bool is_allowed(const blas_product *p, const blas_algorithm *a,
                       const blas_object *preference) {
  uint64_t schemes = preference->value[CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK];
  return !blas_setting_refusal(a) && (a->scheme & schemes) == a->scheme &&
         preference->value[CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES] >= blas_workspace_of(p, a);
}

cublasStatus_t
cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t descriptor,
                               cublasLtMatrixLayout_t layout_a, cublasLtMatrixLayout_t layout_b,
                               cublasLtMatrixLayout_t layout_c, cublasLtMatrixLayout_t layout_d,
                               cublasLtMatmulPreference_t wishes, int most,
                               cublasLtMatmulHeuristicResult_t results[], int *count) {
  const char *const call = "cublasLtMatmulAlgoGetHeuristic";
  blas_product p;
  imitation_enter(call);
  *count = 0;
  const blas_object *preference = blas_find(wishes, BLAS_PREFERENCE, call);
  if (!blas_find(handle, BLAS_HANDLE, call) || !preference || most <= 0 ||
      !read_product(&p, descriptor, layout_a, layout_b, layout_c, layout_d, call))
    return CUBLAS_STATUS_INVALID_VALUE;
  if (blas_refusal(&p)) return CUBLAS_STATUS_NOT_SUPPORTED;
  uint32_t alignment = row_alignment(&p);
  for (int i = CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES;
       i <= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES; i++)
    if (preference->value[i] < alignment) alignment = (uint32_t)preference->value[i];
  if (is_narrow(&p) && alignment < 16) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (has("bad_result"))
    results[(*count)++] =
        (cublasLtMatmulHeuristicResult_t){.state = CUBLAS_STATUS_NOT_SUPPORTED, .workspaceSize = 1};
  for (int way = 0; way < BLAS_ALGORITHMS && *count < most; way++) {
    if (way == BLAS_OTHER_OPTION && !has("better_pair") && !has("failing")) continue;
    const blas_algorithm algorithm = blas_named_algorithm((blas_way)way, alignment);
    if (!is_allowed(&p, &algorithm, preference)) continue;
    cublasLtMatmulHeuristicResult_t *r = &results[(*count)++];
    *r = (cublasLtMatmulHeuristicResult_t){.workspaceSize = blas_workspace_of(&p, &algorithm),
                                           .state = CUBLAS_STATUS_SUCCESS,
                                           .wavesCount = 1};
    memcpy(&r->algo, &algorithm, sizeof algorithm);
  }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t
cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t descriptor,
                        cublasLtMatrixLayout_t layout_a, cublasLtMatrixLayout_t layout_b,
                        cublasLtMatrixLayout_t layout_c, cublasLtMatrixLayout_t layout_d,
                        const cublasLtMatmulAlgo_t *algo, cublasLtMatmulHeuristicResult_t *result) {
  const char *const call = "cublasLtMatmulAlgoCheck";
  blas_product p;
  blas_algorithm algorithm;
  imitation_enter(call);
  if (!blas_find(handle, BLAS_HANDLE, call) || !blas_read_algorithm(algo, &algorithm) ||
      !read_product(&p, descriptor, layout_a, layout_b, layout_c, layout_d, call))
    return CUBLAS_STATUS_INVALID_VALUE;
  if (blas_refusal(&p) || blas_setting_refusal(&algorithm) ||
      algorithm.alignment > row_alignment(&p))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  *result = (cublasLtMatmulHeuristicResult_t){.algo = *algo,
                                              .workspaceSize = blas_workspace_of(&p, &algorithm),
                                              .state = CUBLAS_STATUS_SUCCESS,
                                              .wavesCount = 1};
  return CUBLAS_STATUS_SUCCESS;
}

/* Bytes from the first to the last element of a matrix. */
static size_t extent(int64_t rows, int64_t columns, int64_t ld, cudaDataType_t type) {
  return (size_t)((columns - 1) * ld + rows) * blas_type_bytes(type);
}

/* NULL, or which of the addresses is wrong for this algorithm. */
static const char *refuse_addresses(const blas_work *w, const blas_algorithm *algorithm) {
  const blas_product *p = &w->p;
  uintptr_t all = (uintptr_t)w->a | (uintptr_t)w->b | (uintptr_t)w->c | (uintptr_t)w->d;
  if (all % algorithm->alignment) return "a matrix is not aligned as the algorithm was asked for";
  if (!memory_is_device(w->a, extent(p->rows_a, p->columns_a, p->ld_a, p->type_a)))
    return "a is not all in a block of device memory";
  if (!memory_is_device(w->b, extent(p->rows_b, p->columns_b, p->ld_b, p->type_b)))
    return "b is not all in a block of device memory";
  if (!memory_is_device(w->d, extent(p->m, p->n, p->ld_d, p->type_c)))
    return "d is not all in a block of device memory";
  if (w->beta != 0 && !memory_is_device(w->c, extent(p->m, p->n, p->ld_c, p->type_c)))
    return "c is not all in a block of device memory";
  if (has_aux(p) && !memory_is_device(p->aux, extent(p->m, p->n, p->ld_aux, p->type_c)))
    return "GELU's input is not all in a block of device memory";
  bool is_of_rows = has_bias(p) || p->epilogue == CUBLASLT_EPILOGUE_DGELU_BGRAD;
  int64_t bias = is_of_rows ? p->m : p->epilogue == CUBLASLT_EPILOGUE_BGRADB ? p->n : 0;
  if (bias && !memory_is_device(p->bias, (size_t)bias * blas_type_bytes(p->type_bias)))
    return "the bias is not all in a block of device memory";
  if (is_narrow(p) ? !memory_is_device(p->scale_a, 4) || !memory_is_device(p->scale_b, 4)
                   : p->scale_a || p->scale_b)
    return "scales belong to 8-bit operands, and lie in device memory";
  if (((uintptr_t)p->scale_a | (uintptr_t)p->scale_b) % 16)
    return "a scale is at an address that is no multiple of 16";
  return NULL;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t descriptor,
                              const void *alpha, const void *a, cublasLtMatrixLayout_t layout_a,
                              const void *b, cublasLtMatrixLayout_t layout_b, const void *beta,
                              const void *c, cublasLtMatrixLayout_t layout_c, void *d,
                              cublasLtMatrixLayout_t layout_d, const cublasLtMatmulAlgo_t *algo,
                              void *workspace, size_t workspace_bytes, cudaStream_t stream) {
  const char *const call = "cublasLtMatmul";
  blas_algorithm algorithm;
  if (imitation_enter_or_fail(call)) return CUBLAS_STATUS_EXECUTION_FAILED;
  if (!blas_find(handle, BLAS_HANDLE, call)) return CUBLAS_STATUS_NOT_INITIALIZED;
  blas_work w = {.a = a, .b = b, .c = c, .d = d};
  if (!read_product(&w.p, descriptor, layout_a, layout_b, layout_c, layout_d, call))
    return CUBLAS_STATUS_INVALID_VALUE;
  const char *wrong = blas_refusal(&w.p);
  if (wrong) {
    imitation_misuse("%s: there is no algorithm for %s", call, wrong);
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  if (is_offered_in_vain(&w.p)) return CUBLAS_STATUS_NOT_SUPPORTED;
  w.alpha = *(const float *)alpha;
  w.beta = *(const float *)beta;
  if (!algo || !blas_read_algorithm(algo, &algorithm)) {
    wrong = "the algorithm is none of this library";
  } else {
    const size_t needed = blas_workspace_of(&w.p, &algorithm);
    w.way = blas_way_of(&algorithm);
    w.parts = algorithm.parts;
    w.is_narrowed =
        w.p.type_c == CUDA_R_16BF && (algorithm.scheme == CUBLASLT_REDUCTION_SCHEME_INPLACE ||
                                      algorithm.scheme == CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE);
    w.is_wrong = blas_has_wrong_tile(&algorithm);
    wrong = algorithm.alignment > row_alignment(&w.p)
                ? "rows are not aligned as the algorithm needs"
                : refuse_addresses(&w, &algorithm);
    if (!wrong) wrong = blas_setting_refusal(&algorithm);
    if (!wrong && needed > 0 &&
        (workspace_bytes < needed || (uintptr_t)workspace % 16 ||
         !memory_is_device(workspace, workspace_bytes)))
      wrong = "the workspace is too small, or not aligned to 16 bytes of device memory";
  }
  if (wrong) {
    imitation_misuse("%s: %s", call, wrong);
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  static const char *const ways[] = {"algorithm: plain", "algorithm: halves",
                                     "algorithm: in place"};
  imitation_enter(ways[w.way]); /* a line of the trace */
  if ((has("failing") && w.way == BLAS_PLAIN && !algorithm.option) ||
      blas_has_failing_tile(&algorithm))
    return CUBLAS_STATUS_EXECUTION_FAILED;
  const stream_work run = blas_has_faulting_tile(&algorithm) ? blas_fault : blas_run;
  return stream_give(stream, call, blas_cost_of(&algorithm), run, &w, sizeof w)
             ? CUBLAS_STATUS_EXECUTION_FAILED
             : CUBLAS_STATUS_SUCCESS;
}
