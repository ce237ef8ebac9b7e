/* The shim itself: the planted faults of mutants.cu are found, each by what should find it, and
 * the tensor-core instructions give matrix products. */
#include "support/test.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "simt/mutants.h"
#include "simt/simt.h"
#include "simt/tensor.h"

static const simt_order orders[] = {SIMT_ASCENDING, SIMT_DESCENDING, SIMT_RANDOM, SIMT_RANDOM};
enum { ORDERS = 4 };

static const char *run_in_order(const mutant *m, int which, float *result) {
  float *in = simt_allocate(MUTANT_COUNT * sizeof *in);
  float *out = simt_allocate(MUTANT_COUNT * sizeof *out);
  for (int i = 0; i < MUTANT_COUNT; i++) {
    in[i] = (float)(i + 1);
    out[i] = 0;
  }
  simt_schedule(orders[which], 17 + (uint64_t)which);
  int failed = m->launch(in, out);
  memcpy(result, out, MUTANT_COUNT * sizeof *out);
  simt_release(in);
  simt_release(out);
  return failed ? simt_message() : NULL;
}

/* What is noticed when a mutant runs under several schedules; NULL: nothing. */
static const char *notice(const mutant *m) {
  float first[MUTANT_COUNT], other[MUTANT_COUNT];
  for (int which = 0; which < ORDERS; which++) {
    const char *message = run_in_order(m, which, which == 0 ? first : other);
    if (message) return message;
    if (which > 0 && memcmp(first, other, sizeof first) != 0) return "results differ";
  }
  for (int i = 0; i < MUTANT_COUNT; i++)
    if (!isfinite(first[i])) return "a result is not a number";
  return NULL;
}

/* The same in a separate process, which AddressSanitizer may stop. */
static void notice_apart(const mutant *m, char *noticed, size_t size) {
  int ends[2], status = 0;
  assert_int_equal(pipe(ends), 0);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
    const char *what = notice(m);
    if (what && write(ends[1], what, strlen(what)) < 0) _exit(2);
    _exit(0);
  }
  close(ends[1]);
  ssize_t length = read(ends[0], noticed, size - 1);
  noticed[length < 0 ? 0 : length] = '\0';
  close(ends[0]);
  waitpid(child, &status, 0);
  if (status != 0) snprintf(noticed, size, "stopped");
}

static void every_planted_fault_is_found(void **state) {
  (void)state;
  int missed = 0;
  for (size_t i = 0; i < mutant_count; i++) {
    const mutant *m = &mutants[i];
    const char *expected = simt_has_recorder() ? m->told : m->symptom;
    char noticed[2048];
    notice_apart(m, noticed, sizeof noticed);
    bool is_right = expected ? strstr(noticed, expected) != NULL : noticed[0] == '\0';
    print_message("%-22s %s\n", m->name, noticed[0] ? noticed : "nothing to find");
    if (!is_right) print_message("    expected: %s\n", expected ? expected : "nothing");
    missed += !is_right;
  }
  assert_int_equal(missed, 0);
}

static void after_an_error_nothing_runs_until_it_is_forgotten(void **state) {
  (void)state;
  float result[MUTANT_COUNT];
  const mutant *sound = &mutants[0], *broken = NULL;
  for (size_t i = 0; i < mutant_count; i++)
    if (strcmp(mutants[i].name, "divergent_barrier") == 0) broken = &mutants[i];
  assert_non_null(broken);
  assert_non_null(run_in_order(broken, 0, result));
  assert_non_null(run_in_order(sound, 0, result));
  simt_forget();
  assert_null(run_in_order(sound, 0, result));
  assert_true(result[0] == 64 * 65 / 2);
}

/* Small whole numbers: exact in bf16, and their sums in fp32. Every element differs from its
 * neighbours, so that one in a wrong place shows. */
static void tensor_instructions_give_matrix_products(void **state) {
  (void)state;
  enum { SIDE = 16, COUNT = SIDE * SIDE };
  for (int which = 0; which < 4; which++) {
    bool is_a_transposed = which & 1, is_b_transposed = which & 2;
    uint16_t *a = simt_allocate(COUNT * sizeof *a), *b = simt_allocate(COUNT * sizeof *b);
    float *d = simt_allocate(COUNT * sizeof *d), values[2][COUNT];
    for (int i = 0; i < COUNT; i++) {
      values[0][i] = (float)(i * 37 % 101 - 50);
      values[1][i] = (float)(i * 53 % 97 - 48);
      uint32_t bits[2];
      memcpy(bits, &values[0][i], 4);
      memcpy(bits + 1, &values[1][i], 4);
      a[i] = (uint16_t)(bits[0] >> 16);
      b[i] = (uint16_t)(bits[1] >> 16);
    }
    assert_int_equal(tensor_launch(a, b, d, is_a_transposed, is_b_transposed), 0);
    for (int i = 0; i < COUNT; i++) {
      int row = i / SIDE, column = i % SIDE;
      float expected = 1;
      for (int k = 0; k < SIDE; k++)
        expected += values[0][is_a_transposed ? k * SIDE + row : row * SIDE + k] *
                    values[1][is_b_transposed ? k * SIDE + column : column * SIDE + k];
      if (d[i] != expected) fail_msg("(%d, %d): %g, not %g", row, column, d[i], expected);
    }
    simt_release(a);
    simt_release(b);
    simt_release(d);
  }
}

static void separate_memory_faults_where_the_host_touches_it(void **state) {
  (void)state;
  int status = 0;
  if (!simt_has_recorder()) skip();
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGSEGV, SIG_DFL); /* cmocka has its own */
    volatile float *value = simt_allocate(sizeof *value);
    simt_separate_memory();
    simt_touch_begin();
    *value = 1; /* fine */
    simt_touch_end();
    *value = 2;
    _exit(0);
  }
  waitpid(child, &status, 0);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_planted_fault_is_found),
      cmocka_unit_test(tensor_instructions_give_matrix_products),
      cmocka_unit_test(separate_memory_faults_where_the_host_touches_it),
      cmocka_unit_test(after_an_error_nothing_runs_until_it_is_forgotten),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
