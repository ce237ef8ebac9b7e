/* The launchers' grids at the largest shapes that a GPU's memory may hold: into a capture, so that
 * nothing is computed and no memory is needed, by a device's limits of grids. */
#include "support/test.h"

#include "cuda/kernels.h"
#include "imitation/imitation.h"

/* ViT-L/14 at 224 pixels, in the largest batches of the literature. */
enum { BATCH = 32768, TOKENS = 257, HEADS = 16, HEAD_WIDTH = 64, WIDTH = HEADS * HEAD_WIDTH };

static cudaStream_t stream;
static void *const scratch = (void *)0x100000;

static int set_up(void **state) {
  (void)state;
  assert_int_equal(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  assert_int_equal(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  cudaGraph_t graph;
  assert_int_equal(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  assert_int_equal(cudaGraphDestroy(graph), cudaSuccess);
  assert_int_equal(cudaStreamDestroy(stream), cudaSuccess);
  return 0;
}

/* Never read: only an address, aligned as a device's. */
static ops_buffer somewhere(ops_type type) {
  return (ops_buffer){(void *)0x10000000, type};
}

static void attention_runs(void **state) {
  (void)state;
  for (int type = OPS_F32; type <= OPS_BF16; type++) {
    ops_buffer x = somewhere((ops_type)type), f = somewhere(OPS_F32);
    const ops_attention a = {.batch = BATCH,
                             .tokens = TOKENS,
                             .heads = HEADS,
                             .head_width = HEAD_WIDTH,
                             .qkv = x,
                             .out = x,
                             .lse = f,
                             .dout = x,
                             .dqkv = x};
    assert_int_equal(kernel_attention(&a, stream), 0);
    assert_int_equal(kernel_attention_gradient(&a, scratch, stream), 0);
    ops_attention few = a; /* a block for each head */
    few.tokens = 50, few.dqkv_sums = f;
    assert_int_equal(kernel_attention(&few, stream), 0);
    assert_int_equal(kernel_attention_gradient(&few, scratch, stream), 0);
    few.dqkv_narrow =
        (ops_narrow){OPS_E5M2, somewhere(OPS_U8), somewhere(OPS_U8), somewhere(OPS_F32)};
    assert_int_equal(kernel_attention_gradient(&few, scratch, stream) == 0, type == OPS_BF16);
  }
}

static void rows_are_normed_pooled_and_summed(void **state) {
  (void)state;
  const int64_t rows = (int64_t)BATCH * TOKENS;
  ops_buffer x = somewhere(OPS_BF16), f = somewhere(OPS_F32);
  const ops_layer_norm n = {
      .rows = rows, .width = WIDTH, .x = x, .gamma = f, .beta = f, .y = x, .mean = f, .rstd = f};
  const ops_layer_norm_gradient g = {.rows = rows,
                                     .width = WIDTH,
                                     .dy = x,
                                     .x = x,
                                     .gamma = f,
                                     .mean = f,
                                     .rstd = f,
                                     .dx = x,
                                     .dgamma = f,
                                     .dbeta = f,
                                     .dx_sums = f};
  const ops_pool p = {
      .batch = BATCH, .tokens = TOKENS, .width = WIDTH, .x = x, .pooled = x, .dpooled = x, .dx = x};
  assert_int_equal(kernel_layer_norm(&n, stream), 0);
  assert_int_equal(kernel_layer_norm_gradient(&g, scratch, stream), 0);
  assert_int_equal(kernel_pool(&p, stream), 0);
  assert_int_equal(kernel_pool_gradient(&p, stream), 0);
  assert_int_equal(kernel_column_sums(rows, 4 * WIDTH, 4 * WIDTH, x, f, scratch, stream), 0);
  assert_int_equal(kernel_activation(OPS_GELU_TANH, rows * 4 * WIDTH, x, x, stream), 0);
  assert_int_equal(
      kernel_activation_gradient_sums(OPS_GELU_TANH, rows, 4 * WIDTH, x, x, f, f, scratch, stream),
      0);
}

static void tokens_are_made(void **state) {
  (void)state;
  ops_buffer x = somewhere(OPS_BF16), f = somewhere(OPS_F32), i = somewhere(OPS_I32);
  const ops_patches p = {.batch = BATCH,
                         .size = 224,
                         .patch = 14,
                         .keep = 256,
                         .images = somewhere(OPS_U8),
                         .index = i,
                         .patches = x};
  const ops_embed e = {.batch = BATCH,
                       .length = 77,
                       .width = WIDTH,
                       .vocabulary = 49408,
                       .ids = i,
                       .table = f,
                       .positions = f,
                       .tokens = x,
                       .dtokens = x,
                       .dtable = f,
                       .dpositions = f};
  assert_int_equal(kernel_patches(&p, stream), 0);
  assert_int_equal(kernel_embed(&e, stream), 0);
  assert_int_equal(kernel_embed_gradient(&e, scratch, stream), 0);
}

static void dense_layers_are_narrowed(void **state) {
  (void)state;
  const int64_t rows = (int64_t)BATCH * TOKENS;
  const ops_rounding r = {
      .rows = rows,
      .columns = WIDTH,
      .x = somewhere(OPS_BF16),
      .to = {OPS_E4M3, somewhere(OPS_U8), somewhere(OPS_U8), somewhere(OPS_F32)}};
  assert_int_equal(kernel_narrow(&r, 1, NULL, stream), 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(attention_runs),
      TEST(rows_are_normed_pooled_and_summed),
      TEST(tokens_are_made),
      TEST(dense_layers_are_narrowed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
