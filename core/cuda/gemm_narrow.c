/* Products of operands in 8-bit floats, on GPUs that have them (Hopper and later).
 *
 * Operands come rounded (fp8.cu): once, for all the products that use them. Sums are in fp32.
 * Hopper multiplies 8-bit matrices only with both operands stored along k, so each comes in that
 * layout. */
#include "cuda/gemm.h"
#include "cuda/kernels.h"

static cudaDataType_t type_of(const ops_narrow *operand) {
  return operand->format == OPS_E5M2 ? CUDA_R_8F_E5M2 : CUDA_R_8F_E4M3;
}

static const float *inverse_of(const ops_narrow *operand) {
  return (const float *)operand->scale.data + OPS_SCALE_INVERSE;
}

void gemm_narrow(const ops_gemm *g, gemm_product *p) {
  const ops_narrow *a = &g->narrow_a, *b = &g->narrow_b;
  p->g.a = g->transpose_a ? a->turned : a->values;
  p->g.b = g->transpose_b ? b->values : b->turned;
  p->g.transpose_a = false;
  p->g.transpose_b = true;
  p->g.a_sums = (ops_buffer){0}; /* computed from the 16-bit values, which are available */
  p->type_a = type_of(a);
  p->type_b = type_of(b);
  p->scale_a = inverse_of(a);
  p->scale_b = inverse_of(b);
}

err cuda_narrow(ops *o, const ops_rounding *list, size_t count) {
  void *scratch = NULL;
  const size_t bytes = kernel_narrow_scratch(list, count);
  err error = bytes ? cuda_scratch(o, bytes, &scratch) : NULL;
  return error ? error
               : cuda_error(kernel_narrow(list, count, scratch, cuda_of(o)->compute),
                            "rounding to 8 bits");
}
