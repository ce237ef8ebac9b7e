#!/usr/bin/env bash
# The whole proof on a GPU: every op against the double reference, compute-sanitizer, CPU and GPU
# training compared, two runs with the same bits, then the benchmarks next to PyTorch's.
#   usage: tests/gpu/run_all.sh REPORT_FOLDER [first|proofs|bench|eval|products|torch|all]
#
# Runs from a checkout with build/cuda, or from a folder packed by tests/gpu/pack.sh. Writes two
# files: report.md, and report.tar.gz with the raw output of every stage. In parts, into the same
# folder, both files are extended. `first` is for a machine that is at hand for one call: stages of all
# parts, the most valuable first, until the time is over. Exits 0 if every proof passed (benchmarks
# cannot fail it), 77 if there is no GPU.
#
# A call ends within FLIP_PROOF_SECONDS (570): stages without time left report it, and a proof among
# them fails the call. FLIP_PROOF_SMALL=1 uses models and data small enough to try the script on the
# imitation of a GPU (FLIP_PLUGINS=build/imitation).
set -uo pipefail
part=${2:-all}
case $#:$part in 1:* | 2:first | 2:proofs | 2:bench | 2:eval | 2:products | 2:torch | 2:all) ;; *)
  echo "usage: tests/gpu/run_all.sh REPORT_FOLDER [first|proofs|bench|eval|products|torch|all]" >&2
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
small=${FLIP_PROOF_SMALL:-}
steps=200
[ "$small" != 1 ] || steps=20
export flip tests work steps small
started=$SECONDS
failed=0
[ "$part" = all ] && rm -f "$report/report.md" "$report/report.tar.gz"
[ ! -f "$report/report.tar.gz" ] || tar xzf "$report/report.tar.gz" -C "$work"

# After every stage, so that a killed call leaves its results so far.
keep() { tar czf "$work/report.tar.gz" -C "$work" report && mv "$work/report.tar.gz" "$report/"; }
beside=
trap 'keep; [ -z "$beside" ] || kill -KILL "$beside" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
say() { printf '%s\n' "$@" | tee -a "$report/report.md"; }
seconds_left() { echo $((${FLIP_PROOF_SECONDS:-570} - (SECONDS - started))); }

# within SECONDS COMMAND…: at most that long, and not beyond the call's own end; 124 without time, 137 when it was
# cut. Killed with all it started: a program that waits for a kernel that hangs does not end by itself, and would
# stay on the GPU beside what follows.
within() {
  local limit=$1 left
  left=$(seconds_left)
  shift
  [ "$left" -ge 5 ] || { echo "no time is left: run the script in parts, or increase FLIP_PROOF_SECONDS" >&2; return 124; }
  timeout -s KILL $((limit < left ? limit : left)) "$@"
}

# proof NAME SECONDS COMMAND…: one line in the report, the output in NAME.txt. Returns the command's status.
proof() {
  local name=$1 limit=$2 code=0 begun=$SECONDS
  shift 2
  within "$limit" "$@" >"$raw/$name.txt" 2>&1 || code=$?
  if [ $code = 0 ]; then
    say "- ok: $name ($((SECONDS - begun)) s)"
  else
    say "- FAILED: $name, status $code after $((SECONDS - begun)) s: $(tail -n 1 "$raw/$name.txt")"
    grep -m 3 'FAILED' "$raw/$name.txt" | sed 's/^/    /' | tee -a "$report/report.md"
    failed=1
  fi
  keep
  return $code
}
prove() { # NAME SECONDS: a proof of proofs.sh
  proof "$1" "$2" tests/gpu/proofs.sh "$1"
}

# figure NAME SECONDS COMMAND…: a benchmark; its output goes into the report.
figure() {
  local name=$1 limit=$2 code=0 begun=$SECONDS
  shift 2
  within "$limit" "$@" >"$raw/$name.txt" 2>"$raw/$name.err" || code=$?
  say "" "### $name" "" "$((SECONDS - begun)) s$([ $code = 0 ] || echo ", ended with status $code: $(tail -n 1 "$raw/$name.err")")"
  say '```' "$(cat "$raw/$name.txt")" '```'
  keep
}

