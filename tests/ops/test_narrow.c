/* Dense layers in 8 bits: every value rounds to the nearest that there is, and a product is that of
 * the rounded operands. Run as `test_narrow cpu|cuda`: emulated, or on the device. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "cpu/cpu.h"
#include "support/open_cpu.h"
#include "support/open_cuda.h"

/* The value of an 8-bit float by its definition; NaN and infinities are not used. */
static double decode(cpu_fp8 format, int bits) {
  int mantissa_bits = format == CPU_E4M3 ? 3 : 2, bias = format == CPU_E4M3 ? 7 : 15;
  int exponent = bits >> mantissa_bits & (format == CPU_E4M3 ? 15 : 31);
  int mantissa = bits & ((1 << mantissa_bits) - 1);
  double fraction = (double)mantissa / (1 << mantissa_bits);
  double size = exponent ? ldexp(1 + fraction, exponent - bias) : ldexp(fraction, 1 - bias);
  return bits & 128 ? -size : size;
}

/* Each number of a format has one code, from which it is read back. */
static void codes_are_those_of_the_definition(void **state) {
  (void)state;
  for (int format = CPU_E4M3; format <= CPU_E5M2; format++) {
    int last = format == CPU_E4M3 ? 0x7E : 0x7B;
    for (int code = 0; code < 256; code++) {
      if ((code & 0x7F) > last) continue;
      float value = (float)decode((cpu_fp8)format, code);
      assert_int_equal(cpu_code_fp8((cpu_fp8)format, value), code);
      assert_true(cpu_fp8_value((cpu_fp8)format, (uint8_t)code) == value);
    }
    assert_int_equal(cpu_code_fp8((cpu_fp8)format, NAN), 0x7F);
    assert_true(isnan(cpu_fp8_value((cpu_fp8)format, 0x7F)));
  }
}

/* The nearest by trying all, a tie to the even mantissa. */
static double nearest(cpu_fp8 format, double value) {
  int last = format == CPU_E4M3 ? 0x7E : 0x7B, best = 0;
  for (int bits = 0; bits <= last; bits++) {
    double now = fabs(decode(format, bits) - fabs(value));
    double before = fabs(decode(format, best) - fabs(value));
    if (now < before || (now == before && bits % 2 == 0)) best = bits;
  }
  return copysign(decode(format, best), value);
}

static void values_round_to_the_nearest_representable_one(void **state) {
  (void)state;
  rng r = rng_at(1, RNG_TEST, 0, 0);
  for (int format = CPU_E4M3; format <= CPU_E5M2; format++) {
    int last = format == CPU_E4M3 ? 0x7E : 0x7B;
    for (int bits = 0; bits <= last; bits++) { /* the values, and the ties between them */
      double value = decode((cpu_fp8)format, bits), next = decode((cpu_fp8)format, bits + 1);
      assert_true((double)cpu_round_fp8((cpu_fp8)format, (float)value) == value);
      if (bits == last) break;
      for (int side = -1; side <= 1; side++) {
        float middle = (float)(0.5 * (value + next));
        float asked = side ? nextafterf(middle, side < 0 ? 0.0f : 1e30f) : middle;
        assert_true((double)cpu_round_fp8((cpu_fp8)format, asked) ==
                    nearest((cpu_fp8)format, (double)asked));
        assert_true(cpu_round_fp8((cpu_fp8)format, -asked) ==
                    -cpu_round_fp8((cpu_fp8)format, asked));
      }
    }
    for (int i = 0; i < 20000; i++) {
      float value = (float)(rng_normal(&r) * exp(8 * rng_normal(&r)));
      assert_true((double)cpu_round_fp8((cpu_fp8)format, value) ==
                  nearest((cpu_fp8)format, (double)value));
    }
    assert_true((double)cpu_round_fp8((cpu_fp8)format, INFINITY) == decode((cpu_fp8)format, last));
    assert_true(isnan(cpu_round_fp8((cpu_fp8)format, NAN)));
  }
}

