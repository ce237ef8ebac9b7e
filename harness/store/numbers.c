#include "store/numbers.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/pace.h"
#include "store/sql.h"

/* Every derived number, listed once. NaN: the rows do not determine it; it is then not stored. */
#define NUMBERS(X)                                                                                 \
  X(samples)                                                                                       \
  X(train_seconds)                                                                                 \
  X(wall_seconds)                                                                                  \
  X(steady_step_seconds)                                                                           \
  X(steady_seconds)                                                                                \
  X(steady_low)                                                                                    \
  X(steady_high)                                                                                   \
  X(samples_per_second)                                                                            \
  X(samples_per_second_median)                                                                     \
  X(samples_per_second_run)                                                                        \
  X(lost_share)                                                                                    \
  X(disturbed)                                                                                     \
  X(disturbed_share)                                                                               \
  X(data_wait_share)                                                                               \
  X(peak_bytes)                                                                                    \
  X(host_peak_bytes)                                                                               \
  X(device_used_bytes)                                                                             \
  X(utilisation)                                                                                   \
  X(power_watts)                                                                                   \
  X(energy_joules)                                                                                 \
  X(energy_per_sample)                                                                             \
  X(flops_per_second)                                                                              \
  X(mfu)                                                                                           \
  X(final_loss)                                                                                    \
  X(final_reconstruction_loss)                                                                     \
  X(values_saturated)                                                                              \
  X(values_saturated_per_step)                                                                     \
  X(other_cpus)                                                                                    \
  X(stolen_share)                                                                                  \
  X(ranks)                                                                                         \
  X(nodes)                                                                                         \
  X(samples_per_second_per_rank)                                                                   \
  X(comm_share)                                                                                    \
  X(comm_bytes)                                                                                    \
  X(comm_bytes_per_step)                                                                           \
  X(slowest_rank)                                                                                  \
  X(rank_spread)                                                                                   \
  X(peak_rank)                                                                                     \
  X(cpu_seconds)                                                                                   \
  X(attempts)

typedef struct {
#define FIELD(name) double name;
  NUMBERS(FIELD)
#undef FIELD
  bool has_one_pace; /* all steps were trained on the same machine, ranks and threads */
} numbers;

static numbers nothing_known(void) {
  numbers n;
#define FIELD(name) n.name = NAN;
  NUMBERS(FIELD)
#undef FIELD
  return n;
}

/* The first row of a query, as doubles; NaN for NULL. */
static err read_reals(store *s, sqlite3_stmt *rows, double *values, int count) {
  bool has_row;
  err error = sql_next(s, rows, &has_row);
  for (int i = 0; i < count; i++) values[i] = !error && has_row ? sql_real(rows, i) : (double)NAN;
  if (!error && has_row) sql_stop(rows);
  return error;
}

/* ---- times ---- */

/* The number of threads and CPUs of each process: a resumed one may run on another machine. */
typedef struct {
  int64_t attempt;
  int threads, cpus;
} place;

typedef struct {
  place *items;
  size_t count;
} places;

static err read_places(store *s, int64_t run_id, places *found) {
  sqlite3_stmt *rows;
  bool more;
  err error = sql_query(s, &rows,
                        "SELECT attempt, coalesce(threads, 1), coalesce(cpus, threads, 1)"
                        " FROM process LEFT JOIN environment ON environment.id = environment_id"
                        " WHERE run_id = ? ORDER BY number",
                        "i", run_id);
  while (!error && !(error = sql_next(s, rows, &more)) && more) {
    place *grown = mem_resize(found->items, found->count + 1, sizeof *grown);
    if (!grown) {
      sql_stop(rows);
      return mem_error(sizeof *grown, "a run's processes");
    }
    found->items = grown;
    found->items[found->count++] = (place){
        sqlite3_column_int64(rows, 0), sqlite3_column_int(rows, 1), sqlite3_column_int(rows, 2)};
  }
  return error;
}

