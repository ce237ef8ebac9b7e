# Every command's small run, with one allocation after another made to fail (core/base/mem.h). Each
# time: no crash, no report of a sanitizer; either an exit status that is not zero and one line that
# says "out of memory", or a result equal to that of the run in which nothing fails; and what was
# recorded before is still there. Needs a build with FLIP_ALLOCATION_FAULTS.
#
#   FLIP_FAULTS=all       every allocation, instead of the first of a command and a sample of the rest
#   FLIP_FAULTS_OF="NAMES"  these commands only
# Leaks on the way out of a program that reports an error are not looked for: LeakSanitizer cannot run
# wherever tests run traced, and the kernel takes everything back.
. "$SOURCE/tests/support/training.sh"
export NO_COLOR=1 OMP_NUM_THREADS=1 TMPDIR=$SCRATCH
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=0:exitcode=99 UBSAN_OPTIONS=print_stacktrace=1
unset FLIPBENCH_DB
mkdir base faults
cd base

# What the commands work on: shards, a vocabulary, a run of four steps, an experiment of two cells.
(
  "$FLIP" data scenes --out data --count 24 --seed 1 --split train --size 16 --no-progress
  "$FLIP" data scenes --out data --count 8 --seed 1 --split heldout --size 16 --no-progress
  "$FLIP" tokenizer train --out vocab.txt --size 300 'data/train-*.tar'
) >/dev/null
cat > held.yaml <<'Y'
name: scenes
images: [data/heldout-*.tar]
tasks: [zeroshot, retrieval]
label: shape
templates: ["a {}"]
Y
cat > train.yaml <<'Y'
name: trained
images: [data/train-*.tar]
tasks: [zeroshot]
label: shape
templates: ["a {}"]
Y
cat > run.yaml <<'Y'
image: {size: 16, patch: 4, width: 16, layers: 1, heads: 1}
text: {width: 16, layers: 1, heads: 1, length: 8, vocabulary: vocab.txt}
embed_dim: 8
batch_size: 8
samples: 32
warmup_samples: 8
mask_ratio: 0.5
data.train: ["data/train-*.tar"]
eval: {sets: [held.yaml], points: 1}
checkpoint.every_samples: 16
threads: 1
precision: fp32
Y
printf 'a red circle\na blue square\n' > texts.txt
mkdir experiments
cat > experiments/small.yaml <<'Y'
name: small
title: "Mask ratio, on scenes"
base: ../run.yaml
matrix: {mask_ratio: [0, 0.5]}
report:
  rows: mask_ratio
  baseline: {mask_ratio: 0}
  columns: [samples_per_second, speedup, zero_shot_top1, peak_memory]
  plots: [loss]
Y
train --out run >/dev/null 2>&1
train --out half >/dev/null 2>&1
rm "$(newest half)"* # as a run that was killed after its first half
"$FLIPBENCH" run experiments/small.yaml --no-progress >/dev/null 2>&1
sed 's/name: small/name: fresh/; s/\[0, 0.5\]/[0], seed: [7]/' experiments/small.yaml > experiments/fresh.yaml
(cd run/checkpoints && sha256sum *.safetensors) > run.sums
sqlite3 results/flipbench.db 'SELECT cell_id, status FROM run ORDER BY id' > runs.want
cd ..

# An output without the folder's name and, with TIMED, without its numbers and what is said of other
# load on the machine, which differ each time.
plain() {
  if [ -n "${TIMED-}" ]; then
    sed -E '/^† /d; s/ †//g; s/∞/#/g; s/─+/─/g; s/[0-9]+(\.[0-9]+)?/#/g; s/# (h|m|s|ms)\b/#/g; s/ +/ /g' "$1"
  else
    sed -E "s#$SCRATCH/faults/[^/ ]*#.#g" "$1"
  fi
}

# What must be there after any failure: the run that was finished, and the record of the experiment.
nothing_is_lost() {
  (cd run/checkpoints && sha256sum --quiet -c ../../run.sums) || { echo "a checkpoint is lost"; return 1; }
  [ -z "$(sqlite3 results/flipbench.db 'PRAGMA integrity_check' | grep -v '^ok$')" ] || { echo "the database is damaged"; return 1; }
  sqlite3 results/flipbench.db 'SELECT cell_id, status FROM run ORDER BY id' | head -2 | cmp -s - runs.want || { echo "a recorded run is lost"; return 1; }
}

