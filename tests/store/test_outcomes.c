/* What evaluations leave in the record: values, hits of each image, resampled values. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "store/outcomes.h"
#include "store/sql.h"
#include "store/written_runs.h"
#include "support/folder.h"

static void a_null_metric_is_missing_and_said_so(void **state) {
  (void)state;
  store *s;
  int64_t run_id;
  strbuf text = {0};
  write_attempts(1);
  add_start(&text, 0, 0, 2);
  add_step(&text, 0, 1, 1, 0.5);
  strbuf_append(&text, "{\"event\":\"eval\",\"step\":1,\"samples\":64,\"set\":\"x\",\"task\":"
                       "\"zeroshot\",\"metrics\":{\"top1\":null,\"top5\":0.5}}\n"
                       "{\"event\":\"step\",\"step\":2,\"samples\":128,\"steps\":1,\"loss\":null,"
                       "\"seconds\":0.5}\n");
  write_file("results/e/r/events.jsonl", &text);
  assert_ok(store_open("s.db", &s));
  assert_ok(store_ingest(s, "results", "e/r", &run_id));
  assert_near(real(s, "SELECT count(*) FROM evaluation WHERE metric = 'top1' AND value IS NULL"),
              1);
  assert_near(real(s, "SELECT count(*) FROM warning WHERE kind = 'metric'"), 1);
  /* a loss that is no number is not averaged away */
  assert_true(isnan(summary(s, "final_loss")));
  strbuf_free(&text);
  store_close(s);
}

/* A probe's evaluation had no labels before they were recorded for every task. */
static void a_probe_without_labels_has_those_of_the_same_images(void **state) {
  (void)state;
  static const char *const probes[] = {"{\"top1\":0.2,\"images\":10},\"hits\":{\"top1\":\"AQI=\"}}",
                                       "{\"top1\":0.2,\"images\":9},\"hits\":{\"top1\":\"AQA=\"}}"};
  for (int fewer = 0; fewer < 2; fewer++) {
    store *s;
    int64_t run_id;
    strbuf text = {0};
    store_outcome o;
    write_attempts(1);
    add_start(&text, 0, 0, 1);
    add_step(&text, 0, 1, 1, 0.5);
    strbuf_append(&text,
                  "{\"event\":\"eval\",\"step\":1,\"set\":\"x\",\"task\":\"zeroshot\",\"metrics\":"
                  "{\"top1\":0.3,\"images\":10},\"hits\":{\"top1\":\"AQI=\"},\"labels\":"
                  "\"AQACAAMABAAFAAYABwAIAAkAAAE=\"}\n");
    strbuf_format(
        &text, "{\"event\":\"eval\",\"step\":1,\"set\":\"x\",\"task\":\"probe\",\"metrics\":%s\n",
        probes[fewer]);
    write_file("results/e/r/events.jsonl", &text);
    assert_ok(store_open(fewer ? "fewer.db" : "all.db", &s));
    assert_ok(store_ingest(s, "results", "e/r", &run_id));
    assert_ok(store_load_outcome(s, run_id, "probe", "top1", "x", 1, &o));
    assert_int_equal(o.items, fewer ? 9 : 10);
    assert_true(fewer ? !o.labels : o.labels && o.labels[9] == 256);
    store_free_outcome(&o);
    strbuf_free(&text);
    store_close(s);
  }
}

/* By hand: 1, 0.5 and NaN as little-endian fp32; then two bytes, which are no number. */
static void resampled_values_are_read_back(void **state) {
  (void)state;
  store *s;
  int64_t run_id;
  strbuf text = {0};
  store_resampled r;
  write_attempts(1);
  add_start(&text, 0, 0, 1);
  add_step(&text, 0, 1, 1, 0.5);
  strbuf_append(&text,
                "{\"event\":\"eval\",\"step\":1,\"set\":\"x\",\"task\":\"zeroshot\",\"metrics\":"
                "{\"roc_auc\":0.7,\"images\":10},\"resampled\":{\"roc_auc\":"
                "\"AACAPwAAAD8AAMB/\",\"other\":\"AQI=\"}}\n");
  write_file("results/e/r/events.jsonl", &text);
  assert_ok(store_open("s.db", &s));
  assert_ok(store_ingest(s, "results", "e/r", &run_id));
  assert_ok(store_load_resampled(s, run_id, "zeroshot", "roc_auc", "x", 1, &r));
  assert_int_equal(r.count, 3);
  assert_int_equal(r.items, 10);
  assert_true(r.values[0] == 1 && r.values[1] == 0.5f && isnan(r.values[2]));
  free(r.values);
  assert_ok(store_load_resampled(s, run_id, "zeroshot", "other", "x", 1, &r));
  assert_true(r.count == 0 && !r.values);
  assert_near(real(s, "SELECT count(*) FROM warning WHERE kind = 'outcome'"), 1);
  strbuf_free(&text);
  store_close(s);
}

static void outcomes_are_read_back_item_by_item(void **state) {
  (void)state;
  store *s;
  int64_t run_id;
  strbuf text = {0};
  store_outcome o;
  write_attempts(1);
  add_start(&text, 0, 0, 2);
  for (int step = 1; step <= 2; step++) {
    add_step(&text, 0, step, 1, 0.5);
    strbuf_format(&text,
                  "{\"event\":\"eval\",\"step\":%d,\"set\":\"x\",\"task\":\"zeroshot\",\"metrics\":"
                  "{\"top1\":0.3,\"images\":10},\"hits\":{\"top1\":\"%s\",\"top5\":\"AAA\"}%s}\n",
                  step, step == 1 ? "AQI=" : "BQM=",
                  step == 1 ? ",\"labels\":\"AQACAAMABAAFAAYABwAIAAkAAAE=\"" : "");
  }
  write_file("results/e/r/events.jsonl", &text);
  assert_ok(store_open("s.db", &s));
  assert_ok(store_ingest(s, "results", "e/r", &run_id));
  assert_ok(store_load_outcome(s, run_id, "zeroshot", "top1", NULL, -1, &o));
  assert_int_equal(o.items, 10);
  assert_int_equal(o.step, 2);
  static const bool hits[] = {true, false, true, false, false, false, false, false, true, true};
  for (size_t i = 0; i < 10; i++) assert_int_equal(store_is_hit(&o, i), hits[i]);
  assert_non_null(o.labels);
  assert_int_equal(o.labels[0], 1);
  assert_int_equal(o.labels[9], 256);
  store_free_outcome(&o);
  assert_ok(store_load_outcome(s, run_id, "zeroshot", "top1", "x", 1, &o));
  assert_int_equal(o.hits[0], 1);
  store_free_outcome(&o);
  /* what is not base64 of ten bits is a warning, and no outcome */
  assert_ok(store_load_outcome(s, run_id, "zeroshot", "top5", NULL, -1, &o));
  assert_int_equal(o.items, 0);
  store_free_outcome(&o);
  assert_near(real(s, "SELECT count(*) FROM warning WHERE kind = 'outcome'"), 1);
  strbuf_free(&text);
  store_close(s);
}

int main(void) {
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)
  const struct CMUnitTest tests[] = {
      IN_FOLDER(a_null_metric_is_missing_and_said_so),
      IN_FOLDER(a_probe_without_labels_has_those_of_the_same_images),
      IN_FOLDER(resampled_values_are_read_back),
      IN_FOLDER(outcomes_are_read_back_item_by_item),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
