/* Operands of 8-bit products: each value's nearest code, both layouts, maxima, factors and counts.
 */
#include "support/test.h"

#include <math.h>
#include <string.h>

#include "cuda/kernels.h"
#include "simt/kernel_buffers.h"

/* The value of a code, after the table of the OFP8 specification. */
static double fp8_value(ops_fp8 format, int code) {
  int bits = format == OPS_E4M3 ? 3 : 2, bias = format == OPS_E4M3 ? 7 : 15;
  int exponent = (code & 0x7F) >> bits, mantissa = code & ((1 << bits) - 1);
  double size = exponent == 0 ? ldexp(mantissa, 1 - bias - bits)
                              : ldexp((1 << bits) + mantissa, exponent - bias - bits);
  return code & 0x80 ? -size : size;
}

static int largest_code(ops_fp8 format) {
  return format == OPS_E4M3 ? 0x7E : 0x7B; /* 448; 57344: above it lie infinity and NaN */
}

/* Nearest of all codes; of two equally near the even one; beyond the largest, the largest. */
static int nearest_code(ops_fp8 format, double x) {
  if (isnan(x)) return 0x7F;
  int best = 0;
  double size = fabs(x);
  for (int code = 1; code <= largest_code(format); code++) {
    double here = fabs(fp8_value(format, code) - size);
    double there = fabs(fp8_value(format, best) - size);
    if (here < there || (here == there && code % 2 == 0)) best = code;
  }
  if (size > fp8_value(format, largest_code(format))) best = largest_code(format);
  return signbit(x) ? best | 0x80 : best;
}

/* Rounds x [rows, columns] with this factor and compares both copies. */
static void check_quantized(ops_fp8 format, int64_t rows, int64_t columns, ops_buffer x,
                            float factor) {
  ops_buffer scale = buffer_of(OPS_F32, OPS_SCALE_FLOATS);
  const ops_rounding r = {
      .rows = rows,
      .columns = columns,
      .x = x,
      .has_maximum = true,
      .to = {format, buffer_of(OPS_U8, rows * columns), buffer_of(OPS_U8, rows * columns), scale}};
  /* the maximum that gives this factor */
  reference_set(scale, OPS_SCALE_MAXIMUM, fp8_value(format, largest_code(format)) / (double)factor);
  assert_launched(kernel_narrow(&r, 1, NULL, NULL));
  factor = (float)reference_get(scale, OPS_SCALE_FACTOR);
  assert_true((float)reference_get(scale, OPS_SCALE_INVERSE) == 1.0f / factor);
  for (int64_t i = 0; i < rows * columns; i++) {
    double scaled = (double)((float)reference_get(x, i) * factor);
    int expected = nearest_code(format, scaled), got = ((uint8_t *)r.to.values.data)[i];
    int turned = ((uint8_t *)r.to.turned.data)[i % columns * rows + i / columns];
    if (got != expected || turned != expected)
      fail_msg("%.9g becomes %02x and turned %02x, not %02x", scaled, (unsigned)got,
               (unsigned)turned, (unsigned)expected);
  }
  simt_release(scale.data);
  simt_release(r.to.values.data);
  simt_release(r.to.turned.data);
}

static void every_bf16_becomes_the_nearest_8_bit_float(void **state) {
  (void)state;
  ops_buffer x = buffer_of(OPS_BF16, 65536);
  for (int i = 0; i < 65536; i++) ((uint16_t *)x.data)[i] = (uint16_t)i;
  check_quantized(OPS_E4M3, 256, 256, x, 1);
  check_quantized(OPS_E5M2, 256, 256, x, 1);
  simt_release(x.data);
}

