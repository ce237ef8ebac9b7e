/* Runs one product as described, and the parts that the library leaves to our kernels. */
#include "cuda/gemm.h"
#include "cuda/kernels.h"

/* Output of the product itself: an activation that is left to us reads it from `pre`. */
void *gemm_target(const gemm_plan *plan, const gemm_product *p) {
  bool is_ours = plan->key.epilogue == OPS_EPILOGUE_ACTIVATION && !(plan->form & GEMM_ACTIVATION);
  return is_ours ? p->g.pre.data : p->g.c.data;
}

err gemm_multiply(ops *o, const gemm_plan *plan, const gemm_product *p, void *c,
                  const cublasLtMatmulAlgo_t *algorithm) {
  const float one = 1, zero = 0;
  cuda_state *state = cuda_of(o);
  return gemm_error(cublasLtMatmul(state->gemms->library, plan->product, &one, p->g.b.data,
                                   plan->first, p->g.a.data, plan->second,
                                   plan->key.accumulate ? &one : &zero, c, plan->result, c,
                                   plan->result, algorithm, state->workspace,
                                   state->workspace_bytes, state->compute),
                    "a matrix product");
}

err gemm_prepare(ops *o, const gemm_plan *plan, const gemm_product *p) {
  if (!(plan->form & GEMM_BIAS_COMPUTE) || p->has_copy) return NULL;
  ops_buffer copy = {p->bias_copy, OPS_BF16};
  return cuda_error(kernel_cast(p->g.n, p->g.bias, copy, cuda_of(o)->compute), "a bias");
}

err gemm_run(ops *o, gemm_plan *plan, const gemm_product *p) {
  err error = NULL;
  TRY(gemm_prepare(o, plan, p));
  TRY(gemm_point(plan, p));
  TRY(gemm_multiply(o, plan, p, gemm_target(plan, p), &plan->algorithm));
cleanup:
  return error;
}

/* c_sums, and the activation's gradient if the library does not compute it. */
static int finish_gradient(const ops_gemm *g, int form, const gemm_product *p, void *stream) {
  if (!(form & GEMM_ACTIVATION))
    return kernel_activation_gradient_sums(g->activation, g->m, g->n, g->pre, g->c, g->c_sums,
                                           p->rest, stream);
  if (!(form & GEMM_SUMS))
    return kernel_column_sums(g->m, g->n, g->n, g->c, g->c_sums, p->rest, stream);
  return kernel_add(g->n, (ops_buffer){p->sums, g->c.type}, g->c_sums, stream);
}

static int finish_sums(const ops_gemm *g, int form, const gemm_product *p, void *stream) {
  if (form & GEMM_SUMS) return kernel_add(g->m, (ops_buffer){p->sums, OPS_F32}, g->a_sums, stream);
  if (!g->transpose_a) return kernel_row_sums(g->m, g->k, g->a, g->a_sums, stream);
  return kernel_column_sums(g->k, g->m, g->m, g->a, g->a_sums, p->rest, stream);
}

err gemm_finish(ops *o, const ops_gemm *g, int form, const gemm_product *p) {
  void *stream = cuda_of(o)->compute;
  int64_t count = g->m * g->n;
  if (g->c_sums.data)
    return cuda_error(finish_gradient(g, form, p, stream), "an activation's gradient");
  int code = 0;
  if (g->epilogue != OPS_EPILOGUE_NONE && !(form & GEMM_ACTIVATION))
    code = g->epilogue == OPS_EPILOGUE_ACTIVATION
               ? kernel_activation(g->activation, count, g->pre, g->c, stream)
               : kernel_activation_gradient(g->activation, count, g->pre, g->c, stream);
  if (code || !g->a_sums.data) return cuda_error(code, "an activation");
  return cuda_error(finish_sums(g, form, p, stream), "a bias gradient");
}
