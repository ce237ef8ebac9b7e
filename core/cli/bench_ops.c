/* `flip bench ops`: each operation of the image tower at the shape of one chunk of training. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/numbers.h"
#include "base/options.h"
#include "base/rng.h"
#include "cli/bench.h"
#include "model/count.h"
#include "ops/device.h"

typedef struct {
  const settings *s;
  ops *o;
  int64_t rows, width, hidden, tokens, samples, steps;
  ops_buffer x, wide, wide2, out, weight, gradient, vector, statistic;
  void *block;
  char isa[128]; /* that oneDNN uses; "" where it does not compute */
  bool as_json;
} bench;

typedef err (*operation)(bench *b);

static err run_dense(bench *b) {
  ops_gemm g = {.m = b->rows,
                .n = b->hidden,
                .k = b->width,
                .transpose_b = true,
                .a = b->x,
                .b = b->weight,
                .c = b->wide,
                .bias = b->vector};
  return b->o->call->gemm(b->o, &g);
}

static err run_dense_activation(bench *b) {
  ops_gemm g = {.m = b->rows,
                .n = b->hidden,
                .k = b->width,
                .transpose_b = true,
                .a = b->x,
                .b = b->weight,
                .c = b->wide,
                .bias = b->vector,
                .pre = b->wide2,
                .epilogue = OPS_EPILOGUE_ACTIVATION};
  return b->o->call->gemm(b->o, &g);
}

static err run_input_gradient(bench *b) {
  ops_gemm g = {
      .m = b->rows, .n = b->width, .k = b->hidden, .a = b->wide, .b = b->weight, .c = b->out};
  return b->o->call->gemm(b->o, &g);
}

static err run_weight_gradient(bench *b) {
  ops_gemm g = {.m = b->hidden,
                .n = b->width,
                .k = b->rows,
                .transpose_a = true,
                .accumulate = true,
                .a = b->wide,
                .b = b->x,
                .c = b->gradient,
                .a_sums = b->vector};
  return b->o->call->gemm(b->o, &g);
}

static err run_norm(bench *b) {
  ops_layer_norm n = {.rows = b->rows,
                      .width = b->width,
                      .eps = 1e-6,
                      .x = b->x,
                      .residual = b->out,
                      .sum = b->wide,
                      .gamma = b->vector,
                      .beta = b->vector,
                      .y = b->wide2,
                      .mean = b->statistic,
                      .rstd = ops_at(b->statistic, b->rows)};
  return b->o->call->layer_norm(b->o, &n);
}

static err run_norm_gradient(bench *b) {
  ops_layer_norm_gradient n = {.rows = b->rows,
                               .width = b->width,
                               .dy = b->out,
                               .x = b->x,
                               .gamma = b->vector,
                               .mean = b->statistic,
                               .rstd = ops_at(b->statistic, b->rows),
                               .dresidual = b->out,
                               .dx = b->wide2,
                               .dgamma = b->gradient,
                               .dbeta = ops_at(b->gradient, b->width)};
  return b->o->call->layer_norm_gradient(b->o, &n);
}

static ops_attention attention_of(bench *b) {
  return (ops_attention){.batch = b->samples,
                         .tokens = b->tokens,
                         .heads = b->s->image_heads,
                         .head_width = b->width / b->s->image_heads,
                         .qkv = b->wide,
                         .out = b->x,
                         .lse = b->statistic,
                         .dout = b->out,
                         .dqkv = b->wide2};
}

static err run_attention(bench *b) {
  ops_attention a = attention_of(b);
  return b->o->call->attention(b->o, &a);
}

static err run_attention_gradient(bench *b) {
  ops_attention a = attention_of(b);
  return b->o->call->attention_gradient(b->o, &a);
}

static err fill(bench *b, ops_buffer buffer, int64_t count) {
  size_t one = ops_size_of(buffer.type);
  unsigned char *host = mem_zeroed((size_t)count, one);
  if (!host) return mem_error((size_t)count * one, "a benchmark");
  rng r = rng_at(2, RNG_TEST, 0, (uint64_t)count);
  for (int64_t i = 0; i < count; i++) { /* small random values in either float format */
    float value = 0.2f * (rng_float(&r) - 0.5f);
    uint32_t bits;
    memcpy(&bits, &value, 4);
    uint16_t half = (uint16_t)(bits >> 16);
    if (one == 4)
      memcpy(host + 4 * i, &value, 4);
    else
      memcpy(host + 2 * i, &half, 2);
  }
  err error = b->o->call->upload(b->o, buffer.data, host, (size_t)count * one);
  if (!error) error = b->o->call->synchronize(b->o);
  free(host);
  return error;
}

static err make_buffers(bench *b) {
  /* of the MLP's hidden layer or of queries, keys and values */
  int64_t most = b->hidden > 3 * b->width ? b->hidden : 3 * b->width;
  int64_t wide = b->rows * most, weights = b->hidden * b->width;
  const int64_t counts[] = {b->rows * b->width,
                            wide,
                            wide,
                            b->rows * b->width,
                            weights,
                            weights,
                            b->hidden,
                            b->rows * (b->s->image_heads + 2)};
  const bool is_master[] = {false, false, false, false, false, true, true, true};
  ops_buffer *buffers[] = {&b->x,      &b->wide,     &b->wide2,  &b->out,
                           &b->weight, &b->gradient, &b->vector, &b->statistic};
  size_t total = 0, at = 0;
  for (int i = 0; i < 8; i++) total += mem_rounded((size_t)counts[i] * 4);
  err error = b->o->call->allocate(b->o, total, "a benchmark", &b->block);
  for (int i = 0; i < 8 && !error; i++) {
    *buffers[i] = (ops_buffer){(char *)b->block + at, is_master[i] ? b->o->master : b->o->compute};
    at += mem_rounded((size_t)counts[i] * 4);
    error = fill(b, *buffers[i], counts[i]);
  }
  return error;
}