/* Each code's value, the middle between it and the next, and the floats on both sides of these. */
static void fp32_rounds_at_the_middle_between_two_codes(void **state) {
  (void)state;
  for (int format = OPS_E4M3; format <= OPS_E5M2; format++) {
    enum { ROWS = 128, COLUMNS = 6 };
    ops_buffer x = buffer_of(OPS_F32, ROWS * COLUMNS);
    for (int code = 0; code < ROWS; code++) {
      double low = fp8_value((ops_fp8)format, code);
      double middle = (low + fp8_value((ops_fp8)format, code + 1)) / 2;
      const float at[2] = {(float)low, (float)-middle};
      for (int i = 0; i < COLUMNS; i++) {
        float here = at[i / 3];
        if (i % 3 == 1) here = nextafterf(here, INFINITY);
        if (i % 3 == 2) here = nextafterf(here, -INFINITY);
        ((float *)x.data)[code * COLUMNS + i] = here;
      }
    }
    check_quantized((ops_fp8)format, ROWS, COLUMNS, x, 1);
    simt_release(x.data);
  }
}

static void quantisation_agrees_on_odd_shapes(void **state) {
  (void)state;
  const int64_t shapes[][2] = {{1, 1}, {37, 53}, {64, 64}, {72, 136}, {65, 8}, {8, 65}};
  for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
    ops_buffer x = random_buffer(i % 2 ? OPS_BF16 : OPS_F32, shapes[i][0] * shapes[i][1], i);
    check_quantized(OPS_E4M3, shapes[i][0], shapes[i][1], x, 101.5f);
    simt_release(x.data);
  }
}

/* One matrix, whose maximum is known or found; what is known is not found again. */
static void the_factor_brings_the_largest_value_to_the_formats_largest(void **state) {
  (void)state;
  enum { COUNT = 9003 };
  const double largest = 17.25 / 64;
  ops_buffer x = random_buffer(OPS_BF16, COUNT, 1), scale = buffer_of(OPS_F32, OPS_SCALE_FLOATS);
  float *s = scale.data;
  ops_rounding r = {.rows = 3, .columns = COUNT / 3, .x = x};
  r.to = (ops_narrow){OPS_E4M3, buffer_of(OPS_U8, COUNT), {0}, scale};
  for (int64_t i = 0; i < COUNT; i++) /* below 1, as gradients are */
    reference_set(x, i, reference_get(x, i) / 64);
  reference_set(x, COUNT - 4, -largest);
  reference_set(x, 5, NAN);
  s[OPS_SCALE_MAXIMUM] = 0;
  assert_launched(kernel_narrow(&r, 1, NULL, NULL));
  assert_true(s[OPS_SCALE_MAXIMUM] == (float)largest &&
              s[OPS_SCALE_FACTOR] == 448.0f / (float)largest);
  assert_true(s[OPS_SCALE_INVERSE] == 1.0f / s[OPS_SCALE_FACTOR]);
  assert_int_equal(((uint8_t *)r.to.values.data)[COUNT - 4], 0x80 | largest_code(OPS_E4M3));
  assert_int_equal(((uint8_t *)r.to.values.data)[5], 0x7F);
  s[OPS_SCALE_MAXIMUM] = 0.125f;
  assert_launched(kernel_maximum(COUNT, x, scale, NULL));
  assert_true(s[OPS_SCALE_MAXIMUM] == (float)largest);
  r.has_maximum = true;
  const float odd[] = {0, INFINITY, 1e-45f}; /* the last: its factor would be infinite */
  for (int i = 0; i < 3; i++) {
    s[OPS_SCALE_MAXIMUM] = odd[i];
    assert_launched(kernel_narrow(&r, 1, NULL, NULL));
    assert_true(s[OPS_SCALE_FACTOR] == 1 && s[OPS_SCALE_INVERSE] == 1);
  }
  simt_release(x.data);
  simt_release(r.to.values.data);
  simt_release(scale.data);
}

