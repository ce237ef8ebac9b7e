/* Load next to any rank is seen, and ranks are no load to each other. */
#include "support/test.h"

#include <math.h>
#include <pthread.h>

#include "base/pace.h"
#include "support/comm_threads.h"
#include "train/delays.h"
#include "train/ranks.h"

enum { RANKS = 2 };

/* A rank of one thread on the CPUs first … last. */
static delays_place place(const char *machine, int first, int last) {
  delays_place p = {.threads = 1};
  snprintf(p.machine, sizeof p.machine, "%s", machine);
  for (int cpu = first; cpu <= last; cpu++) CPU_SET((size_t)cpu, &p.cpus);
  return p;
}

/* Of a second. */
static reading rise(double cpu, double delay, double others) {
  return (reading){.cpu_seconds = cpu, .delay_seconds = delay, .other_cpu_seconds = others};
}

static bool is_disturbed(const reading *r, int threads, int cpus) {
  pace_row row = {.steps = 1,
                  .seconds = 1,
                  .cpu_seconds = r->cpu_seconds,
                  .delay_seconds = r->delay_seconds,
                  .stolen_seconds = r->stolen_seconds,
                  .other_cpu_seconds = r->other_cpu_seconds};
  return pace_is_row_disturbed(&row, threads, cpus);
}

static reading most_of(const delays_place *places, reading *rose) {
  delays *d;
  assert_ok(delays_make(places, RANKS, &d));
  reading most = delays_most(d, rose);
  delays_close(d);
  return most;
}

static void load_next_to_another_rank_disturbs_a_row(void **state) {
  (void)state;
  const delays_place bound[] = {place("a", 0, 0), place("a", 1, 1)};
  const delays_place apart[] = {place("a", 0, 0), place("b", 0, 0)};
  for (int i = 0; i < 2; i++) {
    reading rose[] = {rise(1, 0.001, 0.01), rise(0.5, 0.5, 0.5)};
    reading most = most_of(i ? apart : bound, rose);
    assert_true(most.delay_seconds == 0.5 && most.other_cpu_seconds == 0.5);
    assert_true(is_disturbed(&most, 1, 1));
    assert_true(rose[0].other_cpu_seconds == 0.01);
  }
  reading stolen[] = {rise(1, 0.001, 0), rise(1, 0.001, 0)};
  stolen[1].stolen_seconds = 0.1;
  reading most = most_of(apart, stolen);
  assert_true(is_disturbed(&most, 1, 1));
}

static void readings_of_another_rank_are_converted(void **state) {
  (void)state;
  delays_place places[] = {place("a", 0, 3), place("b", 0, 1)};
  places[0].threads = 4, places[1].threads = 2;
  reading rose[] = {rise(3, 0.1, 0.1), rise(1, 0.4, 0.2)};
  reading most = most_of(places, rose);
  assert_true(most.cpu_seconds == 2 && most.delay_seconds == 0.8 && most.other_cpu_seconds == 0.4);
}

/* Two ranks that may use both CPUs and wait a little for each other: their readings call the other
 * one's time that of other processes. */
static void ranks_are_no_other_processes(void **state) {
  (void)state;
  const delays_place shared[] = {place("a", 0, 1), place("a", 0, 1)};
  reading rose[] = {rise(0.95, 0.05, 0.96), rise(0.94, 0.06, 0.97)};
  assert_true(is_disturbed(&rose[1], 1, 2));
  reading most = most_of(shared, rose);
  assert_true(most.delay_seconds == 0.06);
  assert_true(fabs(most.other_cpu_seconds - 0.02) < 1e-9);
  assert_false(is_disturbed(&most, 1, 2));
  /* of a rank on four CPUs a rank on two of them may find half of the time */
  const delays_place half[] = {place("a", 0, 1), place("a", 0, 3)};
  reading more[] = {rise(1, 0, 0.6), rise(1, 0.1, 1)};
  most = most_of(half, more);
  assert_true(fabs(more[0].other_cpu_seconds - 0.1) < 1e-9);
  assert_true(fabs(more[1].other_cpu_seconds) < 1e-9);
  /* a machine that is not known is nobody's neighbour */
  const delays_place unknown[] = {place("", 0, 1), place("", 0, 1)};
  reading same[] = {rise(1, 0, 0.6), rise(1, 0.1, 0.7)};
  most = most_of(unknown, same);
  assert_true(most.other_cpu_seconds == 0.7);
}