# one NAME PROGRAM RESULT N words…: the N-th allocation fails; says what is wrong.
one() {
  local name=$1 program=$2 result=$3 n=$4 at=$SCRATCH/faults/$1.$4 code=0 problem=
  shift 4
  cp -a "$SCRATCH/base" "$at"
  cd "$at"
  FLIP_FAIL_ALLOCATION=$(basename "$program"):$n timeout 100 "$program" "$@" >out.txt 2>err.txt || code=$?
  ! grep -q 'out of memory' err.txt || echo $n >> "$SCRATCH/$name.failed"
  if [ $code -ge 99 ] || grep -q 'Sanitizer\|runtime error' err.txt; then
    problem="ended with $code"
  elif [ "$(grep -c 'out of memory' err.txt)" -gt 1 ]; then
    problem="out of memory more than once"
  elif grep -q 'error: .*out of memory' err.txt; then
    [ $code != 0 ] || problem="status 0 with an error"
    [ -n "$problem" ] || problem=$(nothing_is_lost 2>&1)
  elif [ $code != "${WANTED:-0}" ]; then
    problem="status $code and no line that says out of memory"
  elif ! cmp -s <(plain out.txt) "$SCRATCH/$name.out"; then
    problem="status $code and other output"
  elif [ -n "$result" ] && ! cmp -s "$result" "$SCRATCH/$name.result"; then
    problem="status $code and another $result"
  else
    problem=$(nothing_is_lost 2>&1)
  fi
  if [ -n "$problem" ]; then
    echo "$name: allocation $n: $problem" >> "$SCRATCH/found.txt"
    cp err.txt "$SCRATCH/found.$name.$n.err"
    cp out.txt "$SCRATCH/found.$name.$n.out"
    rm -rf "$at"
    cp -a "$SCRATCH/base" "$at" # once more, to see where
    cd "$at"
    FLIP_SHOW_FAILED_ALLOCATION=1 FLIP_FAIL_ALLOCATION=$(basename "$program"):$n timeout 100 "$program" "$@" 2>&1 >/dev/null |
      grep -m 12 -E '^ +#[0-9]' | tail -n +5 > "$SCRATCH/found.$name.$n.place"
  fi
  cd "$SCRATCH"
  rm -rf "$at"
}
export -f one plain nothing_is_lost

# The allocations that are made to fail: the first ones, where commands begin, and a sample; at four
# places all that follow as well.
numbers() {
  local count=$1 first=$2 rest=$3
  printf '%d+\n' 1 7 $((count / 3)) $((count * 4 / 5))
  [ "${FLIP_FAULTS-}" = all ] && { seq "$count"; return; }
  seq $((count < first ? count : first))
  [ "$count" -le "$first" ] || seq $((first + 1)) $(((count - first + rest - 1) / rest)) "$count"
}

# every NAME PROGRAM RESULT words…: RESULT is a file that must come out the same, or "". WANTED: the
# status of the run in which nothing fails.
every() {
  local name=$1 program=$2 result=$3 count code=0 wanted=${WANTED:-0}
  shift 3
  [ -z "${FLIP_FAULTS_OF-}" ] || [[ " $FLIP_FAULTS_OF " = *" $name "* ]] || return 0
  cp -a base "faults/$name"
  (
    cd "faults/$name"
    FLIP_COUNT_ALLOCATIONS=$(basename "$program"):$SCRATCH/$name.count "$program" "$@" >out.txt 2>err.txt || code=$?
    [ $code = $wanted ] || { cat err.txt >&2; fail "$name does not run at all"; }
    plain out.txt > "$SCRATCH/$name.out"
    [ -z "$result" ] || cp "$result" "$SCRATCH/$name.result"
  )
  rm -rf "faults/$name"
  count=$(cat "$name.count")
  echo "$name: $count allocations"
  numbers "$count" "${FIRST:-12}" "${REST:-12}" | WANTED=$wanted TIMED=${TIMED-} xargs -P "$(nproc)" -I N bash -c 'one "$@"' - "$name" "$program" "$result" N "$@"
  [ -s "$name.failed" ] || fail "$name: no allocation failed"
}

every scenes "$FLIP" new/train-00000.tar data scenes --out new --count 2 --seed 1 --split train --size 16 --no-progress
every stats "$FLIP" "" data stats 'data/*.tar'
every verify "$FLIP" "" data verify 'data/*.tar'
every filter "$FLIP" kept/report.json data filter --out kept --min-words 3 --duplicates 3 --no-progress 'data/*.tar'
every balance "$FLIP" "" data balance --out even --per-term 2 --no-progress 'data/*.tar'
every tokenizer "$FLIP" new.txt tokenizer train --out new.txt --size 300 'data/train-*.tar'
every plan "$FLIP" "" plan --config run.yaml
every inputs "$FLIP" "" inputs --config run.yaml --json
every train "$FLIP" new/checkpoints/step-000000004.safetensors train --config run.yaml --out new --no-progress
every resume "$FLIP" half/checkpoints/step-000000004.safetensors train --config run.yaml --out half --resume --no-progress
every eval "$FLIP" "" eval --model run --json
every probe "$FLIP" "" eval probe --model run --set-file held.yaml --train train.yaml --c 1 --json
every embed "$FLIP" new.npy embed --model run --images 'data/heldout-*.tar' --out new.npy
every retrieve "$FLIP" "" retrieve --model run --text 'a red circle' --images 'data/heldout-*.tar'
every convert "$FLIP" new.safetensors convert --in run --out new.safetensors --format flip
every check "$FLIPBENCH" "" check experiments/small.yaml
TIMED=1 every sweep "$FLIPBENCH" "" run experiments/small.yaml --no-progress
TIMED=1 FIRST=4 REST=8 every fresh "$FLIPBENCH" "" run experiments/fresh.yaml --no-progress
every status "$FLIPBENCH" "" status
every report "$FLIPBENCH" "" report small
every page "$FLIPBENCH" "" report small --format html --out page.html
every plot "$FLIPBENCH" "" plot small --out drawn
every show "$FLIPBENCH" "" show 1
WANTED=1 every diff "$FLIPBENCH" "" diff 1 2
every curves "$FLIPBENCH" "" export small --format csv --out curves
every export "$FLIPBENCH" tables/run.csv db export --out tables
every rebuild "$FLIPBENCH" "" db rebuild
every bundle "$FLIPBENCH" "" bundle small --out small.tar.gz

[ ! -s found.txt ] || { sort -V found.txt | head -60 >&2; fail "$(wc -l < found.txt) failed allocations are not dealt with"; }
