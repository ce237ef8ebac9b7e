# With standard output or error closed, the first files that a program opens would have their numbers,
# and messages would be written into them.
. "$SOURCE/tests/support/training.sh"
make_data
"$FLIP" train --config run.yaml --out run --set eval.points=1 >&- 2>&- || fail "training without standard files fails"
grep -vn '^{.*}$' run/events.jsonl && fail "a message is among the events"
"$FLIP" train --config run.yaml --out other --set eval.points=1 0<&- 2>&- || fail "training without standard input fails"
grep -vn '^{.*}$' other/events.jsonl && fail "a message is among the events"
"$FLIP" data filter -o kept --no-progress 'data/train-*.tar' 2>&- >/dev/null || fail "a selection without standard error fails"
expect_status 0 "$FLIP" data verify 'kept/*.tar'
status=0; "$FLIP" data stats 'kept/*.tar' >&- 2> err.txt || status=$?
[ $status = 1 ] || fail "output that cannot be written is no error: $status"
expect_line err.txt 'standard output: cannot write'

# flipbench: its database and its runs' records.
mkdir -p experiments
printf 'name: e\nbase: ../run.yaml\nsettings: {samples: 64, eval.points: 0, "data.train": ["data/train-*.tar"]}\nmatrix: {seed: [0]}\nreport: {rows: seed, columns: [final_loss]}\n' > experiments/e.yaml
FLIP=$FLIP "$BINARY/bin/flipbench" run experiments/e.yaml --no-progress >&- 2>&- || true # the table has nowhere to go
grep -vn '^{.*}$' results/e/*/events.jsonl results/e/*/attempts.jsonl && fail "a message is in a record"
expect_status 0 "$BINARY/bin/flipbench" db check
