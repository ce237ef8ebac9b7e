# Evaluation on a device: the embeddings of every batch are right when batches are queued, and the calls per
# batch are counted. In a steady state a batch is one copy to the device, one recorded forward pass, one copy
# back, and one wait of the host, for the batch before the previous one.
. "$SOURCE/tests/support/training.sh"
. "$SOURCE/tests/support/imitation.sh"
make_data
export LC_ALL=C
train --out run --set samples=64 --set eval.points=0 --set precision=bf16 >/dev/null 2>&1
on_gpu=(-m run -s device=cuda)
embed() { # OUT BATCH OPTION…
  local out=$1 batch=$2
  shift 2
  "$FLIP" embed "${on_gpu[@]}" -s "eval.batch_size=$batch" "$@" -o "$out" >out.txt 2>err.txt || { cat err.txt >&2; fail "$out"; }
  no_misuse err.txt
}
rows() { bytes "$1" $(($(stat -c %s "$1") - TOTAL * 64 + $2 * 64)) $(($3 * 64)); } # FILE.npy FIRST COUNT: of 16 floats

# 160 images in batches of 16, 200 in batches of 7 (the last of 4), the last 40 alone, and 800 in more buffers than
# there are, all 160 five times: the same bits, since here a row does not depend on its batch. Texts likewise.
for order in lazy eager; do
  export FLIP_IMITATION_ORDER=$order
  FLIP_IMITATION_TRACE=$PWD/trace.$order embed "images.$order.npy" 16 -i 'data/train-*.tar'
  embed "all.$order.npy" 7 -i 'data/train-*.tar' -i 'data/heldout-*.tar'
  embed "held.$order.npy" 64 -i 'data/heldout-*.tar'
done
FLIP_IMITATION_ORDER=lazy embed five.npy 128 -i 'data/train-*.tar' -i 'data/train-*.tar' -i 'data/train-*.tar' -i 'data/train-*.tar' -i 'data/train-*.tar'
for i in 0 1 2 3 4; do
  TOTAL=800 rows five.npy $((160 * i)) 160 >again
  TOTAL=160 rows images.lazy.npy 0 160 | cmp - again || fail "buffer $i: overwritten before its images were encoded"
done
cmp images.lazy.npy images.eager.npy || fail "images: an order of the work changes the embeddings"
cmp all.lazy.npy all.eager.npy || fail "batches of 7: an order of the work changes the embeddings"
cmp held.lazy.npy held.eager.npy || fail "one batch: an order of the work changes the embeddings"
TOTAL=160 rows images.lazy.npy 0 160 >first
TOTAL=40 rows held.lazy.npy 0 40 >last
TOTAL=200 rows all.lazy.npy 0 200 >all
cat first last | cmp - all || fail "the embeddings depend on the size of the batches"
for i in $(seq 200); do echo "a red circle and $i blue squares"; done >texts.txt
embed texts.npy 4 -t texts.txt
embed texts.64.npy 64 -t texts.txt
cmp texts.npy texts.64.npy || fail "the embeddings of texts depend on the size of the batches"
# within rounding to bf16 of the CPU
"$FLIP" embed -m run -s device=cpu -i 'data/train-*.tar' -o cpu.npy >out.txt
paste <(od -An -v -tf4 -w4 -j128 cpu.npy) <(od -An -v -tf4 -w4 -j128 images.lazy.npy) |
  awk '/nan|inf/ { bad = 1 } { d = $1 - $2; if (d < 0) d = -d; if (d > worst) worst = d; n++ }
       END { printf "%d values, at most %.2g from those of the CPU\n", n, worst; exit bad || !(n == 160 * 16 && worst < 0.03) }' ||
  fail "the embeddings are not those of the CPU"