[ -s "$report/report.md" ] || say "# Proof on a GPU" ""
say "$(date -u +%F) · $part · commit $(cat commit 2>/dev/null || git rev-parse HEAD) · $(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null | sed -n 1p)" ""
nvidia-smi >"$raw/machine.txt" 2>&1 || true
sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
[ -z "$sanitizer" ] || PATH=$PATH:$(dirname "$sanitizer")

# The stages. Each kind of op on the GPU; status 77: there is none.
ops() { # TEST [WORD]
  local name=$1${2:+_$2} code=0
  proof "${name#test_}" 60 "$tests/$1" ${2:+"$2"} || code=$?
  [ $code != 77 ] || { say "nothing was run: $(tail -n 1 "$raw/${name#test_}.txt")"; exit 77; }
}
# Data, and training on the CPU, which takes a minute, beside what follows.
begin_training() {
  within 60 tests/gpu/proofs.sh make_data >"$raw/data.txt" 2>&1 ||
    { say "- FAILED: making data: $(tail -n 1 "$raw/data.txt")"; failed=1; }
  { timeout -s KILL 240 tests/gpu/proofs.sh train_on_the_cpu >"$raw/cpu.txt" 2>&1; touch "$work/cpu.ended"; } &
  beside=$!
}
through_nccl() {
  if [ -e "$plugins/libflip_nccl.so" ]; then
    proof calls_of_nccl 40 env FLIP_COMM=nccl "$tests/gpu_calls"
    prove one_rank_through_nccl 60
  else
    say "- not run: NCCL is not in this build"
  fi
}
sanitized() { # memcheck|racecheck TEST WORD
  if [ -n "$sanitizer" ]; then
    case $1 in
    memcheck) proof "memcheck_$2_$3" 120 compute-sanitizer --tool memcheck --error-exitcode 9 "$tests/$2" "$3" ;;
    racecheck) proof "racecheck_$2_$3" 120 tests/gpu/proofs.sh racecheck "$2" "$3" ;;
    esac
  else
    say "- not run: $1, because compute-sanitizer is not on the machine"
  fi
}

proofs() {
  say "## Proofs" ""
  begin_training
  ops test_ops cuda_bf16
  ops test_narrow cuda
  ops test_ops cuda_fp32
  ops test_step cuda
  prove the_same_bits_twice 60
  prove eight_bits_learn 60
  prove settings_learn_the_same 150
  prove cpu_and_gpu_learn_the_same 150
  prove embeddings_of_queued_batches 60
  prove evaluation_and_finetuning 90
  prove too_large_a_run_is_refused 60
  through_nccl
  sanitized racecheck test_ops cuda_bf16
  sanitized racecheck test_narrow cuda
  sanitized memcheck test_ops cuda_bf16
  sanitized memcheck test_ops cuda_fp32
}

batch=256 large=()
if [ "$small" = 1 ]; then
  batch=8
  large=(-s image.size=32 -s image.patch=16 -s image.width=32 -s image.layers=1 -s image.heads=2 -s text.width=32
    -s text.layers=1 -s text.heads=2 -s embed_dim=32)
fi
has_torch() { $(peer) -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; }
step() { # NAME SECONDS MODEL [ARGUMENT…]: bf16, sums in any order, as in PyTorch
  local name=$1 limit=$2 model=$3
  shift 3
  figure "$name" "$limit" "$flip" bench step -c "experiments/presets/${model}_laion400m.yaml" -s device=cuda -s precision=bf16 \
    -s micro_batch_size=0 -n 10 --json "${large[@]}" -s deterministic=false "$@"
}
chosen() {
  local choices=("$XDG_CACHE_HOME"/flip/choices-*.txt)
  [ -s "${choices[0]}" ] || return 0
  figure attention_ours_beside_cudnn 30 tests/gpu/attention_times.sh "${choices[@]}"
  figure algorithms_chosen 30 tests/gpu/product_times.sh "${choices[@]}"
}
encode() { # MODEL IMAGES_A_BATCH
  local classes=1000 count=20
  [ "$small" != 1 ] || classes=10 count=2
  figure "${1}_eval_$2" 60 "$flip" bench eval -c "experiments/presets/${1}_laion400m.yaml" -s device=cuda \
    -s precision=bf16 -s deterministic=false -s "eval.batch_size=$2" --classes $classes -n $count --json "${large[@]}"
}
peer_step() { # NAME SECONDS MODEL ARGUMENT…: each way is printed when it is measured
  local name=$1 limit=$2 model=$3
  shift 3
  figure "torch_${model}_$name" "$limit" $(peer) tests/peers/train_step_torch.py --model "$model" --batch 256 \
    --compile-limit 100 --run-limit 60 "$@"
}

