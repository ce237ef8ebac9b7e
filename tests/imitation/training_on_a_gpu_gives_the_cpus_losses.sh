# The whole program with device: cuda, on the imitation.
. "$SOURCE/tests/support/training.sh"
. "$SOURCE/tests/support/imitation.sh"
make_data
tiny=(--set batch_size=8 --set samples=64 --set eval.points=1)

# apart A B: the largest difference between two runs' losses
apart() {
  paste <(field step loss "$1/events.jsonl") <(field step loss "$2/events.jsonl") |
    awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > most) most = d; n++ } END { if (n != 8) most = 99; print most }'
}
# at_most A B BOUND
at_most() { awk -v d="$(apart "$1" "$2")" -v b="$3" 'BEGIN { exit !(d < b) }' || fail "$1 and $2: losses $(apart "$1" "$2") apart"; }

gpu fp32 "${tiny[@]}" --set precision=fp32
train --out cpu "${tiny[@]}" --set device=cpu --set precision=fp32
at_most cpu fp32 1e-3 # rounding of fp32, and what eight steps of Adam make of it
gpu bf16 "${tiny[@]}" --set precision=bf16
at_most cpu bf16 0.1 # bf16 carries 8 bits
gpu fp8 "${tiny[@]}" --set precision=fp8
train --out cpu8 "${tiny[@]}" --set device=cpu --set precision=fp8
at_most cpu8 fp8 0.2 # 8-bit operands have 3 or 2 bits, and differ by one where bf16 rounds otherwise

# Delayed scaling, whose factors are kept on the device: resumed with the same bits.
delayed=(--set precision=fp8 --set fp8_scaling=delayed --set checkpoint.every_samples=32 --set checkpoint.keep=2)
gpu delayed "${tiny[@]}" "${delayed[@]}"
train --out delayed-cpu "${tiny[@]}" "${delayed[@]}" --set device=cpu
at_most delayed-cpu delayed 0.2
cp -r delayed resumed
rm "$(newest resumed)"
gpu resumed "${tiny[@]}" "${delayed[@]}" --resume
cmp "$(newest delayed)" "$(newest resumed)" || fail "resuming with delayed scaling changed the bits"

# Both towers in 8 bits (16 times their tokens), their norms writing 8 bits: recomputed too.
for level in 0 norms blocks; do
  gpu "again-$level" "${tiny[@]}" "${delayed[@]}" --set batch_size=16 --set samples=128 --set image.recompute=$level
  at_most again-0 "again-$level" 0.01
done
! grep '"kind":"precision"' again-0/events.jsonl || fail "a tower is not in 8 bits"

# Eager and deferred queues give the same results.
FLIP_IMITATION_ORDER=eager gpu eager "${tiny[@]}" --set precision=bf16
cmp "$(newest bf16)" "$(newest eager)" || fail "the weights depend on the order in which streams run"

# Micro-batches: from the third step on the towers run concurrently, with the same bits in any order of the streams.
micro=("${tiny[@]}" --set precision=bf16 --set micro_batch_size=4)
FLIP_IMITATION_TRACE=$PWD/trace gpu parts "${micro[@]}"
at_most cpu parts 0.1
waits=$(grep -c '^cudaStreamWaitEvent$' trace) # of the copies 4 a step; of two branches 2 for each of 6 passes
[ "$waits" -ge 90 ] || fail "the towers of micro-batches took turns: $waits waits"
for order in eager turns; do
  FLIP_IMITATION_ORDER=$order gpu "parts-$order" "${micro[@]}"
  cmp "$(newest parts)" "$(newest "parts-$order")" || fail "weights from micro-batches depend on the order in which streams run ($order)"
done

# The same bits in a second run, whether choices are kept or cannot be; and resumed.
export FLIP_IMITATION_BLAS=noisy
for cache in "$PWD/noisy" /proc/nothing; do
  for out in first second; do
    XDG_CACHE_HOME=$cache gpu $out --set batch_size=8 --set samples=32 --set eval.sets= --set precision=bf16
    sleep 0.1 # the imitation's noise depends on the process's number
  done
  cmp "$(newest first)" "$(newest second)" || fail "two runs differ with choices in $cache"
  rm -r first second
done
unset FLIP_IMITATION_BLAS
gpu whole "${tiny[@]}" --set precision=bf16 --set checkpoint.every_samples=32
cp -r whole part
rm part/checkpoints/step-000000008.safetensors
gpu part "${tiny[@]}" --set precision=bf16 --set checkpoint.every_samples=32 --resume
cmp "$(newest whole)" "$(newest part)" || fail "resuming changed the bits"

# A classifier, of which nothing is read from the device between a row's steps.
printf 'name: train\nimages: [data/train-*.tar]\ntasks: [zeroshot]\nlabel: color\ntemplates: ["a {}"]\n' > train.yaml
tuned() { # FOLDER option…
  "$FLIP" finetune -m cpu --train train.yaml --no-progress -s batch_size=32 -s epochs=2 -s warmup_epochs=1 -s learning_rate=2e-2 \
    -s eval.points=0 -s precision=fp32 -s classification.mix_batch=8 --out "$@" 2> gpu.err || { cat gpu.err >&2; fail "finetune $*"; }
  no_misuse gpu.err
}
tuned tuned-cpu -s device=cpu
tuned tuned-each -s device=cuda
tuned tuned-rows -s device=cuda -s log_every=5
FLIP_IMITATION_ORDER=eager tuned tuned-eager -s device=cuda -s log_every=5
for other in rows eager; do
  cmp <(tensors "$(newest tuned-each)") <(tensors "$(newest tuned-$other)") || fail "a classifier's weights depend on log_every, or on the streams' order ($other)"
done
paste <(field step loss tuned-cpu/events.jsonl) <(field step loss tuned-each/events.jsonl) |
  awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > 1e-3) bad = 1 } END { exit bad || NR < 8 }' || fail "a classifier's losses differ between devices"

# The meters were read.
expect_line bf16/events.jsonl '"event":"memory".*"device_used_bytes":7.34.*"utilisation":0.75,"power_watts":100'
expect_line bf16/events.jsonl '"event":"step".*"energy_joules":[0-9.]*[1-9][0-9.e-]*,"device_mhz":1755,"device_other_processes":0'

expect_status 0 "$FLIP" bench step --config run.yaml -n 2 -s device=cuda -s batch_size=8 -s mask_ratio=0.5
expect_line out.txt '^ +0.50 +8 '
no_misuse err.txt
