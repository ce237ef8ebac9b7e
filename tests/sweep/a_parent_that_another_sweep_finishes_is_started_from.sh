# A cell that another sweep is running is skipped. When that sweep has finished it, cells that start from it
# are trained, and at the end the cell counts as finished.
. "$SOURCE/tests/support/sweep.sh"
await() { for _ in $(seq 200); do ! "$@" || return 0; sleep 0.05; done; cat err1.txt; fail "not within 10 s: $*"; }
expect_status 0 bench run experiments/small.yaml
mkdir finished
plain=$(cd results/small && echo mask_ratio=0-*) parent=$(cd results/small && echo mask_ratio=0.5-*)
mv "results/small/$plain" "results/small/$parent" finished
rm -rf results

# The two cells are being run by another sweep, which has recorded nothing yet.
mkdir -p "results/small/$plain" "results/small/$parent"
echo "1 node7" | tee "results/small/$plain/lock" > "results/small/$parent/lock"
exec 8< "results/small/$plain/lock" 9< "results/small/$parent/lock"
flock 8
flock 9
FAKE_STEP_MS=24 bench run experiments/small.yaml --turns 0 --jobs 2 > out1.txt 2> err1.txt 8<&- 9<&- & sweep=$!
third_has_begun() { grep -qs '"event":"step"' results/small/mask_ratio=0.75-*/events.jsonl; }
await third_has_begun
cp -r "finished/$plain" "finished/$parent" results/small
exec 8<&- 9<&-
wait $sweep || { cat err1.txt; fail "the sweep ended with $?"; }
for cell in mask_ratio=0 mask_ratio=0.5; do
  expect_line err1.txt "$cell: has finished meanwhile in another sweep"
done
expect_answer "SELECT count(*), sum(status = 'finished'), count(DISTINCT directory) FROM run" '5|5|5'
expect_answer "SELECT count(*) FROM attempt" 5
expect_status 0 bench run experiments/small.yaml
