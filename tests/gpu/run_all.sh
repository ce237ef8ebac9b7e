#!/usr/bin/env bash
# The whole proof with a GPU in one call, under ten minutes: every op against the double reference,
# compute-sanitizer, CPU and GPU learning the same, the same bits twice, then the benchmarks beside
# PyTorch's.   usage: tests/gpu/run_all.sh REPORT_FOLDER
#
# Runs from a checkout with build/cuda, or from a folder that tests/gpu/pack.sh made. Writes
# report.md and the raw output of every stage; exits 0 when every proof held (benchmarks prove
# nothing and cannot fail it), 77 where there is no GPU.
set -uo pipefail
[ $# = 1 ] || { echo "usage: tests/gpu/run_all.sh REPORT_FOLDER" >&2; exit 2; }
mkdir -p "$1" && report=$(cd "$1" && pwd) || exit 2
cd "$(dirname "$0")/../.."
here=$PWD
if [ -x build/cuda/bin/flip ]; then
  flip=$here/build/cuda/bin/flip
  tests=$here/build/cuda/tests
else
  flip=$here/bin/flip
  tests=$here/tests
  export LD_LIBRARY_PATH=$here/lib:${LD_LIBRARY_PATH:-}
fi
[ -x "$flip" ] && [ -x "$tests/test_ops" ] && [ -x "$tests/test_step" ] ||
  { echo "no build: cmake --preset cuda && cmake --build build/cuda" >&2; exit 2; }
# cuDNN and cuBLASLt may come with a Python package rather than with the toolkit
for folder in $(python3 -c 'import glob, site
print(" ".join(p for s in site.getsitepackages() for p in glob.glob(s + "/nvidia/*/lib")))' 2>/dev/null); do
  LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-}:$folder
done
export LD_LIBRARY_PATH XDG_CACHE_HOME=$report/cache
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
started=$SECONDS

say() { printf '%s\n' "$@" | tee -a "$report/report.md"; }

# proof NAME SECONDS COMMAND…: one line in the report, the output in NAME.txt.
proof() {
  local name=$1 limit=$2 code=0 begun=$SECONDS
  shift 2
  timeout "$limit" "$@" >"$report/$name.txt" 2>&1 || code=$?
  if [ $code = 0 ]; then
    say "- ok: $name ($((SECONDS - begun)) s)"
  else
    say "- FAILED: $name, status $code: $(tail -n 1 "$report/$name.txt")"
    failed=1
  fi
}

# figure NAME SECONDS COMMAND…: a benchmark; what it prints goes into the report.
figure() {
  local name=$1 limit=$2 code=0
  shift 2
  timeout "$limit" "$@" >"$report/$name.txt" 2>"$report/$name.err" || code=$?
  say "" "### $name" ""
  [ $code = 0 ] || say "ended with status $code: $(tail -n 1 "$report/$name.err")"
  say '```' "$(cat "$report/$name.txt")" '```'
}

: >"$report/report.md"
say "# Proof on a GPU" "" \
  "$(date -u +%F) · commit $(cat commit 2>/dev/null || git rev-parse HEAD) · $(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null | head -1)" ""
nvidia-smi >"$report/machine.txt" 2>&1 || true

"$tests/test_ops" cuda_fp32 >"$report/first.txt" 2>&1
[ $? = 77 ] && { say "nothing was run: $(tail -n 1 "$report/first.txt")"; exit 77; }

say "## Proofs" ""
proof ops_fp32 60 "$tests/test_ops" cuda_fp32
proof ops_bf16 60 "$tests/test_ops" cuda_bf16
proof steps_recorded_and_not 60 "$tests/test_step" cuda
if command -v compute-sanitizer >/dev/null; then
  proof memcheck 120 compute-sanitizer --tool memcheck --error-exitcode 9 "$tests/test_ops" cuda_fp32
  proof racecheck 120 compute-sanitizer --tool racecheck --error-exitcode 9 "$tests/test_ops" cuda_bf16
fi

# the quickstart's model on scenes, which need no package
run=(-c experiments/presets/mini.yaml -s "data.train=$work/scenes/*.tar" -s "text.vocabulary=$work/vocab.txt"
  -s eval.sets= -s eval.points=0 -s data.flip=false -s mask_ratio=0.5 -s samples=51200)
{
  "$flip" data scenes --out "$work/scenes" --count 20k &&
    "$flip" tokenizer train --out "$work/vocab.txt" --size 2048 "$work/scenes/*.tar"
} >"$report/data.txt" 2>&1 || say "- FAILED: making data: $(tail -n 1 "$report/data.txt")"

train() { # DEVICE PRECISION FOLDER [SETTING…]
  local device=$1 precision=$2 out=$3
  shift 3
  "$flip" train "${run[@]}" -s "device=$device" -s "precision=$precision" "$@" --out "$out"
}
losses() { sed -n 's/.*"event":"step".*"loss":\([0-9.e+-]*\).*/\1/p' "$1/events.jsonl"; }
# Adam divides by the root of tiny second moments, so that rounding grows from step to step: the
# curves must lie together, not be equal.
same_curve() {
  train cpu fp32 "$work/cpu" && train cuda fp32 "$work/gpu" || return 1
  paste <(losses "$work/cpu") <(losses "$work/gpu") |
    awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > worst) worst = d; n++ }
         END { printf "%d steps, losses at most %.2g apart\n", n, worst; exit !(n == 200 && worst < 0.02) }'
}
same_bits() {
  train cuda bf16 "$work/first" && train cuda bf16 "$work/second" &&
    cmp "$work"/first/checkpoints/*.safetensors "$work"/second/checkpoints/*.safetensors
}
narrow_learns() { # 8-bit dense layers: the loss at the end within a twentieth of bf16's
  train cuda fp8 "$work/narrow" &&
    paste <(losses "$work/first") <(losses "$work/narrow") | tail -n 20 |
      awk '{ a += $1; b += $2 } END { printf "mean loss of the last 20 steps: bf16 %.4f, fp8 %.4f\n", a / NR, b / NR
             exit !(NR == 20 && b < 1.05 * a) }'
}
export -f train losses
proof cpu_and_gpu_learn_the_same 150 bash -c "$(declare -p run flip work); $(declare -f train losses same_curve); same_curve"
proof the_same_bits_twice 60 bash -c "$(declare -p run flip work); $(declare -f train losses same_bits); same_bits"
proof eight_bits_learn 60 bash -c "$(declare -p run flip work); $(declare -f train losses narrow_learns); narrow_learns"

say "" "## Benchmarks"
for model in vit_b16 vit_l16; do
  step=("$flip" bench step -c "experiments/presets/${model}_laion400m.yaml" -s device=cuda -s precision=bf16
    -s micro_batch_size=0 -n 10)
  figure "${model}_batch_256" 60 "${step[@]}" -s batch_size=256 --json
  figure "${model}_largest_batch" 90 "${step[@]}" --fit --json
done
figure vit_l16_fp8 60 "$flip" bench step -c experiments/presets/vit_l16_laion400m.yaml -s device=cuda \
  -s precision=fp8 -s micro_batch_size=0 -s batch_size=256 -n 10 --json
if python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
  figure torch_vit_l16_eager 60 python3 tests/peers/train_step_torch.py --model vit_l16 --batch 256
  figure torch_vit_l16_compiled 150 python3 tests/peers/train_step_torch.py --model vit_l16 --batch 256 --compile
fi
say "" "$((SECONDS - started)) s in all"
exit $failed
