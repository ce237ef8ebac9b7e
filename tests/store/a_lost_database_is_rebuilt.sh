. "$SOURCE/tests/support/sweep.sh"
expect_status 0 bench run experiments/small.yaml
bench report small --format json > before.json
dump() { ask "SELECT cell_id, status FROM run ORDER BY cell_id; SELECT cell_id, step, loss, train_seconds FROM step JOIN run ON run.id = run_id ORDER BY 1, 2; SELECT cell_id, set_name, task, metric, step, value FROM evaluation JOIN run ON run.id = run_id ORDER BY 1, 2, 3, 4, 5; SELECT cell_id, name, value FROM summary JOIN run ON run.id = run_id ORDER BY 1, 2"; }
dump > before.txt
[ "$(wc -l < before.txt)" -gt 500 ] || fail "the comparison is empty"

# Garbage in the file: said in one sentence, and rebuild restores every number.
printf 'not a database' > results/flipbench.db
rm -f results/flipbench.db-wal results/flipbench.db-shm
expect_status 1 bench report small
expect_line err.txt 'flipbench db rebuild'
expect_status 0 bench db rebuild
dump > after.txt
cmp before.txt after.txt || fail "the rebuilt database differs"
bench report small --format json > after.json
cmp before.json after.json || fail "the rebuilt table differs"

# After a kill the last changes are only in the database's log, which the old one keeps.
sqlite3 results/flipbench.db "UPDATE run SET note = 'only in the log' WHERE id = 1" '.system kill -KILL $PPID' > killed.txt 2>&1 && fail "sqlite3 was not killed"
[ -s results/flipbench.db-wal ] || fail "there is no log"
expect_status 0 bench db rebuild
[ "$(sqlite3 results/flipbench.db.old 'SELECT note FROM run WHERE id = 1')" = 'only in the log' ] || fail "the old database lost its last change"
[ ! -s results/flipbench.db-wal ] || fail "the new database has the old one's log"

# Gone altogether: a run finds its cells finished all the same.
rm results/flipbench.db*
expect_status 0 bench db rebuild
before=$(sha256sum results/small/*/attempts.jsonl)
expect_status 0 bench run experiments/small.yaml
[ "$before" = "$(sha256sum results/small/*/attempts.jsonl)" ] || fail "a finished cell ran again"

# A database of a later flipbench is not touched.
sqlite3 results/flipbench.db 'PRAGMA user_version = 99'
expect_status 2 bench status
expect_line err.txt 'newer flipbench \(schema 99'