enum { M = 32, N = 48, K = 64 };

static double largest(const uint16_t *x, int count) {
  double most = 0;
  for (int i = 0; i < count; i++) most = fmax(most, fabs((double)cpu_from_bf16(x[i])));
  return most;
}

/* An operand as the product sees it. */
static double seen(cpu_fp8 format, double most, uint16_t x) {
  double scale = (double)((format == CPU_E4M3 ? 448.0f : 57344.0f) / (float)most);
  float scaled = cpu_from_bf16(x) * (float)scale;
  return (double)cpu_round_fp8(format, scaled) / scale;
}

/* A buffer of the backend's that holds `values`. */
static ops_buffer sent(ops *o, ops_type type, const void *values, int count) {
  ops_buffer b = {NULL, type};
  size_t bytes = (size_t)count * ops_size_of(type);
  assert_ok(o->call->allocate(o, bytes, "a test", &b.data));
  assert_ok(o->call->upload(o, b.data, values, bytes));
  return b;
}

static void fetch(ops *o, void *values, ops_buffer *b, int count) {
  if (values)
    assert_ok(o->call->download(o, values, b->data, (size_t)count * ops_size_of(b->type)));
  o->call->release(o, b->data);
}

/* x [rows, columns] in 8 bits, in both layouts; freed by drop_operand. */
static ops_narrow rounded(ops *o, ops_fp8 format, ops_buffer x, int64_t rows, int64_t columns) {
  static const uint8_t none[M * N + N * K + M * K];
  static const float cleared[OPS_SCALE_FLOATS];
  const int count = (int)(rows * columns);
  ops_rounding r = {.rows = rows, .columns = columns, .x = x, .to.format = format};
  r.to.values = sent(o, OPS_U8, none, count);
  r.to.turned = sent(o, OPS_U8, none, count);
  r.to.scale = sent(o, OPS_F32, cleared, OPS_SCALE_FLOATS);
  assert_ok(o->call->narrow(o, &r, 1));
  return r.to;
}

static void drop_operand(ops *o, ops_narrow *operand) {
  o->call->release(o, operand->values.data);
  o->call->release(o, operand->turned.data);
  o->call->release(o, operand->scale.data);
}

static void check_product(ops *o, bool is_gradient, bool is_narrow) {
  static uint16_t a[M * K], b[N * K], c[M * N];
  static float sums[M * N], bias[N];
  rng r = rng_at(2, RNG_TEST, 0, is_gradient);
  for (int i = 0; i < M * K; i++) a[i] = cpu_to_bf16((float)rng_normal(&r));
  for (int i = 0; i < N * K; i++) b[i] = cpu_to_bf16((float)(0.05 * rng_normal(&r)));
  for (int i = 0; i < N; i++) bias[i] = (float)rng_normal(&r);
  for (int i = 0; i < M * N; i++) sums[i] = (float)i;
  ops_buffer biases = sent(o, OPS_F32, bias, N);
  ops_gemm g = {
      .m = M, .n = N, .k = K, .a = sent(o, OPS_BF16, a, M * K), .b = sent(o, OPS_BF16, b, N * K)};
  if (is_gradient) {
    g.transpose_a = g.accumulate = true;
    g.c = sent(o, OPS_F32, sums, M * N);
  } else {
    g.transpose_b = true;
    g.c = sent(o, OPS_BF16, c, M * N);
    g.bias = biases;
  }
  if (is_narrow) {
    g.narrow_a = rounded(o, is_gradient ? OPS_E5M2 : OPS_E4M3, g.a, is_gradient ? K : M,
                         is_gradient ? M : K);
    g.narrow_b = rounded(o, OPS_E4M3, g.b, is_gradient ? K : N, is_gradient ? N : K);
  }
  assert_ok(o->call->gemm(o, &g));
  if (is_narrow) {
    drop_operand(o, &g.narrow_a);
    drop_operand(o, &g.narrow_b);
  }
  fetch(o, is_gradient ? (void *)sums : c, &g.c, M * N);
  fetch(o, NULL, &g.a, 0);
  fetch(o, NULL, &g.b, 0);
  fetch(o, NULL, &biases, 0);
  cpu_fp8 first = is_gradient ? CPU_E5M2 : CPU_E4M3;
  double most_a = largest(a, M * K), most_b = largest(b, N * K), error = 0, size = 0, narrowed = 0;
  for (int i = 0; i < M; i++)
    for (int j = 0; j < N; j++) {
      double narrow = 0, wide = 0, start = is_gradient ? i * N + j : (double)bias[j];
      for (int k = 0; k < K; k++) {
        uint16_t x = a[is_gradient ? k * M + i : i * K + k],
                 y = b[is_gradient ? k * N + j : j * K + k];
        narrow += seen(first, most_a, x) * seen(CPU_E4M3, most_b, y);
        wide += (double)cpu_from_bf16(x) * (double)cpu_from_bf16(y);
      }
      double got =
          (is_gradient ? (double)sums[i * N + j] : (double)cpu_from_bf16(c[i * N + j])) - start;
      double right = is_narrow ? narrow : wide;
      error += (got - right) * (got - right);
      size += right * right;
      narrowed += (narrow - wide) * (narrow - wide);
    }
  /* the rounding to bf16 of the result and, on a device, of the bias, both larger than the product
   */
  assert_true(sqrt(error / size) < 7e-3);
  assert_true(sqrt(narrowed / size) > 1e-2 && sqrt(narrowed / size) < 0.1); /* 8 bits do cost */
}

