/* The graphs that describe attention to cuDNN mean attention: computed operation by operation, in
 * double precision, they give what the reference gives. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "cuda/sdpa_graph.h"
#include "imitation/dnn.h"
#include "support/ops_reference.h"

enum { BATCH = 2, TOKENS = 13, HEADS = 3, WIDTH = 16, HIDDEN = HEADS * WIDTH };
enum { OUT = BATCH * TOKENS * HIDDEN, ROWS = BATCH * HEADS * TOKENS };

/* One set of tensors for the graph, another for the reference. */
typedef struct {
  _Alignas(16) uint16_t qkv[3 * OUT], out[OUT], dout[OUT], dqkv[3 * OUT];
  _Alignas(16) float lse[ROWS], out_sums[ROWS], dq_sums[OUT];
  double expected_out[OUT], expected_lse[ROWS], expected_dqkv[3 * OUT];
  ops_attention reference;
} rig;

static double widened(uint16_t value) {
  return reference_get((ops_buffer){&value, OPS_BF16}, 0);
}

static void fill(rng *random, uint16_t *values, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    reference_set((ops_buffer){values, OPS_BF16}, i, rng_normal(random));
}

/* The reference's answers, the forward pass's handed to the backward pass as bf16 and fp32. */
static rig *make_rig(bool is_causal) {
  rig *r = calloc(1, sizeof *r);
  assert_non_null(r);
  rng random = rng_at(3, RNG_TEST, is_causal, 0);
  fill(&random, r->qkv, 3 * OUT);
  fill(&random, r->dout, OUT);
  memset(r->dqkv, 0xFF, sizeof r->dqkv);
  ops *o;
  assert_ok(ops_create_reference(&o));
  r->reference = (ops_attention){.batch = BATCH,
                                 .tokens = TOKENS,
                                 .heads = HEADS,
                                 .head_width = WIDTH,
                                 .is_causal = is_causal,
                                 .qkv = {r->qkv, OPS_BF16},
                                 .out = {r->expected_out, OPS_F64},
                                 .lse = {r->expected_lse, OPS_F64},
                                 .dout = {r->dout, OPS_BF16},
                                 .dqkv = {r->expected_dqkv, OPS_F64}};
  assert_ok(o->call->attention(o, &r->reference));
  assert_ok(o->call->attention_gradient(o, &r->reference));
  ops_destroy(o);
  return r;
}

static const char *compute(rig *r, const sdpa_graph *g) {
  static float scale, masked = -INFINITY, one = 1;
  void *const all[SDPA_TENSORS] = {[SDPA_Q] = r->qkv,
                                   [SDPA_K] = r->qkv + HIDDEN,
                                   [SDPA_V] = r->qkv + 2 * HIDDEN,
                                   [SDPA_OUT] = r->out,
                                   [SDPA_STATS] = r->lse,
                                   [SDPA_SCALE] = &scale,
                                   [SDPA_MASKED] = &masked,
                                   [SDPA_ONE] = &one,
                                   [SDPA_DOUT] = r->dout,
                                   [SDPA_DQ] = r->dqkv,
                                   [SDPA_DK] = r->dqkv + HIDDEN,
                                   [SDPA_DV] = r->dqkv + 2 * HIDDEN,
                                   [SDPA_OUT_SUMS] = r->out_sums,
                                   [SDPA_DQ_SUMS] = r->dq_sums};
  int64_t ids[SDPA_TENSORS], count = 0;
  void *pointers[SDPA_TENSORS];
  scale = (float)(1 / sqrt(WIDTH));
  for (int64_t id = 0; id < SDPA_TENSORS; id++) {
    if (!g->has[id]) continue;
    ids[count] = id;
    pointers[count++] = all[id];
  }
  return dnn_evaluate(g->graph, count, ids, pointers);
}

static rig *computed(const sdpa_shape *shape, sdpa_form form, bool has_forward) {
  const sdpa_target target = {.handle = NULL};
  rig *r = make_rig(shape->is_causal);
  sdpa_graph g;
  if (has_forward) { /* what the backward pass is handed */
    for (int64_t i = 0; i < OUT; i++)
      reference_set((ops_buffer){r->out, OPS_BF16}, i, r->expected_out[i]);
    for (int64_t i = 0; i < ROWS; i++) r->lse[i] = (float)r->expected_lse[i];
  }
  assert_int_equal(sdpa_graph_make(shape, form, &target, &g), CUDNN_STATUS_SUCCESS);
  const char *problem = compute(r, &g);
  if (problem) fail_msg("%s", problem);
  sdpa_graph_free(&g);
  return r;
}

