/* How a process detects that it is one of several ranks, and which GPU it uses. */
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#include "base/launch.h"

static const char *const names[] = {"RANK",
                                    "WORLD_SIZE",
                                    "LOCAL_RANK",
                                    "MASTER_ADDR",
                                    "MASTER_PORT",
                                    "OMPI_COMM_WORLD_SIZE",
                                    "OMPI_COMM_WORLD_LOCAL_RANK",
                                    "PMI_SIZE",
                                    "PMIX_RANK",
                                    "SLURM_NTASKS",
                                    "SLURM_LOCALID",
                                    "MPI_LOCALRANKID"};

/* Sets "NAME=value", …, NULL, and unsets all other variables. */
static void set(const char *const *variables) {
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) unsetenv(names[i]);
  for (; *variables; variables++) {
    char text[64];
    snprintf(text, sizeof text, "%s", *variables);
    char *value = strchr(text, '=');
    *value++ = '\0';
    setenv(text, value, 1);
  }
}
#define SET(...) set((const char *const[]){__VA_ARGS__, NULL})

static launch detected(void) {
  launch l;
  assert_ok(launch_detect(&l));
  return l;
}

static void assert_refused(err error, const char *words) {
  assert_non_null(error);
  if (!strstr(err_message(error), words)) fail_msg("'%s'", err_message(error));
  err_free(error);
}

static void a_process_without_variables_is_alone(void **state) {
  (void)state;
  set((const char *const[]){NULL});
  assert_int_equal(detected().kind, LAUNCH_ALONE);
  SET("RANK=0", "WORLD_SIZE=1");
  assert_int_equal(detected().kind, LAUNCH_ALONE);
  SET("OMPI_COMM_WORLD_SIZE=1");
  assert_int_equal(detected().kind, LAUNCH_ALONE);
  SET("SLURM_NTASKS=4"); /* a batch script that is itself no step */
  assert_int_equal(detected().kind, LAUNCH_ALONE);
  SET("WORLD_SIZE=4"); /* of something else */
  assert_int_equal(detected().kind, LAUNCH_ALONE);
  SET("WORLD_SIZE=1", "MASTER_ADDR=node1", "MASTER_PORT=29500");
  assert_int_equal(detected().kind, LAUNCH_ALONE);
}

static void variables_name_the_rank(void **state) {
  (void)state;
  SET("RANK=5", "WORLD_SIZE=8", "LOCAL_RANK=1", "MASTER_ADDR=node1", "MASTER_PORT=29500");
  launch l = detected();
  assert_int_equal(l.kind, LAUNCH_VARIABLES);
  assert_int_equal(l.rank, 5);
  assert_int_equal(l.size, 8);
  assert_int_equal(l.local_rank, 1);
  assert_int_equal(l.port, 29500);
  assert_string_equal(l.address, "node1");
  assert_string_equal(l.ranks, "8");
}

static void mpi_names_the_number_of_ranks(void **state) {
  (void)state;
  SET("OMPI_COMM_WORLD_SIZE=4", "OMPI_COMM_WORLD_LOCAL_RANK=2");
  launch l = detected();
  assert_int_equal(l.kind, LAUNCH_MPI);
  assert_int_equal(l.size, 4);
  assert_int_equal(l.local_rank, 2);
  SET("PMIX_RANK=0", "SLURM_NTASKS=16", "SLURM_LOCALID=3");
  l = detected();
  assert_int_equal(l.kind, LAUNCH_MPI);
  assert_int_equal(l.local_rank, 3);
  assert_string_equal(l.ranks, "16");
  /* a batch script's variables for PyTorch, whose programs read their rank from Slurm */
  SET("PMIX_RANK=0", "SLURM_NTASKS=16", "WORLD_SIZE=16", "MASTER_ADDR=node1", "MASTER_PORT=29500");
  assert_int_equal(detected().kind, LAUNCH_MPI);
}

static void wrong_variables_are_refused_by_name(void **state) {
  (void)state;
  launch l;
  SET("WORLD_SIZE=2", "MASTER_ADDR=node1", "MASTER_PORT=29500");
  assert_refused(launch_detect(&l), "WORLD_SIZE is set, but RANK is not");
  SET("RANK=1", "MASTER_ADDR=node1", "MASTER_PORT=29500");
  assert_refused(launch_detect(&l), "RANK is set, but WORLD_SIZE is not");
  SET("OMPI_COMM_WORLD_SIZE=four");
  assert_refused(launch_detect(&l), "OMPI_COMM_WORLD_SIZE=four is not a whole number");
  SET("OMPI_COMM_WORLD_SIZE=4", "OMPI_COMM_WORLD_LOCAL_RANK=2nd");
  assert_refused(launch_detect(&l), "OMPI_COMM_WORLD_LOCAL_RANK=2nd is not a whole number");
  SET("RANK=0", "WORLD_SIZE=2", "MASTER_ADDR=node1");
  assert_refused(launch_detect(&l), "MASTER_PORT is not");
  SET("RANK=0", "WORLD_SIZE=2", "MASTER_PORT=29500");
  assert_refused(launch_detect(&l), "MASTER_ADDR is not");
  SET("RANK=2", "WORLD_SIZE=2", "MASTER_ADDR=node1", "MASTER_PORT=29500");
  assert_refused(launch_detect(&l), "RANK=2 is not a whole number from 0 to 1");
  SET("RANK=0", "WORLD_SIZE=two", "MASTER_ADDR=node1", "MASTER_PORT=29500");
  assert_refused(launch_detect(&l), "WORLD_SIZE=two");
  SET("RANK=0", "WORLD_SIZE=2", "MASTER_ADDR=node1", "MASTER_PORT=70000");
  assert_refused(launch_detect(&l), "MASTER_PORT=70000");
}

static int device_of(int visible) {
  int device = -1;
  assert_ok(launch_device(visible, &device));
  return device;
}

static void a_rank_takes_the_gpu_of_its_local_number(void **state) {
  (void)state;
  int device;
  set((const char *const[]){NULL});
  assert_int_equal(device_of(8), 0);
  SET("OMPI_COMM_WORLD_SIZE=4", "OMPI_COMM_WORLD_LOCAL_RANK=2");
  assert_int_equal(device_of(4), 2);
  assert_int_equal(device_of(1), 0); /* the launcher shows each rank its own */
  assert_refused(launch_device(2, &device), "local rank 2, but 2 GPUs are visible");
  SET("RANK=5", "WORLD_SIZE=8", "MASTER_ADDR=node1", "MASTER_PORT=29500");
  assert_int_equal(device_of(4), 1); /* 4 ranks a machine, in order */
  SET("WORLD_SIZE=8", "MASTER_ADDR=node1", "MASTER_PORT=29500");
  assert_int_equal(device_of(4), 0); /* flip embed, which has no ranks */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_process_without_variables_is_alone),
      cmocka_unit_test(variables_name_the_rank),
      cmocka_unit_test(mpi_names_the_number_of_ranks),
      cmocka_unit_test(wrong_variables_are_refused_by_name),
      cmocka_unit_test(a_rank_takes_the_gpu_of_its_local_number),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
