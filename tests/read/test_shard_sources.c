/* Shards as a source: lists of them, pipes, the streaming order, and what is cut or damaged. */
#include "read/source_files.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/interrupt.h"
#include "read/shard_expand.h"
#include "read/shard_list.h"

static void shards_may_be_listed_and_take_captions_from_json(void **state) {
  (void)state;
  char list[256];
  write_shard("one");
  write_shard("two");
  snprintf(list, sizeof list, "# two of them\n%s/one-{00000..00000}.tar\n\n %s/tw?-*.tar \r\n",
           folder, folder);
  write_text("shards.txt", list);
  dataset *d = open_one("@%s/shards.txt");
  assert_int_equal(dataset_count(d), 6);
  dataset_close(d);
  d = open_one("%s/one-00000.tar#caption=alt");
  expect_caption(d, 1, "alt one");
  expect_caption(d, 2, "two"); /* the .txt stands in */
  dataset_close(d);
}

/* The .txt would stand in for a field that is written wrongly, for all samples. */
static void a_field_that_no_sample_has_is_refused(void **state) {
  (void)state;
  char name[256], pipe[256], *names[] = {name};
  dataset *d;
  dataset_sample sample;
  stream_shard one;
  write_shard("field");
  refuse_one("%s/field-00000.tar#caption=Alt",
             "no string 'Alt' in the JSON of the first 3 samples; fields there: alt");
  snprintf(name, sizeof name, "%s/field-00000.tar#caption=Alt", folder);
  assert_fails_with(dataset_open_stream(names, 1, false, &d), "fields there: alt");
  snprintf(pipe, sizeof pipe, "pipe:cat %s/field-00000.tar#caption=Alt", folder);
  assert_ok(dataset_open_stream(&(char *){pipe}, 1, true, &d)); /* its command is not run yet */
  stream_shards s = shard_list_shards(dataset_shards(d));
  assert_fails_with(s.open(s.context, 0, NULL, &one), "fields there: alt");
  dataset_close(d);
  d = open_one("%s/field-00000.tar#caption=alt");
  for (int64_t row = 0; row < 3; row++) {
    assert_ok(dataset_read(d, row, &sample));
    assert_int_equal(sample.has_fallen_back, row == 2);
    dataset_sample_free(&sample);
  }
  dataset_close(d);
}

/* Another folder of the pattern can be read: its shards are not all. */
static void a_folder_that_cannot_be_read_is_not_left_out_of_a_pattern(void **state) {
  (void)state;
  char pattern[128], **paths;
  size_t count;
  struct rlimit before, none;
  write_text("parts/a/x.tar", "");
  write_text("parts/b/x.tar", "");
  write_text("parts/note.txt", "a file is no folder, and no fault");
  snprintf(pattern, sizeof pattern, "%s/parts/*/x*.tar", folder);
  assert_ok(shard_expand(&(char *){pattern}, 1, &paths, &count));
  assert_int_equal(count, 2);
  fs_free_names(paths, count);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  none = (struct rlimit){3, before.rlim_max}; /* also of root, who may read all folders */
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
  err error = shard_expand(&(char *){pattern}, 1, &paths, &count);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
  assert_int_equal(err_kind_of(error), ERR_IO);
  assert_fails_with(error, "parts/");
}

static void a_shard_that_is_cut_gives_its_whole_samples(void **state) {
  (void)state;
  write_shard("cut");
  char path[128];
  snprintf(path, sizeof path, "%s/cut-00000.tar", folder);
  assert_int_equal(truncate(path, 512 * 13), 0); /* after header and half of k2.png's block */
  dataset *d = open_one("%s/cut-00000.tar");
  assert_int_equal(dataset_count(d), 2);
  expect_caption(d, 1, "one");
  assert_non_null(strstr(dataset_warnings(d, NULL), "truncated in member k2.png"));
  dataset_close(d);
}

