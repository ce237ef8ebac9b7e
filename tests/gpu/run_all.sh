#!/usr/bin/env bash
# The whole proof on a GPU: every op against the double reference, compute-sanitizer, CPU and GPU
# training compared, two runs with the same bits, then the benchmarks next to PyTorch's.
#   usage: tests/gpu/run_all.sh REPORT_FOLDER [first|proofs|bench|eval|products|torch|all|again NAME…]
#
# Runs from a checkout with build/cuda, or from a folder packed by tests/gpu/pack.sh. Writes three
# files: report.md; summary.md, the table of steps, renewed after every stage; and report.tar.gz with
# the raw output of every stage, in a folder for each call. Calls with another part, into the same folder,
# extend them. `first` is for a machine that is at hand for one call: stages of all parts, the most valuable
# first, until the time is over. `again` runs the named stages alone (kinds.sh has the names). Exits 0 if every
# proof passed (benchmarks cannot fail it), 77 if there is no GPU.
#
# A call ends within FLIP_PROOF_SECONDS (545) and what packing the report takes: whoever sets it a limit adds 25 s.
# Stages without time left report it, and a proof among them fails the call, but for those that `first` only begins if
# there is time. FLIP_PROOF_SMALL=1 uses models and data small enough to try the script on the imitation of a GPU (FLIP_PLUGINS=build/imitation).
set -uo pipefail
usage() {
  echo "usage: tests/gpu/run_all.sh REPORT_FOLDER [first|proofs|bench|eval|products|torch|all|again NAME…]" >&2
  exit 2
}
part=${2:-all}
case $#:$part in 1:* | 2:first | 2:proofs | 2:bench | 2:eval | 2:products | 2:torch | 2:all) ;; [3-9]*:again | [1-9][0-9]*:again) ;; *) usage ;; esac
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
work=$(mktemp -d)
raw=$work/report
mkdir "$raw" "$work/ended" "$work/running"
export LD_LIBRARY_PATH XDG_CACHE_HOME=$raw/cache
small=${FLIP_PROOF_SMALL:-}
steps=200 cpu_steps=200
[ "$part" != first ] || cpu_steps=100 # the training on the CPU is the longest of the proofs
[ "$small" != 1 ] || steps=20 cpu_steps=20
batch=256 large=()
if [ "$small" = 1 ]; then
  batch=8
  large=(-s image.size=32 -s image.patch=16 -s image.width=32 -s image.layers=1 -s image.heads=2 -s text.width=32
    -s text.layers=1 -s text.heads=2 -s embed_dim=32)
fi
sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
[ -z "$sanitizer" ] || PATH=$PATH:$(dirname "$sanitizer")
export flip tests work steps cpu_steps small
started=$SECONDS failed=0 tag='' out=$raw
. tests/gpu/kinds.sh
. tests/gpu/stages.sh
. tests/gpu/summary.sh

if [ "$part" = again ]; then
  for name in "${@:3}"; do
    describe "$name" || { echo "run_all.sh: there is no stage '$name' (tests/gpu/kinds.sh has the names)" >&2; rm -rf "$work"; exit 2; }
  done
fi
[ "$part" != all ] || rm -f "$report/report.md" "$report/summary.md" "$report/report.tar.gz"
[ ! -f "$report/report.tar.gz" ] || tar xzf "$report/report.tar.gz" -C "$work"
call=1
while [ -e "$raw/$call" ]; do call=$((call + 1)); done
out=$raw/$call
mkdir "$out"
trap finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

[ -s "$report/report.md" ] || say "# Proof on a GPU" ""
commit=$(cat commit 2>/dev/null || git rev-parse HEAD)
card=$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null | sed -n 1p)
printf '%s\n' "part $part" "date $(date -u +%FT%TZ)" "commit $commit" "card $card" >"$out/about"
say "$(date -u +%F) · call $call, $part · commit $commit · $card" ""
nvidia-smi >"$out/machine.txt" 2>&1 || true

