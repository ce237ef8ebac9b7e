/* What the op tests do not reach: the launchers outside the ops (sums, activations, 8-bit
 * floats), refused shapes, and the corners of the sort behind the embedding's gradient. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "cuda/kernels.h"
#include "simt/simt.h"
#include "support/ops_reference.h"

static ops_buffer buffer_of(ops_type type, int64_t count) {
  ops_buffer b = {simt_allocate((size_t)count * ops_size_of(type)), type};
  assert_non_null(b.data);
  return b;
}

static ops_buffer random_buffer(ops_type type, int64_t count, uint64_t stream) {
  ops_buffer b = buffer_of(type, count);
  rng r = rng_at(7, RNG_TEST, 0, stream);
  for (int64_t i = 0; i < count; i++) reference_set(b, i, rng_normal(&r));
  return b;
}

static void assert_launched(int failed) {
  if (failed) fail_msg("%s", simt_message());
}

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
  ops_buffer x = random_buffer(OPS_BF16, COUNT, 1), scale = buffer_of(OPS_F32, OPS_SCALE_FLOATS);
  float *s = scale.data;
  ops_rounding r = {.rows = 3, .columns = COUNT / 3, .x = x};
  r.to = (ops_narrow){OPS_E4M3, buffer_of(OPS_U8, COUNT), {0}, scale};
  reference_set(x, COUNT - 4, -17.25);
  reference_set(x, 5, NAN);
  s[OPS_SCALE_MAXIMUM] = 0;
  assert_launched(kernel_narrow(&r, 1, NULL, NULL));
  assert_true(s[OPS_SCALE_MAXIMUM] == 17.25f && s[OPS_SCALE_FACTOR] == 448.0f / 17.25f);
  assert_true(s[OPS_SCALE_INVERSE] == 1.0f / s[OPS_SCALE_FACTOR]);
  assert_int_equal(((uint8_t *)r.to.values.data)[COUNT - 4], 0x80 | largest_code(OPS_E4M3));
  assert_int_equal(((uint8_t *)r.to.values.data)[5], 0x7F);
  s[OPS_SCALE_MAXIMUM] = 3;
  assert_launched(kernel_maximum(COUNT, x, scale, NULL));
  assert_true(s[OPS_SCALE_MAXIMUM] == 17.25f);
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

/* Largest |x|, NaN counting as nothing. */
static float largest_of(ops_buffer x, int64_t count) {
  double most = 0;
  for (int64_t i = 0; i < count; i++) most = fmax(most, fabs(reference_get(x, i)));
  return (float)most;
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

/* Against the definition: the largest of the last 16 maxima. */
static void delayed_factors_follow_the_last_maxima(void **state) {
  (void)state;
  enum { OPERANDS = 300, STEPS = 20, GRADIENTS = 200 };
  static float seen[STEPS][OPERANDS];
  ops_scales s = {.count = OPERANDS, .gradients = GRADIENTS};
  s.scales = buffer_of(OPS_F32, OPERANDS * OPS_SCALE_FLOATS);
  s.history = buffer_of(OPS_F32, OPERANDS * OPS_SCALE_HISTORY);
  s.saturated = buffer_of(OPS_F32, 1);
  memset(s.scales.data, 0, OPERANDS * OPS_SCALE_FLOATS * sizeof(float));
  memset(s.history.data, 0, OPERANDS * OPS_SCALE_HISTORY * sizeof(float));
  rng random = rng_at(7, RNG_TEST, 0, 9);
  for (int step = 0; step < STEPS; step++) {
    double total = step % 2 ? 5 : 0; /* is added to in odd steps */
    reference_set(s.saturated, 0, 5);
    s.adds = step % 2;
    for (int i = 0; i < OPERANDS; i++) {
      seen[step][i] = i == 3 ? 0 : (float)exp(3 * rng_normal(&random));
      float *scale = (float *)s.scales.data + i * OPS_SCALE_FLOATS;
      scale[OPS_SCALE_MAXIMUM] = seen[step][i];
      ((int32_t *)(void *)scale)[OPS_SCALE_SATURATED] = i % 7;
      total += i % 7;
    }
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

static ops_buffer cleared(void) {
  ops_buffer b = buffer_of(OPS_F32, 1);
  reference_set(b, 0, 0);
  return b;
}

/* Compares a maximum that an op wrote, of `count` values of x; releases both. */
static void check_maximum(const char *what, ops_buffer maximum, ops_buffer x, int64_t count) {
  float got = (float)reference_get(maximum, 0), expected = largest_of(x, count);
  if (got != expected)
    fail_msg("%s: the maximum is %.9g, not %.9g", what, (double)got, (double)expected);
  assert_true(expected > 0);
  simt_release(maximum.data);
  simt_release(x.data);
}

static void check_norm_maxima(ops_type type, int64_t rows, int64_t width) {
  ops_buffer x = random_buffer(type, rows * width, 1), dy = random_buffer(type, rows * width, 2);
  ops_buffer y = buffer_of(type, rows * width), dx = buffer_of(type, rows * width);
  ops_buffer vectors[6];
  for (int i = 0; i < 6; i++) vectors[i] = random_buffer(OPS_F32, rows > width ? rows : width, 3);
  reference_set(dy, rows * width - 1, 40);
  const ops_layer_norm n = {.rows = rows,
                            .width = width,
                            .eps = 1e-6,
                            .x = x,
                            .gamma = vectors[0],
                            .beta = vectors[1],
                            .y = y,
                            .mean = vectors[2],
                            .rstd = vectors[3],
                            .y_maximum = cleared()};
  const ops_layer_norm_gradient g = {.rows = rows,
                                     .width = width,
                                     .x = x,
                                     .dy = dy,
                                     .gamma = vectors[0],
                                     .mean = vectors[2],
                                     .rstd = vectors[3],
                                     .dx = dx,
                                     .dgamma = vectors[4],
                                     .dbeta = vectors[5],
                                     .dx_maximum = cleared()};
  void *scratch = simt_allocate(kernel_layer_norm_gradient_scratch(rows, width));
  assert_launched(kernel_layer_norm(&n, NULL));
  assert_launched(kernel_layer_norm_gradient(&g, scratch, NULL));
  check_maximum("layer norm", n.y_maximum, y, rows * width);
  check_maximum("layer norm's gradient", g.dx_maximum, dx, rows * width);
  for (int i = 0; i < 6; i++) simt_release(vectors[i].data);
  simt_release(x.data), simt_release(dy.data), simt_release(scratch);
}

static void check_attention_maxima(ops_type type, int64_t tokens, int64_t head_width) {
  enum { BATCH = 2, HEADS = 2 };
  const int64_t count = BATCH * tokens * HEADS * head_width;
  ops_attention a = {.batch = BATCH, .tokens = tokens, .heads = HEADS, .head_width = head_width};
  a.qkv = random_buffer(type, 3 * count, 1), a.dout = random_buffer(type, count, 2);
  a.out = buffer_of(type, count), a.dqkv = buffer_of(type, 3 * count);
  a.lse = buffer_of(OPS_F32, BATCH * HEADS * tokens);
  a.out_maximum = cleared(), a.dqkv_maximum = cleared();
  void *scratch = simt_allocate(kernel_attention_gradient_scratch(&a));
  assert_launched(kernel_attention(&a, NULL));
  assert_launched(kernel_attention_gradient(&a, scratch, NULL));
  check_maximum("attention", a.out_maximum, a.out, count);
  check_maximum("attention's gradient", a.dqkv_maximum, a.dqkv, 3 * count);
  simt_release(a.qkv.data), simt_release(a.dout.data), simt_release(a.lse.data);
  simt_release(scratch);
}

static void ops_write_the_maximum_of_what_they_store(void **state) {
  (void)state;
  /* of the norms: a warp per row, a block per row, rows that cannot be read 16 bytes at a time */
  const int64_t norms[][2] = {{37, 64}, {5, 1032}, {3, 2056}, {9, 45}};
  /* of attention: half a tile, a tile, walks in one and in two, any width */
  const int64_t heads[][2] = {{20, 32}, {50, 64}, {99, 64}, {140, 80}, {40, 20}, {260, 32}};
  for (int is_bf16 = 0; is_bf16 < 2; is_bf16++) {
    const ops_type type = is_bf16 ? OPS_BF16 : OPS_F32;
    for (int i = 0; i < 4; i++) check_norm_maxima(type, norms[i][0], norms[i][1]);
    for (int i = 0; i < 6; i++) check_attention_maxima(type, heads[i][0], heads[i][1]);
    enum { ROWS = 300, COLUMNS = 40 };
    ops_buffer pre = random_buffer(type, ROWS * COLUMNS, 1), most = cleared();
    ops_buffer c = random_buffer(type, ROWS * COLUMNS, 2),
               sums = random_buffer(OPS_F32, COLUMNS, 3);
    void *scratch = simt_allocate(kernel_activation_gradient_sums_scratch(ROWS, COLUMNS));
    reference_set(c, 5, NAN);
    assert_launched(kernel_activation_gradient_sums(OPS_GELU_TANH, ROWS, COLUMNS, pre, c, sums,
                                                    most, scratch, NULL));
    check_maximum("an activation's gradient", most, c, ROWS * COLUMNS);
    simt_release(pre.data), simt_release(sums.data), simt_release(scratch);
  }
}

static double defined(ops_activation a, double x) {
  if (a == OPS_GELU_TANH) return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  return a == OPS_GELU_ERF ? 0.5 * x * erfc(-x / sqrt(2)) : x / (1 + exp(-1.702 * x));
}

static double defined_slope(ops_activation a, double x) {
  double h = 1e-5; /* error about h² and 1e-16 / h: below 1e-9 */
  return (defined(a, x + h) - defined(a, x - h)) / (2 * h);
}

/* The three forms differ by up to 4e-4 (tanh, erf) and 2e-2 (quick): a bound of 3e-6 distinguishes
 * them. Rounding: 1 - sigmoid is off by 6e-8, times up to 20 in the tanh form's slope at x = 4. */
static void activations_follow_their_definitions_everywhere(void **state) {
  (void)state;
  enum { COUNT = 4003 };
  for (int kind = OPS_GELU_TANH; kind <= OPS_QUICK_GELU; kind++) {
    ops_buffer pre = buffer_of(OPS_F32, COUNT), c = buffer_of(OPS_F32, COUNT);
    ops_buffer d = buffer_of(OPS_F32, COUNT);
    for (int i = 0; i < COUNT; i++) {
      reference_set(pre, i, (i - COUNT / 2) * 0.005);
      reference_set(d, i, 1);
    }
    assert_launched(kernel_activation((ops_activation)kind, COUNT, pre, c, NULL));
    assert_launched(kernel_activation_gradient((ops_activation)kind, COUNT, pre, d, NULL));
    for (int i = 0; i < COUNT; i++) {
      double x = reference_get(pre, i);
      double value = reference_get(c, i), slope = reference_get(d, i);
      if (fabs(value - defined((ops_activation)kind, x)) > 3e-6 ||
          fabs(slope - defined_slope((ops_activation)kind, x)) > 3e-6)
        fail_msg("activation %d at %g: %.9g with slope %.9g", kind, x, value, slope);
    }
    assert_launched(kernel_activation((ops_activation)kind, COUNT, pre, pre, NULL));
    assert_memory_equal(pre.data, c.data, COUNT * sizeof(float)); /* in place */
    ((float *)pre.data)[0] = NAN;
    ((float *)pre.data)[1] = -1e30f;
    assert_launched(kernel_activation((ops_activation)kind, 2, pre, c, NULL));
    assert_true(isnan(reference_get(c, 0)));
    if (kind != OPS_GELU_TANH) assert_true(reference_get(c, 1) == 0);
    simt_release(pre.data);
    simt_release(c.data);
    simt_release(d.data);
  }
}

static void sums_of_rows_and_of_strided_columns_are_added(void **state) {
  (void)state;
  enum { ROWS = 519, COLUMNS = 72, STRIDE = 80 };
  for (int is_bf16 = 0; is_bf16 < 2; is_bf16++) {
    ops_buffer x = random_buffer(is_bf16 ? OPS_BF16 : OPS_F32, ROWS * STRIDE, 3);
    ops_buffer sums = buffer_of(OPS_F32, ROWS);
    void *scratch = simt_allocate(kernel_column_sums_scratch(ROWS, COLUMNS));
    for (int i = 0; i < ROWS; i++) reference_set(sums, i, i);
    assert_launched(kernel_column_sums(ROWS, COLUMNS, STRIDE, x, sums, scratch, NULL));
    for (int i = 0; i < COLUMNS; i++) {
      double expected = i;
      for (int row = 0; row < ROWS; row++) expected += reference_get(x, row * STRIDE + i);
      assert_true(fabs(reference_get(sums, i) - expected) < 1e-4); /* 519 roundings of some 50 */
    }
    for (int i = 0; i < ROWS; i++) reference_set(sums, i, i);
    assert_launched(kernel_row_sums(ROWS, STRIDE, x, sums, NULL));
    for (int row = 0; row < ROWS; row++) {
      double expected = row;
      for (int i = 0; i < STRIDE; i++) expected += reference_get(x, row * STRIDE + i);
      assert_true(fabs(reference_get(sums, row) - expected) < 2e-4);
    }
    simt_release(x.data);
    simt_release(sums.data);
    simt_release(scratch);
  }
}

/* Exact: added in double in the order of ranks, rounded once. In place of the own rank's part. */
static void sums_over_ranks_are_those_of_the_order_of_ranks(void **state) {
  (void)state;
  enum { RANKS = 3, STRIDE = 1040 };
  const int64_t counts[] = {1, 7, 8, 1033, 1040};
  for (int test = 0; test < 2 * 5 * RANKS; test++) {
    ops_type type = test % 2 ? OPS_BF16 : OPS_F32;
    int own_rank = test / 10;
    int64_t count = counts[test / 2 % 5];
    ops_buffer received = random_buffer(type, RANKS * STRIDE, 5),
               own = random_buffer(type, STRIDE, 6);
    ops_buffer to = type == OPS_F32 ? own : buffer_of(OPS_F32, STRIDE);
    float wanted[STRIDE];
    for (int64_t i = 0; i < count; i++) {
      double sum = 0;
      for (int r = 0; r < RANKS; r++)
        sum += r == own_rank ? reference_get(own, i) : reference_get(received, r * STRIDE + i);
      wanted[i] = (float)sum;
    }
    assert_launched(kernel_rank_sums(count, RANKS, own_rank, STRIDE, received, own, to, NULL));
    for (int64_t i = 0; i < count; i++) assert_true((float)reference_get(to, i) == wanted[i]);
    simt_release(received.data);
    simt_release(own.data);
    if (type != OPS_F32) simt_release(to.data);
  }
}

/* Words named `id(i)`; only the table's gradient, since the positions' may be absent. */
static void check_words(int64_t count, int64_t vocabulary, int32_t (*id)(int64_t)) {
  enum { WIDTH = 8 };
  ops_buffer ids = buffer_of(OPS_I32, count), d = random_buffer(OPS_F32, count * WIDTH, 5);
  ops_buffer table = buffer_of(OPS_F32, vocabulary * WIDTH);
  double *expected = calloc((size_t)(vocabulary * WIDTH), sizeof *expected);
  memset(table.data, 0, (size_t)(vocabulary * WIDTH) * sizeof(float));
  for (int64_t i = 0; i < count; i++) {
    ((int32_t *)ids.data)[i] = id(i);
    for (int64_t j = 0; j < WIDTH; j++)
      expected[id(i) * WIDTH + j] += reference_get(d, i * WIDTH + j);
  }
  ops_embed e = {.batch = count,
                 .length = 1,
                 .width = WIDTH,
                 .vocabulary = vocabulary,
                 .ids = ids,
                 .dtokens = d,
                 .dtable = table};
  void *scratch = simt_allocate(kernel_embed_gradient_scratch(count, 1, WIDTH));
  assert_launched(kernel_embed_gradient(&e, scratch, NULL));
  for (int64_t i = 0; i < vocabulary * WIDTH; i++)
    assert_true(fabs(reference_get(table, i) - expected[i]) < 2e-4); /* up to 5000 terms of 1 */
  void *all[] = {ids.data, d.data, table.data, scratch};
  for (size_t i = 0; i < 4; i++) simt_release(all[i]);
  free(expected);
}

static int32_t always_the_same(int64_t i) {
  (void)i;
  return 65535;
}

static int32_t all_different(int64_t i) {
  return (int32_t)(i * 40503 % 65536); /* odd factor: a permutation */
}

static int32_t in_runs_of_a_chunk(int64_t i) {
  return (int32_t)(i / 128 * 300);
}

static int32_t a_run_across_chunks(int64_t i) {
  return i < 100 ? (int32_t)i : i < 700 ? 256 : i < 701 ? 257 : 50000;
}

static void word_gradients_have_no_bad_distribution(void **state) {
  (void)state;
  check_words(5000, 65536, always_the_same);
  check_words(5000, 65536, all_different);
  check_words(2048, 65536, in_runs_of_a_chunk);
  check_words(1283, 65536, a_run_across_chunks);
  check_words(1, 65536, always_the_same);
}

static void shapes_that_no_kernel_does_are_refused(void **state) {
  (void)state;
  float one = 0;
  ops_buffer some = {&one, OPS_F32};
  ops_layer_norm wide = {.rows = 1, .width = KERNEL_WIDEST_NORM + 1, .x = some, .y = some};
  ops_layer_norm_gradient wide_gradient = {.rows = 1, .width = KERNEL_WIDEST_NORM + 1, .dx = some};
  ops_attention head = {.batch = 1, .tokens = 1, .heads = 1, .head_width = KERNEL_WIDEST_HEAD + 1};
  ops_patches uneven = {.batch = 1, .size = 10, .patch = 3, .keep = 1};
  ops_embed many = {.batch = 1, .length = 1, .width = 1, .vocabulary = 65537};
  assert_int_not_equal(kernel_layer_norm(&wide, NULL), 0);
  assert_int_not_equal(kernel_layer_norm_gradient(&wide_gradient, &one, NULL), 0);
  assert_int_not_equal(kernel_attention(&head, NULL), 0);
  assert_int_not_equal(kernel_attention_gradient(&head, &one, NULL), 0);
  assert_int_not_equal(kernel_patches(&uneven, NULL), 0);
  assert_int_not_equal(kernel_embed_gradient(&many, &one, NULL), 0);
  assert_string_equal(simt_message(), ""); /* by the launchers, before anything ran */
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
      cmocka_unit_test(a_list_of_matrices_is_rounded_each_by_its_own_maximum),
      cmocka_unit_test(ops_write_the_maximum_of_what_they_store),
      cmocka_unit_test(activations_follow_their_definitions_everywhere),
      cmocka_unit_test(sums_of_rows_and_of_strided_columns_are_added),
      cmocka_unit_test(sums_over_ranks_are_those_of_the_order_of_ranks),
      cmocka_unit_test(word_gradients_have_no_bad_distribution),
      cmocka_unit_test(shapes_that_no_kernel_does_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
