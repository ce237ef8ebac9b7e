/* Every barrier and every wait for copies in the attention kernels for short sequences is needed,
 * and the shim detects its removal. */
#include "support/test.h"

#include <stdlib.h>

#include "simt/attention_mutants.h"
#include "simt/left_out.h"
#include "simt/simt.h"
#include "simt/mutant_buffers.h"

/* One tile of queries; two tiles; queries in two halves and two walks over an odd count of tiles.
 */
static const struct {
  int64_t tokens, head_width;
} shapes[] = {{50, 32}, {20, 64}, {72, 32}, {130, 80}};
enum { SHAPES = sizeof shapes / sizeof shapes[0], MOST_TOKENS = 130, MOST_WIDTH = 80 };

typedef struct {
  float out[MOST_TOKENS * MOST_WIDTH], dqkv[3 * MOST_TOKENS * MOST_WIDTH], parts[3 * MOST_WIDTH];
} results;

/* Forward and backward of one head; false when the shim reported something. */
static bool run(int64_t tokens, int64_t width, results *r) {
  int64_t count = tokens * width;
  ops_attention a = {.batch = 1, .tokens = tokens, .heads = 1, .head_width = width};
  a.qkv = random_buffer(OPS_BF16, 3 * count, 1), a.dout = random_buffer(OPS_BF16, count, 2);
  a.out = random_buffer(OPS_BF16, count, 3), a.dqkv = random_buffer(OPS_BF16, 3 * count, 4);
  a.lse = (ops_buffer){simt_allocate((size_t)tokens * sizeof(float)), OPS_F32};
  ops_buffer parts = {simt_allocate((size_t)(3 * width) * sizeof(float)), OPS_F32};
  memset(r, 0, sizeof *r);
  bool is_fine = attention_mutant_launch(&a, parts.data, false) == 0 &&
                 attention_mutant_launch(&a, parts.data, true) == 0;
  keep(r->out, a.out, count);
  keep(r->dqkv, a.dqkv, 3 * count);
  keep(r->parts, parts, 3 * width);
  void *all[] = {a.qkv.data, a.dout.data, a.out.data, a.dqkv.data, a.lse.data, parts.data};
  for (size_t i = 0; i < 6; i++) simt_release(all[i]);
  return is_fine;
}

static results right[SHAPES];

/* What is noticed at any shape; NULL: nothing. */
static const char *notice(void) {
  static results got;
  for (int i = 0; i < SHAPES; i++) {
    simt_forget();
    if (!run(shapes[i].tokens, shapes[i].head_width, &got)) return simt_message();
    if (memcmp(&got, &right[i], sizeof got) != 0) return "the results differ";
  }
  return NULL;
}

static void a_barrier_or_wait_that_is_left_out_is_noticed(void **state) {
  (void)state;
  const left_out_site *sites;
  if (!simt_has_recorder()) skip();
  for (int i = 0; i < SHAPES; i++) {
    if (!run(shapes[i].tokens, shapes[i].head_width, &right[i])) fail_msg("%s", simt_message());
  }
  assert_true(left_out_sites(&sites) >= 14);
  assert_int_equal(left_out_count_missed(notice), 0);
  assert_null(notice());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_barrier_or_wait_that_is_left_out_is_noticed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