static const place *place_of(const places *all, int64_t attempt) {
  static const place unknown = {0, 1, 1};
  for (size_t i = all->count; i-- > 0;)
    if (all->items[i].attempt == attempt) return &all->items[i];
  return all->count ? &all->items[all->count - 1] : &unknown;
}

typedef struct {
  pace_row *rows;
  size_t count;
  bool has_evidence; /* some row has readings of other load */
} timings;

/* The thread and CPU counts of the newest process are used for all; readings made with other counts
 * are rescaled, so that each row's shares are unchanged. */
static err read_timings(store *s, int64_t run_id, const places *all, timings *t) {
  sqlite3_stmt *rows;
  bool more;
  size_t room = 0;
  const place *newest = place_of(all, -1);
  err error = sql_query(s, &rows,
                        "SELECT attempt, steps, seconds, cpu_seconds, delay_seconds,"
                        " stolen_seconds, other_cpu_seconds, drawn_steps, drawn_seconds,"
                        " drawn_cpu_seconds, drawn_delay_seconds, drawn_stolen_seconds,"
                        " drawn_other_cpu_seconds FROM step WHERE run_id = ?"
                        " AND seconds IS NOT NULL ORDER BY step",
                        "i", run_id);
  while (!error && !(error = sql_next(s, rows, &more)) && more) {
    if (t->count == room) {
      room = room ? 2 * room : 256;
      pace_row *grown = mem_resize(t->rows, room, sizeof *grown);
      if (!grown) {
        sql_stop(rows);
        return mem_error(room * sizeof *grown, "a run's steps");
      }
      t->rows = grown;
    }
    const place *own = place_of(all, sqlite3_column_int64(rows, 0));
    double by_threads = (double)newest->threads / own->threads;
    double by_cpus = (double)newest->cpus / own->cpus;
    pace_row *row = &t->rows[t->count++];
    *row = (pace_row){.process = sqlite3_column_int64(rows, 0),
                      .steps = sqlite3_column_int64(rows, 1),
                      .seconds = sql_real(rows, 2),
                      .cpu_seconds = sql_real(rows, 3) * by_threads,
                      .delay_seconds = sql_real(rows, 4) * by_threads,
                      .stolen_seconds = sql_real(rows, 5) * by_cpus,
                      .other_cpu_seconds = sql_real(rows, 6) * by_cpus,
                      .drawn = {.steps = sqlite3_column_int64(rows, 7),
                                .seconds = sql_real(rows, 8),
                                .cpu_seconds = sql_real(rows, 9) * by_threads,
                                .delay_seconds = sql_real(rows, 10) * by_threads,
                                .stolen_seconds = sql_real(rows, 11) * by_cpus,
                                .other_cpu_seconds = sql_real(rows, 12) * by_cpus}};
    t->has_evidence = t->has_evidence || !isnan(row->delay_seconds) ||
                      !isnan(row->stolen_seconds) || !isnan(row->other_cpu_seconds);
  }
  return error;
}

static err add_pace(store *s, int64_t run_id, double batch, numbers *n) {
  places all = {0};
  timings t = {0};
  pace p;
  int64_t missing;
  err error = NULL;
  TRY(read_places(s, run_id, &all));
  TRY(read_timings(s, run_id, &all, &t));
  if (!t.count) goto cleanup;
  TRY(sql_integer(s, 0, &missing, "SELECT max(step) - sum(steps) FROM step WHERE run_id = ?", "i",
                  run_id));
  if (missing) goto cleanup; /* rows were lost: no sum over them is the run's */
  const place *newest = place_of(&all, -1);
  TRY(pace_of(t.rows, t.count, newest->threads, newest->cpus, &p));
  n->train_seconds = p.train_seconds;
  if (!n->has_one_pace) goto cleanup;
  n->steady_step_seconds = p.steady_step_seconds;
  n->steady_seconds = p.steady_step_seconds * (double)p.steps;
  n->steady_low = p.steady_low;
  n->steady_high = p.steady_high;
  if (p.steady_step_seconds > 0) n->samples_per_second = batch / p.steady_step_seconds;
  n->samples_per_second_median = n->samples_per_second;
  if (!t.has_evidence) goto cleanup;
  n->lost_share = p.lost_share;
  n->disturbed = p.is_disturbed;
  n->disturbed_share = p.disturbed_share;
cleanup:
  free(all.items);
  free(t.rows);
  return error;
}

