/* Results do not depend on how large buffers are: the last rows of buffers of more than 2^32
 * elements, of which only these exist, give what they give alone. */
#include "support/test.h"

#include "cuda/kernels.h"
#include "simt/placed.h"

/* The last four rows, which a block has or more: the number of rows is a multiple of 1024. */
enum { TAIL = 4 };

static int far_activation(bench *b) {
  enum { WIDTH = 512 }; /* a block has 2048 elements */
  const int64_t count = (b->skipped + TAIL) * WIDTH;
  ops_buffer pre = rows_of(b, b->type, TAIL, WIDTH), c = rows_of(b, b->type, TAIL, WIDTH);
  int failed = kernel_activation(OPS_GELU_TANH, count, pre, c, NULL);
  return failed ? failed : kernel_activation_gradient(OPS_GELU_TANH, count, pre, c, NULL);
}

static int far_norm(bench *b) {
  enum { WIDTH = 512 };
  ops_layer_norm n = {.rows = b->skipped + TAIL, .width = WIDTH, .eps = 1e-6};
  n.x = rows_of(b, b->type, TAIL, WIDTH), n.residual = rows_of(b, b->type, TAIL, WIDTH);
  n.sum = rows_of(b, b->type, TAIL, WIDTH), n.y = rows_of(b, b->type, TAIL, WIDTH);
  n.gamma = numbers(b, OPS_F32, WIDTH), n.beta = numbers(b, OPS_F32, WIDTH);
  n.mean = rows_of(b, OPS_F32, TAIL, 1), n.rstd = rows_of(b, OPS_F32, TAIL, 1);
  return kernel_layer_norm(&n, NULL);
}

static int far_attention_of(bench *b, int64_t head_width) {
  enum { TOKENS = 16 }; /* a block for each head, whatever the kernel */
  const int64_t width = TOKENS * head_width;
  ops_attention a = {
      .batch = b->skipped + TAIL, .tokens = TOKENS, .heads = 1, .head_width = head_width};
  a.qkv = rows_of(b, b->type, TAIL, 3 * width), a.out = rows_of(b, b->type, TAIL, width);
  a.lse = rows_of(b, OPS_F32, TAIL, TOKENS), a.dout = rows_of(b, b->type, TAIL, width);
  a.dqkv = rows_of(b, b->type, TAIL, 3 * width);
  ops_buffer products = rows_of(b, OPS_F32, TAIL, TOKENS);
  int failed = kernel_attention(&a, NULL);
  return failed ? failed : kernel_attention_gradient(&a, products.data, NULL);
}

static int far_attention(bench *b) {
  return far_attention_of(b, 96);
}

static int far_attention_in_tiles(bench *b) {
  return far_attention_of(b, 88);
}

static int far_patches(bench *b) {
  enum { SIZE = 8, LENGTH = 3 * SIZE * SIZE };
  ops_patches p = {.batch = b->skipped + TAIL,
                   .size = SIZE,
                   .patch = SIZE,
                   .keep = 1,
                   .deviation = {0.26f, 0.27f, 0.28f}};
  p.images = rows_of(b, OPS_U8, TAIL, LENGTH), p.patches = rows_of(b, b->type, TAIL, LENGTH);
  p.index = ops_at(indices(b, TAIL, 1), -b->skipped);
  return kernel_patches(&p, NULL);
}

static int far_tokens(bench *b) {
  enum { KEEP = 4, WIDTH = 512, LENGTH = KEEP * WIDTH };
  ops_assemble a = {.batch = b->skipped + TAIL, .keep = KEEP, .width = WIDTH};
  a.patches = rows_of(b, b->type, TAIL, LENGTH), a.tokens = rows_of(b, b->type, TAIL, LENGTH);
  a.dtokens = rows_of(b, b->type, TAIL, LENGTH), a.dpatches = rows_of(b, b->type, TAIL, LENGTH);
  a.positions = numbers(b, OPS_F32, 9 * WIDTH);
  a.index = ops_at(indices(b, TAIL * KEEP, 9), -b->skipped * KEEP);
  int failed = kernel_assemble(&a, NULL);
  return failed ? failed : kernel_assemble_gradient(&a, NULL, NULL); /* of the patches alone */
}

static int far_words(bench *b) {
  enum { LENGTH = 4, WIDTH = 512 };
  ops_embed e = {.batch = b->skipped + TAIL, .length = LENGTH, .width = WIDTH, .vocabulary = 9};
  e.ids = ops_at(indices(b, TAIL * LENGTH, 9), -b->skipped * LENGTH);
  e.table = numbers(b, OPS_F32, 9 * WIDTH), e.positions = numbers(b, OPS_F32, LENGTH * WIDTH);
  e.tokens = rows_of(b, b->type, TAIL, LENGTH * WIDTH);
  return kernel_embed(&e, NULL);
}

static int far_pool(bench *b) {
  enum { TOKENS = 8, WIDTH = 512 };
  ops_pool p = {.batch = b->skipped + TAIL, .tokens = TOKENS, .width = WIDTH};
  p.x = rows_of(b, b->type, TAIL, TOKENS * WIDTH), p.pooled = rows_of(b, b->type, TAIL, WIDTH);
  p.dpooled = rows_of(b, b->type, TAIL, WIDTH), p.dx = rows_of(b, b->type, TAIL, TOKENS * WIDTH);
  int failed = kernel_pool(&p, NULL);
  return failed ? failed : kernel_pool_gradient(&p, NULL);
}

static void the_last_rows_of_large_buffers_are_reached(void **state) {
  (void)state;
  static const struct {
    work work;
    int64_t width;   /* elements that a row has at least */
    unsigned blocks; /* that the last rows have at least, in each launch */
  } far[] = {{WORK(far_activation), 512, 1},    {WORK(far_norm), 512, 1},
             {WORK(far_attention), 16 * 96, 4}, {WORK(far_attention_in_tiles), 16 * 88, 4},
             {WORK(far_patches), 192, 4},       {WORK(far_tokens), 2048, 2},
             {WORK(far_words), 2048, 2},        {WORK(far_pool), 512, 4}};
  for (size_t i = 0; i < sizeof far / sizeof *far; i++)
    for (int type = OPS_F32; type <= OPS_BF16; type++) {
      bench expected = ran(&far[i].work, (ops_type)type, ALIGNED);
      bench found = {.type = (ops_type)type, .odd = ALIGNED};
      found.skipped = ((int64_t)1 << 32) / far[i].width / 1024 * 1024 + 1020;
      simt_run_last(far[i].blocks);
      if (far[i].work.run(&found)) fail_msg("%s: %s", far[i].work.name, simt_message());
      simt_run_last(0);
      assert_same(&far[i].work, &expected, &found);
      release(&expected), release(&found);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_last_rows_of_large_buffers_are_reached),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