/* Others are counted in ticks, ranks exactly. */
static void ticks_even_out(void **state) {
  (void)state;
  const delays_place shared[] = {place("a", 0, 1), place("a", 0, 1)};
  double sum = 0;
  delays *d;
  assert_ok(delays_make(shared, RANKS, &d));
  for (int i = 0; i < 100; i++) {
    double ticks = i % 4 == 3 ? 0.02 : 0;
    reading rose[] = {rise(0.005, 0, ticks), rise(0.005, 0, ticks)};
    double others = delays_most(d, rose).other_cpu_seconds;
    assert_true(others >= 0);
    sum += others;
  }
  assert_true(sum < 0.02);
  delays_close(d);
}

static void without_delays_the_most_loaded_rank_counts(void **state) {
  (void)state;
  const delays_place apart[] = {place("a", 0, 0), place("b", 0, 0)};
  reading rose[] = {rise(1, (double)NAN, 0), rise(0.5, (double)NAN, 0.5)};
  rose[0].stolen_seconds = rose[1].stolen_seconds = (double)NAN;
  reading most = most_of(apart, rose);
  assert_true(most.other_cpu_seconds == 0.5 && isnan(most.delay_seconds));
  assert_true(is_disturbed(&most, 1, 1));
}

typedef struct {
  comm *c;
  reading own, most;
  err error;
} job;

static void *share(void *context) {
  job *j = context;
  delays *d = NULL;
  j->error = delays_open(j->c, 1, &d);
  if (!j->error) j->error = delays_share(d, &j->own, &j->most);
  delays_close(d);
  return NULL;
}

static void every_rank_has_the_same_row(void **state) {
  (void)state;
  comm_threads *g = comm_threads_create(RANKS);
  pthread_t threads[RANKS];
  job jobs[RANKS];
  for (int r = 0; r < RANKS; r++) {
    jobs[r] = (job){.c = comm_threads_of(g, r), .own = rise(0, r ? 0.5 : 0.001, r ? 0.4 : 0.1)};
    pthread_create(&threads[r], NULL, share, &jobs[r]);
  }
  for (int r = 0; r < RANKS; r++) pthread_join(threads[r], NULL);
  for (int r = 0; r < RANKS; r++) {
    assert_ok(jobs[r].error);
    assert_true(jobs[r].most.delay_seconds == 0.5 && jobs[r].most.other_cpu_seconds == 0.4);
    assert_true(jobs[r].own.other_cpu_seconds == (r ? 0.4 : 0.1));
  }
  comm_threads_destroy(g);
}

static void one_process_has_its_own_row(void **state) {
  (void)state;
  reading own = rise(1, 0.5, 0.5), most;
  delays *d;
  assert_ok(delays_open(NULL, 1, &d));
  assert_ok(delays_share(d, &own, &most));
  assert_memory_equal(&own, &most, sizeof own);
  delays_close(d);
}

static void messages_are_as_long_as_documented(void **state) {
  (void)state; /* docs/clusters.md, "Predicting a run" */
  assert_int_equal(sizeof(ranks_place), 32);
  assert_int_equal(sizeof(reading), 48);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(load_next_to_another_rank_disturbs_a_row),
      cmocka_unit_test(readings_of_another_rank_are_converted),
      cmocka_unit_test(ranks_are_no_other_processes),
      cmocka_unit_test(ticks_even_out),
      cmocka_unit_test(without_delays_the_most_loaded_rank_counts),
      cmocka_unit_test(every_rank_has_the_same_row),
      cmocka_unit_test(one_process_has_its_own_row),
      cmocka_unit_test(messages_are_as_long_as_documented),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
