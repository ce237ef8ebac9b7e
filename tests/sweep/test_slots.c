/* The shares of a machine's cores and GPUs in which cells run. */
#include "support/test.h"

#include <sched.h>
#include <stdlib.h>

#include "sweep/slots.h"

static int cores_here(void) {
  cpu_set_t allowed;
  return sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 0;
}

static void slots_share_cores_and_gpus_without_overlap(void **state) {
  (void)state;
  slots s;
  slot *first, *second, *third;
  run_options options = {.gpus = "4,6,7,9"};
  spec_requires needs = {.gpus = 2};
  assert_ok(slots_make(&options, &needs, 1, &s));
  assert_int_equal(s.count, 2);
  assert_ok(slots_take(&s, 1, &first));
  assert_ok(slots_take(&s, 1, &second));
  assert_string_equal(first->gpus, "4,6");
  assert_string_equal(second->gpus, "7,9");
  if (cores_here() >= 2) {
    cpu_set_t both;
    CPU_AND(&both, &first->cores, &second->cores);
    assert_int_equal(CPU_COUNT(&both), 0);
    assert_int_equal(CPU_COUNT(&first->cores), cores_here() / 2);
  }
  assert_false(slots_fit(&s, 1));
  slots_give(&s, first);
  assert_true(slots_fit(&s, 1));
  assert_ok(slots_take(&s, 1, &third));
  assert_string_equal(third->gpus, "4,6");
  slots_give(&s, second);
  slots_give(&s, third);
  slots_free(&s);
}

static void what_follows_a_gpu_that_is_none_is_not_seen(void **state) {
  (void)state;
  static const struct {
    const char *visible;
    int gpus;
  } cases[] = {{"-1", 0}, {"2,-1,3", 1}, {"", 0}, {"1,0", 2}};
  const spec_requires needs = {.gpus = 1};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    slots s;
    setenv("CUDA_VISIBLE_DEVICES", cases[i].visible, 1);
    err error = slots_make(&(run_options){0}, &needs, 1, &s);
    assert_int_equal(!error, cases[i].gpus > 0);
    if (!error) assert_int_equal(s.gpus.count, cases[i].gpus);
    if (!error) slots_free(&s);
    err_free(error);
  }
  unsetenv("CUDA_VISIBLE_DEVICES");
}

/* Every cell gets what its own ranks need, the lowest numbers first. */
static void small_cells_run_next_to_a_large_one(void **state) {
  (void)state;
  slots s;
  slot *large, *small[2], *again;
  run_options options = {.gpus = "0,1,2,3,4"};
  assert_ok(slots_make(&options, &(spec_requires){.gpus = 1, .ranks = 3}, 1, &s));
  assert_int_equal(s.count, 5);
  /* as on a machine of ten cores, two for each GPU */
  s.core_count = 10, s.place_cores = 2;
  for (int i = 0; i < s.core_count; i++) s.cores[i] = 20 + i;
  assert_ok(slots_take(&s, 1, &small[0]));
  assert_ok(slots_take(&s, 3, &large));
  assert_string_equal(strbuf_string(&small[0]->shown), "cores 20-21, GPU 0");
  assert_string_equal(strbuf_string(&large->shown), "cores 22-27, GPU 1,2,3");
  assert_int_equal(CPU_COUNT(&large->cores), 6);
  assert_true(slots_fit(&s, 1) && !slots_fit(&s, 2));
  assert_ok(slots_take(&s, 1, &small[1]));
  assert_string_equal(strbuf_string(&small[1]->shown), "cores 28-29, GPU 4");
  assert_false(slots_fit(&s, 1));
  slots_give(&s, small[0]);
  assert_true(slots_fit(&s, 1) && !slots_fit(&s, 2));
  slots_give(&s, small[1]);
  assert_ok(slots_take(&s, 2, &again));
  assert_string_equal(strbuf_string(&again->shown), "cores 20-21,28-29, GPU 0,4");
  assert_int_equal(slots_cores_of_rank(&s, 3), 2);
  slots_give(&s, large);
  slots_give(&s, again);
  assert_true(slots_fit(&s, 3));
  slots_free(&s);
  /* no more cells at once than requested; a GPU that is listed twice is shared by two */
  run_options shared = {.gpus = "0,0,1", .jobs = 2};
  assert_ok(slots_make(&shared, &(spec_requires){.gpus = 1, .ranks = 2}, 1, &s));
  assert_ok(slots_take(&s, 1, &small[0]));
  assert_ok(slots_take(&s, 1, &small[1]));
  assert_string_equal(small[1]->gpus, "0");
  assert_false(slots_fit(&s, 1));
  slots_give(&s, small[0]);
  assert_true(slots_fit(&s, 2));
  slots_give(&s, small[1]);
  slots_free(&s);
}

