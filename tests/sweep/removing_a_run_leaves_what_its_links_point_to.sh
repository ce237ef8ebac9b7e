# A run's folder may hold links to files elsewhere, and be a link itself: `runs remove` removes the run, not them.
. "$SOURCE/tests/support/sweep.sh"
sed -i '/^tuning:/d; /^  unmasked:/d; s/tuned_zero_shot_top1, //; s/mask_ratio: \[0, 0.5, 0.75\]/mask_ratio: [0, 0.5]/' experiments/small.yaml
expect_status 0 bench run experiments/small.yaml
mkdir -p scratch/notes
echo mine > scratch/notes/text
folder=$(echo results/small/mask_ratio=0.5-*)
mv "$folder/checkpoints" scratch/checkpoints
find scratch -type f | sort > before.txt
ln -s "$PWD/scratch/notes" "$folder/notes"
ln -s "$PWD/scratch/notes/text" "$folder/text"
ln -s "$PWD/scratch/checkpoints" "$folder/checkpoints"
id=$(ask "SELECT id FROM run WHERE directory GLOB 'small/mask_ratio=0.5-*'")
expect_status 0 bench runs remove "$id" --yes
find scratch -type f | sort | cmp - before.txt || fail "files that links point to were removed"
[ ! -e "$folder" ] || fail "the folder is still there"
expect_answer "SELECT count(*) FROM run WHERE id = $id" 0

# the folder itself lies elsewhere
folder=$(echo results/small/mask_ratio=0-*)
mv "$folder" scratch/run
ln -s "$PWD/scratch/run" "$folder"
id=$(ask "SELECT id FROM run WHERE directory GLOB 'small/mask_ratio=0-*'")
expect_status 0 bench runs remove "$id" --yes
[ ! -L "$folder" ] || fail "the link is still there"
[ -z "$(ls -A scratch/run)" ] || fail "the run's files are still there"
expect_answer "SELECT count(*) FROM run" 0