/* As the activation's kernel stores it, then rounded. */
static void an_activation_is_rounded_as_if_it_had_been_stored(void **state) {
  (void)state;
  enum { ROWS = 72, COLUMNS = 136, COUNT = ROWS * COLUMNS };
  for (int kind = OPS_GELU_TANH; kind <= OPS_QUICK_GELU; kind++) {
    ops_buffer pre = random_buffer(OPS_BF16, COUNT, 3), c = buffer_of(OPS_BF16, COUNT);
    ops_rounding r[2];
    for (int i = 0; i < 2; i++) {
      ops_buffer scale = buffer_of(OPS_F32, OPS_SCALE_FLOATS);
      reference_set(scale, OPS_SCALE_MAXIMUM, 0);
      r[i] = (ops_rounding){
          .rows = ROWS,
          .columns = COLUMNS,
          .x = i ? c : pre,
          .is_activated = !i,
          .activation = (ops_activation)kind,
          .to = {OPS_E4M3, buffer_of(OPS_U8, COUNT), buffer_of(OPS_U8, COUNT), scale}};
    }
    assert_launched(kernel_activation((ops_activation)kind, COUNT, pre, c, NULL));
    for (int i = 0; i < 2; i++) assert_launched(kernel_narrow(&r[i], 1, NULL, NULL));
    assert_memory_equal(r[0].to.scale.data, r[1].to.scale.data, 8);
    assert_memory_equal(r[0].to.values.data, r[1].to.values.data, COUNT);
    assert_memory_equal(r[0].to.turned.data, r[1].to.turned.data, COUNT);
    for (int i = 0; i < 2; i++) {
      simt_release(r[i].to.values.data), simt_release(r[i].to.turned.data);
      simt_release(r[i].to.scale.data);
    }
    simt_release(pre.data), simt_release(c.data);
  }
}

static int32_t saturated_in(ops_buffer scale) {
  return ((int32_t *)scale.data)[OPS_SCALE_SATURATED];
}

/* The factor is the given one; the maximum is raised, unless it is known, and counts add up. */
static void a_delayed_factor_is_used_and_what_it_misses_is_counted(void **state) {
  (void)state;
  enum { ROWS = 72, COLUMNS = 136, COUNT = ROWS * COLUMNS };
  ops_buffer x = random_buffer(OPS_BF16, COUNT, 1), scale = buffer_of(OPS_F32, OPS_SCALE_FLOATS);
  ops_rounding r = {.rows = ROWS, .columns = COLUMNS, .x = x, .is_delayed = true};
  r.to = (ops_narrow){OPS_E5M2, buffer_of(OPS_U8, COUNT), buffer_of(OPS_U8, COUNT), scale};
  reference_set(x, 17, NAN);
  for (int has_maximum = 0; has_maximum < 2; has_maximum++) {
    const float factor = 57344.0f / 1.5f;
    int beyond = 0;
    for (int i = 0; i < OPS_SCALE_FLOATS; i++) reference_set(scale, i, 0);
    reference_set(scale, OPS_SCALE_FACTOR, (double)factor);
    r.has_maximum = has_maximum;
    for (int run = 0; run < 2; run++) assert_launched(kernel_narrow(&r, 1, NULL, NULL));
    for (int i = 0; i < COUNT; i++) {
      const float scaled = (float)reference_get(x, i) * factor;
      const int expected = nearest_code(OPS_E5M2, (double)scaled);
      beyond += fabsf(scaled) > 57344.0f;
      assert_int_equal(((uint8_t *)r.to.values.data)[i], expected);
      assert_int_equal(((uint8_t *)r.to.turned.data)[i % COLUMNS * ROWS + i / COLUMNS], expected);
    }
    assert_true(beyond > 0);
    assert_int_equal(saturated_in(scale), 2 * beyond);
    assert_true((float)reference_get(scale, OPS_SCALE_MAXIMUM) ==
                (has_maximum ? 0.0f : largest_of(x, COUNT)));
    assert_true((float)reference_get(scale, OPS_SCALE_FACTOR) == factor);
  }
  simt_release(x.data), simt_release(scale.data);
  simt_release(r.to.values.data), simt_release(r.to.turned.data);
}