/* ---- sums ---- */

/* `batch`: samples per step, from the settings or else from the rows. */
static err add_sums(store *s, int64_t run_id, double *batch, numbers *n) {
  sqlite3_stmt *rows;
  double v[9];
  err error = sql_query(
      s, &rows,
      /* every time slice is a process: looking one up for each row would take minutes */
      "WITH place AS MATERIALIZED (SELECT attempt, cpus, min(number) FROM process"
      "  WHERE run_id = ?1 GROUP BY attempt)" /* cpus: of the row with the least number */
      "SELECT (SELECT samples FROM step WHERE run_id = ?1 ORDER BY step DESC LIMIT 1),"
      " max(step), sum(data_wait_seconds) / sum(seconds), sum(energy_joules),"
      " sum(step.steps) FILTER (WHERE energy_joules IS NOT NULL),"
      " sum(other_cpu_seconds) / sum(seconds) FILTER (WHERE other_cpu_seconds IS NOT NULL),"
      " sum(stolen_seconds) / sum(seconds * place.cpus) FILTER (WHERE stolen_seconds IS NOT NULL),"
      " (SELECT json_extract(settings, '$.batch_size') FROM cell JOIN run ON cell_id = cell.id"
      "  WHERE run.id = ?1), (SELECT count(*) FROM attempt WHERE run_id = ?1)"
      " FROM step LEFT JOIN place ON place.attempt = step.attempt WHERE run_id = ?1",
      "i", run_id);
  if (!error) error = read_reals(s, rows, v, 9);
  if (error) return error;
  n->samples = v[0];
  *batch = v[7] > 0 ? v[7] : v[0] / v[1];
  n->data_wait_share = v[2];
  n->energy_joules = v[3];
  n->energy_per_sample = v[3] / (v[4] * *batch);
  n->other_cpus = v[5];
  n->stolen_share = v[6];
  n->attempts = v[8];
  return NULL;
}

/* Totals of processes with stream version 1, which has no rows for them. */
static err add_old_readings(store *s, int64_t run_id, double batch, numbers *n) {
  sqlite3_stmt *rows;
  double v[4];
  err error = sql_query(s, &rows,
                        "SELECT sum(energy_joules), sum(CASE WHEN energy_joules IS NOT NULL THEN"
                        "  (SELECT sum(steps) FROM step WHERE step.run_id = process.run_id"
                        "   AND step.attempt = process.attempt) END), avg(other_cpus),"
                        " avg(stolen_share) FROM process WHERE run_id = ?",
                        "i", run_id);
  if (!error) error = read_reals(s, rows, v, 4);
  if (error) return error;
  if (isnan(n->energy_joules)) {
    n->energy_joules = v[0];
    n->energy_per_sample = v[0] / (v[1] * batch);
  }
  if (isnan(n->other_cpus)) n->other_cpus = v[2];
  if (isnan(n->stolen_share)) n->stolen_share = v[3];
  return NULL;
}

/* None when the clock was set back while the run trained, as events.c noticed. */
static err add_wall_time(store *s, int64_t run_id, numbers *n) {
  sqlite3_stmt *rows;
  double v[3];
  err error = sql_query(s, &rows,
                        "SELECT sum(ms) / 1000, min(ms),"
                        " (SELECT count(*) FROM warning WHERE run_id = ?1 AND kind = 'clock')"
                        " FROM (SELECT round(86400000 * (julianday(last) - julianday(started)))"
                        "  AS ms FROM process WHERE run_id = ?1)",
                        "i", run_id);
  if (!error) error = read_reals(s, rows, v, 3);
  if (!error && !(v[1] < 0) && !(v[2] > 0)) n->wall_seconds = v[0];
  return error;
}