static void expect_cut(const char *name, int64_t samples, const char *warning) {
  char pattern[64];
  snprintf(pattern, sizeof pattern, "%%s/%s", name);
  dataset *d = open_one(pattern);
  const char *warnings = dataset_warnings(d, NULL);
  assert_int_equal(dataset_count(d), samples);
  if (warning)
    assert_non_null(strstr(warnings, warning));
  else
    assert_string_equal(warnings, "");
  dataset_close(d);
}

/* A sample of write_shard has three members of two blocks each. */
static void a_shard_that_ends_between_members_is_reported(void **state) {
  (void)state;
  char path[128];
  write_shard("early");
  snprintf(path, sizeof path, "%s/early-00000.tar", folder);
  assert_int_equal(truncate(path, 512 * (18 + 1)), 0); /* half of the mark is a mark */
  expect_cut("early-00000.tar", 3, NULL);
  assert_int_equal(truncate(path, 512 * (18 + 200)), 0); /* padding */
  expect_cut("early-00000.tar", 3, NULL);
  assert_int_equal(truncate(path, 3 << 20), 0);
  expect_cut("early-00000.tar", 3, "the file's last 3136512 bytes are not read");
  assert_int_equal(truncate(path, 512 * 12), 0);
  expect_cut("early-00000.tar", 2, "ends after 2 samples without an end-of-archive mark");
}

static void what_follows_the_end_of_a_shard_is_reported(void **state) {
  (void)state;
  char command[512];
  write_shard("gap");
  snprintf(command, sizeof command,
           "cd %s && cat gap-00000.tar gap-00000.tar > two.tar &&"
           " dd if=/dev/zero of=gap-00000.tar bs=512 seek=6 count=6 conv=notrunc 2>/dev/null",
           folder);
  assert_int_equal(system(command), 0);
  expect_cut("gap-00000.tar", 1, "ends after 1 sample; the file's last 7168 bytes are not read");
  expect_cut("two.tar", 3, "ends after 3 samples; the file's last");
}

/* Without their holes in the tar, they are no longer their files. */
static void sparse_members_are_skipped_and_named(void **state) {
  (void)state;
  static const char *const formats[] = {"gnu", "pax"};
  char command[512], name[16];
  for (int i = 0; i < 4; i++) {
    snprintf(name, sizeof name, "holes/%d.png", i);
    write_picture(name, (uint8_t)i);
    snprintf(name, sizeof name, "holes/%d.txt", i);
    write_text(name, "text");
  }
  for (int f = 0; f < 2; f++) {
    snprintf(command, sizeof command,
             "cd %s/holes && truncate -s 32K 0.png && : > 1.png && truncate -s 32K 1.png &&"
             " head -c 64K /dev/zero | tr '\\0' x > 2.txt &&"
             " tar cSf ../sparse.tar --format=%s 0.png 0.txt 1.png 1.txt 2.png 2.txt 3.png 3.txt",
             folder, formats[f]);
    assert_int_equal(system(command), 0);
    dataset *d = open_one("%s/sparse.tar");
    const char *warnings = dataset_warnings(d, NULL);
    assert_int_equal(dataset_count(d), 2);
    expect(d, 1, "text", 3);
    assert_non_null(strstr(warnings, "sparse.tar: member 0.png is sparse (tar -S) and skipped"));
    assert_non_null(strstr(warnings, "sparse.tar: member 1.png is sparse (tar -S) and skipped"));
    assert_non_null(strstr(warnings, "sparse.tar: sample 0 has no image"));
    dataset_close(d);
  }
}

