# shellcheck shell=bash disable=SC2034,SC2154 # sourced by run_all.sh, whose variables it uses and sets
# What each stage of run_all.sh is, by its name.

preset() { echo "experiments/presets/${1}_laion400m.yaml"; }
# Seconds, then the arguments of `flip bench step`: bf16, sums in any order, as in PyTorch.
step() { # SECONDS MODEL [ARGUMENT…]
  limit=$1
  words=("$flip" bench step -c "$(preset "$2")" -s device=cuda -s precision=bf16 -s micro_batch_size=0 -n 10 --json
    "${large[@]}" -s deterministic=false -s "batch_size=$batch" "${@:3}")
}
encode() { # MODEL IMAGES_A_BATCH
  local classes=1000 count=20
  [ "$small" != 1 ] || classes=10 count=2
  limit=60
  words=("$flip" bench eval -c "$(preset "$1")" -s device=cuda -s precision=bf16 -s deterministic=false
    -s "eval.batch_size=$2" --classes "$classes" -n "$count" --json "${large[@]}")
}
# PyTorch's step, by the type of the weights that flip's residual stream has first; each way is printed when it is
# measured. Limits are from the start of a process, whose imports and first steps are in them.
peer_step() { # SECONDS MODEL MASK ARGUMENT…
  limit=$1
  words=(env "LD_LIBRARY_PATH=$machines" python3 tests/peers/train_step_torch.py --model "$2" --mask "$3" --batch 256 --weights bf16 --weights autocast
    --compile-limit 170 --run-limit 60 "${@:4}")
  needs_torch
}
needs_torch() {
  [ -e "$work/torch" ] || {
    timeout -s KILL 60 env LD_LIBRARY_PATH="$machines" python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null
    echo $? >"$work/torch"
  }
  [ "$(cat "$work/torch")" = 0 ] || why="PyTorch does not find a GPU"
}
needs_nccl() { [ -e "$plugins/libflip_nccl.so" ] || why="NCCL is not in this build"; }
needs_sanitizer() { [ -n "$sanitizer" ] || why="compute-sanitizer is not on the machine"; }
# Tests that compute-sanitizer repeats, and the repetitions: with the choices of the test's chain (together), if it had
# one, since choosing takes longest there.
with_choices_of() { # STAGE COMMAND…
  local cache=$raw/cache_$1
  [ -d "$cache" ] || cache=$XDG_CACHE_HOME
  words=(env "XDG_CACHE_HOME=$cache" "${@:2}")
}
needs_tracer() { why=$(tests/gpu/kernels.sh --check "$here/$built/lib"); }

