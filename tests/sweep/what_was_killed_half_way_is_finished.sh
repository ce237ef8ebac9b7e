# 'runs archive', 'restore' and 'remove' write to a run's folder and to the database, and may be killed in
# between; the database may be lost altogether, or there may be two of one folder. The states that this leaves
# are made by hand: the next 'flipbench run' trains what has no result, and nothing else.
. "$SOURCE/tests/support/sweep.sh"
expect_status 0 bench run experiments/small.yaml
cp -r results whole
again() { rm -rf results; cp -r whole results; }
mark() { printf '{"event":"%s","time":"%s"}\n' "$1" "$(date -u +%Y-%m-%dT%H:%M:%S.999Z)"; }
zero=$(basename results/small/mask_ratio=0-*)
finished() { ask "SELECT count(*) FROM v_cell_latest WHERE status = 'finished'"; }

# archived in the folder, not yet in the database
mark archive >> "results/small/$zero/attempts.jsonl"
expect_status 0 bench run experiments/small.yaml
[ -d "results/small/$zero.archived-1" ] && [ -d "results/small/$zero" ] || fail "the cell was not trained again"
expect_answer "SELECT count(*), sum(archived) FROM run" '6|1'

# and restored likewise: not trained a second time
again
expect_status 0 bench runs archive "$(ask "SELECT id FROM run WHERE directory = 'small/$zero'")"
mark restore >> "results/small/$zero.archived-1/attempts.jsonl"
expect_status 0 bench run experiments/small.yaml
expect_answer "SELECT count(*), sum(archived) FROM run" '5|0'

# removed: a folder that is half gone is no run, here or after a rebuild or a merge
again
mv "results/small/$zero" "results/small/.removing-$zero"
cp -r results half
expect_status 0 bench run experiments/small.yaml
[ ! -e "results/small/.removing-$zero" ] || fail "what was being removed is still there"
[ -s "results/small/$zero/attempts.jsonl" ] || fail "the cell was not trained again"
[ "$(finished)" = 5 ] || fail "not all cells are finished"
expect_status 0 bench db rebuild --results half
[ "$(sqlite3 half/flipbench.db 'SELECT count(*) FROM run')" = 4 ] || fail "a rebuild reads what was being removed"
mkdir merged && expect_status 0 bench db merge half --results merged
expect_line out.txt '4 runs merged'
expect_status 0 bench runs remove "$(ask "SELECT id FROM run WHERE directory = 'small/$zero'")" --yes
[ -z "$(ls -A results/small | grep "$zero")" ] || fail "the folder is not removed"

# a database that was deleted, or is empty after the machine's power failed, while other experiments have runs
again
sed 's/^name: small/name: other/' experiments/small.yaml > experiments/other.yaml
for lost in deleted empty; do
  rm results/flipbench.db*
  [ $lost = deleted ] || : > results/flipbench.db
  expect_status 0 bench run experiments/other.yaml
  expect_line err.txt 'results/flipbench.db was missing: it is made again from the folders of 5 runs in results'
  [ ! -e results/other/"$zero" ] || fail "cells that another experiment had finished were trained again"
  expect_answer "SELECT count(*) FROM run WHERE status = 'finished'" 5
done

# archived by way of another database of the folder
again
run=$(ask "SELECT id FROM run WHERE directory = 'small/$zero'")
expect_status 0 bench db rebuild --db "$PWD/second.db"
expect_status 0 bench runs archive "$run"
expect_status 0 bench run experiments/small.yaml --db "$PWD/second.db"
DB=second.db
expect_answer "SELECT count(*), sum(archived) FROM run" '6|1'
expect_answer "SELECT count(*) FROM v_cell_latest WHERE status = 'finished'" 5
