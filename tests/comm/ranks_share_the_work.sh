# Dividing work among ranks changes no bit: gradients in buckets of any size, a sharded optimizer, an
# evaluation, a stream of samples; checkpoints work with any of these. Communication is recorded.
command -v mpirun >/dev/null || { echo "skipped: no mpirun (apt install openmpi-bin)"; exit 77; }
. "$SOURCE/tests/support/training.sh"
export FLIP_PLUGINS=$BINARY/lib OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_btl=self,vader OMPI_MCA_mpi_yield_when_idle=1
make_data
sed -i 's/^batch_size: 32/batch_size: 24/; s/^samples: 640/samples: 240/; s/^threads: 2/threads: 1/' run.yaml
echo 'eval.batch_size: 8' >>run.yaml
ranks() { local n=$1; shift; timeout 120 mpirun -np "$n" "$FLIP" "$@"; }
train_on() { local n=$1; shift; ranks "$n" train --config run.yaml --no-progress "$@"; }
rows() { for key in step loss grad_norm logit_scale; do field step $key "$1/events.jsonl"; done; }
same() {
  cmp <(rows "$1") <(rows "$2") || fail "$3: other rows"
  cmp <(tensors "$(newest "$1")") <(tensors "$(newest "$2")") || fail "$3: other bits in the checkpoint"
}

# buckets and shards
for n in 2 3; do
  train_on $n --out plain$n --set clip_norm=0.5 || fail "on $n ranks"
  train_on $n --out small$n --set clip_norm=0.5 --set comm.bucket_bytes=8192 || fail "small buckets on $n ranks"
  train_on $n --out shard$n --set clip_norm=0.5 --set optimizer.shard=true --set comm.bucket_bytes=20000 || fail "sharded on $n ranks"
  same plain$n small$n "buckets on $n ranks"
  same plain$n shard$n "shards on $n ranks"
done
planned() { field start planned_bytes "$1/events.jsonl"; }
[ "$(planned shard3)" -lt "$(planned plain3)" ] || fail "a sharded optimizer is not planned smaller"

# gradients sent in bf16 are another run, but not a worse one
train_on 2 --out narrow --set clip_norm=0.5 --set comm.reduce=bf16 || fail "in bf16"
cmp -s <(rows narrow) <(rows plain2) && fail "bf16 changed nothing"
paste <(field step loss narrow/events.jsonl) <(field step loss plain2/events.jsonl) |
  awk '{ if (($1 - $2)^2 > (0.02 * $2)^2) exit 1 }' || fail "losses in bf16 are not near"
[ "$(field start fingerprint narrow/events.jsonl)" != "$(field start fingerprint plain2/events.jsonl)" ] || fail "bf16 has fp32's identity"
[ "$(field start fingerprint shard2/events.jsonl)" = "$(field start fingerprint plain2/events.jsonl)" ] || fail "a shard changes the identity"

# the record: of each row and of the whole
for key in comm_seconds comm_bytes slowest_rank rank_spread; do
  [ "$(field step $key plain3/events.jsonl | wc -l)" = 10 ] || fail "rows without $key"
  [ "$(field end $key plain3/events.jsonl | wc -l)" = 1 ] || fail "no $key at the end"
done
# every step moves the same, and the end adds them up
field step comm_bytes plain3/events.jsonl | awk -v end="$(field end comm_bytes plain3/events.jsonl)" '
  NR == 1 { first = $1 } $1 != first || $1 <= 0 { bad = 1 } { sum += $1 } END { exit bad || sum != end }' ||
  fail "bytes of the steps: $(field step comm_bytes plain3/events.jsonl | tr '\n' ' ')"
[ "$(field end ranks plain3/events.jsonl)" = 3 ] || fail "the end does not say on how many ranks"
[ "$(field end comm_bytes narrow/events.jsonl)" -lt "$(field end comm_bytes plain2/events.jsonl)" ] || fail "bf16 moved no fewer bytes"
field step rank_spread plain3/events.jsonl | awk '$1 < 1 { exit 1 }' || fail "the slowest rank was faster than the fastest"