static err add_memory(store *s, int64_t run_id, numbers *n) {
  sqlite3_stmt *rows;
  double v[5];
  err error = sql_query(s, &rows,
                        "SELECT max(peak_bytes), max(host_peak_bytes), max(device_used_bytes),"
                        " avg(utilisation), avg(power_watts) FROM memory WHERE run_id = ?",
                        "i", run_id);
  if (!error) error = read_reals(s, rows, v, 5);
  if (error) return error;
  n->peak_bytes = v[0];
  n->host_peak_bytes = v[1];
  n->device_used_bytes = v[2];
  n->utilisation = v[3];
  n->power_watts = v[4];
  return NULL;
}

/* ---- ranks ---- */

/* What the processes of the run had, as each reported. Steps on different machines or numbers of
 * ranks or threads have no one pace: then the run has none. */
static err add_ranks(store *s, int64_t run_id, numbers *n) {
  sqlite3_stmt *rows;
  double v[5];
  err error = sql_query(
      s, &rows,
      "SELECT (SELECT ranks FROM process WHERE run_id = ?1 ORDER BY number DESC LIMIT 1),"
      " (SELECT count(*) FROM (SELECT DISTINCT coalesce(ranks, 1), threads, host, cpu,"
      "   device_name FROM process LEFT JOIN environment ON environment.id = environment_id"
      "  WHERE run_id = ?1 AND process.attempt IN (SELECT attempt FROM step WHERE run_id = ?1))),"
      " (SELECT count(DISTINCT json_extract(value, '$.host')) FROM attempt,"
      "  json_each(rank_records) WHERE run_id = ?1 GROUP BY number"
      "  ORDER BY 1 DESC LIMIT 1),"
      " (SELECT max(nodes) FROM attempt WHERE run_id = ?1),"
      " (SELECT max(ranks) FROM process WHERE run_id = ?1)",
      "i", run_id);
  if (!error) error = read_reals(s, rows, v, 5);
  if (error) return error;
  n->ranks = v[0];
  n->has_one_pace = !(v[1] > 1);
  if (v[4] > 1) n->energy_per_sample = NAN; /* of rank 0's meter, but samples of all */
  n->nodes = !isnan(v[2]) ? v[2] : !isnan(v[3]) ? v[3] : v[0] == 1 ? 1 : (double)NAN;
  return NULL;
}

static err add_communication(store *s, int64_t run_id, numbers *n) {
  sqlite3_stmt *rows;
  double v[5];
  err error = sql_query(
      s, &rows,
      "SELECT sum(comm_seconds) / sum(seconds) FILTER (WHERE comm_seconds IS NOT NULL),"
      " sum(comm_bytes), sum(comm_bytes) / sum(steps) FILTER (WHERE comm_bytes IS NOT NULL),"
      " sum(rank_spread * steps) / sum(steps) FILTER (WHERE rank_spread IS NOT NULL),"
      " (SELECT slowest_rank FROM step WHERE run_id = ?1 AND slowest_rank IS NOT NULL"
      "  GROUP BY slowest_rank ORDER BY sum(steps) DESC, slowest_rank LIMIT 1)"
      " FROM step WHERE run_id = ?1",
      "i", run_id);
  if (!error) error = read_reals(s, rows, v, 5);
  if (error) return error;
  n->comm_share = v[0];
  n->comm_bytes = v[1];
  n->comm_bytes_per_step = v[2];
  n->rank_spread = v[3];
  n->slowest_rank = v[4];
  return NULL;
}

/* Memory and CPU time of all ranks, as their records have them: the events are rank 0's. CPU time
 * only where every process that has ended recorded its own. */
