/* The schema's first version, from which store/schema.c continues. */
#ifndef FLIPBENCH_STORE_FIRST_SCHEMA_H
#define FLIPBENCH_STORE_FIRST_SCHEMA_H

static const char version_1[] =
    "CREATE TABLE experiment ("
    "  id INTEGER PRIMARY KEY,"
    "  name TEXT NOT NULL UNIQUE,"
    "  title TEXT NOT NULL,"
    "  source TEXT NOT NULL,"
    "  path TEXT NOT NULL," /* of the experiment file */
    "  profile TEXT NOT NULL,"
    "  digest TEXT NOT NULL," /* of the JSON that this was stored from */
    "  text TEXT NOT NULL"    /* the experiment file as it was */
    ") STRICT;"

    "CREATE TABLE cell ("
    "  id TEXT PRIMARY KEY,"             /* fingerprint of the identity settings */
    "  parent TEXT REFERENCES cell(id)," /* the cell whose weights it starts from */
    "  settings TEXT NOT NULL"           /* JSON, every setting */
    ") STRICT;"

    "CREATE TABLE experiment_cell ("
    "  experiment_id INTEGER NOT NULL REFERENCES experiment(id) ON DELETE CASCADE,"
    "  cell_id TEXT NOT NULL REFERENCES cell(id),"
    "  position INTEGER NOT NULL,"
    "  label TEXT NOT NULL,"
    "  tuning TEXT,"        /* name of the tuning; NULL: of the matrix */
    "  axes TEXT NOT NULL," /* JSON, axis to value */
    "  PRIMARY KEY (experiment_id, cell_id)"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE reference_value ("
    "  experiment_id INTEGER NOT NULL REFERENCES experiment(id) ON DELETE CASCADE,"
    "  axes TEXT NOT NULL,"
    "  metric TEXT NOT NULL,"
    "  value REAL NOT NULL,"
    "  is_verified INTEGER NOT NULL,"
    "  source TEXT NOT NULL"
    ") STRICT;"

    "CREATE TABLE environment ("
    "  id INTEGER PRIMARY KEY,"
    "  digest TEXT NOT NULL UNIQUE," /* of all that follows */
    "  commit_id TEXT NOT NULL,"
    "  dirty TEXT NOT NULL," /* digest of the uncommitted diff; '' clean */
    "  compiler TEXT NOT NULL,"
    "  program_version TEXT NOT NULL,"
    "  host TEXT NOT NULL,"
    "  os TEXT NOT NULL,"
    "  cpu TEXT NOT NULL,"
    "  device TEXT NOT NULL,"
    "  device_name TEXT NOT NULL,"
    "  precision TEXT NOT NULL,"
    "  threads INTEGER NOT NULL,"
    "  libraries TEXT NOT NULL" /* JSON, name to version */
    ") STRICT;"

    "CREATE TABLE run (" /* one training of a cell, in its own directory */
    "  id INTEGER PRIMARY KEY,"
    "  cell_id TEXT NOT NULL REFERENCES cell(id),"
    "  directory TEXT NOT NULL UNIQUE,"
    "  status TEXT NOT NULL CHECK (status IN ('running','finished','interrupted','failed')),"
    "  kind TEXT NOT NULL DEFAULT ''," /* of a failure: nan, memory, io, input, crash… */
    "  message TEXT NOT NULL DEFAULT '',"
    "  started TEXT NOT NULL,"
    "  ended TEXT,"
    "  environment_id INTEGER REFERENCES environment(id),"
    "  settings_fingerprint TEXT NOT NULL DEFAULT '',"
    "  data_fingerprint TEXT NOT NULL DEFAULT '',"
    "  attempts_offset INTEGER NOT NULL DEFAULT 0," /* bytes already read of attempts.jsonl */
    "  events_offset INTEGER NOT NULL DEFAULT 0"    /* and of events.jsonl */
    ") STRICT;"
    "CREATE INDEX run_of_cell ON run(cell_id, id);"

    "CREATE TABLE attempt (" /* one process of a run */
    "  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,"
    "  number INTEGER NOT NULL,"
    "  pid INTEGER NOT NULL,"
    "  started TEXT NOT NULL,"
    "  ended TEXT,"
    "  status TEXT NOT NULL DEFAULT 'running',"
    "  exit_code INTEGER,"
    "  signal INTEGER,"
    "  kind TEXT NOT NULL DEFAULT '',"
    "  message TEXT NOT NULL DEFAULT '',"
    "  log_tail TEXT NOT NULL DEFAULT '',"
    "  command TEXT NOT NULL," /* JSON array */
    "  first_step INTEGER,"
    "  environment_id INTEGER REFERENCES environment(id),"
    "  PRIMARY KEY (run_id, number)"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE step ("
    "  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,"
    "  step INTEGER NOT NULL,"
    "  samples INTEGER NOT NULL,"
    "  loss REAL,"
    "  learning_rate REAL,"
    "  logit_scale REAL,"
    "  grad_norm REAL,"
    "  seconds REAL,"
    "  data_wait_seconds REAL,"
    "  train_seconds REAL,"
    "  PRIMARY KEY (run_id, step)"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE evaluation ("
    "  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,"
    "  step INTEGER NOT NULL,"
    "  ordinal INTEGER NOT NULL," /* the set's place among those of this run */
    "  set_name TEXT NOT NULL,"
    "  task TEXT NOT NULL,"
    "  metric TEXT NOT NULL,"
    "  value REAL,"
    "  samples INTEGER NOT NULL,"
    "  train_seconds REAL NOT NULL,"
    "  seconds REAL,"
    "  PRIMARY KEY (run_id, task, set_name, metric, step)"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE summary ("
    "  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,"
    "  name TEXT NOT NULL,"
    "  value REAL NOT NULL,"
    "  PRIMARY KEY (run_id, name)"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE artifact ("
    "  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,"
    "  path TEXT NOT NULL,"
    "  kind TEXT NOT NULL,"
    "  step INTEGER NOT NULL,"
    "  samples INTEGER NOT NULL,"
    "  bytes INTEGER NOT NULL,"
    "  seconds REAL,"
    "  PRIMARY KEY (run_id, path)"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE warning ("
    "  run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,"
    "  kind TEXT NOT NULL,"
    "  message TEXT NOT NULL,"
    "  first TEXT NOT NULL,"
    "  PRIMARY KEY (run_id, kind, message)"
    ") STRICT, WITHOUT ROWID;"

    "CREATE VIEW v_cell_latest AS"
    "  SELECT experiment.name AS experiment, experiment_cell.position, experiment_cell.label,"
    "    experiment_cell.tuning, experiment_cell.axes, cell.id AS cell_id, cell.parent,"
    "    run.id AS run_id, coalesce(run.status, 'not run') AS status, run.kind, run.message,"
    "    run.started, run.ended, run.directory"
    "  FROM experiment_cell JOIN experiment ON experiment.id = experiment_cell.experiment_id"
    "  JOIN cell ON cell.id = experiment_cell.cell_id"
    "  LEFT JOIN run ON run.id = (SELECT max(id) FROM run WHERE run.cell_id = cell.id);"

    "CREATE VIEW v_final_evaluation AS" /* the last value of each metric of each run */
    "  SELECT run_id, ordinal, set_name, task, metric, value, step, samples, train_seconds"
    "  FROM evaluation WHERE step ="
    "    (SELECT max(step) FROM evaluation AS later WHERE later.run_id = evaluation.run_id"
    "     AND later.task = evaluation.task AND later.set_name = evaluation.set_name"
    "     AND later.metric = evaluation.metric);"

    "CREATE VIEW v_cell_summary AS"
    "  SELECT latest.experiment, latest.position, latest.label, latest.axes, latest.status,"
    "    latest.run_id,"
    "    (SELECT value FROM summary WHERE run_id = latest.run_id"
    "     AND name = 'samples_per_second_median') AS samples_per_second,"
    "    (SELECT value FROM summary WHERE run_id = latest.run_id"
    "     AND name = 'train_seconds') AS train_seconds,"
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

    "CREATE VIEW v_curve AS"
    "  SELECT latest.experiment, latest.label, latest.cell_id, latest.tuning, latest.parent,"
    "    evaluation.run_id, ordinal, set_name, task, metric, step, samples,"
    "    evaluation.train_seconds, value"
    "  FROM v_cell_latest AS latest JOIN evaluation ON evaluation.run_id = latest.run_id;"

    "CREATE VIEW v_provenance AS"
    "  SELECT latest.experiment, latest.label, latest.cell_id, latest.run_id, latest.directory,"
    "    latest.status, latest.started, latest.ended, environment.commit_id, environment.dirty,"
    "    environment.compiler, environment.host, environment.cpu, environment.device_name,"
    "    environment.precision, environment.threads, environment.libraries"
    "  FROM v_cell_latest AS latest JOIN run ON run.id = latest.run_id"
    "  LEFT JOIN environment ON environment.id = run.environment_id;";

#endif
