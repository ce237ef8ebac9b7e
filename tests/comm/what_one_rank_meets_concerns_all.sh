# A stop that reaches only one rank, and load next to only one rank, are the whole run's. Ranks connect by TCP,
# without MPI.
. "$SOURCE/tests/support/training.sh"
. "$SOURCE/tests/support/processes.sh"
export FLIP_PLUGINS=$PWD # no plugin at all
make_data
sed -i 's/^batch_size: 32/batch_size: 24/; s/^samples: 640/samples: 240/; s/^threads: 2/threads: 1/' run.yaml
sets=
for i in 1 2 3 4 5 6; do
  sed "s/^name:.*/name: set$i/; s/^tasks:.*/tasks: [zeroshot]/; s#data/heldout-.*tar#\"scenes:$i\#split=heldout,count=4000,size=24\"#" held.yaml > "set$i.yaml"
  sets=$sets${sets:+,}set$i.yaml
done
evaluated() { grep -c '"event":"eval"' stopped/events.jsonl || true; }

# in an evaluation on six sets, rank 1 alone is asked to stop: no further set is begun
run=(--out stopped --set eval.points=1 --set "eval.sets=[$sets]")
start 2 "$FLIP" train --config run.yaml --no-progress "${run[@]}"
until grep -q '"event":"eval"' stopped/events.jsonl 2>/dev/null; do
  kill -0 "${pids[0]}" 2>/dev/null || { cat err; fail "ended before an evaluation"; }
  sleep 0.01
done
kill -TERM "$(pgrep -P "${pids[1]}")"
code=0
finish || code=$?
[ $code = 130 ] || { cat err; fail "stopped by a signal to rank 1: $code, not 130"; }
expect_line stopped/events.jsonl '"event":"end".*"status":"interrupted"'
[ "$(evaluated)" -lt 6 ] || fail "all sets were evaluated before it stopped"
start 2 "$FLIP" train --config run.yaml --no-progress "${run[@]}" --resume
finish || { cat err; fail "resuming"; }
for i in 1 2 3 4 5 6; do expect_line stopped/events.jsonl "\"event\":\"eval\".*\"set\":\"set$i\""; done
[ "$(field end status stopped/events.jsonl | tail -1)" = finished ] || fail "not finished"

# a busy loop on the CPU of rank 1 disturbs the run
cpus=()
for part in $(taskset -cp $$ | sed 's/.*: //; s/,/ /g'); do cpus+=($(seq "${part%-*}" "${part#*-}")); done
[ ${#cpus[@]} -ge 2 ] || { echo "load next to a rank was not tested: one CPU"; exit 0; }
export CPU0=${cpus[0]} CPU1=${cpus[1]}
taskset -c "$CPU1" timeout 100 sh -c 'while :; do :; done' & busy=$!
trap 'kill $busy 2>/dev/null || true' EXIT
start 2 sh -c 'eval cpu=\$CPU$RANK; exec taskset -c "$cpu" "$@"' - "$FLIP" train --config run.yaml --no-progress \
  --out loaded --set samples=24000 --set image.width=64 --set eval.points=0
finish || { cat err; fail "next to a busy loop"; }
kill $busy
[ -n "$(field step other_cpu_seconds loaded/events.jsonl)" ] || { echo "load was not tested: the system does not report it"; exit 0; }
expect_line loaded/events.jsonl '"event":"warning".*"kind":"timing","message":"disturbed: about [0-9]+ % of the training time'