# Rows of JSON in FILE as "MASK NUMBER …" for the given keys; rows without one of them are left out.
numbers() { # FILE KEY…
  local file=$1
  shift
  awk -v keys="mask_ratio $*" '
    { row = ""; n = split(keys, key, " ")
      for (i = 1; i <= n; i++) {
        if (!match($0, "\"" key[i] "\": *[-+0-9.eE]+")) next
        value = substr($0, RSTART, RLENGTH); sub(/.*: */, "", value); row = row value " " }
      print row }' "$raw/$file.txt"
}

# Goals next to measurements: PyTorch's best is 1, the time of mask 0 is 1.
summarize() {
  local model
  say "" "### Compared with PyTorch and the goals" "" \
    "| model | mask | samples/s | PyTorch's best eager | best compiled | over compiled (goal 1.5) | MFU (goal 62 %, at mask 75 % 55 %) | time |" \
    "|---|---:|---:|---:|---:|---:|---:|---:|"
  for model in vit_l16 vit_b16; do
    [ -s "$raw/${model}_batch_$batch.txt" ] || continue
    numbers "${model}_batch_$batch" samples_per_second mfu time_ratio >"$work/flip.rows"
    for kind in eager compiled; do
      for file in "$raw/torch_${model}_$kind"*.txt; do
        [ ! -s "$file" ] || numbers "$(basename "$file" .txt)" samples_per_second
      done >"$work/$kind.rows"
    done
    say "$(awk -v model="$model" -v eager="$work/eager.rows" -v compiled="$work/compiled.rows" '
      BEGIN { while ((getline line < eager) > 0) { split(line, f, " "); if (f[2] > e[f[1] + 0]) e[f[1] + 0] = f[2] }
              while ((getline line < compiled) > 0) { split(line, f, " "); if (f[2] > c[f[1] + 0]) c[f[1] + 0] = f[2] } }
      { m = $1 + 0
        printf "| %s | %g %% | %.0f | %s | %s | %s | %.1f %% | %.2f |\n", model, 100 * m, $2,
          m in e ? sprintf("%.0f", e[m]) : "–", m in c ? sprintf("%.0f", c[m]) : "–",
          m in c ? sprintf("%.2f", $2 / c[m]) : "–", 100 * $3, $4 }' "$work/flip.rows")"
  done
}

bench() {
  local model scaling
  say "" "## Benchmarks"
  for model in vit_l16 vit_b16; do
    step "${model}_batch_$batch" 150 $model -s "batch_size=$batch"
    [ $model = vit_b16 ] || for scaling in delayed current; do
      step vit_l16_fp8_$scaling 120 $model -s precision=fp8 -s fp8_scaling=$scaling -s "batch_size=$batch"
    done
    step "${model}_deterministic" 120 $model -s deterministic=true -s "batch_size=$batch"
    step "${model}_largest_batch" 150 $model --fit
  done
  step vit_h14_mask_75 150 vit_h14 --mask 0.75 -s "batch_size=$batch"
  step vit_l16_recompute 120 vit_l16 --mask 0 -s image.recompute=activations -s text.recompute=activations -s "batch_size=$batch"
  step vit_l16_moments 120 vit_l16 --mask 0.75 -s optimizer.moments=bf16 -s "batch_size=$batch"
  chosen
}

