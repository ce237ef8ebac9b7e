/* Dense layers in 8-bit floats, on GPUs with 8-bit matrix products (Hopper and later).
 *
 * Each operand is scaled by its own maximum, computed for each product (current scaling: accurate,
 * at the cost of reading the operand twice), and rounded to e4m3; gradients to e5m2, which has more
 * range (Micikevicius et al. 2022, "FP8 formats for deep learning"). Sums stay in fp32. Hopper
 * multiplies 8-bit matrices only with both operands stored along k, so an operand in the other
 * layout is transposed while it is rounded.
 *
 * Scratch: [scales | a in 8 bits | b in 8 bits]. */
#include "cuda/gemm.h"
#include "cuda/kernels.h"

/* Scales of an operand, in floats: the maximum, the factor for x, and its inverse, which the
 * library reads and requires at a multiple of 16 bytes. */
enum { SCALE_FACTOR = 1, SCALE_INVERSE = 4, SCALE_FLOATS = 8 };
enum { NARROW_MULTIPLE = 16, SCALES_BYTES = CUDA_SCRATCH_ALIGNMENT };
_Static_assert(2 * SCALE_FLOATS * sizeof(float) <= SCALES_BYTES, "two operands' scales fit");

bool gemm_can_narrow(ops *o, const ops_gemm *g) {
  return cuda_of(o)->request.is_narrow && g->a.type == OPS_BF16 && g->m % NARROW_MULTIPLE == 0 &&
         g->n % NARROW_MULTIPLE == 0 && g->k % NARROW_MULTIPLE == 0;
}

/* Converts x, whose k-direction runs along its rows unless `is_turned`, to 8 bits along k.
 * `scales`: the operand's SCALE_FLOATS. */
static int narrow(kernel_fp8 format, int64_t along, int64_t k, bool is_turned, ops_buffer x,
                  float *scales, uint8_t *to, void *stream) {
  int64_t rows = is_turned ? k : along, columns = is_turned ? along : k;
  int code = kernel_amax(along * k, x, scales, stream);
  if (!code)
    code = kernel_fp8_scale(format, scales, scales + SCALE_FACTOR, scales + SCALE_INVERSE, stream);
  return code ? code
              : kernel_quantize(format, rows, columns, x, scales + SCALE_FACTOR,
                                is_turned ? NULL : to, is_turned ? to : NULL, stream);
}

size_t gemm_narrow_bytes(const ops_gemm *g) {
  return SCALES_BYTES + cuda_rounded((size_t)(g->m * g->k)) + cuda_rounded((size_t)(g->n * g->k));
}

err gemm_narrow(ops *o, const ops_gemm *g, void *scratch, gemm_product *p) {
  void *stream = cuda_of(o)->compute;
  float *scales_a = scratch, *scales_b = scales_a + SCALE_FLOATS;
  uint8_t *a = (uint8_t *)scratch + SCALES_BYTES, *b = a + cuda_rounded((size_t)(g->m * g->k));
  /* forward: x and a weight; backward: a gradient comes first */
  bool is_gradient = g->accumulate || !g->transpose_b;
  int code = narrow(is_gradient ? KERNEL_E5M2 : KERNEL_E4M3, g->m, g->k, g->transpose_a, g->a,
                    scales_a, a, stream);
  if (!code) code = narrow(KERNEL_E4M3, g->n, g->k, !g->transpose_b, g->b, scales_b, b, stream);
  p->g.transpose_a = false;
  p->g.transpose_b = true;
  p->g.a.data = a;
  p->g.b.data = b;
  p->g.a_sums = (ops_buffer){0}; /* computed from the 16-bit values, which are available */
  p->type_a = is_gradient ? CUDA_R_8F_E5M2 : CUDA_R_8F_E4M3;
  p->type_b = CUDA_R_8F_E4M3;
  p->scale_a = scales_a + SCALE_INVERSE;
  p->scale_b = scales_b + SCALE_INVERSE;
  return cuda_error(code, "rounding to 8 bits");
}
