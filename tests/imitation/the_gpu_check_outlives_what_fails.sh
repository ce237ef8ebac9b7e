# tests/gpu/run_all.sh with programs that fail, hang or are missing something: what does not concern the others does not
# stop or hide them, nothing goes on after the end, no call loses an earlier one's results, no two cards are compared.
# The programs are stand-ins of a few lines; the real ones run in the_gpu_check_runs_on_the_imitation.
set -euo pipefail
mkdir -p machine/bin machine/lib machine/tests machine/experiments
cp -r "$SOURCE/tests/gpu" "$SOURCE/tests/peers" machine/tests/
cp -r "$SOURCE/experiments/presets" machine/experiments/
echo 0123456789abcdef > machine/commit
export TROUBLE='' CARD='card A' PIDS=$PWD/pids CACHES=$PWD/caches FLIP_PROOF_SMALL=1
unset FLIP_PLUGINS

cat > machine/tests/test_ops << 'X'
#!/bin/bash
mkdir -p "$XDG_CACHE_HOME" && echo "$1 ${XDG_CACHE_HOME##*/}" >> "$CACHES"
case $1:$TROUBLE in
cuda_fp32:fails) echo "[  FAILED  ] a_planted_error"; exit 1 ;;
*:no_gpu) echo "skipped: this machine has no NVIDIA driver"; exit 77 ;;
*:no_library) echo "skipped: libcudnn.so.9: cannot open shared object file"; exit 77 ;;
esac
echo "every operation agrees"
X
cat > machine/tests/test_narrow << 'X'
#!/bin/bash
mkdir -p "$XDG_CACHE_HOME" && echo "narrow ${XDG_CACHE_HOME##*/}" >> "$CACHES"
case $TROUBLE in hangs) sleep 600 & echo $! >> "$PIDS"; wait ;; esac
X
cp machine/tests/test_ops machine/tests/test_step
# Trains as many steps as asked; its weights are the same each time, or with TROUBLE only by the algorithms named.
cat > machine/bin/flip << 'X'
#!/bin/bash
case $* in
'bench step'*) echo "bench ${XDG_CACHE_HOME##*/}" >> "$CACHES" ;;
train*device=cuda*) echo "${!#} ${XDG_CACHE_HOME##*/}" | sed 's,.*/,,' >> "$CACHES" ;;
esac
case $* in
'data scenes'* | 'tokenizer train'*) exit 0 ;;
'bench step'*)
  case $TROUBLE:${FLIP_PRODUCT_SEARCH_MS:-} in no_steps:* | no_steps_by_search:) echo "flip: error: no step" >&2; exit 1 ;; esac
  case $TROUBLE:$*:${FLIP_PRODUCT_SEARCH_MS:-} in no_masks_by_search:*' --mask 0.75:') ;; no_masks_by_search:*:) exit 1 ;; esac
  echo "{\"mask_ratio\":0.75,\"device_name\":\"$CARD\",\"samples_per_second\":300,\"time_ratio\":0.33,\"mfu\":0.5,\"search\":\"${FLIP_PRODUCT_SEARCH_MS:-usual}\"}" ;;
'bench '*) echo '{}' ;;
train*)
  case $TROUBLE:$* in hangs:*/cpu | cpu_hangs:*device=cpu*) echo $$ >> "$PIDS"; exec sleep 600 ;; esac
  for word; do
    case $word in samples=*) samples=${word#*=} ;; batch_size=*) batch=${word#*=} ;; esac
    out=$word
  done
  mkdir -p "$out/checkpoints"
  for ((i = 0; i < samples / batch; i++)); do echo '{"event":"step","loss":1.5}'; done > "$out/events.jsonl"
  case $TROUBLE:$out:${FLIP_PRODUCT_SEARCH_MS:-} in
  killed_bits:*/second:) exit 137 ;;
  no_run_by_search:*/second:) echo "flip: error: no run" >&2; exit 1 ;;
  esac
  bits=same
  [ "$TROUBLE" != other_bits ] || [ "${FLIP_PRODUCT_SEARCH_MS:-}" = 0 ] || bits=$RANDOM$RANDOM
  [ "$TROUBLE" != always_other_bits ] || bits=$RANDOM$RANDOM
  echo $bits > "$out/checkpoints/1.safetensors" ;;
*) echo "not in this stand-in"; exit 1 ;;
esac
X
chmod +x machine/bin/flip machine/tests/test_*

