/* Timings of commits, from sessions written by hand to the points of a series. */
#include "store/samples.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/text.h"
#include "support/folder.h"
#include "support/test.h"

enum { NO_ROUND = 0 };

static int ordinal;

static void add(strbuf *text, const char *words, const char *side, int round, const char *commit,
                int day, double value, bool is_disturbed) {
  strbuf_format(text,
                "{\"ordinal\":%d,\"series\":\"step\",\"metric\":\"samples_per_second\","
                "\"words\":\"%s\",\"build\":\"gcc\",\"machine\":\"m\",\"side\":\"%s\",\"round\":%d,"
                "\"commit\":\"%s\",\"dirty\":\"\",\"committed\":\"2026-01-%02dT00:00:00Z\","
                "\"time\":\"2026-02-%02dT12:00:00Z\",\"value\":%g,\"is_disturbed\":%s}\n",
                ++ordinal, words, side, round, commit, day, day, value,
                is_disturbed ? "true" : "false");
}

static void write_session(const char *path, strbuf *text) {
  assert_ok(fs_make_folders("results/benchmarks"));
  assert_ok(fs_write_atomic(path, text->data, text->length));
  strbuf_clear(text);
}

static store *open_samples(void) {
  store *s;
  assert_ok(store_open("s.db", &s));
  assert_ok(store_ingest_samples(s, "results"));
  return s;
}

static void assert_near(double value, double wanted) {
  if (!(fabs(value - wanted) <= 1e-9)) fail_msg("%.12g is not %.12g", value, wanted);
}

/* a and b in turns, on a machine that became half as fast; c alone; of d only a failure. */
static void write_sessions(void) {
  strbuf text = {0};
  ordinal = 0;
  add(&text, "--size 1", "base", 1, "aaaa", 1, 100, false);
  add(&text, "--size 1", "new", 1, "bbbb", 2, 110, true);
  add(&text, "--size 1", "base", 2, "aaaa", 1, 50, false);
  add(&text, "--size 1", "new", 2, "bbbb", 2, 55, false);
  write_session("results/benchmarks/1.jsonl", &text);
  add(&text, "--size 1", "", NO_ROUND, "aaaa", 1, 7, false); /* known by its rounds alone */
  add(&text, "--size 1", "", NO_ROUND, "cccc", 3, 60, false);
  add(&text, "--size 1", "", NO_ROUND, "cccc", 3, 90, true);
  add(&text, "--size 1", "", NO_ROUND, "cccc", 3, 70, false);
  add(&text, "--size 1", "", NO_ROUND, "cccc", 3, 0, false);
  add(&text, "--size 1", "", NO_ROUND, "dddd", 4, 0, false);
  add(&text, "--size 2", "", NO_ROUND, "aaaa", 1, 11, false);
  strbuf_append(&text, "{\"event\":\"end\"}\nno sample");
  write_session("results/benchmarks/2.jsonl", &text);
  strbuf_free(&text);
}

static void points_are_medians_without_drift(void **state) {
  (void)state;
  sample_series *series;
  size_t count;
  write_sessions();
  store *s = open_samples();
  assert_ok(store_read_samples(s, "samples_per_second", &series, &count));
  assert_int_equal(count, 2);
  assert_string_equal(series[0].words, "--size 1");
  assert_int_equal(series[0].count, 3);
  assert_int_equal(series[0].left_out, 2);
  assert_int_equal(series[0].empty_commits, 1);
  assert_int_equal(series[0].empty_newest, 1);
  assert_int_equal(series[0].alone, 1);
  /* a has the most rounds' samples first: its level is 75, the median of 100 and 50; b has 1.1 of
   * it in both rounds */
  const sample_point *p = series[0].points;
  assert_string_equal(p[0].commit, "aaaa");
  assert_near(p[0].value, 75);
  assert_near(p[0].least, 75);
  assert_near(p[0].most, 75);
  assert_int_equal(p[0].samples, 2);
  assert_int_equal(p[0].disturbed, 0);
  assert_false(p[0].is_alone);
  assert_near(p[1].value, 82.5);
  assert_int_equal(p[1].disturbed, 1);
  assert_string_equal(p[2].commit, "cccc");
  assert_string_equal(p[2].day, "2026-01-03");
  assert_near(p[2].value, 70);
  assert_near(p[2].least, 60);
  assert_near(p[2].most, 90);
  assert_int_equal(p[2].samples, 3);
  assert_int_equal(p[2].disturbed, 1);
  assert_true(p[2].is_alone);
  assert_near(p[2].committed - p[0].committed, 2); /* days */
  assert_near(p[2].measured - p[2].committed, 31.5);
  assert_int_equal(series[1].count, 1);
  assert_near(series[1].points[0].value, 11);
  assert_int_equal(series[1].empty_commits, 0);
  assert_int_equal(store_select_samples("size 2", series, count), 1);
  assert_string_equal(series[0].words, "--size 2");
  store_free_samples(series, count);
  store_close(s);
}