/* In one kernel what two do: the activation's gradient with its sums, and a delayed rounding. */
static void check_rounded_gradient(ops_activation kind, int64_t rows, int64_t columns) {
  const int64_t count = rows * columns;
  ops_buffer pre = random_buffer(OPS_BF16, count, 1), sums[2], c[2];
  ops_rounding r[2];
  for (int i = 0; i < 2; i++) {
    ops_buffer scale = buffer_of(OPS_F32, OPS_SCALE_FLOATS);
    c[i] = random_buffer(OPS_BF16, count, 2);
    sums[i] = random_buffer(OPS_F32, columns, 3);
    for (int k = 0; k < OPS_SCALE_FLOATS; k++) reference_set(scale, k, 0);
    reference_set(scale, OPS_SCALE_FACTOR, 57344.0 / 2);
    r[i] =
        (ops_rounding){.rows = rows,
                       .columns = columns,
                       .x = c[i],
                       .activation = kind,
                       .is_delayed = true,
                       .to = {OPS_E5M2, buffer_of(OPS_U8, count), buffer_of(OPS_U8, count), scale}};
  }
  r[1].pre = pre;
  r[1].sums = sums[1];
  void *scratch[2] = {simt_allocate(kernel_activation_gradient_sums_scratch(rows, columns)),
                      simt_allocate(kernel_narrow_scratch(&r[1], 1))};
  assert_launched(kernel_activation_gradient_sums(kind, rows, columns, pre, c[0], sums[0],
                                                  (ops_buffer){0}, scratch[0], NULL));
  for (int i = 0; i < 2; i++) assert_launched(kernel_narrow(&r[i], 1, scratch[i], NULL));
  assert_memory_equal(r[0].to.scale.data, r[1].to.scale.data, OPS_SCALE_FLOATS * sizeof(float));
  assert_memory_equal(r[0].to.values.data, r[1].to.values.data, (size_t)count);
  assert_memory_equal(r[0].to.turned.data, r[1].to.turned.data, (size_t)count);
  for (int64_t i = 0; i < columns; i++) /* the same numbers in another order */
    assert_true(fabs(reference_get(sums[0], i) - reference_get(sums[1], i)) < 1e-4);
  for (int i = 0; i < 2; i++) {
    void *all[] = {r[i].to.values.data, r[i].to.turned.data, r[i].to.scale.data,
                   c[i].data,           sums[i].data,        scratch[i]};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) simt_release(all[k]);
  }
  simt_release(pre.data);
}

static void a_gradient_passes_through_its_activation_while_it_is_rounded(void **state) {
  (void)state;
  for (int kind = OPS_GELU_TANH; kind <= OPS_QUICK_GELU; kind++)
    check_rounded_gradient((ops_activation)kind, 200, 136);
  check_rounded_gradient(OPS_GELU_TANH, 37, 53);
  float one = 0; /* only with a given factor */
  const ops_buffer some = {&one, OPS_F32};
  const ops_rounding current = {.rows = 1, .columns = 1, .x = some, .pre = some};
  assert_int_not_equal(kernel_narrow(&current, 1, NULL, NULL), 0);
}