/* A small /tmp may be one for what a stream keeps. */
static void what_a_command_writes_is_kept_where_tmpdir_says(void **state) {
  (void)state;
  char name[256], *names[] = {name}, *kept = fs_join(folder, "kept");
  dataset *d;
  write_shard("written");
  assert_ok(fs_make_folders(kept));
  snprintf(name, sizeof name,
           "pipe:readlink /proc/$$/fd/1 | grep -q ^%s && cat %s/written-00000.tar", kept, folder);
  assert_fails_with(dataset_open_with(names, 1, true, &d), "exited with status 1");
  assert_int_equal(setenv("TMPDIR", kept, 1), 0);
  assert_ok(dataset_open_with(names, 1, true, &d));
  assert_int_equal(dataset_count(d), 3);
  dataset_close(d);
  assert_int_equal(setenv("TMPDIR", "/nowhere/at/all", 1), 0);
  assert_fails_with(dataset_open_with(names, 1, true, &d),
                    "cannot create a temporary file for its output in /nowhere/at/all");
  unsetenv("TMPDIR");
  free(kept);
}

static void pipes_run_only_when_they_are_allowed(void **state) {
  (void)state;
  char name[256], *names[] = {name};
  dataset *d;
  write_shard("piped");
  snprintf(name, sizeof name, "pipe:cat %s/piped-00000.tar && touch %s/ran", folder, folder);
  assert_fails_with(dataset_open(names, 1, &d), "with data.allow_pipes: true if you trust");
  char *ran = fs_join(folder, "ran");
  assert_false(fs_exists(ran));
  assert_ok(dataset_open_with(names, 1, true, &d));
  assert_true(fs_exists(ran));
  assert_int_equal(dataset_count(d), 3);
  expect_caption(d, 2, "two");
  dataset_close(d);
  snprintf(name, sizeof name, "pipe:exit 3");
  err failed = dataset_open_with(names, 1, true, &d);
  assert_int_equal(err_kind_of(failed), ERR_IO); /* it may succeed the next time */
  assert_fails_with(failed, "exited with status 3");
  snprintf(name, sizeof name, "pipe:no-such-program-anywhere 2> /dev/null");
  failed = dataset_open_with(names, 1, true, &d);
  assert_int_equal(err_kind_of(failed), ERR_INPUT); /* it will not be there then, either */
  assert_fails_with(failed, "exited with status 127");
  free(ran);
}

/* A range in a command is a shard a number; other braces are the shell's. */
static void a_range_in_a_pipe_is_a_command_a_number(void **state) {
  (void)state;
  char name[256], *names[] = {name};
  dataset *d;
  write_shard("p0");
  write_shard("p1");
  snprintf(name, sizeof name, "pipe:cat %s/p{0..1}-00000.tar | (echo '{x,y}' >&2; cat)", folder);
  assert_ok(dataset_open_with(names, 1, true, &d));
  assert_int_equal(dataset_count(d), 6);
  dataset_close(d);
}

static void a_stream_has_the_fingerprint_of_the_exact_order(void **state) {
  (void)state;
  char first[256], second[256], *names[] = {first, second};
  dataset *exact, *d;
  write_shard("s0");
  write_shard("s1");
  snprintf(first, sizeof first, "%s/s{0..1}-00000.tar", folder);
  snprintf(second, sizeof second, "%s/s0-00000.tar#weight=2", folder);
  assert_ok(dataset_open(names, 2, &exact));
  assert_ok(dataset_open_stream(names, 2, false, &d));
  assert_string_equal(dataset_fingerprint(d), dataset_fingerprint(exact));
  assert_int_equal(dataset_count(d), 0); /* nothing tells it */
  dataset_close(exact);
  dataset_close(d);
}