static ops *tested;

static void a_product_is_that_of_the_rounded_operands(void **state) {
  (void)state;
  check_product(tested, false, true);
  check_product(tested, true, true);
  check_product(tested, false, false); /* a product that may not be narrowed is not */
}

enum { ROWS = 80, WIDTH = 192, COUNT = ROWS * WIDTH }; /* a last tile that is not full */
typedef struct {
  uint8_t values[COUNT], turned[COUNT];
  float scale[OPS_SCALE_FLOATS];
} bits;

static void draw_bf16(uint16_t *x, int count, uint64_t stream) {
  rng r = rng_at(5, RNG_TEST, 0, stream);
  for (int i = 0; i < count; i++) x[i] = cpu_to_bf16((float)rng_normal(&r));
}

/* An operand with this factor, to be rounded with delayed scaling. */
static ops_narrow delayed_operand(ops *o, ops_fp8 format, float factor) {
  static const uint8_t none[COUNT];
  const float scale[OPS_SCALE_FLOATS] = {[OPS_SCALE_FACTOR] = factor};
  return (ops_narrow){format, sent(o, OPS_U8, none, COUNT), sent(o, OPS_U8, none, COUNT),
                      sent(o, OPS_F32, scale, OPS_SCALE_FLOATS)};
}

static void take_bits(ops *o, ops_narrow *from, bits *to) {
  fetch(o, to->values, &from->values, COUNT);
  fetch(o, to->turned, &from->turned, COUNT);
  fetch(o, to->scale, &from->scale, OPS_SCALE_FLOATS);
}

/* What is stored is x times the factor, rounded as nearest() rounds, in both layouts; with delayed
 * scaling the maximum and the values beyond the format are counted, without it the factor is found.
 */
static void check_rounding(const uint16_t *x, cpu_fp8 format, bool is_delayed, const bits *got) {
  const float most = format == CPU_E4M3 ? 448.0f : 57344.0f;
  const float factor = got->scale[OPS_SCALE_FACTOR], largest_x = (float)largest(x, COUNT);
  int32_t beyond = 0, counted;
  if (!is_delayed) {
    assert_true(factor == most / largest_x);
    assert_true(got->scale[OPS_SCALE_INVERSE] == 1.0f / factor);
  }
  for (int i = 0; i < COUNT; i++) {
    const float scaled = cpu_from_bf16(x[i]) * factor;
    const double stored = decode(format, got->values[i]);
    if (stored != nearest(format, (double)scaled))
      fail_msg("element %d: %g is stored as %g", i, (double)scaled, stored);
    assert_int_equal(got->values[i], got->turned[i % WIDTH * ROWS + i / WIDTH]);
    beyond += fabsf(scaled) > most;
  }
  assert_true(got->scale[OPS_SCALE_MAXIMUM] == largest_x);
  memcpy(&counted, &got->scale[OPS_SCALE_SATURATED], sizeof counted);
  assert_int_equal(counted, is_delayed ? beyond : 0);
  assert_true(!is_delayed || beyond > 0);
}

