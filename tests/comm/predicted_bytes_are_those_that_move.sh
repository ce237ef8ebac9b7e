# 'flip plan --ranks' predicts exactly the bytes of a step that MPI moves, and lists its other assumptions.
preset=$SOURCE/experiments/presets/vit_l16_laion400m.yaml
plan() { expect_status 0 "$FLIP" plan -c "$preset" "$@"; }

plan --ranks 1,64,256 --rate h100 --link 50
for line in 'prediction, not measured' 'device: NVIDIA H100' 'link of a device: 50 GB/s' 'no overlap' \
  'energy: 1 measured row is skipped, with a mean power above' 'loading that is slower' '^ +256 +256 +256 '; do
  expect_line out.txt "$line"
done
plan --ranks 256 --rate a100 --link 25 --overlap 1 --wire bf16
for line in 'an A100 computes at 0.3153' 'power limit of 400 W' '1 of the backward pass' 'in bf16; the sums return in fp32'; do
  expect_line out.txt "$line"
done
# memory is that of the device whose rate is given, also where the settings leave the device open
plan
expect_line out.txt 'memory for training on a CPU'
small=(-s batch_size=256 -s micro_batch_size=0 -s image.recompute=blocks --json)
bytes() { grep -o '"planned_bytes":[0-9]*' out.txt | head -1; }
plan "${small[@]}" -s device=cuda; on_gpu=$(bytes)
plan "${small[@]}" --ranks 1 --rate h100
[ "$(bytes)" = "$on_gpu" ] && [ "$(grep -o '"planned_bytes":[0-9]*' out.txt | sort -u | wc -l)" = 1 ] || fail "not the memory of a GPU: $(bytes), $on_gpu"
expect_line out.txt '"planned_for":"cuda"'
plan "${small[@]}" -s device=cpu
[ "$(bytes)" != "$on_gpu" ] || fail "the CPU's activations are not in chunks"
plan "${small[@]}" -s precision=fp8 -s device=cuda; on_gpu=$(bytes)
plan "${small[@]}" -s precision=fp8 -s device=cpu
[ "$(bytes)" = "$on_gpu" ] || fail "in 8 bits there are no chunks: $(bytes), $on_gpu"
expect_status 2 "$FLIP" plan -c "$preset" -s precision=fp32 --ranks 2 --rate h100 --link 50
expect_line err.txt 'precision: fp32, and no row of the rates was measured in it \(the first is in bf16\)'
# as JSON; the numbers themselves are checked by the unit test `forecast`
plan --ranks 2,256 --rate 1000 --link 50 --json
expect_line out.txt '"prediction":.*"ranks":2,.*"ranks":256,"samples_per_rank":256,.*"sent_bytes":.*"features":200540160,'

# the shipped rates are those that were measured
for model in b16 l16; do
  grep -o '"mask_ratio".*' "$SOURCE/results/gpu/2026-11-26-h100-8b0c569/steps/vit_$model.jsonl" |
    while read -r row; do grep -qF "$row" "$SOURCE/experiments/devices/h100.jsonl" || fail "h100.jsonl lacks a row of vit_$model"; done
done

# invalid requests are rejected
expect_status 2 "$FLIP" plan -c "$preset" --ranks 3 --rate 1000 --link 50
expect_line err.txt 'batch_size: 65536 is not divisible by 3 ranks'
expect_status 2 "$FLIP" plan -c "$preset" --ranks 2,x --rate 1000 --link 50
expect_line err.txt "ranks: '2,x': give whole numbers"
expect_status 2 "$FLIP" plan -c "$preset" --ranks 2 --rate 1000
expect_line err.txt 'ranks needs --link'
expect_status 2 "$FLIP" plan -c "$preset" --ranks 2 --link 50
expect_line err.txt 'ranks needs --rate'
expect_status 2 "$FLIP" plan -c "$preset" --ranks 2 --link 50 --rate b200
expect_line err.txt "'b200' is neither a number nor a device"
expect_status 2 "$FLIP" plan -c "$preset" --rate h100
expect_line err.txt 'give --ranks too'
expect_status 2 "$FLIP" plan -c "$preset" --wire bf16
expect_line err.txt 'give --ranks too'
echo '{"mask_ratio":0}' > empty.jsonl
expect_status 2 "$FLIP" plan -c "$preset" --ranks 1 --rate ./empty.jsonl
expect_line err.txt 'row without samples_per_second'

# a run's own record is a measured rate
. "$SOURCE/tests/support/training.sh"
make_data
train --out run --set threads=1 || fail "training"
expect_status 0 "$FLIP" plan -c run.yaml --ranks 1,2 --rate run/events.jsonl --link 1 --json
rate=$(field end samples_per_second run/events.jsonl)
# with precision auto, memory is of what the rate was measured in
expect_status 0 "$FLIP" plan -c run.yaml -s precision=auto --ranks 1 --rate run/events.jsonl --json
cp out.txt auto.txt
expect_status 0 "$FLIP" plan -c run.yaml -s precision=fp32 --ranks 1 --rate run/events.jsonl --json
cmp <(grep -o '"planned_bytes":[0-9]*' auto.txt) <(grep -o '"planned_bytes":[0-9]*' out.txt) || fail "planned in another precision"
expect_status 0 "$FLIP" plan -c run.yaml --ranks 1,2 --rate run/events.jsonl --link 1 --json
part() { grep -o "\"$1_seconds\":[^,]*" out.txt | sed -n 1p | cut -d: -f2; }
seconds=$(awk -v a="$(part encode)" -v b="$(part loss)" 'BEGIN { printf "%.17g", a + b }') # the rate is of whole steps
awk -v rate="$rate" -v seconds="$seconds" 'BEGIN { d = seconds * rate / 32 - 1; exit !(d < 1e-6 && d > -1e-6) }' ||
  fail "a batch of 32 at $rate samples/s is not $seconds s"

# The pace of a run is that of all its processes, also of those on other ranks and devices.
{ sed '/"event":"start"/!d; s/"ranks":1,/"ranks":4,/' run/events.jsonl; cat run/events.jsonl; } > ranks.jsonl
expect_status 2 "$FLIP" plan -c run.yaml --ranks 1 --rate ./ranks.jsonl
expect_line err.txt 'a run on 4 ranks'
{ sed '/"event":"start"/!d; s/"device_name":"[^"]*"/"device_name":"another"/' run/events.jsonl; cat run/events.jsonl; } > devices.jsonl
expect_status 2 "$FLIP" plan -c run.yaml --ranks 1 --rate ./devices.jsonl
expect_line err.txt 'a run that went on with another device'
grep -v '"event":"end"' run/events.jsonl > unended.jsonl
expect_status 2 "$FLIP" plan -c run.yaml --ranks 1 --rate ./unended.jsonl
expect_line err.txt 'has not ended with a measured rate'

[ -x "$BINARY/tests/mpi_traffic" ] && command -v mpirun >/dev/null || { echo "bytes were not compared: no MPI"; exit 0; }
export FLIP_PLUGINS=$BINARY/lib OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_btl=self,vader OMPI_MCA_mpi_yield_when_idle=1
for n in 2 3 4; do timeout 60 mpirun -np $n "$BINARY/tests/mpi_traffic" || fail "bytes on $n ranks"; done