/* Against the definition: the largest of the last 16 maxima, of all ranks. */
static void factors_follow_the_maxima_of(int ranks) {
  enum { OPERANDS = 300, STEPS = 20, GRADIENTS = 200, STRIDE = (OPERANDS + 5) * OPS_SCALE_FLOATS };
  static float seen[STEPS][OPERANDS];
  const int own = ranks / 2; /* the rank whose scales are advanced */
  ops_scales s = {.count = OPERANDS, .gradients = GRADIENTS, .ranks = ranks, .stride = STRIDE};
  ops_buffer all = buffer_of(OPS_F32, ranks * STRIDE);
  s.scales = buffer_of(OPS_F32, STRIDE);
  s.gathered = ranks > 1 ? all : s.scales;
  s.history = buffer_of(OPS_F32, OPERANDS * OPS_SCALE_HISTORY);
  s.saturated = buffer_of(OPS_F32, 1);
  memset(s.history.data, 0, OPERANDS * OPS_SCALE_HISTORY * sizeof(float));
  rng random = rng_at(7, RNG_TEST, 0, 9);
  for (int step = 0; step < STEPS; step++) {
    double total = step % 2 ? 5 : 0; /* is added to in odd steps */
    reference_set(s.saturated, 0, 5);
    s.adds = step % 2;
    memset(seen[step], 0, sizeof seen[step]);
    for (int at = 0; at < ranks * OPERANDS; at++) {
      const int i = at % OPERANDS;
      float *scale = (float *)all.data + at / OPERANDS * STRIDE + i * OPS_SCALE_FLOATS;
      scale[OPS_SCALE_MAXIMUM] = i == 3 ? 0 : (float)exp(3 * rng_normal(&random));
      seen[step][i] = fmaxf(seen[step][i], scale[OPS_SCALE_MAXIMUM]);
      ((int32_t *)(void *)scale)[OPS_SCALE_SATURATED] = at % 7;
      total += at % 7;
    }
    memcpy(s.scales.data, (float *)all.data + own * STRIDE, STRIDE * sizeof(float));
    assert_launched(kernel_advance_scales(&s, NULL));
    assert_true(reference_get(s.saturated, 0) == total);
    for (int i = 0; i < OPERANDS; i++) {
      const float *scale = (const float *)s.scales.data + i * OPS_SCALE_FLOATS;
      float most = 0;
      for (int at = step; at >= 0 && at > step - OPS_SCALE_HISTORY; at--)
        most = fmaxf(most, seen[at][i]);
      const float factor = most > 0 ? (i < GRADIENTS ? 448.0f : 57344.0f) / most : 1;
      assert_true(scale[OPS_SCALE_FACTOR] == factor && scale[OPS_SCALE_INVERSE] == 1 / factor);
      assert_true(scale[OPS_SCALE_MAXIMUM] == 0);
      assert_int_equal(((const int32_t *)(const void *)scale)[OPS_SCALE_SATURATED], 0);
    }
  }
  simt_release(s.scales.data), simt_release(s.history.data), simt_release(s.saturated.data);
  simt_release(all.data);
}

static void delayed_factors_follow_the_last_maxima(void **state) {
  (void)state;
  factors_follow_the_maxima_of(1);
  factors_follow_the_maxima_of(3);
}

