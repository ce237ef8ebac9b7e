/* The benchmarks of `flip bench`, each printing a table or, with --json, one object a line. */
#ifndef FLIP_CLI_BENCH_H
#define FLIP_CLI_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "config/settings.h"

enum { BENCH_MOST_TEMPLATES = 8, BENCH_MOST_MASKS = 8 };

typedef struct {
  settings s;
  int64_t steps;                           /* measured repetitions */
  int64_t vocabulary;                      /* entries of the text tower's table */
  int64_t classes;                         /* eval: of the zero-shot classification */
  int64_t templates[BENCH_MOST_TEMPLATES]; /* eval: numbers of prompts per class, a row each */
  int template_count;
  double masks[BENCH_MOST_MASKS]; /* step: mask ratios, a row each; ratios are to the first */
  int mask_count;
  bool is_fitted; /* step: the largest batch that fits, instead of batch_size */
  bool as_json;
} bench_request;

err bench_step(const bench_request *request) ERR_MUST_CHECK;
err bench_ops(const bench_request *request) ERR_MUST_CHECK;
err bench_eval(const bench_request *request) ERR_MUST_CHECK;
err bench_loader(const bench_request *request) ERR_MUST_CHECK;

/* Samples/s of the training step on random inputs (median), for comparison with the loader. */
err bench_step_rate(const bench_request *request, double *samples_per_second) ERR_MUST_CHECK;

/* Both matrix-product rates of this machine in FLOP/s; bf16 0 where the processor has none. */
err bench_gemm_rates(const settings *s, double *fp32, double *bf16) ERR_MUST_CHECK;
/* That of a model's precision: without a rate of its own, bf16 is computed in fp32. */
double bench_rate_of(int precision, double fp32, double bf16);

#endif
