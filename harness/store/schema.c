/* The schema as a list of migrations, each from one version to the next. A released migration is
 * never changed; new ones are added. docs/schema.md explains the tables. */
#include <stdio.h>

#include "store/first_schema.h"
#include "store/numbers.h"
#include "store/samples_schema.h"
#include "store/summary_view.h"
#include "store/sql.h"

enum {
  NUMBERS_RULES = 4,   /* raised when numbers.c derives other numbers from the same record */
  FOLDERS_UNREAD = -1, /* instead of the rules: the run folders are still to be read anew */
  NUMBERS_VERSION = 3
}; /* before it, numbers were totals reported by processes at exit, and fewer were kept than the run
    * folders contain */

/* A run's code and machine; benchmark samples; a cell's best run instead of its newest, since
 * merged results can contain several. */
static const char version_2[] =
    "ALTER TABLE environment ADD COLUMN flags TEXT NOT NULL DEFAULT '';"    /* of the compiler */
    "ALTER TABLE environment ADD COLUMN driver TEXT NOT NULL DEFAULT '';"   /* of the GPU */
    "ALTER TABLE attempt ADD COLUMN conditions TEXT NOT NULL DEFAULT '{}';" /* JSON: load, clocks */

    "CREATE TABLE benchmark_sample (" /* one timing of one side of a comparison */
    "  session TEXT NOT NULL,"        /* the file below RESULTS/benchmarks/ it comes from */
    "  ordinal INTEGER NOT NULL,"     /* its position there: the order of measurement */
    "  series TEXT NOT NULL,"         /* what was timed: 'step mask_ratio=0.5' */
    "  metric TEXT NOT NULL,"
    "  side TEXT NOT NULL," /* 'base', 'new' of an A/B comparison; '' else */
    "  commit_id TEXT NOT NULL,"
    "  dirty TEXT NOT NULL,"
    "  committed TEXT NOT NULL," /* commit date */
    "  machine TEXT NOT NULL,"   /* only samples of one machine are compared */
    "  time TEXT NOT NULL,"
    "  value REAL NOT NULL,"
    "  PRIMARY KEY (session, ordinal, metric)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX benchmark_series ON benchmark_sample(series, metric, machine, committed);"

    "DROP VIEW v_cell_latest;"
    "CREATE VIEW v_cell_latest AS" /* a finished run before any other, the newest first */
    "  SELECT experiment.name AS experiment, experiment_cell.position, experiment_cell.label,"
    "    experiment_cell.tuning, experiment_cell.axes, cell.id AS cell_id, cell.parent,"
    "    run.id AS run_id, coalesce(run.status, 'not run') AS status, run.kind, run.message,"
    "    run.started, run.ended, run.directory"
    "  FROM experiment_cell JOIN experiment ON experiment.id = experiment_cell.experiment_id"
    "  JOIN cell ON cell.id = experiment_cell.cell_id"
    "  LEFT JOIN run ON run.id = (SELECT id FROM run AS any_run WHERE any_run.cell_id = cell.id"
    "    ORDER BY status = 'finished' DESC, id DESC LIMIT 1);"

    "DROP VIEW v_provenance;"
    "CREATE VIEW v_provenance AS"
    "  SELECT latest.experiment, latest.label, latest.cell_id, latest.run_id, latest.directory,"
    "    latest.status, latest.started, latest.ended, environment.commit_id, environment.dirty,"
    "    environment.compiler, environment.flags, environment.host, environment.cpu,"
    "    environment.device_name, environment.driver, environment.precision, environment.threads,"
    "    environment.libraries, run.data_fingerprint"
    "  FROM v_cell_latest AS latest JOIN run ON run.id = latest.run_id"
    "  LEFT JOIN environment ON environment.id = run.environment_id;"

    "CREATE VIEW v_failure AS" /* what failed, how, and the number of attempts */
    "  SELECT latest.experiment, latest.label, latest.cell_id, run.id AS run_id, run.status,"
    "    run.kind, run.message, run.directory,"
    "    (SELECT count(*) FROM attempt WHERE attempt.run_id = run.id) AS attempts"
    "  FROM v_cell_latest AS latest JOIN run ON run.cell_id = latest.cell_id"
    "  WHERE run.status IN ('failed', 'interrupted');"

    "CREATE VIEW v_cost AS" /* the cost of an experiment, including failures */
    "  SELECT latest.experiment, count(DISTINCT run.id) AS runs,"
    "    sum((SELECT value FROM summary WHERE run_id = run.id AND name = 'train_seconds'))"
    "      AS train_seconds,"
    "    sum((SELECT value FROM summary WHERE run_id = run.id AND name = 'wall_seconds'))"
    "      AS wall_seconds,"
    "    sum((SELECT value FROM summary WHERE run_id = run.id AND name = 'samples')) AS samples"
    "  FROM v_cell_latest AS latest JOIN run ON run.cell_id = latest.cell_id"
    "  GROUP BY latest.experiment;"

    "CREATE VIEW v_reference AS" /* published values next to the measured ones of the same row */
    "  SELECT experiment.name AS experiment, reference_value.axes, reference_value.metric,"
    "    reference_value.value, reference_value.is_verified, reference_value.source,"
    "    latest.label, latest.run_id"
    "  FROM reference_value JOIN experiment ON experiment.id = reference_value.experiment_id"
    "  LEFT JOIN v_cell_latest AS latest ON latest.experiment = experiment.name"
    "    AND latest.tuning IS NULL AND NOT EXISTS (SELECT 1 FROM json_each(reference_value.axes)"
    "      AS wanted WHERE wanted.value IS NOT json_extract(latest.axes,"
    "        '$.\"' || wanted.key || '\"'));";