static void counts_next_to_the_shards_are_read(void **state) {
  (void)state;
  char first[256], second[256], *names[] = {first, second}, path[256];
  const char *uncounted;
  dataset *d;
  write_shard("n0");
  write_shard("n1");
  snprintf(first, sizeof first, "%s/n0-00000.tar", folder);
  snprintf(second, sizeof second, "%s/n1-00000.tar#weight=2", folder);
  snprintf(path, sizeof path, "%s/n0-00000_stats.json", folder);
  static const char stats[] = "{\"count\": 5, \"successes\": 3, \"failed_to_download\": 2}";
  assert_ok(fs_write_atomic(path, stats, sizeof stats - 1));
  assert_ok(dataset_open_stream(names, 2, false, &d));
  assert_int_equal(shard_list_samples(dataset_shards(d), &uncounted), 0);
  assert_non_null(strstr(uncounted, "n1-00000.tar"));
  dataset_close(d);
  snprintf(path, sizeof path, "%s/sizes.json", folder);
  static const char sizes[] = "{\"n1-00000.tar\": 4, \"other.tar\": 9}";
  assert_ok(fs_write_atomic(path, sizes, sizeof sizes - 1));
  assert_ok(dataset_open_stream(names, 2, false, &d));
  assert_int_equal(dataset_count(d), 7);
  assert_int_equal(dataset_epoch(d), 3 + 2 * 4);
  dataset_close(d);
  assert_int_equal(unlink(path), 0);
}

static void what_no_stream_can_read_is_refused(void **state) {
  (void)state;
  char name[256], *names[] = {name}, path[256];
  dataset *d;
  assert_fails_with(dataset_open_stream(&(char *){"scenes:1"}, 1, false, &d),
                    "a source of kind scenes needs data.order: exact");
  assert_fails_with(dataset_open_stream(&(char *){"pipe:true"}, 1, false, &d),
                    "with data.allow_pipes: true if you trust");
  assert_fails_with(dataset_open_stream(&(char *){"/nowhere/a.tar"}, 1, false, &d),
                    "/nowhere/a.tar: cannot open");
  snprintf(path, sizeof path, "%s/page.tar", folder);
  assert_ok(fs_write_atomic(path, "<!DOCTYPE html>", 15));
  assert_fails_with(dataset_open_stream(&(char *){path}, 1, false, &d), "is an HTML page");
  write_shard("v");
  snprintf(name, sizeof name, "%s/v-00000.tar#weight=1.5", folder);
  assert_fails_with(dataset_open_stream(names, 1, false, &d),
                    "weight 1.5 of 1 shard is not a whole number of shards");
}

static err open_first(const dataset *d, stream_shard *out) {
  stream_shards s = shard_list_shards(dataset_shards(d));
  return s.open(s.context, s.at(s.context, 0, false, 0, 0), NULL, out);
}

/* Puts this process into a group of its own, as mpirun's ranks and a terminal's jobs are. */
static pid_t enter_group(void) {
  pid_t holder = fork();
  if (holder == 0)
    for (;;) pause();
  assert_true(holder > 0);
  assert_int_equal(setpgid(holder, holder), 0);
  assert_int_equal(setpgid(0, holder), 0);
  return holder;
}

static void leave_group(pid_t holder, pid_t before) {
  assert_int_equal(setpgid(0, before), 0);
  kill(holder, SIGKILL);
  waitpid(holder, NULL, 0);
}

static void on_stop(int number) {
  (void)number;
  interrupt_request();
}

/* The command sends the signal: it is running when the signal comes. */
static void a_command_outlives_a_signal_to_the_group(void **state) {
  (void)state;
  char name[256], *names[] = {name};
  dataset *d;
  stream_shard one;
  pid_t before = getpgrp(), group = enter_group();
  write_shard("signalled");
  signal(SIGTERM, on_stop);
  snprintf(name, sizeof name, "pipe:kill -TERM -%d; cat %s/signalled-00000.tar", (int)group,
           folder);
  assert_ok(dataset_open_stream(names, 1, true, &d));
  assert_ok(open_first(d, &one)); /* the step in hand is finished with it */
  assert_true(interrupt_is_requested());
  assert_int_equal(one.count, 3);
  stream_shard_close(&one);
  dataset_close(d);
  interrupt_requested = 0;
  signal(SIGTERM, SIG_DFL);
  leave_group(group, before);
}