static void rounds_are_counted_once_and_the_reference_is_their_base(void **state) {
  (void)state;
  static const char metric[] = "samples_per_second";
  size_t count;
  char commit[48];
  write_sessions();
  store *s = open_samples();
  assert_ok(store_ingest_samples(s, "results")); /* nothing new */
  assert_ok(store_count_rounds(s, metric, "--size 1", "m", "aaaa", "[]", &count));
  assert_int_equal(count, 2);
  assert_ok(store_count_rounds(s, metric, "--size 1", "m", "cccc", "[]", &count));
  assert_int_equal(count, 0);
  assert_ok(store_count_rounds(s, metric, "--size 2", "m", "aaaa", "[]", &count));
  assert_int_equal(count, 0);
  assert_ok(store_count_rounds(s, metric, "--size 1", "m", "aaaa", "[\"gcc\"]", &count));
  assert_int_equal(count, 0);
  assert_ok(store_find_reference(s, metric, "--size 1", "m", commit));
  assert_string_equal(commit, "aaaa");
  assert_ok(store_find_reference(s, metric, "--size 2", "m", commit));
  assert_string_equal(commit, "");
  store_close(s);
}

/* The three samples of 1.jsonl with something done to the first: which are in the record. */
static void a_damaged_sample_does_not_hide_the_ones_after_it(void **state) {
  (void)state;
  static const struct {
    const char *before, *after;
  } changes[] = {{"{", "\\"},
                 {"\"ordinal\"", "\"ordinau\""},
                 {"\"ordinal\":1,", "\"ordinal\":1.5,"},
                 {"\"metric\"", "\"metrix\""},
                 {"\"machine\"", "\"machinf\""}};
  for (size_t i = 0; i <= sizeof changes / sizeof *changes; i++) {
    strbuf text = {0};
    ordinal = 0;
    for (int k = 0; k < 3; k++) add(&text, "w", "", NO_ROUND, "aaaa", 1, 100 + k, false);
    char *at = i ? strstr(text.data, changes[i - 1].before) : text.data;
    assert_non_null(at);
    if (i)
      memcpy(at, changes[i - 1].after, strlen(changes[i - 1].after));
    else
      *at = '\0';
    write_session("results/benchmarks/1.jsonl", &text);
    strbuf_free(&text);
    sample_series *series;
    size_t count;
    store *s = open_samples();
    assert_ok(store_read_samples(s, "samples_per_second", &series, &count));
    assert_int_equal(count, 1);
    assert_int_equal(series[0].points[0].samples, 2);
    assert_near(series[0].points[0].least, 101);
    store_free_samples(series, count);
    store_close(s);
    unlink("s.db");
  }
}

int main(void) {
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)
  const struct CMUnitTest tests[] = {
      IN_FOLDER(points_are_medians_without_drift),
      IN_FOLDER(a_damaged_sample_does_not_hide_the_ones_after_it),
      IN_FOLDER(rounds_are_counted_once_and_the_reference_is_their_base),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