/* What an op stores is that of the definition and, bit by bit, of the CPU's emulation. */
static void rounding_gives_the_same_bits_on_every_backend(void **state) {
  (void)state;
  static uint16_t x[COUNT];
  static bits got, expected;
  ops *cpu;
  assert_ok(open_on_cpu((ops_request){.compute = OPS_BF16, .is_narrow = true}, &cpu));
  draw_bf16(x, COUNT, 1);
  for (int kind = 0; kind < 4; kind++) {
    ops *const backends[2] = {tested, cpu};
    const ops_fp8 format = kind % 2 ? OPS_E5M2 : OPS_E4M3;
    for (int i = 0; i < 2; i++) {
      ops *o = backends[i];
      ops_rounding r = {.rows = ROWS, .columns = WIDTH, .is_delayed = kind < 2};
      r.x = sent(o, OPS_BF16, x, COUNT);
      r.to = delayed_operand(o, format, r.is_delayed ? (kind ? 57344.0f : 448.0f) / 2.5f : 0);
      assert_ok(o->call->narrow(o, &r, 1));
      take_bits(o, &r.to, i ? &expected : &got);
      fetch(o, NULL, &r.x, 0);
      check_rounding(x, kind % 2 ? CPU_E5M2 : CPU_E4M3, r.is_delayed, i ? &expected : &got);
    }
    assert_memory_equal(&got, &expected, sizeof got);
  }
  ops_destroy(cpu);
}

static void layer_norm_rounds_as_a_pass_after_it(void **state) {
  (void)state;
  static uint16_t x[COUNT], residual[COUNT];
  static float gamma[WIDTH], statistics[ROWS];
  static bits within, after;
  ops *o = tested;
  if (o->call->widest_narrow_norm < WIDTH) skip(); /* as on a CPU */
  draw_bf16(x, COUNT, 2), draw_bf16(residual, COUNT, 3);
  for (int i = 0; i < WIDTH; i++) gamma[i] = 0.5f + (float)i / WIDTH;
  for (int i = 0; i < 2; i++) {
    ops_narrow to = delayed_operand(o, OPS_E4M3, 448.0f / 2.5f);
    ops_layer_norm n = {
        .rows = ROWS, .width = WIDTH, .eps = 1e-6, .x = sent(o, OPS_BF16, x, COUNT)};
    n.residual = sent(o, OPS_BF16, residual, COUNT);
    n.sum = n.x;
    n.gamma = n.beta = sent(o, OPS_F32, gamma, WIDTH);
    n.mean = sent(o, OPS_F32, statistics, ROWS), n.rstd = sent(o, OPS_F32, statistics, ROWS);
    ops_buffer y = sent(o, OPS_BF16, x, COUNT);
    if (i == 0) n.narrow = to;
    if (i == 1) n.y = y, n.y_maximum = ops_at(to.scale, OPS_SCALE_MAXIMUM);
    assert_ok(o->call->layer_norm(o, &n));
    const ops_rounding r = {
        .rows = ROWS, .columns = WIDTH, .x = y, .has_maximum = true, .is_delayed = true, .to = to};
    if (i == 1) assert_ok(o->call->narrow(o, &r, 1));
    take_bits(o, &to, i ? &after : &within);
    ops_buffer *all[] = {&n.x, &n.residual, &n.gamma, &n.mean, &n.rstd, &y};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) fetch(o, NULL, all[k], 0);
  }
  assert_memory_equal(&within, &after, sizeof within);
  assert_true(within.scale[OPS_SCALE_MAXIMUM] > 2.5f);
}