# Any call may fail while batches are under way: one message, and nothing stays allocated.
for failing in cudaMemcpyAsync:99999 cudaEventRecord:12 cudaStreamBeginCapture:1 cudaGraphInstantiate:1 cudaGraphLaunch:3; do
  call=${failing%:*} number=${failing#*:} count=$(grep -c "^${failing%:*}$" trace.lazy)
  [ "$number" -le "$count" ] || number=$count
  FLIP_IMITATION_FAIL=$call:$number expect_status 1 "$FLIP" embed "${on_gpu[@]}" -s eval.batch_size=16 -i 'data/train-*.tar' -o failed.npy
  [ "$(grep -c . err.txt)" = 1 ] || { cat err.txt; fail "$call:$number: more than a line"; }
  expect_line err.txt '^flip: error: CUDA: '
done
FLIP_IMITATION_FAIL=cudaHostRegister:1 embed unpinned.npy 16 -i 'data/train-*.tar'
cmp unpinned.npy images.lazy.npy || fail "memory that is not pinned changes the embeddings"

# Calls per batch, from the fifth batch on, when both sets of inputs have their recording.
awk '/^cudaGraphLaunch$/ { batch++ } batch >= 3 && batch < 8' trace.eager >steady
count() { grep -cE "$1" steady || true; }
launches=$(count '^cudaGraphLaunch$') kernels=$(grep -cvE '^(cuda|cublas|cudnn|algorithm: )' steady || true)
copies=$(count '^cudaMemcpyAsync$') waits=$(count '^cuda(Stream|Event|Device)Synchronize$')
echo "$launches batches: $launches recorded passes launched, $kernels kernels and $(count '^cublasLtMatmul$') products launched singly, $copies copies, $waits waits of the host"
[ "$launches" = 5 ] || fail "batches are not replayed"
[ "$kernels" = 0 ] && [ "$(count '^cublasLtMatmul$')" = 0 ] || fail "kernels are launched singly"
[ "$copies" -le 10 ] || fail "more than two copies per batch"
[ "$waits" -le 5 ] || fail "the host waits more than once per batch"
[ "$(count '^cudaStreamSynchronize$')" = 0 ] || fail "the host waits for a stream"
[ "$(grep -c '^cudaHostRegister$' trace.eager)" -ge 5 ] || fail "buffers are not pinned"
# The host waits for a batch only after the next one was launched.
awk '/^cudaGraphLaunch$/ { launched++ } /^cudaEventSynchronize$/ { if (launched < 1) early++; launched-- }
     END { exit early > 0 }' steady || fail "a batch is waited for before the next one is launched"

# Zero-shot and retrieval, and scores of pairs.
for order in lazy eager; do
  FLIP_IMITATION_ORDER=$order "$FLIP" eval "${on_gpu[@]}" -s eval.batch_size=2 -f held.yaml --json >"eval.$order.txt" 2>err.txt || { cat err.txt >&2; fail "eval"; }
  no_misuse err.txt
  FLIP_IMITATION_ORDER=$order "$FLIP" data filter -o "kept.$order" -m run --set device=cuda --set eval.batch_size=16 \
    --min-score 0.5 --no-progress 'data/train-*.tar' >out.txt 2>err.txt || { cat err.txt >&2; fail "filter"; }
  no_misuse err.txt
done
"$FLIP" eval "${on_gpu[@]}" -s eval.batch_size=64 -f held.yaml --json >eval.large.txt
# A probe on the encoder's output, which is recorded apart from embeddings.
sed 's/^tasks.*/tasks: [probe]/; /^templates/d; s/heldout/train/; s/^name.*/name: train/' held.yaml >train.yaml
for order in lazy eager; do
  FLIP_IMITATION_ORDER=$order "$FLIP" eval probe "${on_gpu[@]}" -s eval.batch_size=8 -s eval.probe_features=encoder -f held.yaml --train train.yaml --method lars --epochs 4 --json >"probe.$order.txt" 2>err.txt || { cat err.txt >&2; fail "probe"; }
  no_misuse err.txt
done
cmp probe.lazy.txt probe.eager.txt || fail "an order of the work changes the probe's features"
"$FLIP" eval probe -m run -s device=cpu -s precision=bf16 -s eval.probe_features=encoder -f held.yaml --train train.yaml --method lars --epochs 4 --json >probe.cpu.txt
paste -d' ' <(grep -o '"loss":[0-9.]*' probe.cpu.txt | cut -d: -f2) <(grep -o '"loss":[0-9.]*' probe.lazy.txt | cut -d: -f2) |
  awk '{ d = $1 - $2; if (!(NF == 2 && d < 0.05 && d > -0.05)) bad = 1 } END { exit bad || !NR }' || { cat probe.*.txt; fail "the probe's loss is not the CPU's"; }
cmp eval.lazy.txt eval.eager.txt || fail "an order of the work changes what is evaluated"
cmp eval.lazy.txt eval.large.txt || fail "the size of the batches changes what is evaluated"
cmp kept.lazy/left_out.tsv kept.eager/left_out.tsv || fail "an order of the work changes the scores"
[ "$(wc -l <kept.lazy/left_out.tsv)" -gt 20 ] || fail "no sample was scored"

# A suite's sets with the same prompts encode them once: a further one copies only its images and their
# embeddings, in a batch.
for rows in 8 9; do
  { echo sets:; for ((i = 1; i < rows; i++)); do echo '- {file: held.yaml, corruption: {kind: jpeg, strength: 3}}'; done; echo '- {file: held.yaml}'; } >suite.yaml
  FLIP_IMITATION_TRACE=$PWD/trace.$rows "$FLIP" eval suite suite.yaml "${on_gpu[@]}" -s eval.batch_size=64 --json >suite.$rows 2>err.txt || { cat err.txt >&2; fail "a suite of $rows"; }
  no_misuse err.txt
done
fewer=$(grep -c '^cudaMemcpyAsync$' trace.8) more=$(grep -c '^cudaMemcpyAsync$' trace.9)
[ $((more - fewer)) = 2 ] || fail "$fewer copies for 8 sets, $more for 9: prompts are encoded again"
last() { grep -o '"value":[0-9.]*' "$1" | tail -1; }
[ "$(last suite.9 | cut -d: -f2)" = "$(grep -o '"top1":[0-9.]*' eval.large.txt | cut -d: -f2)" ] || fail "kept prompts change what is measured"

# Between training steps, with recordings of both and shapes that are first seen between the steps before the
# recording: the losses of a run without evaluation.
short=(--set batch_size=8 --set samples=48 --set precision=bf16 --set eval.batch_size=8)
FLIP_IMITATION_ORDER=lazy gpu evaluated "${short[@]}" --set eval.points=3 --set log_every=1
FLIP_IMITATION_ORDER=eager gpu eagerly "${short[@]}" --set eval.points=3 --set log_every=1
FLIP_IMITATION_ORDER=lazy gpu plain "${short[@]}" --set eval.points=0 --set log_every=1
[ "$(field step loss evaluated/events.jsonl | wc -l)" = 6 ] || fail "not six steps"
cmp <(field step loss evaluated/events.jsonl) <(field step loss plain/events.jsonl) || fail "evaluation changes what is trained"
[ "$(field eval hits evaluated/events.jsonl | wc -l)" = 6 ] || fail "not evaluated three times"
grep -o '"event":"eval".*' evaluated/events.jsonl | grep -o '"metrics".*' >metrics.txt
grep -o '"event":"eval".*' eagerly/events.jsonl | grep -o '"metrics".*' | cmp - metrics.txt || fail "an order of the work changes what is evaluated while training"
