# Notes, tags and the like are written to the run's folder and to the database. While another process has
# the database locked, an error is the end of it: the folder has no mark that a rebuilt database would show.
. "$SOURCE/tests/support/sweep.sh"
sed -i '/^tuning:/d; /^  unmasked:/d; s/tuned_zero_shot_top1, //; s/mask_ratio: \[0, 0.5, 0.75\]/mask_ratio: [0, 0.5]/' experiments/small.yaml
expect_status 0 bench run experiments/small.yaml
expect_status 0 bench runs note 1 'the first'
mkfifo requests
sqlite3 results/flipbench.db < requests > answers.txt & other=$!
exec 7> requests
echo "BEGIN IMMEDIATE; SELECT 'locked';" >&7
for _ in $(seq 200); do ! grep -q locked answers.txt || break; sleep 0.05; done
lines=$(wc -l < results/small/mask_ratio=0-*/attempts.jsonl)
expect_status 1 bench runs note 1 'the second'
expect_line err.txt 'locked by another process'
[ "$(wc -l < results/small/mask_ratio=0-*/attempts.jsonl)" = "$lines" ] || fail 'a note that was refused is in the folder'
exec 7>&-
wait $other
expect_status 0 bench db rebuild
expect_answer "SELECT note FROM run WHERE id = 1" 'the first'
expect_status 0 bench runs note 1 'the third'
expect_answer "SELECT note FROM run WHERE id = 1" 'the third'
