/* The rows of `step`: one for each step event of a trainer, or for several of a long run. */
#include <math.h>
#include <string.h>

#include "base/pace.h"
#include "store/ingest.h"

/* A run keeps at most this many steps in the database: a longer one has a row for every two, three,
 * … steps, with their sums (events.jsonl keeps all). This bounds the size of a run: see
 * docs/schema.md. */
enum { MOST_STEPS = 50000 };

err steps_find_last(ingest *in) {
  sqlite3_stmt *rows;
  bool has_row;
  memset(&in->last, 0, sizeof in->last);
  in->last.told_seconds = NAN;
  err error = sql_query(in->s, &rows,
                        "SELECT step, attempt, coalesce(train_seconds, 0),"
                        " EXISTS (SELECT 1 FROM artifact WHERE artifact.run_id = step.run_id"
                        "  AND artifact.step = step.step)"
                        " OR EXISTS (SELECT 1 FROM evaluation WHERE evaluation.run_id ="
                        "  step.run_id AND evaluation.step = step.step)"
                        " OR step = (SELECT saving_step FROM run WHERE id = step.run_id)"
                        " FROM step WHERE run_id = ? ORDER BY step DESC LIMIT 1",
                        "i", in->run_id);
  if (!error) error = sql_next(in->s, rows, &has_row);
  if (error || !has_row) return error;
  in->last.step = sqlite3_column_int64(rows, 0);
  in->last.attempt = sqlite3_column_int64(rows, 1);
  in->last.train_seconds = sql_real(rows, 2);
  in->last.is_boundary = sqlite3_column_int(rows, 3) != 0;
  sql_stop(rows);
  return NULL;
}

/* What a row sums over the steps that it covers. */
static const char *const sums[] = {"seconds",        "data_wait_seconds", "cpu_seconds",
                                   "delay_seconds",  "switches",          "other_cpu_seconds",
                                   "stolen_seconds", "pressure_seconds",  "energy_joules",
                                   "comm_seconds",   "comm_bytes",        "values_saturated"};
enum { SUMS = sizeof sums / sizeof *sums };
/* Recorded of the last step only; their means are those of all rows that were merged. */
static const char *const losses[] = {"loss", "reconstruction_loss"};
enum { LOSSES = sizeof losses / sizeof *losses };

typedef struct {
  int64_t step, steps;
  double values[SUMS]; /* NaN: not recorded */
  double rank_spread;  /* mean over the steps */
  /* what a merged row keeps of the rows that it was made of */
  int64_t merged; /* their number; 1: it is one */
  pace_drawn drawn;
  double loss_sums[LOSSES];
} step_row;

static step_row row_of(const json_t *event) {
  step_row row = {.step = ingest_integer(event, "step"), .steps = ingest_integer(event, "steps")};
  for (int i = 0; i < SUMS; i++) row.values[i] = json_number_of(event, sums[i]);
  row.rank_spread = json_number_of(event, "rank_spread");
  row.merged = 1;
  for (int i = 0; i < LOSSES; i++) row.loss_sums[i] = json_number_of(event, losses[i]);
  return row;
}

/* A row of stream version 1 has only the seconds of its own step, regardless of the steps between
 * it and the previous row; the trainer's running total gives the time of the others. */
static void spread_old_row(const ingest *in, const json_t *event, step_row *row) {
  double before = in->last.step ? in->last.told_seconds : 0;
  double between = json_number_of(event, "train_seconds") - before;
  row->steps = row->step - in->last.step;
  if (row->steps == 1) return;
  row->values[0] = between > 0 ? between : row->values[0] * (double)row->steps;
  row->values[1] *= (double)row->steps;
}

/* Adds an earlier row, as the query in merge_with_last has it. */
static void absorb(step_row *row, sqlite3_stmt *rows) {
  enum { DRAWN = SUMS + 2, MERGED = DRAWN + 6, LOSS = MERGED + 1 };
  int64_t before = sqlite3_column_int64(rows, 0);
  pace_drawn older = {.steps = sqlite3_column_int64(rows, DRAWN),
                      .seconds = sql_real(rows, DRAWN + 1),
                      .cpu_seconds = sql_real(rows, DRAWN + 2),
                      .delay_seconds = sql_real(rows, DRAWN + 3),
                      .stolen_seconds = sql_real(rows, DRAWN + 4),
                      .other_cpu_seconds = sql_real(rows, DRAWN + 5)};
  pace_drawn newer = {.steps = row->steps,
                      .seconds = row->values[0],
                      .cpu_seconds = row->values[2],
                      .delay_seconds = row->values[3],
                      .stolen_seconds = row->values[6],
                      .other_cpu_seconds = row->values[5]};
  row->drawn = pace_draw(&older, before, &newer, row->steps, (uint64_t)row->step);
  row->rank_spread =
      (row->rank_spread * (double)row->steps + sql_real(rows, SUMS + 1) * (double)before) /
      (double)(row->steps + before);
  row->steps += before;
  for (int i = 0; i < SUMS; i++) row->values[i] += sql_real(rows, i + 1); /* NaN stays NaN */
  row->merged += sqlite3_column_int64(rows, MERGED);
  for (int i = 0; i < LOSSES; i++) row->loss_sums[i] += sql_real(rows, LOSS + i);
}

/* Beyond MOST_STEPS steps a run keeps one row for every `stride` steps: the newest row absorbs the
 * previous one, unless that ends a stride or is referenced. */
