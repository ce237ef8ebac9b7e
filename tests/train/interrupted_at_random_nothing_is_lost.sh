# Runs interrupted at random instants - killed, asked to stop, paused and continued - and resumed end with
# the bits, the evaluations, the rows and the numbers of one that was never interrupted.
#
# INSTANTS=100 SEED=7: more of them, or others. By hand:
#   FLIP=build/bin/flip SOURCE=$PWD INSTANTS=100 bash tests/support/run_script.sh \
#     $PWD/tests/train/interrupted_at_random_nothing_is_lost.sh
. "$SOURCE/tests/support/training.sh"
make_data
instants=${INSTANTS:-4} seed=${SEED:-$(date +%s)}
RANDOM=$seed
echo "seed $seed, $instants instants"
sed -i 's/^samples: 640/samples: 1600/; s/points: 2/points: 5/; s/^threads: 2/threads: 1/' run.yaml
echo 'checkpoint.every_seconds: 1' >> run.yaml

# What must be equal: each evaluation with its hits, once; each step with its loss.
evaluations() { grep '"event":"eval"' "$1" | sed -E 's/"time":"[^"]*",//; s/"(train_)?seconds":[^,]*,//g; s/,"labels":"[^"]*"//' | sort -u; }
steps() { grep '"event":"step"' "$1" | grep -oE '"step":.*"grad_norm":[^,]*' | sort -u; }
# Sums over the rows that count (a start discards what came after its first step): steps seconds.
sums() {
  awk '
    function number(name) { match($0, "\"" name "\":[^,}]*"); split(substr($0, RSTART, RLENGTH), part, ":"); return part[2] }
    /"event":"start"/ { first = number("first_step"); while (n && step[n] > first) n-- }
    /"event":"step"/ { step[++n] = number("step"); count[n] = number("steps"); seconds[n] = number("seconds") }
    END { for (i = 1; i <= n; i++) { c += count[i]; s += seconds[i] } printf "%d %.9f\n", c, s }' "$1"
}

started=$(date +%s%N)
train --out whole1
lasted=$(( ($(date +%s%N) - started) / 1000000 ))
train --out whole4 --set log_every=4 # rows of several steps: the losses of some are not told
evaluations whole1/events.jsonl > wanted.evaluations
steps whole1/events.jsonl > wanted.steps
[ "$(wc -l < wanted.steps)" = 50 ] && [ "$(wc -l < wanted.evaluations)" = 10 ] || fail "the uninterrupted run is incomplete"

after() { sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"; }
told=""
interrupt() { # PID: in one of the ways, at a random instant
  after $((RANDOM % lasted))
  case $((RANDOM % 4)) in
    0) told+=" kill"; kill -KILL "$1" 2>/dev/null || true ;;
    1) told+=" term"; kill -TERM "$1" 2>/dev/null || true ;;
    2) told+=" int"; kill -INT "$1" 2>/dev/null || true ;;
    3) told+=" hold"; kill -STOP "$1" 2>/dev/null || true; after $((RANDOM % 300)); kill -CONT "$1" 2>/dev/null || true
      after $((RANDOM % lasted / 2)); kill -TERM "$1" 2>/dev/null || true ;;
  esac
}
check() { # FOLDER LOG_EVERY
  local events=$1/events.jsonl
  cmp "$(newest "whole$2")" "$(newest "$1")" || fail "$1:$told: other bits"
  evaluations "$events" | diff wanted.evaluations - >difference || { cat difference; fail "$1:$told: other evaluations"; }
  steps "$events" > steps
  if [ "$2" = 1 ]; then
    diff wanted.steps steps || fail "$1:$told: other steps"
  else
    ! grep -vxFf wanted.steps steps || fail "$1:$told: other steps"
  fi
  [ "$(tail -1 "$events" | grep -c '"event":"end".*"status":"finished".*"step":50,"samples":1600')" = 1 ] || fail "$1:$told: not finished"
  read -r count seconds <<< "$(sums "$events")"
  [ "$count" = 50 ] || fail "$1:$told: rows of $count steps"
  awk -v sum="$seconds" -v all="$(tail -1 "$events" | grep -oE '"train_seconds":[^,]*' | cut -d: -f2)" \
    'BEGIN { d = sum / all - 1; exit !(d < 1e-6 && d > -1e-6) }' || fail "$1:$told: train_seconds is not the sum $seconds of its rows"
  awk -v rate="$(tail -1 "$events" | grep -oE '"samples_per_second":[^,}]*' | cut -d: -f2)" \
    'BEGIN { exit !(rate > 0) }' || fail "$1:$told: no speed"
}
for i in $(seq "$instants"); do
  told=""
  log=$((i % 2 ? 1 : 4))
  for _ in $(seq $((1 + RANDOM % 3))); do
    train_behind --out "run$i" --resume --set log_every=$log 2>/dev/null
    interrupt $pid
    wait $pid 2>/dev/null || true
  done
  train --out "run$i" --resume --set log_every=$log >/dev/null
  echo "$i:$told"
  check "run$i" $log
  rm -rf "run$i"
done