# describe NAME sets: kind (proof, figure, or preparation, which is reported only when it fails), limit (seconds),
# words (the command), why (the reason why the stage cannot run here; empty: it can). Fails if there is no such stage.
describe() {
  local name=$1 model=${1#torch_} file
  model=${model:0:7} # vit_l16, vit_b16, vit_h14
  kind=figure limit=120 words=() why=''
  case $name in
  make_data | train_on_the_cpu) kind=preparation ;;
  vit_* | step_products_* | torch_* | algorithms_* | attention_ours_beside_cudnn | operations_vit_l16) ;;
  *) kind=proof ;;
  esac
  case $name in
  # proofs
  make_data) limit=60 words=(tests/gpu/proofs.sh "$name") ;;
  train_on_the_cpu) limit=240 words=(tests/gpu/proofs.sh "$name") ;;
  ops_cuda_bf16 | ops_cuda_fp32) with_choices_of "$name" "$tests/test_ops" "${name#ops_}" ;;
  narrow_cuda) with_choices_of "$name" "$tests/test_narrow" cuda ;;
  step_cuda) words=("$tests/test_step" cuda) ;;
  the_same_bits_twice | embeddings_of_queued_batches | evaluation_and_finetuning) limit=90 words=(tests/gpu/proofs.sh "$name") ;;
  too_large_a_run_is_refused | eight_bits_learn) limit=60 words=(tests/gpu/proofs.sh "$name") ;;
  settings_learn_the_same | cpu_and_gpu_learn_the_same) limit=150 words=(tests/gpu/proofs.sh "$name") ;;
  # is an algorithm that the search found the cause? Only if it passes, what follows uses the named ones too
  the_same_bits_with_named_algorithms)
    limit=90 words=(env FLIP_PRODUCT_SEARCH_MS=0 "XDG_CACHE_HOME=$raw/cache_named" tests/gpu/proofs.sh the_same_bits_twice)
    ! passed the_same_bits_twice || why=unneeded ;;
  calls_of_nccl) limit=40 words=(env FLIP_COMM=nccl "$tests/gpu_calls") && needs_nccl ;;
  one_rank_through_nccl) limit=60 words=(tests/gpu/proofs.sh "$name") && needs_nccl ;;
  memcheck_ops_bf16 | memcheck_ops_fp32)
    with_choices_of "ops_cuda_${name##*_}" compute-sanitizer --tool memcheck --error-exitcode 9 "$tests/test_ops" "cuda_${name##*_}" &&
      needs_sanitizer ;;
  racecheck_ops_bf16) with_choices_of ops_cuda_bf16 tests/gpu/proofs.sh racecheck test_ops cuda_bf16 && needs_sanitizer ;;
  racecheck_narrow) with_choices_of narrow_cuda tests/gpu/proofs.sh racecheck test_narrow cuda && needs_sanitizer ;;
  # the training step
  vit_l16_batch_"$batch") step 150 "$model" ;;
  vit_b16_batch_"$batch") step 100 "$model" ;;
  vit_[lbh]1[46]_mask_75) step 150 "$model" --mask 0.75 ;;
  vit_l16_fp8_delayed | vit_l16_fp8_current) step 120 vit_l16 --mask 0.75 -s precision=fp8 -s "fp8_scaling=${name##*_}" ;;
  vit_l16_deterministic | vit_b16_deterministic) step 120 "$model" -s deterministic=true ;;
  vit_l16_largest_batch | vit_b16_largest_batch) step 150 "$model" --fit ;;
  vit_l16_recompute) step 120 vit_l16 --mask 0 -s image.recompute=activations -s text.recompute=activations ;;
  vit_l16_moments) step 120 vit_l16 --mask 0.75 -s optimizer.moments=bf16 ;;
  vit_l16_kernels)
    step 90 vit_l16 --mask 0.75 -n 5
    words=(tests/gpu/kernels.sh "$here/$built/lib" "${words[@]}")
    needs_tracer ;;
  operations_vit_l16)
    limit=60
    words=("$flip" bench ops -c "$(preset vit_l16)" -s device=cuda -s precision=bf16 -s micro_batch_size=0 --json
      "${large[@]}" -s deterministic=false -s "batch_size=$batch" -s mask_ratio=0.75) ;;
  # choices and what they gained
  attention_ours_beside_cudnn)
    limit=30 words=(tests/gpu/attention_times.sh)
    for file in "$XDG_CACHE_HOME"/flip/choices-*.txt; do [ ! -s "$file" ] || words+=("$file"); done
    [ ${#words[@]} -gt 1 ] || why="nothing has been chosen" ;;
  algorithms_chosen) # in this call's benchmarks, not in its proofs, whose shapes are small
    limit=30 words=(tests/gpu/product_times.sh)
    for file in "$out"/*.choices; do [ ! -s "$file" ] || words+=("$file"); done
    [ ${#words[@]} -gt 1 ] || why="no benchmark of this call has chosen an algorithm" ;;
  step_products_searched_usual | step_products_searched_0 | step_products_searched_500)
    step 150 vit_l16 --mask 0
    [ "${name##*_}" = usual ] || words=(env "FLIP_PRODUCT_SEARCH_MS=${name##*_}" "${words[@]}")
    words=(env "XDG_CACHE_HOME=$raw/cache_${name##*_}" "${words[@]}") ;;
  algorithms_searched_usual | algorithms_searched_0 | algorithms_searched_500)
    limit=30 words=(tests/gpu/product_times.sh)
    for file in "$raw/cache_${name##*_}"/flip/choices-*.txt; do [ ! -s "$file" ] || words+=("$file"); done
    [ ${#words[@]} -gt 1 ] || why="nothing has been chosen" ;;
  # evaluation
  vit_[lb]16_eval_[0-9]*) encode "$model" "${name##*_}" ;;
  torch_vit_[lb]16_eval)
    limit=400
    words=(env "LD_LIBRARY_PATH=$machines" python3 tests/peers/evaluate_torch.py --model "$model" --steps 20 --compile none --compile default
      --compile reduce-overhead --limit 120)
    needs_torch ;;
  # PyTorch's training step
  torch_vit_[lb]16_eager_0*) peer_step 120 "$model" "${name##*_}" --compile none ;;
  torch_vit_[lb]16_compiled_modes_0*)
    peer_step 400 "$model" "${name##*_}" --compile reduce-overhead --compile max-autotune-no-cudagraphs ;;
  torch_vit_[lb]16_compiled_0*) peer_step 400 "$model" "${name##*_}" --compile default ;;
  *) return 1 ;;
  esac
}