/* The output of layer norm, rounded by it and after it: equal in all bits. */
static void check_rounded_norm(int64_t rows, int64_t width, bool has_residual) {
  const int64_t count = rows * width;
  ops_buffer x = random_buffer(OPS_BF16, count, 1), residual = random_buffer(OPS_BF16, count, 2);
  ops_buffer gamma = random_buffer(OPS_F32, width, 3), beta = random_buffer(OPS_F32, width, 4);
  ops_layer_norm n[2];
  ops_narrow to[2];
  reference_set(x, 3 * width + 1, NAN);
  for (int i = 0; i < 2; i++) {
    ops_buffer scale = buffer_of(OPS_F32, OPS_SCALE_FLOATS);
    for (int k = 0; k < OPS_SCALE_FLOATS; k++) reference_set(scale, k, 0);
    reference_set(scale, OPS_SCALE_FACTOR, 448.0 / 1.5);
    to[i] = (ops_narrow){OPS_E4M3, buffer_of(OPS_U8, count), buffer_of(OPS_U8, count), scale};
    n[i] = (ops_layer_norm){.rows = rows,
                            .width = width,
                            .eps = 1e-6,
                            .x = x,
                            .gamma = gamma,
                            .beta = beta,
                            .mean = buffer_of(OPS_F32, rows),
                            .rstd = buffer_of(OPS_F32, rows)};
    n[i].sum = has_residual ? buffer_of(OPS_BF16, count) : (ops_buffer){0};
    if (has_residual) n[i].residual = residual;
  }
  n[0].narrow = to[0];
  n[1].y = buffer_of(OPS_BF16, count);
  n[1].y_maximum = ops_at(to[1].scale, OPS_SCALE_MAXIMUM);
  const ops_rounding after = {.rows = rows,
                              .columns = width,
                              .x = n[1].y,
                              .has_maximum = true,
                              .is_delayed = true,
                              .to = to[1]};
  for (int i = 0; i < 2; i++) assert_launched(kernel_layer_norm(&n[i], NULL));
  assert_launched(kernel_narrow(&after, 1, NULL, NULL));
  assert_true(saturated_in(to[0].scale) > 0);
  assert_memory_equal(to[0].scale.data, to[1].scale.data, OPS_SCALE_FLOATS * sizeof(float));
  assert_memory_equal(to[0].values.data, to[1].values.data, (size_t)count);
  assert_memory_equal(to[0].turned.data, to[1].turned.data, (size_t)count);
  assert_memory_equal(n[0].mean.data, n[1].mean.data, (size_t)rows * sizeof(float));
  assert_memory_equal(n[0].rstd.data, n[1].rstd.data, (size_t)rows * sizeof(float));
  if (has_residual)
    assert_memory_equal(n[0].sum.data, n[1].sum.data, (size_t)count * sizeof(uint16_t));
  for (int i = 0; i < 2; i++) { /* one layout alone */
    memset(to[0].values.data, 1, (size_t)count), memset(to[0].turned.data, 1, (size_t)count);
    n[0].narrow.values = i ? (ops_buffer){0} : to[0].values;
    n[0].narrow.turned = i ? to[0].turned : (ops_buffer){0};
    assert_launched(kernel_layer_norm(&n[0], NULL));
    assert_memory_equal((i ? to[0].turned : to[0].values).data,
                        (i ? to[1].turned : to[1].values).data, (size_t)count);
  }
  for (int i = 0; i < 2; i++) {
    void *all[] = {to[i].values.data, to[i].turned.data, to[i].scale.data,
                   n[i].mean.data,    n[i].rstd.data,    n[i].sum.data};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
      if (all[k]) simt_release(all[k]);
  }
  simt_release(x.data), simt_release(residual.data), simt_release(gamma.data);
  simt_release(beta.data), simt_release(n[1].y.data);
}

static void layer_norm_rounds_as_a_pass_after_it_would(void **state) {
  (void)state;
  const int64_t shapes[][2] = {{16, 16}, {48, 64}, {112, 768}, {32, 1280}, {80, 48}};
  for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
    check_rounded_norm(shapes[i][0], shapes[i][1], i % 2);
  ops_layer_norm n = {.rows = 16, .width = 1296, .x = random_buffer(OPS_BF16, 16, 1)};
  n.narrow.scale = n.x;
  assert_int_not_equal(kernel_layer_norm(&n, NULL), 0);
  n.width = 24;
  assert_int_not_equal(kernel_layer_norm(&n, NULL), 0);
  n.width = 16, n.rows = 8;
  assert_int_not_equal(kernel_layer_norm(&n, NULL), 0);
  simt_release(n.x.data);
}

/* The gradient of attention in bf16, and its largest value. */
static float attend(ops_attention *a, int64_t batch, int64_t tokens, int64_t heads, int64_t width,
                    void **scratch) {
  const int64_t count = batch * tokens * heads * width;
  *a = (ops_attention){.batch = batch, .tokens = tokens, .heads = heads, .head_width = width};
  a->is_causal = tokens % 32 == 0;
  a->qkv = random_buffer(OPS_BF16, 3 * count, 1), a->dout = random_buffer(OPS_BF16, count, 2);
  a->out = buffer_of(OPS_BF16, count), a->dqkv = buffer_of(OPS_BF16, 3 * count);
  a->lse = buffer_of(OPS_F32, batch * heads * tokens);
  a->dqkv_sums = random_buffer(OPS_F32, 3 * heads * width, 3);
  *scratch = simt_allocate(kernel_attention_gradient_scratch(a));
  reference_set(a->dout, count / 2, NAN); /* spoils its own head only */
  assert_launched(kernel_attention(a, NULL));
  assert_launched(kernel_attention_gradient(a, *scratch, NULL));
  return largest_of(a->dqkv, 3 * count);
}