/* Rows that cover several steps and distinguish disturbance from work; processes and their inputs;
 * per-item outcomes; notes. Totals from `end` events are no longer numbers of a run: values that
 * the rows of an old run cannot give (memory, energy) become rows here, and store/numbers.c
 * computes the rest. */
static const char version_3[] =
    "ALTER TABLE step ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1;"
    "ALTER TABLE step ADD COLUMN steps INTEGER NOT NULL DEFAULT 1;" /* covered by the sums */
    "ALTER TABLE step ADD COLUMN cpu_seconds REAL;"
    "ALTER TABLE step ADD COLUMN delay_seconds REAL;"
    "ALTER TABLE step ADD COLUMN switches REAL;"
    "ALTER TABLE step ADD COLUMN other_cpu_seconds REAL;"
    "ALTER TABLE step ADD COLUMN stolen_seconds REAL;"
    "ALTER TABLE step ADD COLUMN pressure_seconds REAL;"
    "ALTER TABLE step ADD COLUMN energy_joules REAL;"
    "ALTER TABLE step ADD COLUMN device_mhz REAL;"
    "ALTER TABLE step ADD COLUMN device_other_processes REAL;"
    "ALTER TABLE run ADD COLUMN data_stamp TEXT NOT NULL DEFAULT '';" /* host, digest of files */
    "ALTER TABLE run ADD COLUMN note TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE run ADD COLUMN archived INTEGER NOT NULL DEFAULT 0;"     /* 1: not a cell's
                                                                           * result */
    "ALTER TABLE run ADD COLUMN numbers_rows INTEGER NOT NULL DEFAULT 0;" /* number of steps they
                                                                           * are computed from */

    /* JSON lists: --set and --set-cell of the last run */
    "ALTER TABLE experiment ADD COLUMN set_words TEXT NOT NULL DEFAULT '[]';"
    "ALTER TABLE experiment ADD COLUMN set_cell_words TEXT NOT NULL DEFAULT '[]';"

    "CREATE TABLE tag ("
    "  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,"
    "  name TEXT NOT NULL,"
    "  PRIMARY KEY (run_id, name)"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE process (" /* one `start` event of a run, and its inputs */
    "  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,"
    "  number INTEGER NOT NULL," /* from 1, in the order of events.jsonl */
    "  attempt INTEGER NOT NULL,"
    "  version INTEGER NOT NULL," /* of the event stream */
    "  first_step INTEGER NOT NULL,"
    "  started TEXT NOT NULL," /* first event */
    "  last TEXT NOT NULL,"    /* last event */
    "  environment_id INTEGER REFERENCES environment(id),"
    "  cpus INTEGER," /* available to the process */
    "  data_fingerprint TEXT NOT NULL DEFAULT '',"
    "  data_samples INTEGER,"
    "  vocabulary_fingerprint TEXT NOT NULL DEFAULT '',"
    "  evaluation_fingerprints TEXT NOT NULL DEFAULT '{}'," /* JSON, set to digest */
    "  init_fingerprint TEXT NOT NULL DEFAULT '',"
    "  energy_joules REAL," /* these three: totals at the end of version 1 streams */
    "  other_cpus REAL,"
    "  stolen_share REAL,"
    "  PRIMARY KEY (run_id, number)"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE memory ("
    "  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,"
    "  ordinal INTEGER NOT NULL,"
    "  attempt INTEGER NOT NULL,"
    "  step INTEGER NOT NULL,"
    "  peak_bytes INTEGER,"
    "  planned_bytes INTEGER,"
    "  host_peak_bytes INTEGER,"
    "  device_used_bytes INTEGER,"
    "  utilisation REAL,"
    "  power_watts REAL,"
    "  PRIMARY KEY (run_id, ordinal)"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE outcome (" /* which items of a set were hits */
    "  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,"
    "  set_name TEXT NOT NULL,"
    "  task TEXT NOT NULL,"
    "  metric TEXT NOT NULL,"
    "  step INTEGER NOT NULL,"
    "  items INTEGER NOT NULL,"
    "  hits BLOB NOT NULL," /* bit i, least significant first within a byte */
    "  PRIMARY KEY (run_id, set_name, task, metric, step)"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE outcome_labels (" /* the class of each item */
    "  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,"
    "  set_name TEXT NOT NULL,"
    "  labels BLOB NOT NULL," /* little-endian, two bytes per item */
    "  PRIMARY KEY (run_id, set_name)"
    ") STRICT, WITHOUT ROWID;"

    /* an old row covers the steps since the previous one */
    "UPDATE step SET attempt = coalesce((SELECT max(number) FROM attempt WHERE"
    "  attempt.run_id = step.run_id AND attempt.first_step < step.step), 1);"
    "UPDATE step SET steps = before.steps, seconds = CASE"
    "    WHEN before.steps > 1 AND before.told > 0 THEN before.told"
    "    ELSE step.seconds * before.steps END"
    "  FROM (SELECT run_id, step,"
    "      step - coalesce(lag(step) OVER of_run, 0) AS steps,"
    "      train_seconds - coalesce(lag(train_seconds) OVER of_run, 0) AS told"
    "    FROM step WINDOW of_run AS (PARTITION BY run_id ORDER BY step)) AS before"
    "  WHERE before.run_id = step.run_id AND before.step = step.step;"
    "UPDATE step SET train_seconds = sums.total"
    "  FROM (SELECT run_id, step, sum(seconds) OVER (PARTITION BY run_id ORDER BY step) AS total"
    "    FROM step) AS sums"
    "  WHERE sums.run_id = step.run_id AND sums.step = step.step;"
    "UPDATE evaluation SET train_seconds = coalesce((SELECT step.train_seconds FROM step"
    "  WHERE step.run_id = evaluation.run_id AND step.step >= evaluation.step"
    "  ORDER BY step.step LIMIT 1), train_seconds)"
    "  WHERE EXISTS (SELECT 1 FROM step WHERE step.run_id = evaluation.run_id"
    "    AND step.step = evaluation.step);"
    "INSERT INTO process (run_id, number, attempt, version, first_step, started, last,"
    "    environment_id, cpus, data_fingerprint, data_samples)"
    "  SELECT attempt.run_id, number, number, 1, first_step, attempt.started,"
    "    coalesce(attempt.ended, attempt.started), attempt.environment_id,"
    "    json_extract(conditions, '$.cpus'), run.data_fingerprint,"
    "    (SELECT CAST(value AS INTEGER) FROM summary WHERE summary.run_id = run.id"
    "     AND name = 'data_samples')"
    "  FROM attempt JOIN run ON run.id = attempt.run_id WHERE first_step IS NOT NULL;"
    "UPDATE process SET"
    "    energy_joules = (SELECT value FROM summary WHERE summary.run_id = process.run_id"
    "      AND name = 'energy_joules'),"
    "    other_cpus = (SELECT value FROM summary WHERE summary.run_id = process.run_id"
    "      AND name = 'other_cpus'),"
    "    stolen_share = (SELECT value FROM summary WHERE summary.run_id = process.run_id"
    "      AND name = 'stolen_share')"
    "  WHERE number = (SELECT max(number) FROM process AS other"
    "    WHERE other.run_id = process.run_id);"
    "INSERT INTO memory (run_id, ordinal, attempt, step, peak_bytes, planned_bytes,"
    "    host_peak_bytes, device_used_bytes, utilisation, power_watts)"
    "  SELECT run.id, 1, coalesce((SELECT max(number) FROM attempt WHERE run_id = run.id), 1),"
    "    coalesce((SELECT max(step) FROM step WHERE run_id = run.id), 0),"
    "    CAST(max(value) FILTER (WHERE name = 'peak_bytes') AS INTEGER),"
    "    CAST(max(value) FILTER (WHERE name = 'planned_bytes') AS INTEGER),"
    "    CAST(max(value) FILTER (WHERE name = 'host_peak_bytes') AS INTEGER),"
    "    CAST(max(value) FILTER (WHERE name = 'device_used_bytes') AS INTEGER),"
    "    max(value) FILTER (WHERE name = 'utilisation'),"
    "    max(value) FILTER (WHERE name = 'power_watts')"
    "  FROM run JOIN summary ON summary.run_id = run.id GROUP BY run.id"
    "  HAVING max(value) FILTER (WHERE name = 'peak_bytes') IS NOT NULL;"
    /* if the run folder still exists, its files contain more than was stored */
    "UPDATE run SET attempts_offset = 0, events_offset = 0;"

    "DROP VIEW v_cell_latest;"
    "CREATE VIEW v_cell_latest AS" /* among runs that are not archived: the newest finished one,
                                    * else the newest */
    "  SELECT experiment.name AS experiment, experiment_cell.position, experiment_cell.label,"
    "    experiment_cell.tuning, experiment_cell.axes, cell.id AS cell_id, cell.parent,"
    "    run.id AS run_id, coalesce(run.status, 'not run') AS status, run.kind, run.message,"
    "    run.started, run.ended, run.directory"
    "  FROM experiment_cell JOIN experiment ON experiment.id = experiment_cell.experiment_id"
    "  JOIN cell ON cell.id = experiment_cell.cell_id"
    "  LEFT JOIN run ON run.id = (SELECT id FROM run AS any_run WHERE any_run.cell_id = cell.id"
    "    AND NOT any_run.archived"
    "    ORDER BY status = 'finished' DESC, started DESC, directory DESC LIMIT 1);"

    "DROP VIEW v_cell_summary;"
    "CREATE VIEW v_cell_summary AS"
    "  SELECT latest.experiment, latest.position, latest.label, latest.axes, latest.status,"
    "    latest.run_id,"
    "    (SELECT value FROM summary WHERE run_id = latest.run_id"
    "     AND name = 'samples_per_second') AS samples_per_second,"
    "    (SELECT value FROM summary WHERE run_id = latest.run_id"
    "     AND name = 'steady_seconds') AS steady_seconds,"
    "    (SELECT value FROM summary WHERE run_id = latest.run_id"
    "     AND name = 'train_seconds') AS train_seconds,"
    "    (SELECT value FROM summary WHERE run_id = latest.run_id"
    "     AND name = 'disturbed') AS disturbed,"
    "    (SELECT value FROM summary WHERE run_id = latest.run_id"
    "     AND name = 'lost_share') AS lost_share,"
    "    (SELECT value FROM summary WHERE run_id = latest.run_id"
    "     AND name = 'peak_bytes') AS peak_bytes,"
    "    (SELECT value FROM summary WHERE run_id = latest.run_id"
    "     AND name = 'flops_per_sample_total') AS flops_per_sample,"
    "    (SELECT value FROM summary WHERE run_id = latest.run_id AND name = 'mfu') AS mfu,"
    "    (SELECT value FROM summary WHERE run_id = latest.run_id"
    "     AND name = 'data_wait_share') AS data_wait_share,"
    "    (SELECT value FROM summary WHERE run_id = latest.run_id"
    "     AND name = 'final_loss') AS final_loss,"
    "    (SELECT value FROM v_final_evaluation WHERE run_id = latest.run_id AND task = 'zeroshot'"
    "     AND metric = 'top1' ORDER BY ordinal LIMIT 1) AS zero_shot_top1,"
    "    (SELECT value FROM v_final_evaluation WHERE run_id = latest.run_id AND task = 'zeroshot'"
    "     AND metric = 'mean_per_class' ORDER BY ordinal LIMIT 1) AS zero_shot_mean_per_class,"
    "    (SELECT value FROM v_final_evaluation WHERE run_id = latest.run_id AND task = 'retrieval'"
    "     AND metric = 'image_to_text_r1' ORDER BY ordinal LIMIT 1) AS retrieval_i2t_r1"
    "  FROM v_cell_latest AS latest;"

    SAMPLES_VERSION_3;

/* The run used for a cell, defined only here: among runs that are not archived the newest finished
 * one, else the newest. */
static const char version_4[] =
    "CREATE VIEW v_run_place AS" /* a cell's runs by priority as its result */
    "  SELECT id AS run_id, cell_id, row_number() OVER of_cell AS place,"
    "    NOT archived AND row_number() OVER of_cell = 1 AS is_result"
    "  FROM run WINDOW of_cell AS (PARTITION BY cell_id"
    "    ORDER BY archived, status = 'finished' DESC, started DESC, directory DESC);"

    "DROP VIEW v_cell_latest;"
    "CREATE VIEW v_cell_latest AS"
    "  SELECT experiment.name AS experiment, experiment_cell.position, experiment_cell.label,"
    "    experiment_cell.tuning, experiment_cell.axes, cell.id AS cell_id, cell.parent,"
    "    run.id AS run_id, coalesce(run.status, 'not run') AS status, run.kind, run.message,"
    "    run.started, run.ended, run.directory"
    "  FROM experiment_cell JOIN experiment ON experiment.id = experiment_cell.experiment_id"
    "  JOIN cell ON cell.id = experiment_cell.cell_id"
    "  LEFT JOIN v_run_place AS result ON result.cell_id = cell.id AND is_result"
    "  LEFT JOIN run ON run.id = result.run_id;"

    "DROP VIEW v_cell_summary;"
    "CREATE VIEW v_cell_summary AS"
    "  SELECT latest.experiment, latest.position, latest.label, latest.axes, latest.cell_id,"
    "    latest.status, latest.message, latest.ended, latest.run_id,"
    "    (SELECT value FROM summary WHERE run_id = latest.run_id"
    "     AND name = 'samples_per_second') AS samples_per_second,"
    "    (SELECT value FROM summary WHERE run_id = latest.run_id"
    "     AND name = 'steady_seconds') AS steady_seconds,"
    "    (SELECT value FROM summary WHERE run_id = latest.run_id"
    "     AND name = 'train_seconds') AS train_seconds,"
    "    (SELECT value FROM summary WHERE run_id = latest.run_id"
    "     AND name = 'disturbed') AS disturbed,"
    "    (SELECT value FROM summary WHERE run_id = latest.run_id"
    "     AND name = 'lost_share') AS lost_share,"
    "    (SELECT value FROM summary WHERE run_id = latest.run_id"
    "     AND name = 'peak_bytes') AS peak_bytes,"
    "    (SELECT value FROM summary WHERE run_id = latest.run_id"
    "     AND name = 'flops_per_sample_total') AS flops_per_sample,"
    "    (SELECT value FROM summary WHERE run_id = latest.run_id AND name = 'mfu') AS mfu,"
    "    (SELECT value FROM summary WHERE run_id = latest.run_id"
    "     AND name = 'data_wait_share') AS data_wait_share,"
    "    (SELECT value FROM summary WHERE run_id = latest.run_id"
    "     AND name = 'final_loss') AS final_loss,"
    "    (SELECT value FROM v_final_evaluation WHERE run_id = latest.run_id AND task = 'zeroshot'"
    "     AND metric = 'top1' ORDER BY ordinal LIMIT 1) AS zero_shot_top1,"
    "    (SELECT value FROM v_final_evaluation WHERE run_id = latest.run_id AND task = 'zeroshot'"
    "     AND metric = 'mean_per_class' ORDER BY ordinal LIMIT 1) AS zero_shot_mean_per_class,"
    "    (SELECT value FROM v_final_evaluation WHERE run_id = latest.run_id AND task = 'retrieval'"
    "     AND metric = 'image_to_text_r1' ORDER BY ordinal LIMIT 1) AS retrieval_i2t_r1"
    "  FROM v_cell_latest AS latest;";

/* The loss on dropped patches' pixels, for runs with reconstruction. */
static const char version_5[] = "ALTER TABLE step ADD COLUMN reconstruction_loss REAL;";

/* Ranks: what each attempt had and each rank took, what communication cost, and the number that a
 * cell is called by. */
static const char version_6[] =
    "ALTER TABLE cell ADD COLUMN ranks INTEGER;" /* NULL: no part of its identity */
    "ALTER TABLE cell ADD COLUMN nodes INTEGER;"
    "ALTER TABLE attempt ADD COLUMN ranks INTEGER;" /* that it was started with; NULL: one */
    "ALTER TABLE attempt ADD COLUMN nodes INTEGER;"
    "ALTER TABLE attempt ADD COLUMN cpu_seconds REAL;" /* of all ranks; NULL: not of all known */
    "ALTER TABLE attempt ADD COLUMN rank_records TEXT NOT NULL DEFAULT '[]';" /* JSON */
    "ALTER TABLE process ADD COLUMN ranks INTEGER;" /* that trained together, as it reported */
    "ALTER TABLE step ADD COLUMN comm_seconds REAL;"
    "ALTER TABLE step ADD COLUMN comm_bytes REAL;"
    "ALTER TABLE step ADD COLUMN rank_spread REAL;"
    "ALTER TABLE step ADD COLUMN slowest_rank INTEGER;"

    "DROP VIEW v_provenance;"
    "CREATE VIEW v_provenance AS"
    "  SELECT latest.experiment, latest.label, latest.cell_id, latest.run_id, latest.directory,"
    "    latest.status, latest.started, latest.ended, environment.commit_id, environment.dirty,"
    "    environment.compiler, environment.flags, environment.host, environment.cpu,"
    "    environment.device_name, environment.driver, environment.precision, environment.threads,"
    "    environment.libraries, run.data_fingerprint,"
    "    (SELECT max(ranks) FROM process WHERE process.run_id = run.id) AS ranks,"
    "    (SELECT group_concat(DISTINCT json_extract(value, '$.host')) FROM attempt,"
    "      json_each(rank_records) WHERE attempt.run_id = run.id) AS hosts" /* of several ranks */
    "  FROM v_cell_latest AS latest JOIN run ON run.id = latest.run_id"
    "  LEFT JOIN environment ON environment.id = run.environment_id;";

/* Metrics that are not means over items, on resampled items; labels by task, since a linear probe
 * is measured on the images whose class it has learnt. */
static const char version_7[] =
    "CREATE TABLE resampled ("
    "  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,"
    "  set_name TEXT NOT NULL,"
    "  task TEXT NOT NULL,"
    "  metric TEXT NOT NULL,"
    "  step INTEGER NOT NULL,"
    "  items INTEGER NOT NULL,"  /* that were resampled */
    "  resamples BLOB NOT NULL," /* the metric on each: little-endian fp32 */
    "  PRIMARY KEY (run_id, set_name, task, metric, step)"
    ") STRICT, WITHOUT ROWID;"

    "ALTER TABLE outcome_labels RENAME TO old_labels;"
    "CREATE TABLE outcome_labels (" /* the class of each item */
    "  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,"
    "  set_name TEXT NOT NULL,"
    "  task TEXT NOT NULL,"
    "  labels BLOB NOT NULL," /* little-endian, two bytes per item */
    "  PRIMARY KEY (run_id, set_name, task)"
    ") STRICT, WITHOUT ROWID;"
    "INSERT INTO outcome_labels (run_id, set_name, task, labels)" /* a run has one of the tasks */
    "  SELECT run_id, set_name, CASE WHEN EXISTS (SELECT 1 FROM outcome"
    "    WHERE outcome.run_id = old_labels.run_id AND outcome.set_name = old_labels.set_name"
    "    AND task = 'classification') THEN 'classification' ELSE 'zeroshot' END, labels"
    "  FROM old_labels;"
    "DROP TABLE old_labels;";

/* Of 8-bit formats with delayed scaling; NULL: not counted. */
static const char version_8[] = "ALTER TABLE step ADD COLUMN values_saturated REAL;";

/* As a run had them: another experiment, or its file later, may ask for the same cell with other
 * values of those that are no part of its identity. '': not read again since. */
static const char version_9[] = "ALTER TABLE run ADD COLUMN own_settings TEXT NOT NULL DEFAULT '';";

/* When it was archived, as recorded in its folder: a tuning that began later did not start from it.
 * '': not archived, or not read again since. */
static const char version_10[] = "ALTER TABLE run ADD COLUMN archived_at TEXT NOT NULL DEFAULT '';";

/* Of a database outside its results folder, which would take any other for its own: at most one
 * row. */
static const char version_11[] = "CREATE TABLE results_folder ("
                                 "  id TEXT NOT NULL,"  /* as in the folder's id file */
                                 "  path TEXT NOT NULL" /* where it was last seen */
                                 ") STRICT;";

/* The step of the checkpoint that was being written when its events were last read: its row ends
 * there. 0: none. */
static const char version_12[] =
    "ALTER TABLE run ADD COLUMN saving_step INTEGER NOT NULL DEFAULT 0;";

/* Bytes that events.jsonl had before the process; NULL: not recorded. */
static const char version_13[] = "ALTER TABLE attempt ADD COLUMN events_start INTEGER;";

/* Which evaluation set a report's accuracies are of, so that the summary's are of the same. */
static const char version_14[] =
    "ALTER TABLE experiment ADD COLUMN main_set TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE experiment ADD COLUMN shifted_set TEXT NOT NULL DEFAULT '';"
    "DROP VIEW v_cell_summary;" SUMMARY_VIEW;

/* Of rows that several were merged into: one of them, drawn at random (NULL: none was merged), and
 * the sums of the losses of all. */
static const char version_15[] = "ALTER TABLE step ADD COLUMN drawn_steps INTEGER;"
                                 "ALTER TABLE step ADD COLUMN drawn_seconds REAL;"
                                 "ALTER TABLE step ADD COLUMN drawn_cpu_seconds REAL;"
                                 "ALTER TABLE step ADD COLUMN drawn_delay_seconds REAL;"
                                 "ALTER TABLE step ADD COLUMN drawn_stolen_seconds REAL;"
                                 "ALTER TABLE step ADD COLUMN drawn_other_cpu_seconds REAL;"
                                 "ALTER TABLE step ADD COLUMN merged INTEGER;" /* rows */
                                 "ALTER TABLE step ADD COLUMN loss_sum REAL;"
                                 "ALTER TABLE step ADD COLUMN reconstruction_loss_sum REAL;";

/* migrations[v] brings version v to v + 1 */
static const char *const migrations[] = {
    version_1, version_2,  version_3,  version_4,  version_5,  version_6,  version_7, version_8,
    version_9, version_10, version_11, version_12, version_13, version_14, version_15};
_Static_assert(sizeof migrations / sizeof *migrations == STORE_VERSION,
               "one step for each version");

/* Which rules the derived numbers follow is kept in the database's application id. */
static err note_rules(store *s, int rules) {
  char script[64];
  snprintf(script, sizeof script, "PRAGMA application_id = %d", rules);
  return sql_script(s, script);
}

err schema_note_folders_read(store *s) {
  return note_rules(s, NUMBERS_RULES);
}

/* Makes numbers again that an earlier version derived from the same record by other rules.
 * is_unread: the migration does not record that the run folders were read, which its process does
 * afterwards, and may be killed before. */
static err make_numbers(store *s, bool is_unread) {
  int64_t rules;
  err error = sql_integer(s, 0, &rules, "PRAGMA application_id", "");
  if (!error && (is_unread || rules != NUMBERS_RULES)) error = numbers_make_all(s);
  return error ? error : note_rules(s, is_unread ? FOLDERS_UNREAD : NUMBERS_RULES);
}

/* A database that cannot be written keeps its numbers. */
static err follow_rules(store *s, bool *is_behind) {
  int64_t rules;
  err error = sql_integer(s, 0, &rules, "PRAGMA application_id", "");
  if (error || rules == NUMBERS_RULES || store_is_readonly(s)) return error;
  error = sql_begin(s); /* another process may have done it: check again under the lock */
  if (error) return error;
  error = sql_integer(s, 0, &rules, "PRAGMA application_id", "");
  *is_behind = !error && rules == FOLDERS_UNREAD;
  if (!error) error = make_numbers(s, *is_behind);
  return sql_end(s, error);
}

err schema_upgrade(store *s, bool *is_behind) {
  int64_t version;
  *is_behind = false;
  err error = sql_integer(s, 0, &version, "PRAGMA user_version", "");
  if (error) return error;
  if (version > STORE_VERSION)
    return err_new(
        ERR_INPUT,
        "%s: was written by a newer flipbench (schema %d; this version supports %d); update "
        "flipbench, or choose another database with --db",
        store_path(s), (int)version, STORE_VERSION);
  if (version == STORE_VERSION) return follow_rules(s, is_behind);
  error = sql_begin(s); /* another process may have migrated it: check again under the lock */
  if (error) return error;
  error = sql_integer(s, 0, &version, "PRAGMA user_version", "");
  *is_behind = version > 0 && version < NUMBERS_VERSION;
  for (; !error && version < STORE_VERSION; version++) {
    strbuf bump = {0};
    error = sql_script(s, migrations[version]);
    strbuf_format(&bump, "PRAGMA user_version = %d", (int)version + 1);
    if (!error) error = sql_script(s, strbuf_string(&bump));
    strbuf_free(&bump);
  }
  if (!error) error = make_numbers(s, *is_behind);
  return sql_end(s, error);
}