static sdpa_shape shape_of(bool is_backward, bool is_causal, bool is_deterministic) {
  return (sdpa_shape){BATCH, TOKENS, HEADS, WIDTH, is_backward, is_causal, is_deterministic};
}

/* bf16 keeps 8 bits: one rounding of the shares or their gradient, and one of the result. */
static void assert_close(const uint16_t *found, const double *expected, int64_t count) {
  double worst = 0, most = 0;
  for (int64_t i = 0; i < count; i++) {
    if (isnan(widened(found[i]))) fail_msg("element %ld is not written", (long)i);
    worst = fmax(worst, fabs(widened(found[i]) - expected[i]));
    most = fmax(most, fabs(expected[i]));
  }
  if (!(worst <= most / 128)) fail_msg("%.3g apart of %.3g", worst, most);
}

static void forward_graphs_are_attention(void **state) {
  (void)state;
  for (int kind = 0; kind < 3; kind++) { /* written out, written out and causal, single */
    sdpa_shape shape = shape_of(false, kind == 1, false);
    rig *r = computed(&shape, kind == 2 ? SDPA_SINGLE : SDPA_WRITTEN_OUT, false);
    assert_close(r->out, r->expected_out, OUT);
    for (int64_t i = 0; i < ROWS; i++) /* fp32 throughout */
      assert_true(fabs((double)r->lse[i] - r->expected_lse[i]) < 1e-5);
    free(r);
  }
}

static void backward_graphs_are_its_gradient(void **state) {
  (void)state;
  for (int kind = 0; kind < 4; kind++) {
    sdpa_shape shape = shape_of(true, kind & 1, kind & 2);
    rig *r = computed(&shape, SDPA_WRITTEN_OUT, true);
    assert_close(r->dqkv, r->expected_dqkv, 3 * OUT);
    free(r);
  }
}

static void the_single_operation_has_no_mask_and_no_gradient(void **state) {
  (void)state;
  const sdpa_target target = {.handle = NULL};
  sdpa_graph g;
  const sdpa_shape backward = shape_of(true, false, false), causal = shape_of(false, true, false);
  assert_int_equal(sdpa_graph_make(&backward, SDPA_SINGLE, &target, &g),
                   CUDNN_STATUS_NOT_SUPPORTED);
  sdpa_graph_free(&g);
  assert_int_equal(sdpa_graph_make(&causal, SDPA_SINGLE, &target, &g), CUDNN_STATUS_NOT_SUPPORTED);
  sdpa_graph_free(&g);
}

/* As documented, so that the graphs above have passed it. */
static void attributes_of_another_type_or_number_are_refused(void **state) {
  (void)state;
  cudnnBackendDescriptor_t how;
  const cudnnReduceTensorOp_t sums[2] = {CUDNN_REDUCE_TENSOR_ADD, CUDNN_REDUCE_TENSOR_ADD};
  assert_int_equal(cudnnBackendCreateDescriptor(CUDNN_BACKEND_REDUCTION_DESCRIPTOR, &how),
                   CUDNN_STATUS_SUCCESS);
  assert_int_equal(cudnnBackendSetAttribute(how, CUDNN_ATTR_REDUCTION_OPERATOR,
                                            CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 2, sums),
                   CUDNN_STATUS_BAD_PARAM);
  assert_int_equal(
      cudnnBackendSetAttribute(how, CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_DATA_TYPE, 1, sums),
      CUDNN_STATUS_BAD_PARAM);
  assert_int_equal(cudnnBackendSetAttribute(how, CUDNN_ATTR_REDUCTION_OPERATOR,
                                            CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, sums),
                   CUDNN_STATUS_SUCCESS);
  assert_int_equal(cudnnBackendDestroyDescriptor(how), CUDNN_STATUS_SUCCESS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(forward_graphs_are_attention),
      cmocka_unit_test(backward_graphs_are_its_gradient),
      cmocka_unit_test(the_single_operation_has_no_mask_and_no_gradient),
      cmocka_unit_test(attributes_of_another_type_or_number_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
