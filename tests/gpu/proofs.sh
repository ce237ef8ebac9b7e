#!/usr/bin/env bash
# The proofs of run_all.sh that need more than one program. run_all.sh calls
#   tests/gpu/proofs.sh NAME
# with the variables that it exports: flip and tests (programs), work (a folder for runs and data), steps and cpu_steps
# (of trainings on the GPU alone and on both devices), small ("1": models for the imitation of a GPU).
set -uo pipefail

# the quickstart's model on scenes, which need no package
run=(-c experiments/presets/mini.yaml -s "data.train=$work/scenes/*.tar" -s "text.vocabulary=$work/vocab.txt"
  -s eval.sets= -s eval.points=0 -s data.flip=false -s mask_ratio=0.5)
batch=256
if [ "$small" = 1 ]; then
  batch=8
  run+=(-s image.size=32 -s image.width=32 -s image.layers=1 -s image.heads=2 -s text.width=32 -s text.layers=1
    -s text.heads=2 -s embed_dim=32 -s batch_size=8 -s warmup_samples=32)
fi

make_data() {
  local scenes=(--count 20k)
  [ "$small" != 1 ] || scenes=(--count 160 --size 32)
  "$flip" data scenes --out "$work/scenes" "${scenes[@]}" &&
    "$flip" tokenizer train --out "$work/vocab.txt" --size 2048 "$work/scenes/*.tar"
}
train_for() { # STEPS BATCH DEVICE PRECISION FOLDER [SETTING…]
  local samples=$(($1 * $2)) batch=$2 device=$3 precision=$4 out=$5
  shift 5
  "$flip" train "${run[@]}" -s "samples=$samples" -s "batch_size=$batch" -s "device=$device" -s "precision=$precision" \
    "$@" --out "$out"
}
train() { train_for "$steps" $batch "$@"; }
losses() { sed -n 's/.*"event":"step".*"loss":\([0-9.e+-]*\).*/\1/p' "$1/events.jsonl"; }
newest() { find "$1/checkpoints" -name '*.safetensors' | sort | tail -n 1; }
# alike RUN RUN STEPS LIMIT: both recorded that many losses, at most LIMIT apart. Adam divides by the root of tiny
# second moments, so that rounding grows from step to step: the curves must lie together, not be equal.
alike() {
  paste -d, <(losses "$1") <(losses "$2") |
    awk -F, -v steps="$3" -v limit="$4" -v of="${2##*/}" '
      NF != 2 || $1 == "" || $2 == "" { missing = 1 }
      { d = $1 - $2; if (d < 0) d = -d; if (d > worst) worst = d; n++ }
      END { printf "%s: %d steps, losses at most %.2g apart\n", of, n, worst; exit !(n == steps && !missing && worst < limit) }'
}