static err add_resources(store *s, int64_t run_id, numbers *n) {
  sqlite3_stmt *rows;
  double v[4];
  err error = sql_query(
      s, &rows,
      "SELECT (SELECT max(json_extract(value, '$.peak_bytes')) FROM attempt,"
      "  json_each(rank_records) WHERE run_id = ?1),"
      " (SELECT json_extract(value, '$.rank') FROM attempt, json_each(rank_records)"
      "  WHERE run_id = ?1 ORDER BY json_extract(value, '$.peak_bytes') DESC LIMIT 1),"
      " (SELECT CASE WHEN count(cpu_seconds) = count(*) THEN sum(cpu_seconds) END FROM attempt"
      "  WHERE run_id = ?1 AND status <> 'running'),"
      " (SELECT device = 'cpu' FROM environment JOIN run ON environment.id = environment_id"
      "  WHERE run.id = ?1)",
      "i", run_id);
  if (!error) error = read_reals(s, rows, v, 4);
  if (error) return error;
  n->cpu_seconds = v[2];
  if (isnan(v[0])) return NULL;
  n->peak_rank = v[1];
  if (v[0] > n->host_peak_bytes) n->host_peak_bytes = v[0];
  if (v[3] > 0 && v[0] > n->peak_bytes) n->peak_bytes = v[0]; /* a GPU's memory is not the host's */
  return NULL;
}

/* The mean of the losses recorded over the last twentieth of the steps, of merged rows of all that
 * were merged. A non-finite loss among them makes it unknown: the
 * mean of the others would suggest that the run had not diverged. */
static err add_final_loss(store *s, int64_t run_id, numbers *n) {
  sqlite3_stmt *rows;
  err error = sql_query(s, &rows,
                        "SELECT CASE WHEN count(l) = count(*) THEN sum(l) / sum(n) END,"
                        " CASE WHEN count(r) = count(*) THEN sum(r) / sum(n) END FROM"
                        " (SELECT coalesce(merged, 1) AS n,"
                        "   CASE WHEN merged > 1 THEN loss_sum ELSE loss END AS l,"
                        "   CASE WHEN merged > 1 THEN reconstruction_loss_sum"
                        "    ELSE reconstruction_loss END AS r FROM step WHERE run_id = ?1"
                        "  AND step > 0.95 * (SELECT max(step) FROM step WHERE run_id = ?1))",
                        "i", run_id);
  double v[2];
  if (!error) error = read_reals(s, rows, v, 2);
  if (error) return error;
  n->final_loss = v[0];
  n->final_reconstruction_loss = v[1];
  return NULL;
}

static err add_saturation(store *s, int64_t run_id, numbers *n) {
  sqlite3_stmt *rows;
  double v[2];
  err error = sql_query(s, &rows,
                        "SELECT sum(values_saturated), sum(values_saturated) / sum(steps)"
                        " FROM step WHERE run_id = ? AND values_saturated IS NOT NULL",
                        "i", run_id);
  if (!error) error = read_reals(s, rows, v, 2);
  if (error) return error;
  n->values_saturated = v[0];
  n->values_saturated_per_step = v[1];
  return NULL;
}

/* Rates at the steady pace, from what the start event recorded about the model and the machine. */
static err add_rates(store *s, int64_t run_id, numbers *n) {
  sqlite3_stmt *rows;
  double v[2];
  err error = sql_query(s, &rows,
                        "SELECT max(value) FILTER (WHERE name = 'flops_per_sample_total'),"
                        " max(value) FILTER (WHERE name = 'gemm_flops_per_second')"
                        " FROM summary WHERE run_id = ?",
                        "i", run_id);
  if (!error) error = read_reals(s, rows, v, 2);
  if (error) return error;
  n->flops_per_second = n->samples_per_second * v[0];
  if (v[1] > 0) n->mfu = n->flops_per_second / v[1];
  if (n->ranks > 0) n->samples_per_second_per_rank = n->samples_per_second / n->ranks;
  if (n->train_seconds > 0) n->samples_per_second_run = n->samples / n->train_seconds;
  return NULL;
}

/* ---- damaged records ---- */

/* Takes back what the record of a finished run no longer determines, as its events were damaged or
 * cut. Sums, means and the last row are those of the run only where all steps are there. The last
 * reading of memory follows the last evaluation, and the end follows everything. */
