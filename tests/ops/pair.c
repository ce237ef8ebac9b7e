#include "ops/pair.h"

#include <math.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/rng.h"
#include "support/ops_reference.h"
#include "support/test.h"

ops *pair_reference, *pair_tested;
static uint64_t next_index, digest;

int pair_from_the_start(void **state) {
  (void)state;
  next_index = 0;
  return 0;
}

static pair make(int64_t count, ops_type reference, ops_type tested) {
  pair p = {{NULL, reference}, {NULL, tested}, count};
  assert_ok(pair_reference->call->allocate(pair_reference, (size_t)count * ops_size_of(reference),
                                           "a test buffer", &p.reference.data));
  assert_ok(pair_tested->call->allocate(pair_tested, (size_t)count * ops_size_of(tested),
                                        "a test buffer", &p.tested.data));
  return p;
}

static void send(const pair *p, const void *host) {
  assert_ok(pair_tested->call->upload(pair_tested, p->tested.data, host,
                                      (size_t)p->count * ops_size_of(p->tested.type)));
  assert_ok(pair_tested->call->synchronize(pair_tested));
}

static pair fill(int64_t count, bool is_master, double scale, double value) {
  pair p = make(count, OPS_F64, is_master ? pair_tested->master : pair_tested->compute);
  void *host = calloc((size_t)count, sizeof(double));
  ops_buffer staged = {host, p.tested.type};
  rng r = rng_at(42, RNG_TEST, 0, next_index++);
  for (int64_t i = 0; i < count; i++) {
    reference_set(staged, i, scale > 0 ? scale * rng_normal(&r) : value);
    reference_set(p.reference, i, reference_get(staged, i));
  }
  send(&p, host);
  free(host);
  return p;
}

pair pair_random(int64_t count, bool is_master, double scale) {
  return fill(count, is_master, scale, 0);
}

pair pair_zeros(int64_t count, bool is_master) {
  return fill(count, is_master, 0, 0);
}

pair pair_poison(int64_t count, bool is_master) {
  return fill(count, is_master, 0, NAN);
}

pair pair_poison_again(int64_t count) {
  double *values = malloc((size_t)count * sizeof *values);
  for (int64_t i = 0; i < count; i++) values[i] = NAN;
  pair p = pair_values(count, false, values);
  free(values);
  return p;
}

void pair_check_same(const pair *a, const pair *b) {
  for (int64_t i = 0; i < a->count; i++) assert_true(pair_read(a, i) == pair_read(b, i));
}

pair pair_values(int64_t count, bool is_master, const double *values) {
  pair p = make(count, OPS_F64, is_master ? pair_tested->master : pair_tested->compute);
  void *host = calloc((size_t)count, sizeof(double));
  ops_buffer staged = {host, p.tested.type};
  for (int64_t i = 0; i < count; i++) {
    reference_set(staged, i, values[i]);
    reference_set(p.reference, i, reference_get(staged, i));
  }
  send(&p, host);
  free(host);
  return p;
}

pair pair_integers(int64_t count, const int32_t *values) {
  pair p = make(count, OPS_I32, OPS_I32);
  memcpy(p.reference.data, values, (size_t)count * 4);
  send(&p, values);
  return p;
}

pair pair_bytes(int64_t count) {
  pair p = make(count, OPS_U8, OPS_U8);
  rng r = rng_at(43, RNG_TEST, 0, next_index++);
  for (int64_t i = 0; i < count; i++)
    ((uint8_t *)p.reference.data)[i] = (uint8_t)rng_below(&r, 256);
  send(&p, p.reference.data);
  return p;
}

void pair_free(pair *p) {
  pair_reference->call->release(pair_reference, p->reference.data);
  pair_tested->call->release(pair_tested, p->tested.data);
}

double pair_read(const pair *p, int64_t i) {
  double host = 0;
  ops_buffer element = {&host, p->tested.type};
  assert_ok(pair_tested->call->download(pair_tested, &host, ops_at(p->tested, i).data,
                                        ops_size_of(p->tested.type)));
  return reference_get(element, 0);
}

/* The norm of the difference over that of the reference. *worst: the largest difference of an
 * element, over its size plus the mean size of all. */
static double compare(const pair *p, double *worst) {
  void *host = calloc((size_t)p->count, sizeof(double));
  ops_buffer staged = {host, p->tested.type};
  assert_ok(pair_tested->call->download(pair_tested, host, p->tested.data,
                                        (size_t)p->count * ops_size_of(p->tested.type)));
  digest = digest * 31 + XXH3_64bits(host, (size_t)p->count * ops_size_of(p->tested.type));
  double square = 0, size = 0;
  for (int64_t i = 0; i < p->count; i++) {
    double right = reference_get(p->reference, i), got = reference_get(staged, i);
    square += (got - right) * (got - right);
    size += right * right;
  }
  double mean = size > 0 ? sqrt(size / (double)p->count) : 1;
  *worst = 0;
  for (int64_t i = 0; i < p->count; i++) {
    double right = reference_get(p->reference, i), got = reference_get(staged, i);
    *worst = fmax(*worst, fabs(got - right) / (fabs(right) + mean)); /* a NaN is in the norm */
  }
  free(host);
  return sqrt(square / (size > 0 ? size : 1));
}

double pair_difference(const pair *p) {
  double worst;
  return compare(p, &worst);
}

/* In a norm of thousands of elements a few wrong ones do not show. */
void pair_check(const pair *p, double bound, const char *what) {
  /* rounding reaches 9 where a row is larger than the mean, as of the first tokens that attend to
   * few; a wrong element is at half of its size and the mean's */
  const double most = 16;
  double worst, difference = compare(p, &worst);
  if (!(difference < bound)) fail_msg("%s: differs by %.3g, allowed %.3g", what, difference, bound);
  if (!(worst < most * bound))
    fail_msg("%s: an element differs by %.3g of its size, allowed %.3g", what, worst, most * bound);
}

uint64_t pair_restart(void) {
  uint64_t result = digest;
  digest = next_index = 0;
  return result;
}

double pair_bound(void) {
  /* bf16 has 8 bits of mantissa: half a unit is 2^-9 of a value, less in the norm */
  return pair_tested->compute == OPS_BF16 ? 4e-3 : 2e-6;
}