# Runs that several proofs use: trained by the first of them, whole or again.
in_fp32() {
  [ -e "$work/gpu.ended" ] ||
    { rm -rf "$work/gpu" && train_for "$cpu_steps" $batch cuda fp32 "$work/gpu" && touch "$work/gpu.ended"; }
}
in_bf16() {
  [ -e "$work/first.ended" ] || { rm -rf "$work/first" && train cuda bf16 "$work/first" && touch "$work/first.ended"; }
}
train_on_the_cpu() { train_for "$cpu_steps" $batch cpu fp32 "$work/cpu"; } # at the same time as other stages
cpu_and_gpu_learn_the_same() {
  in_fp32 || return 1
  until [ -e "$work/ended/train_on_the_cpu" ]; do sleep 0.2; done
  alike "$work/cpu" "$work/gpu" "$cpu_steps" 0.02
}
the_same_bits_twice() {
  local differ
  rm -rf "$work/first" "$work/first.ended" "$work/second" # of an attempt that was cut
  in_bf16 && train cuda bf16 "$work/second" || return
  differ=$(cmp "$(newest "$work/first")" "$(newest "$work/second")" 2>&1) || { echo "two runs differ: $differ"; return 1; }
}
# One rank whose gradients go through NCCL.
one_rank_through_nccl() {
  in_bf16 || return 1
  FLIP_COMM=nccl train cuda bf16 "$work/nccl" && grep -q '"ranks":"NCCL' "$work/nccl/events.jsonl" &&
    cmp "$(newest "$work/first")" "$(newest "$work/nccl")"
}
# 8-bit dense layers: the loss at the end within a tenth of bf16's, by either scaling. (Rounding alone moves single
# losses of these curves by 4 %.)
eight_bits_learn() {
  local scaling last=$((steps < 50 ? steps : 50)) failed=0
  in_bf16 || return 1
  for scaling in delayed current; do
    train cuda fp8 "$work/narrow-$scaling" -s fp8_scaling=$scaling &&
      paste -d, <(losses "$work/first") <(losses "$work/narrow-$scaling") |
        awk -F, -v s=$scaling -v steps="$steps" -v last=$last '
          $1 == "" || $2 == "" { missing = 1 }
          NR > steps - last { a += $1; b += $2; n++ }
          END { printf "mean loss of the last %d steps: bf16 %.4f, fp8 %s %.4f\n", n, a / n, s, b / n
                exit !(NR == steps && !missing && b > 0 && b < 1.1 * a) }' || failed=1
  done
  return $failed
}
# Embeddings of queued batches: those of the CPU, the same bits twice, and within rounding in batches of
# another size, whose products may use other algorithms; images and texts.
embeddings_of_queued_batches() {
  local shard name kind model=$work/gpu
  in_fp32 || return 1
  shard=$(ls "$work"/scenes/*.tar | sed -n 1p)
  tar xOf "$shard" --wildcards '*.txt' | sed 's/$//' | awk 'NF' | head -n 2000 >"$work/texts.txt"
  embed() { "$flip" embed -m "$model" "$1" "$2" -o "$work/$3.npy" -s "device=$4" -s "eval.batch_size=$5"; }
  for kind in images texts; do
    local from=(-i "$shard")
    [ $kind = images ] || from=(-t "$work/texts.txt")
    embed "${from[@]}" ${kind}_cpu cpu 128 && embed "${from[@]}" ${kind}_gpu cuda 128 &&
      embed "${from[@]}" ${kind}_again cuda 128 && embed "${from[@]}" ${kind}_other cuda 96 || return 1
    cmp "$work/${kind}_gpu.npy" "$work/${kind}_again.npy" || return 1
    for name in ${kind}_cpu ${kind}_other; do
      paste <(od -An -v -tf4 -w4 -j128 "$work/$name.npy") <(od -An -v -tf4 -w4 -j128 "$work/${kind}_gpu.npy") |
        awk -v name=$name '/nan|inf/ { bad = 1 } { d = $1 - $2; if (d < 0) d = -d; if (d > worst) worst = d; n++ }
             END { printf "%d values, at most %.2g from %s\n", n, worst, name; exit bad || !(n > 0 && worst < 0.001) }' || return 1
    done
  done
}
# Settings with kernels or calls of their own: a few steps on both devices, in fp32, and in bf16 beside each other.
# Four at a time, since such short runs are mostly starts.
settings_learn_the_same() {
  local few=20 size=64 name failed=0 running=0 most=4 cores
  [ "$small" != 1 ] || few=6 size=8
  cores=$(nproc)
  [ "$cores" -ge $most ] || most=$cores
  local -A settings=(
    [plain]=""
    [moments_in_bf16]="optimizer.moments=bf16"
    [recomputed_activations]="image.recompute=activations text.recompute=activations"
    [recomputed_blocks]="image.recompute=blocks text.recompute=1"
    [micro_batches]="micro_batch_size=$((size / 2))"
    [attentive]="mask_mode=attentive"
    [reconstruction]="reconstruction.weight=1"
    [dropout]="image.dropout=0.1"
    [text_mask]="text_mask_mode=prioritized text_mask_ratio=0.5"
    [clipped]="clip_norm=0.5"
  )
  setting_learns() { # NAME
    local name=$1 changes=(-s "threads=$((cores / most))") change
    for change in ${settings[$name]}; do changes+=(-s "$change"); done
    rm -rf "$work/$name-cpu" "$work/$name-gpu" "$work/$name-bf16"
    train_for $few $size cpu fp32 "$work/$name-cpu" "${changes[@]}" >"$work/$name.log" 2>&1 &&
      train_for $few $size cuda fp32 "$work/$name-gpu" "${changes[@]}" >>"$work/$name.log" 2>&1 &&
      alike "$work/$name-cpu" "$work/$name-gpu" $few 0.02 &&
      train_for $few $size cuda bf16 "$work/$name-bf16" "${changes[@]}" >>"$work/$name.log" 2>&1 &&
      alike "$work/$name-cpu" "$work/$name-bf16" $few 0.1 ||
      { echo "FAILED: $name (${settings[$name]}): $(tail -n 2 "$work/$name.log" | tr '\n' ' ')"; return 1; }
  }
  for name in "${!settings[@]}"; do
    [ $running -lt "$most" ] || { wait -n || failed=1; running=$((running - 1)); }
    setting_learns "$name" &
    running=$((running + 1))
  done
  for (( ; running; running--)); do wait -n || failed=1; done
  return $failed
}
# A whole evaluation and a fine-tuning on both devices: the same accuracies but for near ties.
evaluation_and_finetuning() {
  local device model=$work/gpu set=$work/set.yaml count=1000 size=64
  in_fp32 || return 1
  [ "$small" != 1 ] || count=40 size=32
  printf 'name: scenes\nimages: ["scenes:1000#count=%d,size=%d"]\ntasks: [zeroshot]\nlabel: shape\ntemplates: ["a {}", "there is a {}"]\n' $count $size >"$set"
  for device in cpu cuda; do
    "$flip" eval zeroshot -m "$model" -f "$set" --json -s device=$device -s precision=fp32 >"$work/$device.json" &&
      "$flip" eval probe -m "$model" --train "$set" -f "$set" --json -s device=$device -s precision=fp32 -s eval.probe_features=encoder \
        >"$work/$device-probe.json" || return 1
    "$flip" finetune -m "$model" --train "$set" --test "$set" -o "$work/tuned-$device" -s device=$device -s precision=fp32 \
      -s epochs=1 -s warmup_epochs=0 -s batch_size=$((count / 4)) -s classification.drop_path=0.1 >/dev/null || return 1
  done
  local what
  for what in '' -probe; do
    paste -d' ' <(grep -o '"top1": *[0-9.]*' "$work/cpu$what.json" | grep -o '[0-9.]*$') \
      <(grep -o '"top1": *[0-9.]*' "$work/cuda$what.json" | grep -o '[0-9.]*$') |
      awk '{ d = $1 - $2; if (d < 0) d = -d; print "top-1 on the CPU", $1, "on the GPU", $2; n++; if (NF != 2 || d > 0.011) bad = 1 } END { exit !n || bad }' ||
      return 1
  done
  alike "$work/tuned-cpu" "$work/tuned-cuda" 4 0.02
}
# A run that does not fit says what would.
too_large_a_run_is_refused() {
  "$flip" train -c experiments/presets/vit_l16_laion400m.yaml -s "data.train=$work/scenes/*.tar" \
    -s "text.vocabulary=$work/vocab.txt" -s eval.sets= -s device=cuda -s batch_size=65536 -s micro_batch_size=0 -s samples=65536 \
    --out "$work/large" >"$work/large.txt" 2>&1 && { echo "a batch of 65,536 was accepted"; return 1; }
  cat "$work/large.txt"
  grep -q 'of GPU memory, but .* are free' "$work/large.txt" && { [ "$small" = 1 ] || grep -q 'micro_batch_size: ' "$work/large.txt"; }
}
# Hazards in our kernels, recognised by their arguments' types; those reported in the libraries'
# kernels, which synchronise by means that the tool does not know, are ignored.
racecheck() { # TEST ARGUMENT
  local told code=0
  told=$(mktemp)
  compute-sanitizer --tool racecheck "$tests/$1" "$2" 2>&1 | tee "$told" || code=$?
  ! grep -E 'Race reported|hazard' "$told" |
    grep -E '_arguments|norm_(forward|backward)|ops_[a-z]+|narrow_(item|list)' && return $code
}

"$@"