static err drop_lost(store *s, int64_t run_id, numbers *n) {
  sqlite3_stmt *rows;
  double v[6];
  err error = sql_query(s, &rows,
                        "SELECT status = 'finished', total,"
                        " coalesce((SELECT max(step) FROM step WHERE run_id = ?1), 0) < total,"
                        " coalesce((SELECT max(step) FROM memory WHERE run_id = ?1), 0) < total,"
                        " EXISTS (SELECT 1 FROM warning WHERE run_id = ?1 AND kind = 'no_end'),"
                        " (SELECT min(version) FROM process WHERE run_id = ?1)"
                        " FROM run, (SELECT max(value) AS total FROM summary"
                        "  WHERE run_id = ?1 AND name = 'total_steps') WHERE id = ?1",
                        "i", run_id);
  if (!error) error = read_reals(s, rows, v, 6);
  if (error || !(v[0] > 0)) return error;
  const bool has_total = !isnan(v[1]), is_short = v[2] > 0, has_end = !(v[4] > 0);
  const bool is_old = !(v[5] >= 2); /* streams of version 1 have no row of the last steps */
  const bool has_steps = is_short ? is_old && has_end : has_total || has_end;
  if (!has_steps) { /* attempts.jsonl and the starts have these */
    numbers known = nothing_known();
    known.ranks = n->ranks;
    known.nodes = n->nodes;
    known.cpu_seconds = n->cpu_seconds;
    known.attempts = n->attempts;
    *n = known;
  }
  if (!has_end) n->wall_seconds = NAN;
  if (!has_end && !(has_total && v[3] <= 0))
    n->peak_bytes = n->host_peak_bytes = n->device_used_bytes = n->utilisation = n->power_watts =
        NAN;
  return NULL;
}

/* ---- entry points ---- */

static err put(store *s, int64_t run_id, const char *name, double value) {
  if (!isfinite(value))
    return sql_run(s, "DELETE FROM summary WHERE run_id = ? AND name = ?", "it", run_id, name);
  return sql_run(s, "INSERT OR REPLACE INTO summary (run_id, name, value) VALUES (?, ?, ?)", "itd",
                 run_id, name, value);
}

err numbers_make(store *s, int64_t run_id) {
  numbers n = nothing_known();
  double batch = NAN;
  err error = NULL;
  TRY(add_sums(s, run_id, &batch, &n));
  TRY(add_ranks(s, run_id, &n));
  TRY(add_communication(s, run_id, &n));
  TRY(add_pace(s, run_id, batch, &n));
  TRY(add_old_readings(s, run_id, batch, &n));
  TRY(add_wall_time(s, run_id, &n));
  TRY(add_memory(s, run_id, &n));
  TRY(add_resources(s, run_id, &n));
  TRY(add_final_loss(s, run_id, &n));
  TRY(add_saturation(s, run_id, &n));
  TRY(add_rates(s, run_id, &n));
  TRY(drop_lost(s, run_id, &n));
#define PUT(name) TRY(put(s, run_id, #name, n.name));
  NUMBERS(PUT)
#undef PUT
  TRY(sql_run(s,
              "UPDATE run SET numbers_rows = (SELECT count(*) FROM step WHERE run_id = run.id)"
              " WHERE id = ?",
              "i", run_id));
cleanup:
  return error;
}

err numbers_make_when_grown(store *s, int64_t run_id) {
  int64_t has_grown;
  err error = sql_integer(s, 0, &has_grown,
                          "SELECT (SELECT count(*) FROM step WHERE run_id = run.id)"
                          " > 1.1 * numbers_rows FROM run WHERE id = ?",
                          "i", run_id);
  return error || !has_grown ? error : numbers_make(s, run_id);
}

err numbers_make_all(store *s) {
  int64_t run_id = 0;
  err error = NULL;
  for (;;) {
    TRY(sql_integer(s, 0, &run_id, "SELECT min(id) FROM run WHERE id > ?", "i", run_id));
    if (!run_id) break;
    TRY(numbers_make(s, run_id));
  }
cleanup:
  return error;
}