/* The gradient of attention, rounded by it and after it: equal in all bits, its sums too. */
static void check_rounded_attention(int64_t batch, int64_t tokens, int64_t heads, int64_t width) {
  const int64_t rows = batch * tokens, columns = 3 * heads * width, count = rows * columns;
  void *scratch;
  ops_attention a;
  float most = attend(&a, batch, tokens, heads, width, &scratch);
  ops_narrow to[2];
  for (int i = 0; i < 2; i++) {
    ops_buffer scale = buffer_of(OPS_F32, OPS_SCALE_FLOATS);
    for (int k = 0; k < OPS_SCALE_FLOATS; k++) reference_set(scale, k, 0);
    reference_set(scale, OPS_SCALE_FACTOR, 57344.0 / (0.6 * (double)most));
    to[i] = (ops_narrow){OPS_E5M2, buffer_of(OPS_U8, count), buffer_of(OPS_U8, count), scale};
    memset(to[i].values.data, 1, (size_t)count), memset(to[i].turned.data, 1, (size_t)count);
  }
  const ops_rounding after = {
      .rows = rows, .columns = columns, .x = a.dqkv, .is_delayed = true, .to = to[1]};
  assert_launched(kernel_narrow(&after, 1, NULL, NULL));
  ops_buffer sums = a.dqkv_sums;
  a.dqkv_narrow = to[0];
  a.dqkv = random_buffer(OPS_BF16, count, 4);
  a.dqkv_sums = random_buffer(OPS_F32, columns, 3);
  assert_launched(kernel_attention_gradient(&a, scratch, NULL));
  if (simt_compiled_for() < KERNEL_FP8_CAPABILITY) /* rounded from the 16 bits */
    assert_memory_equal(a.dqkv.data, after.x.data, (size_t)count * sizeof(uint16_t));
  assert_true(saturated_in(to[0].scale) > 0);
  assert_true((float)reference_get(to[0].scale, OPS_SCALE_MAXIMUM) == most);
  assert_memory_equal(to[0].scale.data, to[1].scale.data, OPS_SCALE_FLOATS * sizeof(float));
  assert_memory_equal(to[0].values.data, to[1].values.data, (size_t)count);
  assert_memory_equal(to[0].turned.data, to[1].turned.data, (size_t)count);
  assert_memory_equal(a.dqkv_sums.data, sums.data, (size_t)columns * sizeof(float));
  memset(to[0].values.data, 1, (size_t)count); /* one layout alone */
  a.dqkv_narrow.turned = (ops_buffer){0};
  assert_launched(kernel_attention_gradient(&a, scratch, NULL));
  assert_memory_equal(to[0].values.data, to[1].values.data, (size_t)count);
  void *all[] = {a.qkv.data,        a.dout.data,       a.out.data,       a.dqkv.data,
                 a.lse.data,        scratch,           sums.data,        a.dqkv_sums.data,
                 after.x.data,      to[0].scale.data,  to[1].scale.data, to[0].values.data,
                 to[1].values.data, to[0].turned.data, to[1].turned.data};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) simt_release(all[i]);
}

static void attentions_gradient_rounds_as_a_pass_after_it_would(void **state) {
  (void)state;
  /* half a tile, a tile, walks in one and in two, heads of any width */
  const int64_t shapes[][4] = {{2, 24, 2, 32},  {8, 50, 1, 64}, {1, 64, 2, 48}, {1, 80, 2, 64},
                               {2, 136, 1, 80}, {4, 20, 4, 20}, {1, 272, 1, 32}};
  for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
    check_rounded_attention(shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3]);
  simt_compile_for(80); /* as on an L40S, whose code is that of an A100 */
  for (size_t i = 0; i < 4; i++)
    check_rounded_attention(shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3]);
  simt_compile_for(90);
  void *scratch;
  ops_attention a;
  (void)attend(&a, 1, 16, 1, 32, &scratch);
  a.dqkv_narrow = (ops_narrow){OPS_E5M2, a.out, a.out, a.lse};
  ops_attention wrong[] = {a, a, a, a};
  wrong[0].tokens = 15;                          /* a multiple of 16 is needed */
  wrong[1].dqkv_maximum = a.lse;                 /* it is written to the scale */
  wrong[2].dqkv_narrow.values = (ops_buffer){0}; /* `turned` is made from it */
  wrong[3].head_width = 24;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    assert_int_not_equal(kernel_attention_gradient(&wrong[i], scratch, NULL), 0);
  void *all[] = {a.qkv.data, a.dout.data,      a.out.data, a.dqkv.data,
                 a.lse.data, a.dqkv_sums.data, scratch};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) simt_release(all[i]);
}