# check STATUS SECONDS FOLDER ARGUMENT…
check() {
  local wanted=$1 code=0
  FLIP_PROOF_SECONDS=$2 machine/tests/gpu/run_all.sh "${@:3}" > said.txt 2>&1 || code=$?
  [ $code = "$wanted" ] || { cat said.txt; fail "run_all.sh ${*:3} ended with $code, not $wanted"; }
}
line() { grep -qE -- "$2" "$1/report.md" || { cat "$1/report.md"; fail "no line in $1's report matches: $2"; }; }
raw() { tar xzOf "$1/report.tar.gz" "report/$2"; }
none_is_left() {
  local pid
  for pid in $(cat "$PIDS"); do
    # one that has ended may still be in the list of processes, as a zombie
    ! grep -qs '^State:.[^Z]' "/proc/$pid/status" || { ps -fp "$pid"; fail "a process of an ended check goes on"; }
  done
}

# One fails: the others are reported, in their order.
TROUBLE=fails check 1 60 failing first
line failing '^- FAILED: ops_cuda_fp32, status 1 after .*a_planted_error'
grep -oE '^- (ok|FAILED|not run): (ops|narrow|step|the_same_bits|eight|settings|embed|eval|too|cpu)[a-z_0-9]*' failing/report.md | sed 's/.*: //' > order
printf '%s\n' ops_cuda_bf16 narrow_cuda ops_cuda_fp32 step_cuda the_same_bits_twice eight_bits_learn settings_learn_the_same \
  embeddings_of_queued_batches evaluation_and_finetuning too_large_a_run_is_refused cpu_and_gpu_learn_the_same | diff - order ||
  fail "another order"
line failing '^- ok: the_same_bits_twice'
line failing '^- ok: settings_learn_the_same'
line failing '^- ok: cpu_and_gpu_learn_the_same'
line failing '^### vit_l16_mask_75$'
line failing '^### vit_l16_batch_8$'
line failing '^\| vit_l16 \| 75 % \| 300 \| – \| – \| – \| 50.0 % \| 0.33 \| card A \| 01234567 \|'

# Chains that run together do not share their choices, whose lock they would wait for; the benchmarks have others again.
LC_ALL=C sort -u caches | grep -E '^(bench|cuda|first|second|gpu|plain|narrow )' > chosen
printf '%s\n' 'bench cache' 'cuda cache_step_cuda' 'cuda_bf16 cache_ops_cuda_bf16' 'cuda_fp32 cache_ops_cuda_fp32' \
  'first cache_the_same_bits_twice' 'gpu cache_embeddings_of_queued_batches' 'narrow cache_narrow_cuda' \
  'plain-bf16 cache_settings_learn_the_same' 'plain-gpu cache_settings_learn_the_same' 'second cache_the_same_bits_twice' |
  diff - chosen || fail "other folders of choices"

# One hangs, the training on the CPU too: it is killed at the proofs' share of the time, and benchmarks begin after it.
: > "$PIDS"
TROUBLE=hangs check 1 44 hanging first
line hanging '^- FAILED: narrow_cuda, status 137, killed after [0-9]+ s'
line hanging '^- ok: ops_cuda_fp32'
line hanging '^- ok: the_same_bits_twice'
line hanging '^- FAILED: cpu_and_gpu_learn_the_same, status 137'
line hanging '^\| vit_l16 \| 75 % \| 300 '
[ -s "$PIDS" ] || fail "nothing has hung"
none_is_left

# The whole check is told to stop: it does at once, with what has ended in its report.
: > "$PIDS"
TROUBLE=cpu_hangs FLIP_PROOF_SECONDS=500 machine/tests/gpu/run_all.sh stopped first > said.txt 2>&1 & pid=$!
until [ "$(wc -l < "$PIDS")" -ge 2 ] && grep -q eight_bits stopped/report.md; do kill -0 $pid || { cat said.txt; fail "it has not waited"; }; sleep 0.1; done
sleep 2
kill -TERM $pid
code=0; wait $pid || code=$?
[ $code = 143 ] || { cat said.txt; fail "a stopped check ended with $code"; }
line stopped '^- ok: the_same_bits_twice'
line stopped '^- FAILED: embeddings_of_queued_batches' # its line waits for that of the settings, which hang
! grep -q settings_learn stopped/report.md || fail "a stage that was stopped has a result"
none_is_left

