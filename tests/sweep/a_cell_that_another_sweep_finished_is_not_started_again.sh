# A sweep decides at its start which cells to run. A cell that is finished when its turn comes is taken as
# it is: another process would add to its wall time and replace its machine and its measured start.
. "$SOURCE/tests/support/sweep.sh"
sed -i '/^tuning:/d; /^  unmasked:/d; s/tuned_zero_shot_top1, //' experiments/small.yaml
sed 's/mask_ratio: \[0, 0.5, 0.75\]/mask_ratio: [0.5, 0.75]/; s/baseline: {mask_ratio: 0}/baseline: {mask_ratio: 0.5}/' experiments/small.yaml > experiments/part.yaml
await() { for _ in $(seq 200); do ! "$@" || return 0; sleep 0.05; done; cat err1.txt; fail "not within 10 s: $*"; }

# Another sweep runs the second and third cell while the first one is trained.
FAKE_STEP_MS=24 bench run experiments/small.yaml > out1.txt 2> err1.txt & sweep=$!
first_has_begun() { grep -qs '"event":"step"' results/small/mask_ratio=0-*/events.jsonl; }
await first_has_begun
expect_status 0 bench run experiments/part.yaml
expect_answer "SELECT group_concat(status) FROM (SELECT status FROM run ORDER BY id)" running,finished,finished
wait $sweep || { cat err1.txt; fail "the first sweep ended with $?"; }
expect_line err1.txt 'mask_ratio=0.5: has finished meanwhile in another sweep'
expect_answer "SELECT count(*), count(DISTINCT run_id) FROM attempt WHERE status = 'finished'" '3|3'
expect_answer "SELECT count(*) FROM process" 3

# The trainer of a sweep that was killed ends its run while the next sweep waits for it: it has written its
# end event, and nobody an attempt_end.
rm -rf results
expect_status 0 bench run experiments/part.yaml
cell=$(echo results/small/mask_ratio=0.5-*)
cp "$cell/events.jsonl" whole.jsonl
head -n 20 whole.jsonl > "$cell/events.jsonl"
sed -i '$d' "$cell/attempts.jsonl"
expect_status 0 bench db rebuild
# (A process of another machine: it is named, and its id means nothing here.)
echo "1 node7" > "$cell/lock"
exec 9< "$cell/lock"
flock 9
expect_status 1 bench run experiments/part.yaml
expect_line err.txt 'process 1 on node7 is running this cell; wait for it$'
! grep -q "'kill" err.txt || fail 'advice to kill a process of this machine'
expect_status 0 bench run experiments/part.yaml --dry-run
expect_line out.txt '^skipped .* mask_ratio=0.5: another flipbench is running it in results/small/mask_ratio=0.5-'
expect_line out.txt '^2 cells, 0 to run'
exec 9<&-
true & dead=$!
wait $dead
echo "$dead $(hostname)" > "$cell/lock"
exec 9< "$cell/lock"
flock 9
bench run experiments/part.yaml > out1.txt 2> err1.txt 9<&- & sweep=$!
await grep -q 'waiting for the trainer of an earlier sweep' err1.txt
tail -n +21 whole.jsonl >> "$cell/events.jsonl"
exec 9<&-
wait $sweep || { cat err1.txt; fail "the sweep ended with $?"; }
expect_line err1.txt 'mask_ratio=0.5: has finished meanwhile in another sweep'
expect_answer "SELECT count(*), sum(status = 'finished') FROM attempt" '2|2'