static void one_cell_at_a_time_has_the_whole_machine(void **state) {
  (void)state;
  slots s;
  slot *place;
  assert_ok(slots_make(&(run_options){0}, &(spec_requires){.ranks = 2}, 1, &s));
  assert_int_equal(s.count, 1);
  assert_ok(slots_take(&s, 2, &place));
  assert_false(place->is_pinned);
  assert_null(place->gpus);
  assert_false(slots_fit(&s, 1));
  slots_give(&s, place);
  slots_free(&s);
  /* more cells than cores share them */
  assert_ok(slots_make(&(run_options){.jobs = cores_here() + 1}, &(spec_requires){0}, 1, &s));
  assert_ok(slots_take(&s, 1, &place));
  assert_false(place->is_pinned);
  slots_give(&s, place);
  slots_free(&s);
}

/* The cores and GPUs of the other machines are not divided among cells. */
static void cells_on_several_machines_run_one_at_a_time(void **state) {
  (void)state;
  slots s;
  int64_t fewest;
  spec_cell cells[] = {{.ranks = {.ranks = 1, .nodes = 1}}, {.ranks = {.ranks = 4, .nodes = 2}}};
  spec_experiment e = {.cells = cells, .cell_count = 2, .requires = {.gpus = 1}};
  run_options options = {.gpus = "0,1,2,3"}, two = {.gpus = "0,1,2,3", .jobs = 2};
  spec_requires needs = slots_needs(&e, &options, &fewest);
  assert_int_equal(needs.nodes, 2);
  assert_ok(slots_make(&options, &needs, fewest, &s));
  assert_int_equal(s.count, 1);
  slots_free(&s);
  assert_fails_with(slots_make(&two, &needs, fewest, &s), "several machines run one at a time");
}

/* With several cells at a time, those that ask for a GPU have one each. */
static void cells_at_a_time_do_not_share_a_gpu(void **state) {
  (void)state;
  int64_t fewest;
  spec_cell cells[] = {{.ranks = {.ranks = 1, .nodes = 1}}, {.ranks = {.ranks = 1, .nodes = 1}}};
  spec_experiment e = {.cells = cells, .cell_count = 2};
  run_options one = {.gpus = NULL}, two = {.jobs = 2};
  assert_int_equal(slots_needs(&e, &two, &fewest).gpus, 0);
  cells[1].settings.device = DEVICE_CUDA;
  assert_int_equal(slots_needs(&e, &one, &fewest).gpus, 0);
  assert_int_equal(slots_needs(&e, &two, &fewest).gpus, 1);
}

static void runs_that_do_not_fit_are_reported(void **state) {
  (void)state;
  slots s;
  run_options two_gpus = {.gpus = "0,1"}, many = {.gpus = "0,1", .jobs = 3};
  assert_fails_with(slots_make(&two_gpus, &(spec_requires){.gpus = 4}, 1, &s),
                    "requires 4 GPUs, but 2");
  assert_fails_with(slots_make(&many, &(spec_requires){.gpus = 1}, 1, &s),
                    "only 2 fit on this machine");
  assert_fails_with(slots_make(&(run_options){0}, &(spec_requires){.cores = 100000}, 1, &s),
                    "requires 100000 CPU cores");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(slots_share_cores_and_gpus_without_overlap),
      cmocka_unit_test(what_follows_a_gpu_that_is_none_is_not_seen),
      cmocka_unit_test(small_cells_run_next_to_a_large_one),
      cmocka_unit_test(one_cell_at_a_time_has_the_whole_machine),
      cmocka_unit_test(cells_on_several_machines_run_one_at_a_time),
      cmocka_unit_test(cells_at_a_time_do_not_share_a_gpu),
      cmocka_unit_test(runs_that_do_not_fit_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
