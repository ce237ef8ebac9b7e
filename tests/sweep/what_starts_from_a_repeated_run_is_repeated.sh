# A tuning belongs to the weights that it was made from: when its parent is trained again and ends with
# others, the tuning is no result any more until it is made again, and so is what started from it.
. "$SOURCE/tests/support/sweep.sh"
cat > experiments/tuned.yaml <<'Y'
name: tuned
settings: {samples: 2k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 1}
matrix: {mask_ratio: [0, 0.5]}
tuning:
  unmasked: {from: "${cell}", when: {mask_ratio: 0.5}, mask_ratio: 0, samples: 1k}
  longer: {from: "${unmasked}", samples: 512}
report: {rows: mask_ratio, columns: [zero_shot_top1, tuned_zero_shot_top1], plots: []}
Y
expect_status 0 bench run experiments/tuned.yaml
directory() { ask "SELECT directory FROM v_cell_latest WHERE label = '$1'"; }
parent=$(directory mask_ratio=0.5)
run_of() { ask "SELECT run_id FROM v_cell_latest WHERE label = '$1'"; }

# The same bits again: nothing else is repeated.
expect_status 0 bench runs archive "$(run_of mask_ratio=0.5)"
expect_status 0 bench run experiments/tuned.yaml
expect_answer "SELECT count(*), sum(archived) FROM run" '5|1'
expect_status 0 bench report tuned
grep -q 'trained again' out.txt && fail "the tuning was dropped though its parent has the same weights"

# What the tuning came from ended with another loss. Its own result is the same, so what started from
# it stays.
differ() { sed -i 's/"loss":\([0-9]\)/"loss":9\1/' "$1/events.jsonl"; }
origin_differs() { sed -i 's/"origin_loss":\([0-9]\)/"origin_loss":9\1/' results/tuned/*unmasked_tuning-*/attempts.jsonl; }
differ "results/$parent"; differ "results/$parent.archived-1"; origin_differs
expect_status 0 bench db rebuild
expect_status 0 bench runs archive "$(run_of mask_ratio=0.5)"
FAKE_NAN=mask_ratio=0.5 expect_status 1 bench run experiments/tuned.yaml
expect_answer "SELECT count(*), sum(archived) FROM run" '6|2' # the parent has no result yet
expect_status 0 bench run experiments/tuned.yaml --retry failed
expect_answer "SELECT status FROM v_cell_latest WHERE label = 'mask_ratio=0.5'" finished
expect_answer "SELECT count(*) FROM run WHERE archived AND directory LIKE '%unmasked%'" 1
expect_answer "SELECT count(*) FROM run WHERE archived AND directory LIKE '%longer%'" 0
expect_answer "SELECT count(*) FROM v_cell_latest WHERE status <> 'finished'" 0
runs=$(ask "SELECT count(*) FROM run")
expect_status 0 bench run experiments/tuned.yaml
expect_answer "SELECT count(*) FROM run" "$runs"

# A record in which the tuning was not repeated shows no number for it, and says why.
differ "results/$parent"; origin_differs
expect_status 0 bench db rebuild
expect_status 0 bench runs archive "$(run_of mask_ratio=0.5)"
sed '/^tuning/,/longer/d; s/, tuned_zero_shot_top1//; s/^name: .*/name: alone/' experiments/tuned.yaml > experiments/alone.yaml
expect_status 0 bench run experiments/alone.yaml --retry failed # the one before
expect_status 0 bench report tuned
expect_line out.txt 'unmasked tuning: not run: its run started from an earlier run of its parent'
expect_status 0 bench report tuned --format csv
grep -qE '^0.5,[^,]+,[^,]+,[^,]+,images,,' out.txt || { cat out.txt; fail "the tuned accuracy is still shown"; }
# Nor does what lists, packs or exports the cells take it for finished.
expect_status 0 bench status tuned
expect_line out.txt '^not run .*unmasked tuning: its run started from an earlier run of its parent'
expect_status 0 bench bundle experiments/tuned.yaml
expect_line err.txt '2 of 4 cells have a result; the bundle has none of: mask_ratio=0.5 · unmasked tuning \(started from another run of its parent\)'
expect_status 0 bench export tuned --format csv --out curves
grep -q 'unmasked' curves/params.csv && fail "the curve of a tuning of other weights is exported"
bench report tuned --format html > /dev/null
grep -q '"text":"2 finished"' results/tuned/report.html || fail "the page counts a tuning of other weights"
expect_status 0 bench run experiments/tuned.yaml
expect_status 0 bench report tuned
if grep -q 'not run' out.txt; then cat out.txt; fail "the tunings were not repeated"; fi