# Images and prompts encoded per second, and zero-shot classification with 1,000 classes.
evaluation() {
  local model images batches=(128 256)
  say "" "## Evaluation and embedding"
  [ "$small" != 1 ] || batches=(8 16)
  for model in vit_b16 vit_l16; do
    for images in "${batches[@]}"; do encode $model "$images"; done
    ! has_torch || figure "torch_${model}_eval" 150 $(peer) tests/peers/evaluate_torch.py --model $model --steps 20 \
      --compile none --compile default --compile reduce-overhead --limit 45
  done
}

# What the search for products' algorithms gains: as usual, only the algorithms that are named, and a
# longer search, each with choices of its own; a step of ViT-L/16 without a mask, whose products are largest.
products() {
  local searched choices
  say "" "## Algorithms of matrix products" ""
  for searched in usual 0 500; do
    [ $searched = usual ] || export FLIP_PRODUCT_SEARCH_MS=$searched
    XDG_CACHE_HOME=$raw/cache_$searched step "step_products_searched_$searched" 150 vit_l16 --mask 0 -s "batch_size=$batch"
    choices=("$raw/cache_$searched"/flip/choices-*.txt)
    [ ! -s "${choices[0]}" ] || figure "algorithms_searched_$searched" 30 tests/gpu/product_times.sh "${choices[@]}"
  done
  unset FLIP_PRODUCT_SEARCH_MS
}

# The same step in PyTorch, the paper's masks from the most dropped on, what compiles fastest first.
torch() {
  local model mask
  say "" "## PyTorch" ""
  has_torch || { say "not run: PyTorch does not find a GPU"; return; }
  for model in vit_l16 vit_b16; do
    for mask in 0.75 0 0.5; do
      peer_step eager_$mask 60 $model --mask $mask --compile none
      peer_step compiled_$mask 250 $model --mask $mask --compile default
    done
  done
  for model in vit_l16 vit_b16; do
    peer_step compiled_modes_0.75 400 $model --mask 0.75 --compile reduce-overhead --compile max-autotune-no-cudagraphs
  done
}

# What one call of ten minutes should bring first.
first() {
  say "## First" ""
  begin_training
  ops test_ops cuda_bf16
  ops test_narrow cuda
  ops test_ops cuda_fp32
  ops test_step cuda
  prove the_same_bits_twice 45 || {
    # an algorithm that hangs or breaks the device must not cost the rest of the call as well
    say "  again, and all that follows, with the algorithms that the libraries name (FLIP_PRODUCT_SEARCH_MS=0)"
    export FLIP_PRODUCT_SEARCH_MS=0 XDG_CACHE_HOME=$raw/cache_named
    prove the_same_bits_twice 45
  }
  prove eight_bits_learn 45
  step "vit_l16_batch_$batch" 120 vit_l16 -s "batch_size=$batch"
  step vit_l16_fp8_delayed 100 vit_l16 --mask 0.75 -s precision=fp8 -s fp8_scaling=delayed -s "batch_size=$batch"
  chosen
  through_nccl
  prove settings_learn_the_same 100
  prove cpu_and_gpu_learn_the_same 60
  prove embeddings_of_queued_batches 40
  step "vit_b16_batch_$batch" 80 vit_b16 -s "batch_size=$batch"
  encode vit_l16 $((batch))
  prove evaluation_and_finetuning 60
  step vit_h14_mask_75 100 vit_h14 --mask 0.75 -s "batch_size=$batch"
  sanitized racecheck test_ops cuda_bf16
  step vit_l16_fp8_current 80 vit_l16 --mask 0.75 -s precision=fp8 -s "batch_size=$batch"
  step vit_l16_recompute 80 vit_l16 --mask 0 -s image.recompute=activations -s text.recompute=activations -s "batch_size=$batch"
  prove too_large_a_run_is_refused 30
  sanitized memcheck test_ops cuda_bf16
}

case $part in
first) first ;;
proofs) proofs ;;
bench) bench ;;
eval) evaluation ;;
products) products ;;
torch) torch ;;
all) proofs; bench; evaluation; products; torch ;;
esac
summarize
say "" "$((SECONDS - started)) s in this call" ""
exit $failed