# Operations one beside the other while data is made, then what needs data. The chains use different folders; a chain's
# stages use what those before them have trained. At most SECONDS in all.
proofs_together() { # [SECONDS]
  begin_training
  [ -z "${1:-}" ] || group_end=$((SECONDS + $1))
  together ops_cuda_bf16 narrow_cuda ops_cuda_fp32 step_cuda \
    "after_operations the_same_bits_twice the_same_bits_with_named_algorithms eight_bits_learn one_rank_through_nccl calls_of_nccl" \
    "after_operations settings_learn_the_same" \
    "after_operations embeddings_of_queued_batches evaluation_and_finetuning too_large_a_run_is_refused cpu_and_gpu_learn_the_same"
  group_end=
  end_training
  passed the_same_bits_with_named_algorithms || return 0
  case $(status_of the_same_bits_twice) in
  124 | 137 | none | '') # on a loaded machine, or with a hang that need not be an algorithm's
    say "" "Two runs did not end in their time, and did with named algorithms: that does not show that one which the search for" \
      "products has found is the cause, and benchmarks search." ;;
  *)
    use_named_algorithms "Two runs $(grep -q '^two runs differ' "$out/the_same_bits_twice.txt" && echo differ || echo fail)" \
      "only with algorithms that the search for products has found" ;;
  esac
}

# One mask alone, so that there is a row early: those of all masks are measured in turns and come at the end.
first_steps() { step_or_named_algorithms vit_l16_mask_75 vit_l16_batch_$batch; }

proofs() {
  say "## Proofs" ""
  proofs_together
  stage racecheck_ops_bf16 racecheck_narrow memcheck_ops_bf16 memcheck_ops_fp32
}

bench() {
  say "" "## Benchmarks"
  first_steps
  stage vit_l16_kernels operations_vit_l16 vit_l16_fp8_delayed vit_l16_fp8_current vit_l16_deterministic \
    vit_l16_largest_batch vit_b16_batch_$batch vit_b16_deterministic vit_b16_largest_batch vit_h14_mask_75 \
    vit_l16_recompute vit_l16_moments attention_ours_beside_cudnn algorithms_chosen
}

# Images and prompts encoded per second, and zero-shot classification with 1,000 classes.
evaluation() {
  local model images batches=(128 256)
  say "" "## Evaluation and embedding"
  [ "$small" != 1 ] || batches=(8 16)
  for model in vit_b16 vit_l16; do
    for images in "${batches[@]}"; do stage "${model}_eval_$images"; done
    stage "torch_${model}_eval"
  done
}

# What the search for products' algorithms gains: as usual, only the algorithms that are named, and a
# longer search, each with choices of its own; a step of ViT-L/16 without a mask, whose products are largest.
products() {
  local searched
  say "" "## Algorithms of matrix products" ""
  for searched in usual 0 500; do stage "step_products_searched_$searched" "algorithms_searched_$searched"; done
}

# The same step in PyTorch, the paper's masks from the most dropped on, what compiles fastest first.
torch() {
  local model mask
  say "" "## PyTorch" ""
  for model in vit_l16 vit_b16; do
    for mask in 0.75 0 0.5; do stage "torch_${model}_compiled_$mask" "torch_${model}_eager_$mask"; done
  done
  stage torch_vit_l16_compiled_modes_0.75 torch_vit_b16_compiled_modes_0.75
}

# What one call should bring first: all proofs, in less than half of its time, then the benchmarks.
first() {
  say "## First" ""
  proofs_together $((${FLIP_PROOF_SECONDS:-545} * 45 / 100))
  first_steps
  stage_if_time vit_l16_kernels operations_vit_l16 vit_l16_fp8_delayed vit_b16_batch_$batch vit_l16_eval_$batch vit_h14_mask_75 \
    attention_ours_beside_cudnn algorithms_chosen racecheck_ops_bf16 vit_l16_fp8_current vit_l16_recompute \
    racecheck_narrow memcheck_ops_bf16
}

# One after another. What proofs need of data is made first.
again() { # NAME…
  local name has_data=''
  say "## Again" ""
  for name; do
    describe "$name"
    case "${words[*]}" in
    *proofs.sh\ racecheck*) ;;
    *proofs.sh*)
      [ -n "$has_data" ] || { has_data=1; stage make_data; }
      [ "$name" != cpu_and_gpu_learn_the_same ] || stage train_on_the_cpu ;;
    esac
    stage "$name"
  done
}

case $part in
first) first ;;
proofs) proofs ;;
bench) bench ;;
eval) evaluation ;;
products) products ;;
torch) torch ;;
again) again "${@:3}" ;;
all) proofs; bench; evaluation; products; torch ;;
esac
say "" "$(summarize)" "" "$((SECONDS - started)) s in this call" ""
exit $failed
