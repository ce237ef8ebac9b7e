. "$SOURCE/tests/support/training.sh"
make_data
cat >> run.yaml <<'Y'
samples: 3200
checkpoint.every_samples: 320
Y
sed -i '0,/^samples: 640$/{/^samples: 640$/d}' run.yaml
train --out whole

# Killed outright, twice, then resumed: the same bits as never stopped.
for wanted in 20 55; do
  cut_after $wanted KILL killed "$FLIP" train --config run.yaml --no-progress --out killed --resume
done
train --out killed --resume
cmp "$(newest whole)" "$(newest killed)" || fail "resuming after SIGKILL changed the bits"

# Asked to stop: finishes the step, writes a checkpoint, exits 130; resuming gives the same bits.
train_behind --out asked
for _ in $(seq 600); do
  [ -f asked/events.jsonl ] && [ "$(field step step asked/events.jsonl | tail -1)" -ge 13 ] 2>/dev/null && break
  sleep 0.05
done
kill -TERM $pid
code=0; wait $pid || code=$?
[ $code = 130 ] || fail "SIGTERM ended with $code, not 130"
expect_line asked/events.jsonl '"event":"end".*"status":"interrupted"'
last=$(field step step asked/events.jsonl | tail -1)
[ "$(newest asked)" = "asked/checkpoints/step-$(printf %09d "$last").safetensors" ] || fail "no checkpoint of step $last"
cp -r asked damaged
# Times beside a checkpoint that nobody has written are not taken over.
cp -r asked timeless
state=$(ls timeless/checkpoints/*.state.json | tail -1)
for other in -1 1e999 '"x"'; do
  sed -E "s/\"train_seconds\":[^,}]*/\"train_seconds\":$other/" "$state" > changed.json && cp changed.json "$state"
  expect_status 2 "$FLIP" train --config run.yaml --out timeless --resume
  expect_line err.txt "$state.*is damaged"
done
train --out asked --resume
cmp "$(newest whole)" "$(newest asked)" || fail "resuming after SIGTERM changed the bits"

# A finished run resumes to nothing; another configuration is refused with the difference.
train --out asked --resume
expect_status 2 "$FLIP" train --config run.yaml --out asked --resume --set mask_ratio=0.75
expect_line err.txt 'mask_ratio: 0.5, this run has 0.75'

# A checkpoint with a changed bit is not continued from.
damage=$(newest damaged)
at=$(($(stat -c %s "$damage") - 100))
byte=$(($(od -An -tu1 -j $at -N 1 "$damage") ^ 1))
printf "\\x$(printf %02x $byte)" | dd of="$damage" bs=1 seek=$at conv=notrunc status=none
expect_status 2 "$FLIP" train --config run.yaml --out damaged --resume
expect_line err.txt "$damage: tensor 'adamw.v/.*' differs from its checksum"

# Starting from weights alone.
train --out tuned --set init_from=whole/checkpoints --set mask_ratio=0 --set samples=64
first=$(field step loss tuned/events.jsonl | sed -n 1p)
awk -v a="$first" -v b="$(field step loss whole/events.jsonl | sed -n 1p)" 'BEGIN { exit !(a < b) }' ||
  fail "init_from did not start from trained weights"
