# Which cell a tuning was started from is recorded with its runs: a database that is rebuilt, or that
# merges them, knows it also when the experiment file has these cells no longer.
. "$SOURCE/tests/support/sweep.sh"
expect_status 0 bench run experiments/small.yaml
cells() { ask "SELECT id, parent, json_extract(settings, '$.init_from') FROM cell ORDER BY id"; }
cells > before.txt
[ "$(ask "SELECT count(*) FROM cell WHERE parent IS NOT NULL AND json_extract(settings, '$.init_from') = 'cell:' || parent")" = 2 ] || fail "not two tunings"
cp -r results theirs
sed '/^tuning/,/unmasked:/d; s/tuned_zero_shot_top1, //' experiments/small.yaml > less.yaml && mv less.yaml experiments/small.yaml
expect_status 0 bench run experiments/small.yaml
expect_answer "SELECT count(*) FROM experiment_cell" 3
cells | cmp - before.txt || fail "the database that was kept has lost the cells"
expect_status 0 bench db rebuild
cells | cmp - before.txt || { cells | diff before.txt - || true; fail "the rebuilt database has other parents"; }

# Merged into results that have the experiment without these cells.
rm -r results && expect_status 0 bench run experiments/small.yaml
expect_status 0 bench db merge theirs
cells | cmp - before.txt || { cells | diff before.txt - || true; fail "the merged database has other parents"; }
expect_status 0 bench db check

# Of a parent whose runs are gone, as its experiment is, there is still the name.
rm -r results/small/experiment.json results/small/mask_ratio=0.5-*
expect_status 0 bench db rebuild
expect_status 0 bench db check
expect_answer "SELECT count(*) FROM cell AS child JOIN cell ON cell.id = child.parent WHERE NOT EXISTS (SELECT 1 FROM run WHERE run.cell_id = cell.id)" 1