# a checkpoint is written while training continues: only the copy blocks it
paste <(field checkpoint blocked_seconds plain3/events.jsonl) <(field checkpoint seconds plain3/events.jsonl) |
  awk '{ if (NF != 2 || $1 <= 0 || $1 >= $2) exit 1 } END { if (NR != 2) exit 1 }' || fail "checkpoints block training"
[ "$(field saving step plain3/events.jsonl)" = "$(field checkpoint step plain3/events.jsonl)" ] || fail "what is being written and what was"

# stopped on four ranks with shards, resumed on three without, ended by one process
train --out long --set samples=1200 || fail "long"
# moves N ARGUMENTS: N ranks for some steps, then they are asked to stop
moves() {
  local n=$1 before; shift
  before=$(cat moved/events.jsonl 2>/dev/null | grep -c '"event":"step"' || true)
  mpirun -np "$n" "$FLIP" train --config run.yaml --no-progress --set samples=1200 --out moved "$@" 2>err & pid=$!
  until [ "$(cat moved/events.jsonl 2>/dev/null | grep -c '"event":"step"')" -ge $((before + 3)) ]; do sleep 0.02; done
  kill -USR1 $pid
  wait $pid && fail "a stopped run ends with 0"
  grep -q 'stopped after step' err || { cat err; fail "stopping $n ranks"; }
}
moves 4 --set optimizer.shard=true
moves 3 --resume
train_on 2 --set samples=1200 --set optimizer.shard=true --out moved --resume 2>err || { cat err; fail "resuming with shards on 2"; }
paste <(field step loss long/events.jsonl | tail -5) <(field step loss moved/events.jsonl | tail -5) |
  awk '{ if (NF != 2 || ($1 - $2)^2 > (1e-3 * $2)^2) exit 1 }' || fail "losses after moving from 4 to 3 to 2 ranks"

# evaluation: the digits of one process, in training and after it
"$FLIP" eval -m plain3 --json >alone.json || fail "eval alone"
for n in 2 3; do
  ranks $n eval -m plain3 --json >on$n.json || fail "eval on $n ranks"
  cmp alone.json on$n.json || fail "an evaluation on $n ranks has other digits"
done
for task in zeroshot retrieval; do
  grep "\"task\":\"$task\"" plain3/events.jsonl | tail -1 | grep -oE '"metrics":\{[^}]*\}' | cut -d: -f2- >trained
  grep -oE "\"$task\":\{[^}]*\}" alone.json | cut -d: -f2- >measured
  cmp trained measured || fail "$task in training has other digits"
done
ranks 2 embed -m plain3 --out rows.npy data/heldout-00000.tar >out 2>&1 && fail "embed on 2 ranks"
[ ! -e rows.npy ] && grep -q 'flip embed runs in one process, but a launcher started 2' out || { cat out; fail "embed on ranks is not refused"; }
# copies that disturb each other are no measurement
ranks 2 bench step --steps 1 >out 2>&1 && fail "bench on 2 ranks"
grep -q 'flip bench runs in one process, but a launcher started 2' out || { cat out; fail "bench on ranks is not refused"; }

# a stream gives any number of ranks the samples of one process, and ends at the same position
stream="--set data.order=stream --set data.buffer=40 --set data.workers=2"
train --out stream1 $stream || fail "a stream alone"
for n in 2 3; do
  train_on $n --out stream$n $stream || fail "a stream on $n ranks"
  paste <(field step loss stream1/events.jsonl) <(field step loss stream$n/events.jsonl) |
    awk '{ if (NF != 2 || ($1 - $2)^2 > (1e-4 * $2)^2) exit 1 }' || fail "a stream on $n ranks: other losses"
  cmp <(grep -aoE '"flip.order":"[^"]*"' "$(newest stream1)") <(grep -aoE '"flip.order":"[^"]*"' "$(newest stream$n)") ||
    fail "a stream on $n ranks ends at another position"
done
