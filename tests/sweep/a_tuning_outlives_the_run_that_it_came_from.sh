# A tuning is kept when its parent is trained again and ends with the same weights; so it is when the run
# that it was made from is then removed, and it is made again when the weights differ.
. "$SOURCE/tests/support/sweep.sh"
cat > experiments/tuned.yaml <<'Y'
name: tuned
settings: {samples: 2k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 1}
matrix: {mask_ratio: [0, 0.5]}
tuning:
  unmasked: {from: "${cell}", when: {mask_ratio: 0.5}, mask_ratio: 0, samples: 1k}
report: {rows: mask_ratio, columns: [zero_shot_top1, tuned_zero_shot_top1], plots: []}
Y
run_of() { ask "SELECT run_id FROM v_cell_latest WHERE label = '$1'"; }
expect_status 0 bench run experiments/tuned.yaml
tuning=$(run_of 'mask_ratio=0.5 · unmasked tuning') old=$(run_of mask_ratio=0.5)
expect_status 0 bench runs archive "$old"
expect_status 0 bench run experiments/tuned.yaml
expect_answer "SELECT count(*), sum(archived) FROM run" '4|1'
bench report tuned > before.txt

kept() { # WHEN
  bench report tuned > after.txt
  cmp before.txt after.txt || { cat after.txt; fail "$1: the table differs"; }
  expect_status 0 bench run experiments/tuned.yaml
  expect_answer "SELECT count(*), sum(archived) FROM run" '3|0'
  [ "$(run_of 'mask_ratio=0.5 · unmasked tuning')" = "$tuning" ] || fail "$1: the tuning was made again"
}
expect_status 0 bench runs remove "$old" --yes
kept 'after its parent was removed'
expect_status 0 bench db rebuild
tuning=$(run_of 'mask_ratio=0.5 · unmasked tuning')
kept 'in a rebuilt database'

# The only run of its parent is removed: it is trained again, and if it ends with other weights so is the tuning.
rm -rf twice && cp -r results twice
expect_status 0 bench runs remove "$(run_of mask_ratio=0.5)" --yes
expect_status 0 bench run experiments/tuned.yaml
kept 'after its parent was removed and trained again'
rm -rf results && mv twice results
expect_status 0 bench runs remove "$(run_of mask_ratio=0.5)" --yes
sed -i '/"event":"origin"/s/"text":"[^"]*"/"text":"9.5"/' results/tuned/*unmasked*/attempts.jsonl # as if of other weights
expect_status 0 bench db rebuild
expect_status 0 bench run experiments/tuned.yaml
expect_answer "SELECT count(*), sum(archived) FROM run" '4|1'
expect_answer "SELECT count(*) FROM run WHERE archived AND directory LIKE '%unmasked%'" 1
