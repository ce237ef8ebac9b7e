/* The CPU backend computes the same bits for any number of threads, in fp32 and bf16; matrix
 * products where they are ours (with AMX). */
#include "support/test.h"

#include <stdlib.h>

#include "base/bf16.h"
#include "base/rng.h"
#include "cpu/plugin.h"
#include "ops/ops.h"

enum { ROWS = 195, WIDTH = 96, HIDDEN = 352, IMAGES = 3, TOKENS = 65, HEADS = 3, BUFFERS = 12 };

/* What one set of ops writes, one buffer after another. */
typedef struct {
  unsigned char *bytes[BUFFERS];
  size_t sizes[BUFFERS];
  size_t count;
} results;

static ops_buffer random_buffer(int64_t count, ops_type type, uint64_t number) {
  void *data = aligned_alloc(64, (size_t)(count * 4 + 63) / 64 * 64);
  rng r = rng_at(3, RNG_TEST, 0, number);
  for (int64_t i = 0; i < count; i++) {
    float value = (float)rng_normal(&r);
    if (type == OPS_F32)
      ((float *)data)[i] = value;
    else
      ((uint16_t *)data)[i] = bf16_of_float(value);
  }
  return (ops_buffer){data, type};
}

static ops_buffer kept(results *r, int64_t count, ops_type type) {
  ops_buffer b = random_buffer(count, type, 100 + r->count);
  assert_true(r->count < BUFFERS);
  r->bytes[r->count] = b.data;
  r->sizes[r->count++] = (size_t)count * ops_size_of(type);
  return b;
}

static results compute(ops_type type, int threads) {
  ops *o = NULL;
  results r = {0};
  assert_ok(ops_create_cpu(type, threads, &o));
  ops_buffer x = random_buffer(ROWS * WIDTH, type, 1), w = random_buffer(HIDDEN * WIDTH, type, 2);
  ops_buffer bias = random_buffer(HIDDEN, OPS_F32, 3), dy = random_buffer(ROWS * HIDDEN, type, 4);
  ops_buffer qkv = random_buffer(ROWS * 3 * WIDTH, type, 5),
             dout = random_buffer(ROWS * WIDTH, type, 6);
  ops_buffer gamma = random_buffer(WIDTH, OPS_F32, 7);
  ops_gemm forward = {.m = ROWS,
                      .n = HIDDEN,
                      .k = WIDTH,
                      .transpose_b = true,
                      .a = x,
                      .b = w,
                      .c = kept(&r, ROWS * HIDDEN, type),
                      .bias = bias,
                      .epilogue = OPS_EPILOGUE_ACTIVATION,
                      .pre = kept(&r, ROWS * HIDDEN, type)};
  ops_gemm input = {
      .m = ROWS, .n = WIDTH, .k = HIDDEN, .a = dy, .b = w, .c = kept(&r, ROWS * WIDTH, type)};
  ops_gemm weight = {.m = HIDDEN,
                     .n = WIDTH,
                     .k = ROWS,
                     .transpose_a = true,
                     .accumulate = true,
                     .a = dy,
                     .b = x,
                     .c = kept(&r, HIDDEN * WIDTH, OPS_F32),
                     .a_sums = kept(&r, HIDDEN, OPS_F32)};
  ops_attention attend = {.batch = IMAGES,
                          .tokens = TOKENS,
                          .heads = HEADS,
                          .head_width = WIDTH / HEADS,
                          .qkv = qkv,
                          .out = kept(&r, ROWS * WIDTH, type),
                          .lse = kept(&r, IMAGES * HEADS * TOKENS, OPS_F32),
                          .dout = dout,
                          .dqkv = kept(&r, ROWS * 3 * WIDTH, type)};
  ops_layer_norm_gradient norm = {.rows = ROWS,
                                  .width = WIDTH,
                                  .dy = dout,
                                  .x = x,
                                  .gamma = gamma,
                                  .mean = random_buffer(ROWS, OPS_F32, 8),
                                  .rstd = random_buffer(ROWS, OPS_F32, 9),
                                  .dx = kept(&r, ROWS * WIDTH, type),
                                  .dgamma = kept(&r, WIDTH, OPS_F32),
                                  .dbeta = kept(&r, WIDTH, OPS_F32)};
  const ops_gemm *products[] = {&forward, &input, &weight};
  const bool are_ours = type == OPS_BF16 && strcmp(o->kernels, "x86-64-v4-amx") == 0;
  for (int i = 0; i < 3 && are_ours; i++) assert_ok(o->call->gemm(o, products[i]));
  assert_ok(o->call->attention(o, &attend));
  assert_ok(o->call->attention_gradient(o, &attend));
  assert_ok(o->call->layer_norm_gradient(o, &norm));
  ops_destroy(o);
  ops_buffer inputs[] = {x, w, bias, dy, qkv, dout, gamma, norm.mean, norm.rstd};
  for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) free(inputs[i].data);
  return r;
}

static void check(ops_type type) {
  static const int threads[] = {2, 3, 4, 7};
  results one = compute(type, 1);
  for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
    results more = compute(type, threads[t]);
    for (size_t i = 0; i < one.count; i++) {
      if (memcmp(one.bytes[i], more.bytes[i], one.sizes[i]) != 0)
        fail_msg("result %zu differs between 1 and %d threads", i, threads[t]);
      free(more.bytes[i]);
    }
  }
  for (size_t i = 0; i < one.count; i++) free(one.bytes[i]);
}

static void same_bits_in_fp32(void **state) {
  (void)state;
  check(OPS_F32);
}

static void same_bits_in_bf16(void **state) {
  (void)state;
  check(OPS_BF16);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(same_bits_in_fp32),
                                     cmocka_unit_test(same_bits_in_bf16)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
