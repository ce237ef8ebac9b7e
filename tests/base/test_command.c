#include "support/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/command.h"
#include "support/folder.h"

static char *nowhere[] = {"flip-no-such-program", NULL};

static void the_output_of_a_program_is_captured(void **state) {
  (void)state;
  char *words[] = {"sh", "-c", "echo out; echo err >&2; exit 3", NULL};
  strbuf both = {0}, one = {0};
  int status;
  assert_ok(command_read(&(command_call){.words = words}, true, &both, &status));
  assert_int_equal(command_exit_status(status), 3);
  assert_string_equal(strbuf_string(&both), "out\nerr\n");
  assert_fails_with(command_capture_quietly(words, &one), "sh -c: exited with status 3");
  assert_string_equal(strbuf_string(&one), "out\n");
  strbuf_free(&both);
  strbuf_free(&one);
}

/* By posix_spawn and by fork alike. */
static void a_missing_program_exits_with_127(void **state) {
  (void)state;
  strbuf out = {0};
  int status;
  pid_t pid;
  assert_fails_with(command_capture(nowhere, &out), "flip-no-such-program: command not found");
  for (int dies = 0; dies < 2; dies++) {
    command_call call = {.words = nowhere, .dies_with_parent = dies};
    assert_ok(command_read(&call, true, &out, &status));
    assert_int_equal(command_exit_status(status), COMMAND_NOT_FOUND);
  }
  assert_string_equal(strbuf_string(&out), "flip-no-such-program: cannot be started\n");
  assert_ok(command_start(&(command_call){.words = nowhere}, &pid));
  assert_int_equal(pid, 0);
  strbuf_free(&out);
}

static void mark_place(const void *context) {
  if (chdir(context) != 0) _exit(1);
}

static void a_child_gets_its_environment_and_streams(void **state) {
  (void)state;
  char *words[] = {"sh", "-c", "cat; pwd; echo $FLIP_WORD; ps -o pgid= -p $$; echo $$", NULL};
  char *environment[] = {"PATH=/usr/bin:/bin", "FLIP_WORD=given", NULL};
  for (int by_fork = 0; by_fork < 2; by_fork++) {
    strbuf out = {0};
    int status, group = 0, pid = 1;
    command_call call = {.words = words,
                         .environment = environment,
                         .folder = by_fork ? NULL : "/usr",
                         .has_no_input = true,
                         .leads_group = true,
                         .prepare = by_fork ? mark_place : NULL,
                         .context = "/usr"};
    assert_ok(command_read(&call, false, &out, &status));
    assert_int_equal(status, 0);
    assert_int_equal(sscanf(strbuf_string(&out), "/usr\ngiven\n%d %d", &group, &pid), 2);
    assert_int_equal(group, pid);
    strbuf_free(&out);
  }
}

static bool is_third_look(const void *context) {
  int *looks = (int *)(uintptr_t)context;
  return ++*looks > 2;
}

static void a_command_ends_when_that_is_asked_for(void **state) {
  (void)state;
  char *words[] = {"sh", "-c", "sleep 600 & sleep 600", NULL}, *brief[] = {"true", NULL};
  int looks = 0, never = -1000, status;
  const command_stop soon = {is_third_look, &looks}, late = {is_third_look, &never};
  command_call call = {.words = words, .leads_session = true};
  assert_fails_with(command_run_until(&call, &soon, &status), "stopped");
  assert_int_equal(command_exit_status(status), -SIGTERM);
  call.words = brief;
  assert_ok(command_run_until(&call, &late, &status));
  assert_int_equal(status, 0);
}

static void output_is_read_until_a_stop(void **state) {
  (void)state;
  char *words[] = {"sh", "-c", "echo begun; sleep 60 & wait", NULL};
  char *brief[] = {"sh", "-c", "echo done", NULL};
  int looks = 0, never = -1000;
  const command_stop soon = {is_third_look, &looks}, late = {is_third_look, &never};
  strbuf out = {0};
  assert_fails_with(command_capture_until(words, &soon, &out), "stopped");
  strbuf_clear(&out);
  assert_ok(command_capture_until(brief, &late, &out));
  assert_string_equal(strbuf_string(&out), "done\n");
  strbuf_free(&out);
}

static void a_session_is_its_own(void **state) {
  (void)state;
  char *words[] = {"sh", "-c", "ps -o sid= -p $$; echo $$", NULL};
  for (int by_fork = 0; by_fork < 2; by_fork++) {
    strbuf out = {0};
    int status, session = 0, pid = 1;
    command_call call = {.words = words, .leads_session = true, .dies_with_parent = by_fork};
    assert_ok(command_read(&call, false, &out, &status));
    assert_int_equal(sscanf(strbuf_string(&out), "%d %d", &session, &pid), 2);
    assert_int_equal(session, pid);
    strbuf_free(&out);
  }
}

static void a_signal_is_a_status_below_zero(void **state) {
  (void)state;
  char *words[] = {"sh", "-c", "kill -TERM $$", NULL};
  int status;
  assert_ok(command_run(&(command_call){.words = words}, &status));
  assert_int_equal(command_exit_status(status), -SIGTERM);
}

/* Programs expect to end when the reader of their output does. */
static void a_child_has_the_default_for_sigpipe(void **state) {
  (void)state;
  char *words[] = {"sh", "-c", "kill -PIPE $$; echo ignored", NULL};
  void (*before)(int) = signal(SIGPIPE, SIG_IGN);
  for (int by_fork = 0; by_fork < 2; by_fork++) {
    int status;
    command_call call = {.words = words, .dies_with_parent = by_fork};
    assert_ok(command_run(&call, &status));
    assert_int_equal(command_exit_status(status), -SIGPIPE);
  }
  signal(SIGPIPE, before);
}

/* The parent in the middle is killed: its child must not outlive it. */
static void a_child_may_die_with_its_parent(void **state) {
  (void)state;
  int ends[2];
  char byte;
  char *words[] = {"sleep", "600", NULL};
  assert_int_equal(pipe(ends), 0);
  pid_t middle = fork(), pid;
  if (middle == 0) {
    close(ends[0]);
    err error = command_start(&(command_call){.words = words, .dies_with_parent = true}, &pid);
    raise(error ? SIGTERM : SIGKILL);
  }
  close(ends[1]);
  waitpid(middle, NULL, 0);
  assert_int_equal(read(ends[0], &byte, 1), 0); /* the last holder of the pipe has ended */
  close(ends[0]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_output_of_a_program_is_captured),
      cmocka_unit_test(a_missing_program_exits_with_127),
      cmocka_unit_test(a_child_gets_its_environment_and_streams),
      cmocka_unit_test(a_command_ends_when_that_is_asked_for),
      cmocka_unit_test(output_is_read_until_a_stop),
      cmocka_unit_test(a_session_is_its_own),
      cmocka_unit_test(a_signal_is_a_status_below_zero),
      cmocka_unit_test(a_child_has_the_default_for_sigpipe),
      cmocka_unit_test(a_child_may_die_with_its_parent),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