static void a_stop_while_commands_run_is_no_failure(void **state) {
  (void)state;
  char name[256], *names[] = {name};
  dataset *d;
  stream_shard one;
  signal(SIGTERM, on_stop);
  snprintf(name, sizeof name, "pipe:kill -TERM %d; exit 3", (int)getpid());
  assert_ok(dataset_open_stream(names, 1, true, &d));
  err stopped = open_first(d, &one); /* a scheduler may signal the command, too */
  assert_int_equal(err_kind_of(stopped), ERR_INTERRUPTED);
  assert_fails_with(stopped, "stopped while a command was run");
  dataset_close(d);
  interrupt_requested = 0;
  /* before the first step nothing is lost: the command is ended */
  snprintf(name, sizeof name, "pipe:kill -TERM %d; sleep 600", (int)getpid());
  stopped = dataset_open_with(names, 1, true, &d);
  assert_int_equal(err_kind_of(stopped), ERR_INTERRUPTED);
  err_free(stopped);
  interrupt_requested = 0;
  signal(SIGTERM, SIG_DFL);
}

static void a_shard_that_changes_during_a_run_is_named(void **state) {
  (void)state;
  char name[256], path[256], command[1024], *names[] = {name};
  stream_shard one;
  dataset *d;
  write_shard("c");
  snprintf(path, sizeof path, "%s/c-00000.tar", folder);
  snprintf(name, sizeof name, "%s", path);
  assert_ok(dataset_open_stream(names, 1, false, &d));
  assert_ok(open_first(d, &one));
  assert_int_equal(one.count, 3);
  stream_shard_close(&one);
  snprintf(command, sizeof command,
           "printf 'zzz' | dd of=%s bs=1 seek=2000 conv=notrunc 2>/dev/null", path);
  assert_int_equal(system(command), 0); /* of the same size */
  assert_fails_with(open_first(d, &one), "has changed since this run first read it");
  snprintf(command, sizeof command, "truncate -s +512 %s", path);
  assert_int_equal(system(command), 0);
  assert_fails_with(open_first(d, &one), "shards must not change during a run");
  dataset_close(d);
}

static void a_weight_is_how_often_an_epoch_shows_a_source(void **state) {
  (void)state;
  char first[256], second[256], third[256], *names[] = {first, second, third};
  dataset *d;
  write_shard("w");
  snprintf(first, sizeof first, "%s/w-00000.tar", folder);
  snprintf(second, sizeof second, "%s/w-00000.tar#weight=2", folder);
  snprintf(third, sizeof third, "%s/w-00000.tar#weight=0.34", folder);
  assert_ok(dataset_open(names, 3, &d));
  assert_int_equal(dataset_count(d), 9);
  assert_int_equal(dataset_epoch(d), 3 + 6 + 1);
  int seen[9] = {0};
  for (int64_t epoch = 0; epoch < 3; epoch++)
    for (int64_t place = 0; place < 10; place++) seen[dataset_row(d, 5, true, epoch, place)]++;
  for (int i = 0; i < 3; i++) {
    assert_int_equal(seen[i], 3);
    assert_int_equal(seen[3 + i], 6);
    assert_int_equal(seen[6 + i], 1); /* one an epoch: in three epochs each once */
  }
  strbuf rounded = {0};
  dataset_explain_weights(d, names, &rounded); /* 1.02 samples an epoch is 2 % more than 1 */
  assert_null(strstr(strbuf_string(&rounded), "weight=2"));
  assert_non_null(strstr(strbuf_string(&rounded), "w-00000.tar#weight=0.34: an epoch has a whole "
                                                  "number of its 3 samples: 1, as with weight "
                                                  "0.333\n"));
  strbuf_free(&rounded);
  for (int64_t place = 0; place < 6; place++) /* stored order, twice */
    assert_int_equal(dataset_row(d, 5, false, 1, 3 + place), 3 + place % 3);
  dataset_close(d);
}