/* flops 0: a memory-bound op, reported in bytes. */
static err measure(bench *b, const char *name, operation run, double flops, double bytes) {
  double *times = mem_zeroed((size_t)b->steps, sizeof *times);
  if (!times) return mem_error(0, "timings");
  err error = run(b);
  for (int64_t i = 0; i < b->steps && !error; i++) {
    double start = clock_seconds();
    error = run(b);
    if (!error) error = b->o->call->synchronize(b->o);
    times[i] = clock_seconds() - start;
  }
  double median = numbers_median(times, (size_t)b->steps);
  free(times);
  if (error) return error;
  if (b->as_json) {
    strbuf out = {0};
    json_writer w = jsonw_start(&out);
    jsonw_object(&w, NULL);
    jsonw_string(&w, "op", name);
    jsonw_string(&w, "precision", b->o->compute == OPS_BF16 ? "bf16" : "fp32");
    if (*b->o->kernels) jsonw_string(&w, "kernels", b->o->kernels);
    if (*b->isa) jsonw_string(&w, "onednn_isa", b->isa);
    if (*b->o->device) jsonw_string(&w, "device_name", b->o->device);
    jsonw_number(&w, "seconds", median);
    if (flops > 0) jsonw_number(&w, "flops_per_second", flops / median);
    jsonw_number(&w, "bytes_per_second", bytes / median);
    jsonw_end(&w);
    strbuf_append_char(&out, '\n');
    return options_print(&out);
  } else {
    printf("%-28s %9.1f us  %8.1f GFLOP/s  %8.1f GB/s\n", name, median * 1e6, flops / median / 1e9,
           bytes / median / 1e9);
  }
  return NULL;
}

static void look_at_libraries(bench *b) {
  ops_library list[OPS_LIBRARIES];
  const int count = ops_libraries(b->o, list);
  for (int i = 0; i < count && *b->o->kernels; i++)
    if (strcmp(list[i].name, "onednn_isa") == 0)
      snprintf(b->isa, sizeof b->isa, "%s", list[i].version);
}

err bench_ops(const bench_request *request) {
  const settings *s = &request->s;
  bench b = {.s = s, .steps = 20 * request->steps, .as_json = request->as_json};
  model_counts counts;
  ops_opened opened;
  err error = ops_open(s, &opened);
  if (error) return error;
  b.o = opened.o;
  look_at_libraries(&b);
  double rate = opened.gemm_flops_per_second;
  ops_type compute = b.o->compute;
  TRY(model_count(s, 4096, compute, b.o->chunk_bytes, &counts));
  clip_config config;
  clip_config_from(s, 4096, &config);
  b.tokens = counts.image_tokens;
  b.samples = tower_chunk(&config.image, b.tokens, s->batch_size, compute, b.o->chunk_bytes);
  b.rows = b.samples * b.tokens;
  b.width = config.image.width;
  b.hidden = config.image.hidden;
  TRY(make_buffers(&b));
  double one = (double)ops_size_of(compute), n = (double)b.rows, w = (double)b.width;
  double h = (double)b.hidden, product = 2 * n * w * h, scores = 2 * n * (double)b.tokens * w;
  if (!b.as_json)
    printf("%ld %s of %ld tokens per chunk, width %ld, %s; matrix products: %.0f "
           "GFLOP/s%s%s%s%s\n\n",
           (long)b.samples, text_plural(b.samples, "sample", "samples"), (long)b.tokens,
           (long)b.width, one > 2 ? "fp32" : "bf16", rate / 1e9, *b.isa ? ", oneDNN: " : "", b.isa,
           *b.o->kernels ? "; kernels: " : "", b.o->kernels);
  TRY(measure(&b, "dense, bias", run_dense, product, one * (n * w + n * h + w * h)));
  TRY(measure(&b, "dense, bias, activation", run_dense_activation, product,
              one * (n * w + 2 * n * h + w * h)));
  TRY(measure(&b, "dense, input gradient", run_input_gradient, product,
              one * (n * w + n * h + w * h)));
  TRY(measure(&b, "dense, weight gradient", run_weight_gradient, product,
              one * (n * w + n * h) + 8 * w * h));
  TRY(measure(&b, "residual, layer norm", run_norm, 0, 4 * one * n * w));
  TRY(measure(&b, "layer norm gradient", run_norm_gradient, 0, 4 * one * n * w));
  TRY(measure(&b, "attention", run_attention, 2 * scores, 4 * one * n * w));
  TRY(measure(&b, "attention gradient", run_attention_gradient, 5 * scores, 8 * one * n * w));
cleanup:
  if (b.block) b.o->call->release(b.o, b.block);
  ops_destroy(b.o);
  return error;
}
