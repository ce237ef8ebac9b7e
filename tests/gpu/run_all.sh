#!/usr/bin/env bash
# The whole proof on a GPU: every op against the double reference, compute-sanitizer, CPU and GPU
# training compared, two runs with the same bits, then the benchmarks next to PyTorch's.
#   usage: tests/gpu/run_all.sh REPORT_FOLDER [proofs|bench|eval|products|all]
#
# Runs from a checkout with build/cuda, or from a folder packed by tests/gpu/pack.sh. Writes two
# files: report.md, and report.tar.gz with the raw output of every stage. In parts (proofs, then
# bench, eval and products, into the same folder) both files are extended. Exits 0 if every proof passed (benchmarks
# cannot fail it), 77 if there is no GPU.
#
# A call ends within FLIP_PROOF_SECONDS (570): stages without time left report it, and a proof among
# them fails the call. FLIP_PROOF_SMALL=1 uses models and data small enough to try the script on the
# imitation of a GPU (FLIP_PLUGINS=build/imitation).
set -uo pipefail
part=${2:-all}
case $#:$part in 1:* | 2:proofs | 2:bench | 2:eval | 2:products | 2:all) ;; *)
  echo "usage: tests/gpu/run_all.sh REPORT_FOLDER [proofs|bench|eval|products|all]" >&2
  exit 2 ;;
esac
mkdir -p "$1" && report=$(cd "$1" && pwd) || exit 2
cd "$(dirname "$0")/../.." || exit 2
here=$PWD
if [ -d "${FLIP_PLUGINS:-}" ] && [ -x build/bin/flip ]; then
  built=build
elif [ -x build/cuda/bin/flip ]; then
  built=build/cuda
else
  built=.
fi
flip=$here/$built/bin/flip
tests=$here/$built/tests
plugins=${FLIP_PLUGINS:-$here/$built/lib}
[ -x "$flip" ] && [ -x "$tests/test_ops" ] && [ -x "$tests/test_step" ] && [ -x "$tests/test_narrow" ] ||
  { echo "no build: cmake --preset cuda && cmake --build build/cuda" >&2; exit 2; }