/* Keys are not stored where the tar's headers contain them; long names are elsewhere in it. */
static void keys_of_any_length_are_those_of_their_members(void **state) {
  (void)state;
  enum { KEYS = 6 };
  static const char *const dialects[] = {"gnu", "pax", "ustar"};
  char keys[KEYS][192], deep[128] = "", command[256], pattern[64];
  for (int i = 0; i < 4; i++) strcat(deep, "a_folder_of_thirty_characters/");
  for (int i = 0; i < KEYS; i++) /* short, longer than a header's 100, and by its prefix */
    snprintf(keys[i], sizeof keys[i], "keys/%s%d%0*d", i % 3 == 1 ? deep : "", i,
             i % 3 == 2 ? 120 : 4, 7);
  for (int i = 0; i < KEYS; i++) {
    char name[256];
    snprintf(name, sizeof name, "%.190s.png", keys[i]);
    write_picture(name, (uint8_t)(10 * i));
    snprintf(name, sizeof name, "%.190s.txt", keys[i]);
    if (i != 0 && i != 2) write_text(name, i == 4 ? "" : keys[i]); /* two are left out */
  }
  for (size_t k = 0; k < 3; k++) {
    static const int whole[] = {1, 3, 4, 5};
    int64_t left_out, row = 0;
    snprintf(command, sizeof command,
             "cd %s && find keys -type f | sort -t. -k1,1 | grep -v '%s' |"
             " tar cf %s.tar --format=%s -T -",
             folder, k == 2 ? "0000000000" : "no such name", dialects[k], dialects[k]);
    assert_int_equal(system(command), 0);
    snprintf(pattern, sizeof pattern, "%%s/%s.tar", dialects[k]);
    dataset *d = open_one(pattern);
    assert_int_equal(dataset_count(d), k == 2 ? 3 : 4); /* ustar has no name of 120 in one part */
    (void)dataset_warnings(d, &left_out);
    assert_int_equal(left_out, k == 2 ? 1 : 2);
    for (; row < dataset_count(d); row++) {
      dataset_sample s;
      bool is_known = false;
      assert_ok(dataset_read_text(d, row, &s));
      for (int i = 0; i < 4; i++) is_known = is_known || strcmp(s.key, keys[whole[i]]) == 0;
      if (!is_known) fail_msg("%s: key '%s' is none of those written", dialects[k], s.key);
      if (*s.caption) assert_string_equal(s.caption, s.key);
      dataset_sample_free(&s);
    }
    dataset_close(d);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shards_may_be_listed_and_take_captions_from_json),
      cmocka_unit_test(a_field_that_no_sample_has_is_refused),
      cmocka_unit_test(a_folder_that_cannot_be_read_is_not_left_out_of_a_pattern),
      cmocka_unit_test(a_shard_that_is_cut_gives_its_whole_samples),
      cmocka_unit_test(a_shard_that_ends_between_members_is_reported),
      cmocka_unit_test(what_follows_the_end_of_a_shard_is_reported),
      cmocka_unit_test(sparse_members_are_skipped_and_named),
      cmocka_unit_test(what_a_command_writes_is_kept_where_tmpdir_says),
      cmocka_unit_test(pipes_run_only_when_they_are_allowed),
      cmocka_unit_test(a_range_in_a_pipe_is_a_command_a_number),
      cmocka_unit_test(a_stream_has_the_fingerprint_of_the_exact_order),
      cmocka_unit_test(counts_next_to_the_shards_are_read),
      cmocka_unit_test(what_no_stream_can_read_is_refused),
      cmocka_unit_test(a_shard_that_changes_during_a_run_is_named),
      cmocka_unit_test(a_command_outlives_a_signal_to_the_group),
      cmocka_unit_test(a_stop_while_commands_run_is_no_failure),
      cmocka_unit_test(a_weight_is_how_often_an_epoch_shows_a_source),
      cmocka_unit_test(keys_of_any_length_are_those_of_their_members),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
