#include "store/benchmark.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/numbers.h"
#include "store/sql.h"

enum { STEPS_A_RUN = 50000, CALLS = 9 };

static err add_run(store *s, int64_t number, int64_t *run_id) {
  char cell[32], directory[64];
  snprintf(cell, sizeof cell, "cell%lld", (long long)number);
  snprintf(directory, sizeof directory, "bench/run-%lld", (long long)number);
  err error = NULL;
  TRY(sql_run(s, "INSERT INTO cell (id, settings) VALUES (?, '{}')", "t", cell));
  TRY(sql_run(s,
              "INSERT INTO experiment_cell (experiment_id, cell_id, position, label, axes)"
              " VALUES (1, ?1, ?2, ?1, '{}')",
              "ti", cell, number));
  TRY(sql_run(s,
              "INSERT INTO run (cell_id, directory, status, started)"
              " VALUES (?, ?, 'finished', '2026-01-01T00:00:00.000Z')",
              "tt", cell, directory));
  *run_id = sql_last_id(s);
cleanup:
  return error;
}

/* Numbers with realistic digit counts. */
static double made_up(int64_t step, int64_t what) {
  return 1.0 / (double)(step + 7 * what + 3);
}

static err insert_steps(store *s, int64_t run_id, int64_t count) {
  err error = sql_begin(s);
  if (error) return error;
  for (int64_t step = 1; step <= count && !error; step++)
    error = sql_run(s,
                    "INSERT OR REPLACE INTO step (run_id, step, samples, loss, learning_rate,"
                    " logit_scale, grad_norm, seconds, data_wait_seconds, train_seconds)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    "iiiddddddd", run_id, step, step * 256, made_up(step, 1), made_up(step, 2),
                    made_up(step, 3), made_up(step, 4), made_up(step, 5), made_up(step, 6),
                    (double)step * 0.43);
  return sql_end(s, error);
}

static err insert_all(store *s, int64_t points, double *seconds) {
  int64_t runs = (points + STEPS_A_RUN - 1) / STEPS_A_RUN, run_id;
  err error = NULL;
  double start = clock_seconds();
  TRY(sql_run(s,
              "INSERT INTO experiment (name, title, source, path, profile, digest, text)"
              " VALUES ('bench', '', '', '', '', '', '')",
              ""));
  for (int64_t run = 0; run < runs; run++) {
    int64_t left = points - run * STEPS_A_RUN;
    TRY(add_run(s, run, &run_id));
    TRY(insert_steps(s, run_id, left < STEPS_A_RUN ? left : STEPS_A_RUN));
  }
  *seconds = clock_seconds() - start;
cleanup:
  return error;
}

static err time_query(store *s, const char *sql, double *median_ms) {
  double times[CALLS];
  err error = NULL;
  for (int i = 0; i < CALLS && !error; i++) {
    sqlite3_stmt *rows = NULL;
    bool more;
    double start = clock_seconds();
    error = sql_query_once(s, &rows, sql);
    while (!error && !(error = sql_next(s, rows, &more)) && more) {
    }
    sqlite3_finalize(rows);
    times[i] = 1e3 * (clock_seconds() - start);
  }
  *median_ms = numbers_median(times, CALLS);
  return error;
}

static err write_events(const char *path, int64_t points) {
  FILE *file = fopen(path, "we");
  if (!file) return err_new(ERR_IO, "%s: cannot be written", path);
  for (int64_t step = 1; step <= points; step++)
    fprintf(file,
            "{\"event\":\"step\",\"time\":\"2026-01-31T12:34:56.789Z\",\"step\":%lld,"
            "\"samples\":%lld,\"loss\":%.8g,\"learning_rate\":%.8g,\"logit_scale\":%.8g,"
            "\"grad_norm\":%.8g,\"seconds\":%.8g,\"data_wait_seconds\":%.8g,"
            "\"train_seconds\":%.8g}\n",
            (long long)step, (long long)step * 256, made_up(step, 1), made_up(step, 2),
            made_up(step, 3), made_up(step, 4), made_up(step, 5), made_up(step, 6),
            (double)step * 0.43);
  bool is_bad = ferror(file);
  if (fclose(file) != 0 || is_bad) return err_new(ERR_IO, "%s: cannot be written", path);
  return NULL;
}

static err time_ingest(store *s, const char *folder, int64_t points, double *seconds) {
  static const char start[] = "{\"event\":\"attempt_start\",\"time\":\"2026-01-31T12:34:55.000Z\","
                              "\"cell\":\"ingested\",\"attempt\":1,\"pid\":1,\"command\":[]}\n";
  char name[64];
  int64_t run_id;
  err error = NULL;
  snprintf(name, sizeof name, "benchmark-%ld", (long)getpid());
  char *directory = fs_join(folder, name), *events = NULL, *attempts = NULL;
  if (!directory) return mem_error(0, "a path");
  events = fs_join(directory, "events.jsonl");
  attempts = fs_join(directory, "attempts.jsonl");
  if (!events || !attempts) FAIL(ERR_MEMORY, "out of memory: a path");
  TRY(fs_make_folders(directory));
  TRY(write_events(events, points));
  TRY(fs_write_atomic(attempts, start, sizeof start - 1));
  double began = clock_seconds();
  TRY(store_ingest(s, folder, name, &run_id));
  *seconds = clock_seconds() - began;
cleanup:
  if (events) unlink(events);
  if (attempts) unlink(attempts);
  rmdir(directory);
  free(directory);
  free(events);
  free(attempts);
  return error;
}

static err size_of_database(store *s, int64_t points, double *bytes_per_point) {
  struct stat status;
  err error = sql_script(s, "PRAGMA wal_checkpoint(TRUNCATE)");
  if (!error && stat(store_path(s), &status) == 0)
    *bytes_per_point = (double)status.st_size / (double)points;
  return error;
}

static void remove_database(const char *path) {
  static const char *const tails[] = {"", "-wal", "-shm"};
  for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
    strbuf name = {0};
    strbuf_format(&name, "%s%s", path, tails[i]);
    unlink(strbuf_string(&name));
    strbuf_free(&name);
  }
}

err store_benchmark(const char *folder, int64_t points, store_benchmark_result *r) {
  strbuf path = {0};
  store *s = NULL;
  err error = NULL;
  *r = (store_benchmark_result){.points = points};
  strbuf_format(&path, "%s/benchmark-%ld.db", folder, (long)getpid());
  TRY(store_open(strbuf_string(&path), &s));
  TRY(insert_all(s, points, &r->insert_seconds));
  TRY(size_of_database(s, points, &r->bytes_per_point));
  TRY(time_query(s,
                 "SELECT avg(samples), avg(loss), min(loss), max(loss) FROM step WHERE run_id = 1"
                 " GROUP BY (step - 1) * 120 / (SELECT max(step) FROM step WHERE run_id = 1)",
                 &r->curve_ms));
  TRY(time_query(s,
                 "SELECT id, (SELECT samples FROM step WHERE step.run_id = run.id"
                 " ORDER BY step DESC LIMIT 1) FROM run",
                 &r->newest_ms));
  TRY(time_query(s, "SELECT * FROM v_cell_summary", &r->summary_ms));
  TRY(time_ingest(s, folder, points, &r->ingest_seconds));
cleanup:
  store_close(s);
  remove_database(strbuf_string(&path));
  strbuf_free(&path);
  return error;
}
