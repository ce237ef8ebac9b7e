# Under ThreadSanitizer: a thread writes checkpoints while the others train, evaluate and load, and while the
# run is asked to stop. It fails if no step happened while a checkpoint was being written.
. "$SOURCE/tests/support/training.sh"
make_data
sed -i 's/^samples: .*/samples: 960/' run.yaml
# an embedding of many rows: writing it takes longer than a step
printf 'text.vocabulary_rows: 60000\nlog_every: 1\ncheckpoint.every_samples: 64\ncheckpoint.keep: 2\ndata.workers: 2\n' >> run.yaml
train --out whole
# saving … step … checkpoint: a step that ended before the thread had
awk '/"event":"saving"/ { is_saving = 1 } /"event":"checkpoint"/ { is_saving = 0 }
     /"event":"step"/ && is_saving { found = 1 } END { exit !found }' whole/events.jsonl ||
  fail "no step while a checkpoint was written"
[ "$(ls whole/checkpoints/*.safetensors | wc -l)" = 2 ] || fail "older checkpoints are still there"

train_behind --out stopped
for _ in $(seq 600); do
  [ "$(field step step stopped/events.jsonl 2>/dev/null | tail -1)" -ge 7 ] 2>/dev/null && break
  sleep 0.05
done
kill -TERM $pid
got=0
wait $pid || got=$?
[ $got = 130 ] || fail "a stopped run ended with $got"
train --out stopped --resume
cmp "$(newest whole)" "$(newest stopped)" || fail "stopping and resuming changed the bits"