# A GPU that takes one process at a time: the chains are one.
mkdir exclusive_bin
printf '#!/bin/sh\necho Exclusive_Process\n' > exclusive_bin/nvidia-smi
chmod +x exclusive_bin/nvidia-smi
: > caches
PATH=$PWD/exclusive_bin:$PATH check 1 60 exclusive first
line exclusive 'one process at a time'
! grep -v ' cache$' caches || fail "one chain has several folders of choices"
raw exclusive 1/ended.txt | sed -n 's/: .*//; /^\(ops\|narrow\|step\|the_same\|eight\|settings\|too\)/p' > order
printf '%s\n' ops_cuda_bf16 narrow_cuda ops_cuda_fp32 step_cuda the_same_bits_twice eight_bits_learn settings_learn_the_same \
  too_large_a_run_is_refused | diff - order || fail "not one after another"

# Status 77 is for a machine without a GPU only.
TROUBLE=no_gpu check 77 30 without first
line without '^nothing was run: there is no GPU'
TROUBLE=no_library check 1 30 library first
line library '^- FAILED: ops_cuda_bf16, status 77.*libcudnn'
line library '^### vit_l16_batch_8$'

# Runs that differ: what follows uses the named algorithms only if these are the remedy, and says so.
TROUBLE=other_bits check 1 60 bits first
line bits '^- FAILED: the_same_bits_twice'
line bits '^- ok: the_same_bits_with_named_algorithms'
line bits '^Two runs differ only with algorithms .*: what follows uses those that the libraries name'
line bits '^### vit_l16_mask_75_named_algorithms$'
line bits '^### vit_l16_batch_8_named_algorithms$'
line bits '^\| vit_l16 \| 75 % .* 01234567 \(named algorithms only\) \|$'
raw bits 1/vit_l16_batch_8_named_algorithms.txt | grep -q '"search":"0"' || fail "the search went on"
TROUBLE=always_other_bits check 1 60 others first
line others '^- FAILED: the_same_bits_with_named_algorithms'
line others '^### vit_l16_batch_8$'
raw others 1/vit_l16_batch_8.txt | grep -q '"search":"usual"' || fail "all that follows is without the search, for nothing"
TROUBLE=no_run_by_search check 1 60 no_run first
line no_run '^- FAILED: the_same_bits_twice, status 1 .*no run'
line no_run '^Two runs fail only with algorithms'
line no_run '^### vit_l16_batch_8_named_algorithms$'
# One that was killed shows nothing of the algorithms.
TROUBLE=killed_bits check 1 60 killed first
line killed '^- FAILED: the_same_bits_twice, status 137'
line killed '^- ok: the_same_bits_with_named_algorithms'
line killed '^Two runs did not end in their time, and did with named algorithms'
line killed '^### vit_l16_batch_8$'

# Steps that give nothing, one mask or all in turns: repeated with the named algorithms, and so on if these are the remedy.
TROUBLE=no_steps_by_search check 0 60 no_steps bench
line no_steps '^### vit_l16_mask_75$'
line no_steps '^vit_l16_mask_75 has given nothing'
line no_steps '^### vit_l16_mask_75_named_algorithms$'
line no_steps '^### vit_l16_batch_8_named_algorithms$'
line no_steps '^### vit_b16_batch_8_named_algorithms$'
line no_steps '^\| vit_l16 \| 75 % .* 01234567 \(named algorithms only\) \|$'
raw no_steps 1/vit_l16_batch_8_named_algorithms.txt | grep -q '"search":"0"' || fail "the search went on"
TROUBLE=no_masks_by_search check 0 60 no_masks bench
line no_masks '^vit_l16_batch_8 has given nothing'
grep -E '^### vit' no_masks/report.md | grep -v kernels | sed -n 1,4p > order
printf '### %s\n' vit_l16_mask_75 vit_l16_batch_8 vit_l16_batch_8_named_algorithms vit_l16_fp8_delayed_named_algorithms |
  diff - order || fail "other benchmarks"
: > caches
TROUBLE=no_steps check 0 60 nothing bench
line nothing '^Nor has it with named algorithms'
grep -E '^### vit' nothing/report.md | grep -v kernels | sed -n 1,4p > order
printf '### %s\n' vit_l16_mask_75 vit_l16_mask_75_named_algorithms vit_l16_batch_8 vit_l16_fp8_delayed | diff - order ||
  fail "other benchmarks"
[ "$(sed -n 1,3p caches | tr '\n' ,)" = 'bench cache,bench cache_named,bench cache,' ] || { cat caches; fail "other choices"; }

