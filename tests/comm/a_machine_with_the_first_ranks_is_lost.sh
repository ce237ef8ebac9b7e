# Two machines (host names of namespaces) with two ranks each. The one with ranks 0 and 1 is lost: those of the other
# end, and one of them names a rank that was lost.
[ "$(id -u)" = 0 ] || { echo 'skipped: namespaces of host names need root'; exit 77; }
unshare --uts true 2> namespace.txt || { echo "skipped: $(cat namespace.txt)"; exit 77; }
. "$SOURCE/tests/support/training.sh"
. "$SOURCE/tests/support/processes.sh"
export FLIP_PLUGINS=$PWD # no plugin at all
make_data
sed -i 's/^samples: 640/samples: 240000/; s/^eval:.*/eval.points: 0/; s/^threads: 2/threads: 1/' run.yaml
# of_node N COMMAND…: as one of the ranks of node N
of_node() {
  hostname "node$1"
  shift
  exec "$@"
}
export -f of_node
start 4 unshare --uts bash -c 'of_node $((RANK / 2)) "$@"' - "$FLIP" train --config run.yaml --no-progress --out lost
until grep -q '"event":"step"' lost/events.jsonl 2> /dev/null; do
  kill -0 "${pids[0]}" 2> /dev/null || { cat err; fail 'it ended before a step'; }
  sleep 0.02
done
victims=()
for rank in 0 1; do victims+=("$(pgrep -P "${pids[rank]}")"); done
kill -STOP "${victims[@]}" # neither sees the end of the other
kill -KILL "${victims[@]}"
for rank in 2 3; do
  code=0
  wait "${pids[rank]}" || code=$?
  [ $code = 1 ] || { cat err; fail "rank $rank ended with $code"; }
done
[ "$(grep -c "^flip: error: rank 0 of 4 (host node0, process ${victims[0]}) has ended; all ranks end" err)" = 1 ] || { cat err; fail 'the lost rank is not named once'; }
[ "$(grep -c 'flip: error' err)" = 1 ] || { cat err; fail 'more than one message'; }