# cuDNN and cuBLASLt may come with a Python package rather than with the toolkit. Packed libraries
# are only for our programs: PyTorch and the compilers that it calls have their own.
machines=${LD_LIBRARY_PATH:-}
LD_LIBRARY_PATH=$([ $built = . ] && echo "$here/lib"):$machines
for folder in $(LD_LIBRARY_PATH=$machines python3 -c 'import glob, site
print(" ".join(p for s in site.getsitepackages() for p in glob.glob(s + "/nvidia/*/lib")))' 2>/dev/null); do
  LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$folder
done
peer() { echo env LD_LIBRARY_PATH="$machines" python3; }
work=$(mktemp -d)
raw=$work/report
mkdir "$raw"
export LD_LIBRARY_PATH XDG_CACHE_HOME=$raw/cache
started=$SECONDS
failed=0
[ "$part" = all ] && rm -f "$report/report.md" "$report/report.tar.gz"
[ ! -f "$report/report.tar.gz" ] || tar xzf "$report/report.tar.gz" -C "$work"

# After every stage, so that a killed call leaves its results so far.
keep() { tar czf "$work/report.tar.gz" -C "$work" report && mv "$work/report.tar.gz" "$report/"; }
trap 'keep; rm -rf "$work"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
say() { printf '%s\n' "$@" | tee -a "$report/report.md"; }
seconds_left() { echo $((${FLIP_PROOF_SECONDS:-570} - (SECONDS - started))); }

# within SECONDS COMMAND…: at most that long, and not beyond the call's own end; 124 when it was cut.
within() {
  local limit=$1 left
  left=$(seconds_left)
  shift
  [ "$left" -ge 5 ] || { echo "no time is left: run the script in parts, or increase FLIP_PROOF_SECONDS" >&2; return 124; }
  timeout $((limit < left ? limit : left)) "$@"
}

# proof NAME SECONDS COMMAND…: one line in the report, the output in NAME.txt.
proof() {
  local name=$1 limit=$2 code=0 begun=$SECONDS
  shift 2
  within "$limit" "$@" >"$raw/$name.txt" 2>&1 || code=$?
  if [ $code = 0 ]; then
    say "- ok: $name ($((SECONDS - begun)) s)"
  else
    say "- FAILED: $name, status $code: $(tail -n 1 "$raw/$name.txt")"
    failed=1
  fi
  keep
}

# figure NAME SECONDS COMMAND…: a benchmark; its output goes into the report.
figure() {
  local name=$1 limit=$2 code=0
  shift 2
  within "$limit" "$@" >"$raw/$name.txt" 2>"$raw/$name.err" || code=$?
  say "" "### $name" ""
  [ $code = 0 ] || say "ended with status $code: $(tail -n 1 "$raw/$name.err")"
  say '```' "$(cat "$raw/$name.txt")" '```'
  keep
}

[ -s "$report/report.md" ] || say "# Proof on a GPU" ""
say "$(date -u +%F) · $part · commit $(cat commit 2>/dev/null || git rev-parse HEAD) · $(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null | sed -n 1p)" ""
nvidia-smi >"$raw/machine.txt" 2>&1 || true
"$tests/test_narrow" cuda >"$raw/first.txt" 2>&1
[ $? = 77 ] && { say "nothing was run: $(tail -n 1 "$raw/first.txt")"; exit 77; }

# the quickstart's model on scenes, which need no package
run=(-c experiments/presets/mini.yaml -s "data.train=$work/scenes/*.tar" -s "text.vocabulary=$work/vocab.txt"
  -s eval.sets= -s eval.points=0 -s data.flip=false -s mask_ratio=0.5)
steps=200 scenes=(--count 20k) batch=256 large=()
if [ "${FLIP_PROOF_SMALL:-}" = 1 ]; then
  steps=20 scenes=(--count 160 --size 32) batch=8
  large=(-s image.size=32 -s image.width=32 -s image.layers=1 -s image.heads=2 -s text.width=32
    -s text.layers=1 -s text.heads=2 -s embed_dim=32)
  run+=("${large[@]}" -s batch_size=8 -s warmup_samples=32)
  run+=(-s "samples=$((steps * 8))")
else
  run+=(-s "samples=$((steps * 256))")
fi

train() { # DEVICE PRECISION FOLDER [SETTING…]
  local device=$1 precision=$2 out=$3
  shift 3
  "$flip" train "${run[@]}" -s "device=$device" -s "precision=$precision" "$@" --out "$out"
}
losses() { sed -n 's/.*"event":"step".*"loss":\([0-9.e+-]*\).*/\1/p' "$1/events.jsonl"; }
newest() { find "$1/checkpoints" -name '*.safetensors' | sort | tail -n 1; }
# Adam divides by the root of tiny second moments, so that rounding grows from step to step: the
# curves must lie together, not be equal.
same_curve() {
  train cpu fp32 "$work/cpu" && train cuda fp32 "$work/gpu" || return 1
  paste <(losses "$work/cpu") <(losses "$work/gpu") |
    awk -v steps="$steps" '{ d = $1 - $2; if (d < 0) d = -d; if (d > worst) worst = d; n++ }
         END { printf "%d steps, losses at most %.2g apart\n", n, worst; exit !(n == steps && worst < 0.02) }'
}
same_bits() {
  train cuda bf16 "$work/first" && train cuda bf16 "$work/second" &&
    cmp "$(newest "$work/first")" "$(newest "$work/second")"
}
# One rank whose gradients go through NCCL.
through_nccl() {
  FLIP_COMM=nccl train cuda bf16 "$work/nccl" && grep -q '"ranks":"NCCL' "$work/nccl/events.jsonl" &&
    cmp "$(newest "$work/first")" "$(newest "$work/nccl")"
}
# Embeddings of queued batches: those of the CPU, the same bits twice, and within rounding in batches of
# another size, whose products may use other algorithms.
same_embeddings() {
  local shard=$(ls "$work"/scenes/*.tar | sed -n 1p) name
  embed() { "$flip" embed -m "$work/gpu" -i "$shard" -o "$work/$1.npy" -s "device=$2" -s "eval.batch_size=$3"; }
  embed cpu_rows cpu 128 && embed gpu_rows cuda 128 && embed gpu_again cuda 128 && embed gpu_other cuda 96 || return 1
  cmp "$work/gpu_rows.npy" "$work/gpu_again.npy" || return 1
  for name in cpu_rows gpu_other; do
    paste <(od -An -v -tf4 -w4 -j128 "$work/$name.npy") <(od -An -v -tf4 -w4 -j128 "$work/gpu_rows.npy") |
      awk -v name=$name '{ d = $1 - $2; if (d < 0) d = -d; if (d > worst) worst = d; n++ }
           END { printf "%d values, at most %.2g from %s\n", n, worst, name; exit !(n > 0 && worst < 0.001) }' || return 1
  done
}
narrow_learns() { # 8-bit dense layers: the loss at the end within a twentieth of bf16's
  local scaling
  for scaling in current delayed; do
    train cuda fp8 "$work/narrow-$scaling" -s fp8_scaling=$scaling &&
      paste <(losses "$work/first") <(losses "$work/narrow-$scaling") | tail -n 20 |
        awk -v s=$scaling '{ a += $1; b += $2 } END { printf "mean loss of the last 20 steps: bf16 %.4f, fp8 %s %.4f\n", a / NR, s, b / NR
               exit !(NR == 20 && b < 1.05 * a) }' || return 1
  done
}
# Hazards in our kernels, recognised by their arguments' types; those reported in the libraries'
# kernels, which synchronise by means that the tool does not know, are ignored.
no_races() {
  local told=$work/races.txt code=0
  compute-sanitizer --tool racecheck "$tests/test_ops" cuda_bf16 >"$told" 2>&1 || code=$?
  cat "$told"
  ! grep -E 'Race reported|hazard' "$told" | grep -E '_arguments|norm_(forward|backward)|ops_contrastive' &&
    return $code
}
# A function under a time limit: runs in a separate shell with its variables and functions.
shell() { echo "$(declare -p run flip tests work steps); $(declare -f train losses newest "$1"); $1"; }

proofs() {
  say "## Proofs" ""
  proof ops_fp32 60 "$tests/test_ops" cuda_fp32
  proof ops_bf16 60 "$tests/test_ops" cuda_bf16
  proof products_in_8_bits 30 "$tests/test_narrow" cuda
  proof steps_recorded_and_not 60 "$tests/test_step" cuda
  {
    "$flip" data scenes --out "$work/scenes" "${scenes[@]}" &&
      "$flip" tokenizer train --out "$work/vocab.txt" --size 2048 "$work/scenes/*.tar"
  } >"$raw/data.txt" 2>&1 || say "- FAILED: making data: $(tail -n 1 "$raw/data.txt")"
  proof cpu_and_gpu_learn_the_same 150 bash -c "$(shell same_curve)"
  proof embeddings_of_queued_batches 60 bash -c "$(shell same_embeddings)"
  proof the_same_bits_twice 60 bash -c "$(shell same_bits)"
  if [ -e "$plugins/libflip_nccl.so" ]; then
    proof calls_of_nccl 60 env FLIP_COMM=nccl "$tests/gpu_calls"
    proof one_rank_through_nccl 60 bash -c "$(shell through_nccl)"
  else
    say "- not run: NCCL is not in this build"
  fi
  proof eight_bits_learn 60 bash -c "$(shell narrow_learns)"
  if command -v compute-sanitizer >/dev/null; then
    proof memcheck 120 compute-sanitizer --tool memcheck --error-exitcode 9 "$tests/test_ops" cuda_fp32
    proof racecheck 120 bash -c "$(shell no_races)"
  fi
}

# Rows of JSON in FILE as "MASK NUMBER …" for the given keys.
numbers() { # FILE KEY…
  local file=$1 key
  shift
  for key in mask_ratio "$@"; do
    sed -n "s/.*\"$key\": *\([0-9.e+-]*\).*/\1/p" "$raw/$file.txt" >"$work/$key.column"
  done
  (cd "$work" && paste -d' ' mask_ratio.column "${@/%/.column}")
}

# Goals next to measurements: PyTorch compiled is 1, the time of mask 0 is 1.
summarize() {
  say "" "### Compared with PyTorch and the goals" "" \
    "| model | mask | samples/s | PyTorch's best eager | best compiled | over compiled (goal 1.3) | MFU (goal 55 % at mask 0) | time (goal 0.50, 0.33) |" \
    "|---|---:|---:|---:|---:|---:|---:|---:|"
  local model
  for model in vit_l16 vit_b16; do
    [ -s "$raw/${model}_batch_$batch.txt" ] || continue
    numbers "${model}_batch_$batch" samples_per_second mfu time_ratio >"$work/flip.rows"
    for kind in eager compiled; do
      : >"$work/$kind.rows"
      [ ! -s "$raw/torch_${model}_$kind.txt" ] || numbers "torch_${model}_$kind" samples_per_second >"$work/$kind.rows"
    done
    say "$(awk -v model="$model" -v eager="$work/eager.rows" -v compiled="$work/compiled.rows" '
      BEGIN { while ((getline line < eager) > 0) { split(line, f, " "); e[f[1] + 0] = f[2] }
              while ((getline line < compiled) > 0) { split(line, f, " "); c[f[1] + 0] = f[2] } }
      { m = $1 + 0
        printf "| %s | %g %% | %.0f | %s | %s | %s | %.1f %% | %.2f |\n", model, 100 * m, $2,
          m in e ? sprintf("%.0f", e[m]) : "–", m in c ? sprintf("%.0f", c[m]) : "–",
          m in c ? sprintf("%.2f", $2 / c[m]) : "–", 100 * $3, $4 }' "$work/flip.rows")"
  done
}

# Rows of the model at batch $batch, bf16, sums in any order, as in PyTorch.
bench() {
  say "" "## Benchmarks"
  local model step scaling torch=0
  ! $(peer) -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null || torch=1
  for model in vit_l16 vit_b16; do
    step=("$flip" bench step -c "experiments/presets/${model}_laion400m.yaml" -s device=cuda -s precision=bf16
      -s micro_batch_size=0 -n 10 --json "${large[@]}")
    figure "${model}_batch_$batch" 120 "${step[@]}" -s deterministic=false -s "batch_size=$batch"
    if [ $torch = 1 ]; then
      figure "torch_${model}_eager" 120 $(peer) tests/peers/train_step_torch.py --model $model --batch 256 --best-only --compile none
      figure "torch_${model}_compiled" 900 $(peer) tests/peers/train_step_torch.py --model $model --batch 256 --best-only \
        --compile default --compile max-autotune-no-cudagraphs --compile reduce-overhead --compile-limit 100 --run-limit 60
    fi
    [ $model = vit_b16 ] || for scaling in current delayed; do
      figure vit_l16_fp8_$scaling 60 "${step[@]}" -s deterministic=false -s precision=fp8 -s fp8_scaling=$scaling -s "batch_size=$batch"
    done
    figure "${model}_deterministic" 60 "${step[@]}" -s "batch_size=$batch"
    figure "${model}_largest_batch" 90 "${step[@]}" -s deterministic=false --fit
  done
  summarize
  choices=("$XDG_CACHE_HOME"/flip/choices-*.txt)
  [ ! -s "${choices[0]}" ] || figure attention_ours_beside_cudnn 30 tests/gpu/attention_times.sh "${choices[@]}"
  [ ! -s "${choices[0]}" ] || figure algorithms_chosen 30 tests/gpu/product_times.sh "${choices[@]}"
}

# Images and prompts encoded per second, and zero-shot classification with 1,000 classes.
evaluation() {
  say "" "## Evaluation and embedding"
  local model images torch=0 classes=1000 steps=20 batches=(128 256)
  [ "${FLIP_PROOF_SMALL:-}" != 1 ] || classes=10 steps=2 batches=(8 16)
  ! $(peer) -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null || torch=1
  for model in vit_b16 vit_l16; do
    for images in "${batches[@]}"; do
      figure "${model}_eval_$images" 60 "$flip" bench eval -c "experiments/presets/${model}_laion400m.yaml" -s device=cuda \
        -s precision=bf16 -s deterministic=false -s "eval.batch_size=$images" --classes $classes -n $steps --json "${large[@]}"
    done
    [ $torch = 0 ] || figure "torch_${model}_eval" 100 $(peer) tests/peers/evaluate_torch.py --model $model --steps 20 \
      --compile default --compile reduce-overhead --limit 45
  done
}

# What the search for products' algorithms gains: as usual, only the algorithms that are named, and a
# longer search, each with choices of its own; a step of ViT-L/16 at each mask.
products() {
  local searched choices step
  say "" "## Algorithms of matrix products" ""
  step=("$flip" bench step -c experiments/presets/vit_l16_laion400m.yaml -s device=cuda -s precision=bf16
    -s micro_batch_size=0 -n 10 --json "${large[@]}" -s deterministic=false -s "batch_size=$batch")
  for searched in usual 0 500; do
    [ $searched = usual ] || export FLIP_PRODUCT_SEARCH_MS=$searched
    XDG_CACHE_HOME=$raw/cache_$searched figure "step_products_searched_$searched" 100 "${step[@]}"
    choices=("$raw/cache_$searched"/flip/choices-*.txt)
    [ ! -s "${choices[0]}" ] || figure "algorithms_searched_$searched" 30 tests/gpu/product_times.sh "${choices[@]}"
  done
  unset FLIP_PRODUCT_SEARCH_MS
}

case $part in proofs | all) proofs ;; esac
case $part in bench | all) bench ;; esac
case $part in eval | all) evaluation ;; esac
case $part in products | all) products ;; esac
say "" "$((SECONDS - started)) s in this call" ""
exit $failed