/* Of sequences for one of our kernels or a library's, whichever was chosen: the values are those of
 * the 16-bit gradient, which may be the other's, to within half a step of the format. */
static void attentions_gradient_is_rounded(void **state) {
  (void)state;
  enum { BATCH = 2, TOKENS = ROWS / BATCH, HEADS = 2, HEAD = WIDTH / HEADS / 3, INNER = COUNT / 3 };
  const float factor = 57344.0f / 64;
  static uint16_t qkv[COUNT], dout[INNER], dqkv[COUNT];
  static float lse[BATCH * HEADS * TOKENS];
  static bits got;
  ops *o = tested;
  if (!o->call->narrows_attention) skip(); /* as on a CPU */
  draw_bf16(qkv, COUNT, 4), draw_bf16(dout, INNER, 5);
  ops_attention a = {.batch = BATCH, .tokens = TOKENS, .heads = HEADS, .head_width = HEAD};
  a.qkv = sent(o, OPS_BF16, qkv, COUNT), a.out = sent(o, OPS_BF16, dout, INNER);
  a.dout = sent(o, OPS_BF16, dout, INNER), a.dqkv = sent(o, OPS_BF16, qkv, COUNT);
  a.lse = sent(o, OPS_F32, lse, BATCH * HEADS * TOKENS);
  assert_ok(o->call->attention(o, &a));
  assert_ok(o->call->attention_gradient(o, &a));
  assert_ok(o->call->download(o, dqkv, a.dqkv.data, sizeof dqkv));
  a.dqkv_narrow = delayed_operand(o, OPS_E5M2, factor);
  assert_ok(o->call->attention_gradient(o, &a));
  take_bits(o, &a.dqkv_narrow, &got);
  double most = largest(dqkv, COUNT);
  assert_true(most > 0.5 && most < 64);
  for (int i = 0; i < COUNT; i++) {
    double expected = (double)cpu_from_bf16(dqkv[i]),
           value = (double)cpu_fp8_value(CPU_E5M2, got.values[i]) / (double)factor;
    assert_int_equal(got.values[i], got.turned[i % WIDTH * ROWS + i / WIDTH]);
    if (!(fabs(value - expected) <= 0.13 * fabs(expected) + 0.005 * most))
      fail_msg("element %d is %g in 8 bits and %g in 16", i, value, expected);
  }
  assert_true(fabs((double)got.scale[OPS_SCALE_MAXIMUM] - most) < 0.01 * most);
  assert_memory_equal(&got.scale[OPS_SCALE_SATURATED], (float[]){0}, 4);
  ops_buffer *all[] = {&a.qkv, &a.out, &a.dout, &a.dqkv, &a.lse};
  for (size_t k = 0; k < sizeof all / sizeof *all; k++) fetch(o, NULL, all[k], 0);
}

int main(int argc, char **argv) {
  enum { SKIPPED = 77 /* as in CMakeLists.txt */ };
  bool is_cuda = argc > 1 && strcmp(argv[1], "cuda") == 0;
  const ops_request narrow = {.compute = OPS_BF16, .is_narrow = true};
  err error = is_cuda ? open_cuda(PRECISION_FP8, &tested) : open_on_cpu(narrow, &tested);
  if (error) {
    printf("skipped: %s\n", err_message(error));
    err_free(error);
    return SKIPPED;
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_round_to_the_nearest_representable_one),
      cmocka_unit_test(codes_are_those_of_the_definition),
      cmocka_unit_test(a_product_is_that_of_the_rounded_operands),
      cmocka_unit_test(rounding_gives_the_same_bits_on_every_backend),
      cmocka_unit_test(layer_norm_rounds_as_a_pass_after_it),
      cmocka_unit_test(attentions_gradient_is_rounded),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  ops_destroy(tested);
  return failed;
}