# Later calls into the folder: a stage without time, or one that fails, takes nothing away.
raw failing 1/vit_l16_batch_8.txt > before
check 0 4 failing bench
line failing '^not run: no time is left'
check 1 30 failing again ops_cuda_bf16 embeddings_of_queued_batches vit_l16_mask_75
line failing '^- FAILED: embeddings_of_queued_batches'
raw failing 1/vit_l16_batch_8.txt | cmp - before || fail "an earlier call's result has changed"
raw failing 3/vit_l16_mask_75.txt | grep -q 300 || fail "the third call's result is not kept"
[ "$(grep -c '^| vit_l16 | 75 %' failing/summary.md)" = 1 ] || fail "the summary has not one row of the step"
check 2 30 failing again no_such_stage

# The sanitizers' repetitions need not choose: in a later call too, or after tests that ran one after another.
mkdir sanitizer_bin
cat > sanitizer_bin/compute-sanitizer << 'X'
#!/bin/bash
until [ -x "$1" ]; do shift; done
exec "$@"
X
chmod +x sanitizer_bin/compute-sanitizer
sanitize() { PATH=$PWD/sanitizer_bin:$PATH check "$@" again ops_cuda_fp32 memcheck_ops_fp32 racecheck_ops_bf16 racecheck_narrow; }
: > caches
sanitize 0 30 failing
printf '%s\n' 'cuda_fp32 cache_ops_cuda_fp32' 'cuda_fp32 cache_ops_cuda_fp32' 'cuda_bf16 cache_ops_cuda_bf16' 'narrow cache_narrow_cuda' |
  diff - caches || fail "the sanitizers' tests choose again"
: > caches
sanitize 0 30 exclusive
[ "$(grep -c ' cache$' caches)" = 4 ] || { cat caches; fail "the sanitizers' tests choose again after one chain"; }

# A runtime may refuse the sanitizer its device: that is no failed proof.
cat > sanitizer_bin/compute-sanitizer << 'X'
#!/bin/bash
echo '========= Error: Device not supported. Please refer to the "Supported Devices" section'
exit 255
X
PATH=$PWD/sanitizer_bin:$PATH check 0 30 failing again memcheck_ops_fp32 racecheck_narrow
grep -q '^- not run: racecheck_narrow, because compute-sanitizer says here: Device not supported$' failing/report.md ||
  { cat failing/report.md; fail "a refused sanitizer is not told"; }

# PyTorch's rows of another card are not compared.
peer() { # CARD
  mkdir -p report/9
  echo "{\"kind\": \"way\", \"device\": \"$1\", \"mask_ratio\": 0.75, \"samples_per_second\": 200.0}" > report/9/torch_vit_l16_compiled_0.75.txt
  mkdir -p "$2" && tar czf "$2/report.tar.gz" report
}
peer 'card B' other
check 0 30 other again vit_l16_mask_75
line other '^\| vit_l16 \| 75 % \| 300 \| – \| – \| – '
peer 'card A' same
check 0 30 same again vit_l16_mask_75
line same '^\| vit_l16 \| 75 % \| 300 \| – \| 200 \| 1.50 '

# The table of kernels: of the replayed steps, by the time they take, with what ran at the same time. A model has two
# recordings, which take turns; those of another model, replayed before, do not count.
for step in $(seq 8); do
  at=$((step * 10000000))
  graph=$((step % 2 + (step <= 4 ? 1 : 3)))
  for i in $(seq 0 $((step <= 4 ? 59 : 29))); do echo "$((at + i * 100000)) 90000 7 $graph void gemm<x>(int)"; done
  echo "$((at + 50000)) 40000 9 $graph _Z4textP3foo"
  echo "$((at + 6000000)) 200000 7 $graph _Z6update16update_arguments"
done > trace
echo "99000000 5000000 7 0 _Z6update16update_arguments" >> trace # of a step that was not replayed
"$SOURCE/tests/gpu/kernel_table.py" trace > kernels
expect_line kernels '^3 steps of 10.00 ms with 32 kernels and copies: .* busy for 2.90 ms, .* at the same time as others for 0.04 ms'
expect_line kernels '^ +2.700 ms +91.8 % +x +30.0 +90.0 us +gemm<x>$'
sed -i 's/update/other/g' trace
expect_status 1 "$SOURCE/tests/gpu/kernel_table.py" trace
