#include "store/written_runs.h"

#include "base/fs.h"
#include "store/sql.h"

double real(store *s, const char *sql) {
  sqlite3_stmt *rows;
  bool more;
  assert_ok(sql_query_once(s, &rows, sql));
  assert_ok(sql_next(s, rows, &more));
  double value = more ? sql_real(rows, 0) : (double)NAN;
  sqlite3_finalize(rows);
  return value;
}

double summary(store *s, const char *name) {
  char sql[128];
  snprintf(sql, sizeof sql, "SELECT value FROM summary WHERE name = '%s'", name);
  return real(s, sql);
}

void write_file(const char *path, const strbuf *text) {
  assert_ok(fs_make_folders("results/e/r"));
  assert_ok(fs_write_atomic(path, text->data, text->length));
}

static void write_ended(int count, int ended) {
  static const char *const ends[] = {"failed", "interrupted", "finished"};
  strbuf text = {0};
  for (int i = 0; i < count; i++) {
    strbuf_format(&text,
                  "{\"event\":\"attempt_start\",\"time\":\"2026-01-01T00:%02d:00.000Z\",\"cell\":"
                  "\"c\",\"attempt\":%d,\"pid\":1,\"command\":[\"flip\"]}\n",
                  i, i + 1);
    if (i >= ended) break;
    strbuf_format(&text,
                  "{\"event\":\"attempt_end\",\"time\":\"2026-01-01T00:%02d:59.000Z\",\"attempt\":"
                  "%d,\"status\":\"%s\"}\n",
                  i, i + 1, ends[i + 3 - count]);
  }
  write_file("results/e/r/attempts.jsonl", &text);
  strbuf_free(&text);
}

void write_attempts(int count) {
  write_ended(count, count);
}

void write_running_attempts(int count) {
  write_ended(count, count - 1);
}

void add_start(strbuf *text, int minute, int first_step, int64_t total_steps) {
  strbuf_format(
      text,
      "{\"event\":\"start\",\"time\":\"2026-01-01T00:%02d:01.000Z\",\"version\":2,"
      "\"settings\":{\"batch_size\":64},\"host\":\"h1\",\"cpu\":\"c\",\"threads\":2,"
      "\"conditions\":{\"cpus\":2},\"data_fingerprint\":\"d%d\",\"vocabulary_fingerprint\":\"v\","
      "\"evaluation_fingerprints\":{\"b\":\"2\",\"a\":\"1\"},\"init_fingerprint\":\"\","
      "\"flops_per_sample\":{\"total\":1e6},\"gemm_flops_per_second\":1e9,"
      "\"total_steps\":%lld,\"first_step\":%d}\n",
      minute, minute, (long long)total_steps, first_step);
}

void add_step(strbuf *text, int minute, int64_t step, int steps, double seconds) {
  strbuf_format(text,
                "{\"event\":\"step\",\"time\":\"2026-01-01T00:%02d:10.000Z\",\"step\":%lld,"
                "\"samples\":%lld,\"loss\":%g,\"seconds\":%.17g,\"data_wait_seconds\":%.17g,"
                "\"steps\":%d,\"cpu_seconds\":%.17g,\"delay_seconds\":0,\"switches\":1,"
                "\"other_cpu_seconds\":%.17g,\"stolen_seconds\":0,\"energy_joules\":2,"
                "\"comm_bytes\":3,\"values_saturated\":5,\"rank_spread\":1.5,"
                "\"train_seconds\":12345}\n",
                minute, (long long)step, (long long)step * 64, 4 - 0.01 * (double)step, seconds,
                seconds / 10, steps, 2 * seconds, 0.1 * seconds);
}

void add_memory(strbuf *text, int minute, int64_t peak) {
  strbuf_format(text,
                "{\"event\":\"memory\",\"time\":\"2026-01-01T00:%02d:10.000Z\",\"step\":3,"
                "\"peak_bytes\":%lld,\"host_peak_bytes\":%lld}\n",
                minute, (long long)peak, (long long)peak + 1);
}

void add_checkpoint(strbuf *text, int64_t step) {
  strbuf_format(text,
                "{\"event\":\"checkpoint\",\"step\":%lld,\"samples\":1,\"bytes\":1,\"path\":"
                "\"step-%lld.safetensors\"}\n",
                (long long)step, (long long)step);
}

void add_end(strbuf *text, int minute, const char *status) {
  strbuf_format(text,
                "{\"event\":\"end\",\"time\":\"2026-01-01T00:%02d:30.000Z\",\"status\":\"%s\","
                "\"step\":1,\"samples\":77,\"train_seconds\":88,\"samples_per_second\":99,"
                "\"peak_bytes\":1}\n",
                minute, status);
}

void write_interrupted_run(strbuf *text) {
  add_start(text, 0, 0, 10);
  for (int step = 1; step <= 5; step++) {
    add_step(text, 0, step, 1, step < 4 ? 0.5 : 7.0);
    if (step == 3) add_memory(text, 0, 900);
    if (step == 3) add_checkpoint(text, 3);
  }
  add_start(text, 1, 3, 10);
  add_step(text, 1, 5, 2, 0.8);
  for (int step = 6; step <= 9; step++) add_step(text, 1, step, 1, 0.4);
  add_memory(text, 1, 700);
  add_checkpoint(text, 9);
  add_end(text, 1, "interrupted");
  add_start(text, 2, 9, 10);
  add_step(text, 2, 10, 1, 0.6);
  add_memory(text, 2, 300);
  add_end(text, 2, "finished");
}
