. "$SOURCE/tests/support/sweep.sh"
# While a page or a figure is made, another process changes the record: here gnuplot does, the first time that it is
# called. The page is that of the moment in which it was begun; the next one has the change.
expect_status 0 bench run experiments/small.yaml --no-progress
mkdir tools
cat > tools/gnuplot <<S
#!/bin/sh
if mkdir "$SCRATCH/once" 2> /dev/null; then
  "$FLIPBENCH" runs archive \$(cat "$SCRATCH/changed") --results "$SCRATCH/results" > "$SCRATCH/archived.txt" 2>&1 || : > "$SCRATCH/failed"
fi
PATH=\${PATH#*:} exec gnuplot "\$@"
S
chmod +x tools/gnuplot
meanwhile() { # RATIO COMMAND…: the command, while the runs of a row are archived
  ask "SELECT group_concat(run_id, ' ') FROM v_cell_latest WHERE label LIKE 'mask_ratio=$1%' AND label NOT LIKE '%tuning'" > changed
  rm -rf once
  shift
  expect_status 0 env PATH="$PWD/tools:$PATH" "$@"
  [ -d once ] && [ ! -e failed ] || { cat archived.txt; fail "the record was not changed"; }
}
expect_status 0 bench report small --format html
cp results/small/report.html before.html
meanwhile 0.75 "$FLIPBENCH" report small --format html
cmp before.html results/small/report.html || fail "a page is of two moments"
expect_status 0 bench report small --format html
! cmp -s before.html results/small/report.html || fail "the record did not change"

expect_status 0 bench plot small --format svg --out before
meanwhile 0.5 "$FLIPBENCH" plot small --format svg --out after
for figure in before/*.svg; do cmp "$figure" "after/${figure#before/}" || fail "figures are of two moments"; done