static err merge_with_last(ingest *in, step_row *row) {
  int64_t stride = 1 + (in->total_steps - 1) / MOST_STEPS;
  bool is_same = in->last.step > 0 && in->last.attempt == in->process.attempt &&
                 !in->last.is_boundary && row->step > in->last.step &&
                 (row->step - 1) / stride == (in->last.step - 1) / stride;
  if (stride < 2 || !is_same) return NULL;
  sqlite3_stmt *rows;
  bool has_row;
  err error = sql_query(in->s, &rows,
                        "SELECT steps, seconds, data_wait_seconds, cpu_seconds, delay_seconds,"
                        " switches, other_cpu_seconds, stolen_seconds, pressure_seconds,"
                        " energy_joules, comm_seconds, comm_bytes, values_saturated, rank_spread,"
                        " coalesce(drawn_steps, steps), iif(merged, drawn_seconds, seconds),"
                        " iif(merged, drawn_cpu_seconds, cpu_seconds),"
                        " iif(merged, drawn_delay_seconds, delay_seconds),"
                        " iif(merged, drawn_stolen_seconds, stolen_seconds),"
                        " iif(merged, drawn_other_cpu_seconds, other_cpu_seconds),"
                        " coalesce(merged, 1), iif(merged, loss_sum, loss),"
                        " iif(merged, reconstruction_loss_sum, reconstruction_loss)"
                        " FROM step WHERE run_id = ? AND step = ?",
                        "ii", in->run_id, in->last.step);
  if (!error) error = sql_next(in->s, rows, &has_row);
  if (error || !has_row) return error;
  absorb(row, rows);
  sql_stop(rows);
  return sql_run(in->s, "DELETE FROM step WHERE run_id = ? AND step = ?", "ii", in->run_id,
                 in->last.step);
}

static err put_row(ingest *in, const json_t *event, const step_row *row) {
  const double *v = row->values;
  return sql_run(
      in->s,
      "INSERT OR REPLACE INTO step (run_id, step, samples, loss, learning_rate,"
      " logit_scale, grad_norm, train_seconds, attempt, steps, seconds,"
      " data_wait_seconds, cpu_seconds, delay_seconds, switches, other_cpu_seconds,"
      " stolen_seconds, pressure_seconds, energy_joules, device_mhz,"
      " device_other_processes, reconstruction_loss, comm_seconds, comm_bytes,"
      " values_saturated, rank_spread, slowest_rank) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
      " ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      "iiidddddiiddddddddddddddddd", in->run_id, row->step, ingest_integer(event, "samples"),
      json_number_of(event, "loss"), json_number_of(event, "learning_rate"),
      json_number_of(event, "logit_scale"), json_number_of(event, "grad_norm"),
      in->last.train_seconds, in->process.attempt, row->steps, v[0], v[1], v[2], v[3], v[4], v[5],
      v[6], v[7], v[8], json_number_of(event, "device_mhz"),
      json_number_of(event, "device_other_processes"), json_number_of(event, "reconstruction_loss"),
      v[9], v[10], v[11], row->rank_spread, ingest_whole(event, "slowest_rank"));
}

static err put_merged(ingest *in, const step_row *row) {
  const pace_drawn *d = &row->drawn;
  return sql_run(in->s,
                 "UPDATE step SET drawn_steps = ?, drawn_seconds = ?, drawn_cpu_seconds = ?,"
                 " drawn_delay_seconds = ?, drawn_stolen_seconds = ?, drawn_other_cpu_seconds = ?,"
                 " merged = ?, loss_sum = ?, reconstruction_loss_sum = ?"
                 " WHERE run_id = ? AND step = ?",
                 "idddddiddii", d->steps, d->seconds, d->cpu_seconds, d->delay_seconds,
                 d->stolen_seconds, d->other_cpu_seconds, row->merged, row->loss_sums[0],
                 row->loss_sums[1], in->run_id, row->step);
}

/* A step that the run does not have, or more steps than there are before it, come from a damaged
 * line: figures and sums rely on neither. *is_refused: there is no row. */
static err check_steps(ingest *in, step_row *row, bool *is_refused) {
  const int64_t most_of_any = INT64_C(1) << 40;
  const int64_t most =
      in->total_steps > 0 && in->total_steps < most_of_any ? in->total_steps : most_of_any;
  strbuf what = {0};
  *is_refused = row->step < 1 || row->step > most;
  if (row->step > most)
    strbuf_format(&what, "step %lld of a run that has %lld: left out", (long long)row->step,
                  (long long)most);
  else if (row->step >= 1 && row->steps > row->step)
    strbuf_format(&what, "step %lld with %lld steps: recorded as the ones since the step before",
                  (long long)row->step, (long long)row->steps);
  err error = what.length ? ingest_warn_line(in, strbuf_string(&what)) : NULL;
  strbuf_free(&what);
  return error;
}

err steps_take(ingest *in, const json_t *event) {
  step_row row = row_of(event);
  bool is_refused;
  err error = check_steps(in, &row, &is_refused);
  if (error || is_refused) return error;
  if (row.step <= in->last.step) { /* seen before: the later row wins */
    error = sql_run(in->s, "DELETE FROM step WHERE run_id = ? AND step >= ?", "ii", in->run_id,
                    row.step);
    if (!error) error = steps_find_last(in);
  }
  if (row.steps < 1) spread_old_row(in, event, &row);
  if (row.steps > row.step) row.steps = row.step - in->last.step;
  double own = row.values[0];
  if (!error) error = merge_with_last(in, &row);
  if (error) return error;
  in->last.train_seconds += own > 0 ? own : 0;
  in->last.told_seconds = json_number_of(event, "train_seconds");
  in->last.step = row.step;
  in->last.attempt = in->process.attempt;
  in->last.is_boundary = false;
  error = put_row(in, event, &row);
  return error || row.merged == 1 ? error : put_merged(in, &row);
}