/* More matrices than one launch takes: each as if alone. */
static void a_list_of_matrices_is_rounded_each_by_its_own_maximum(void **state) {
  (void)state;
  enum { MATRICES = 35 };
  ops_rounding list[MATRICES], alone;
  ops_buffer scale = buffer_of(OPS_F32, OPS_SCALE_FLOATS);
  for (int i = 0; i < MATRICES; i++) {
    const int64_t rows = 8 + 72 * (i % 2), columns = 16 + 184 * (i % 3 == 1),
                  count = rows * columns;
    list[i] = (ops_rounding){.rows = rows, .columns = columns};
    list[i].x = random_buffer(OPS_BF16, count, 10 + (uint64_t)i);
    list[i].to = (ops_narrow){OPS_E4M3, buffer_of(OPS_U8, count), buffer_of(OPS_U8, count),
                              buffer_of(OPS_F32, OPS_SCALE_FLOATS)};
    reference_set(list[i].to.scale, OPS_SCALE_MAXIMUM, 0);
  }
  assert_launched(kernel_narrow(list, MATRICES, NULL, NULL));
  for (int i = 0; i < MATRICES; i++) {
    const int64_t count = list[i].rows * list[i].columns;
    alone = list[i];
    alone.to = (ops_narrow){OPS_E4M3, buffer_of(OPS_U8, count), buffer_of(OPS_U8, count), scale};
    reference_set(scale, OPS_SCALE_MAXIMUM, 0);
    assert_launched(kernel_narrow(&alone, 1, NULL, NULL));
    assert_true(reference_get(scale, OPS_SCALE_INVERSE) ==
                reference_get(list[i].to.scale, OPS_SCALE_INVERSE));
    assert_memory_equal(alone.to.values.data, list[i].to.values.data, (size_t)count);
    assert_memory_equal(alone.to.turned.data, list[i].to.turned.data, (size_t)count);
    void *all[] = {alone.to.values.data,   alone.to.turned.data,   list[i].x.data,
                   list[i].to.values.data, list[i].to.turned.data, list[i].to.scale.data};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) simt_release(all[k]);
  }
  list[1].has_maximum = true;
  assert_int_not_equal(kernel_narrow(list, 2, NULL, NULL), 0); /* refused, before anything runs */
  simt_release(scale.data);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_bf16_becomes_the_nearest_8_bit_float),
      cmocka_unit_test(fp32_rounds_at_the_middle_between_two_codes),
      cmocka_unit_test(quantisation_agrees_on_odd_shapes),
      cmocka_unit_test(the_factor_brings_the_largest_value_to_the_formats_largest),
      cmocka_unit_test(an_activation_is_rounded_as_if_it_had_been_stored),
      cmocka_unit_test(a_delayed_factor_is_used_and_what_it_misses_is_counted),
      cmocka_unit_test(delayed_factors_follow_the_last_maxima),
      cmocka_unit_test(a_gradient_passes_through_its_activation_while_it_is_rounded),
      cmocka_unit_test(layer_norm_rounds_as_a_pass_after_it_would),
      cmocka_unit_test(attentions_gradient_rounds_as_a_pass_after_it_would),
      cmocka_unit_test(a_list_of_matrices_is_rounded_each_by_its_own_maximum),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
