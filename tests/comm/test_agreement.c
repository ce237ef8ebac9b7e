/* Where one rank has no memory for an agreement, it alone knows: its error is ERR_LOST, or was told
 * to the others in an agreement. */
#include "support/test.h"

#include <dirent.h>
#include <stdbool.h>

#include "base/mem.h"
#include "comm/comm.h"
#include "comm/watch.h"

/* One of 2 ranks; the messages of the other are zeros: it has not failed, and listens nowhere. */
static int exchanges;
static bool has_told; /* of a failure, which each message of an agreement begins with */

static err gather_bytes(comm *c, const void *own, size_t count, void *all) {
  enum { LEAST_MESSAGE = 1000 };
  int first;
  memcpy(&first, own, sizeof first);
  exchanges++;
  has_told = has_told || (count >= LEAST_MESSAGE && first != 0);
  memset(all, 0, (size_t)c->size * count);
  memcpy((char *)all + (size_t)c->rank * count, own, count);
  return NULL;
}

static err broadcast(comm *c, void *bytes, size_t count) {
  (void)c;
  memset(bytes, 0, count);
  return NULL;
}

static err fail_to_broadcast(comm *c, void *bytes, size_t count) {
  (void)c, (void)bytes, (void)count;
  return err_new(ERR_LOST, "a broken connection");
}

static const comm_table table = {.gather_bytes = gather_bytes, .broadcast = broadcast};
static const comm_table broken = {.gather_bytes = gather_bytes, .broadcast = fail_to_broadcast};

static comm second(void) {
  exchanges = 0;
  has_told = false;
  return (comm){.call = &table, .rank = 1, .size = 2};
}

static void an_agreement_without_memory_is_one_ranks_failure(void **state) {
  (void)state;
  comm c = second();
  mem_fail_after(0);
  err error = comm_agree(&c, NULL);
  mem_fail_after(-1);
  assert_non_null(error);
  assert_int_equal(err_kind_of(error), ERR_LOST);
  assert_int_equal(exchanges, 0);
  err_free(error);

  err own = err_new(ERR_INPUT, "a file that is missing");
  mem_fail_once_after(0);
  error = comm_agree(&c, own);
  mem_fail_after(-1);
  assert_non_null(error);
  assert_int_equal(err_kind_of(error), ERR_LOST);
  assert_string_equal(err_message(error), "a file that is missing");
  err_free(error);
}

static void a_watch_without_memory_tells_the_others(void **state) {
  (void)state;
  for (int is_once = 0; is_once < 2; is_once++)
    for (long successes = 0; successes < 6; successes++) {
      comm c = second();
      watch *w;
      (is_once ? mem_fail_once_after : mem_fail_after)(successes);
      err error = watch_start(&c, &w);
      mem_fail_after(-1);
      assert_non_null(error); /* if nothing else, rank 0 is not to be reached */
      assert_null(w);
      if (err_kind_of(error) != ERR_LOST) assert_true(has_told);
      err_free(error);
    }
}

static int count_open_files(void) {
  DIR *folder = opendir("/proc/self/fd");
  assert_non_null(folder);
  int count = 0;
  while (readdir(folder)) count++;
  closedir(folder);
  return count;
}

static void a_watch_that_cannot_start_closes_what_it_opened(void **state) {
  (void)state;
  comm c = {.call = &broken, .rank = 0, .size = 2};
  watch *w;
  int before = count_open_files();
  assert_fails_with(watch_start(&c, &w), "a broken connection");
  assert_int_equal(count_open_files(), before);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_agreement_without_memory_is_one_ranks_failure),
      cmocka_unit_test(a_watch_without_memory_tells_the_others),
      cmocka_unit_test(a_watch_that_cannot_start_closes_what_it_opened),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
