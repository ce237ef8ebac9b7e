# What is drawn on a terminal: never wider than it, and in a pipe plain lines without codes.
. "$SOURCE/tests/support/sweep.sh"
unset NO_COLOR
export TERM=xterm FAKE_STEP_MS=10
command -v script > /dev/null || { echo 'skipped: no script(1)'; exit 77; }
on_terminal() { # on_terminal COLUMNS ROWS COMMAND…: its output in screen.txt, codes taken out in plain.txt
  local columns=$1 rows=$2; shift 2
  script -qec "stty cols $columns rows $rows; $*" screen.txt > /dev/null < /dev/null || true
  # the lines as they are drawn: a carriage return or a cursor movement begins a new one
  grep -av '^Script ' screen.txt | tr '\r' '\n' | sed 's/\x1b\[[0-9;]*[A-HJKm]/\n/g' > plain.txt
}
widest() { LC_ALL=C.UTF-8 wc -L < "$1"; }

long='a rather long name of an item that no narrow terminal can show whole, with more behind it'
sed -i "s/^  mask_ratio: .*/  scale: [{label: '$long', mask_ratio: 0}, {label: b, mask_ratio: 0.5}]/; s/^  rows: .*/  rows: scale/" experiments/small.yaml
for size in '80 24' '200 60' '40 8'; do
  set -- $size
  rm -rf results
  on_terminal "$1" "$2" "$FLIPBENCH run experiments/small.yaml --jobs 2 > /dev/null"
  grep -q '━.* [0-9]* % · l' plain.txt || fail "$size: nothing was drawn"
  [ "$(grep '━\|─' plain.txt > drawn.txt; widest drawn.txt)" -lt "$1" ] || { cat drawn.txt; fail "$size: wider than the terminal"; }
done
[ "$(grep -c 'cells' plain.txt)" -ge 1 ] || fail 'no line for the whole'

# A cell that was interrupted is not done: while the other does not listen, the sweep is stopping with none finished.
rm -rf results
FAKE_STEP_MS=20 FAKE_DEAF=mask_ratio=0.5 on_terminal 80 24 "timeout --foreground -s INT 2.9 timeout --foreground -s INT 1.9 $FLIPBENCH run experiments/small.yaml --jobs 2 > /dev/null"
grep -q '0/3 cells.* stopping' plain.txt || { cat plain.txt; fail 'it does not say that it stops'; }
! grep '[1-9]/3 cells' plain.txt || fail 'an interrupted cell counts as done'
rm -rf results
"$FLIPBENCH" run experiments/small.yaml --jobs 2 > run.out 2> run.err

# status --watch draws a page, and ends when all cells have.
on_terminal 80 10 "$FLIPBENCH status small --watch --every 0.1"
grep -q 'small: 3/3 finished' plain.txt || { cat plain.txt; fail 'no page'; }
[ "$(widest plain.txt)" -lt 80 ] || fail 'the page is wider than the terminal'

# In pipes: whole lines, no codes.
rm -rf results
"$FLIPBENCH" run experiments/small.yaml --jobs 2 > run.out 2> run.err & sweep=$!
for _ in $(seq 100); do [ -e results/flipbench.db ] && "$FLIPBENCH" status small > /dev/null 2>&1 && break; sleep 0.05; done
"$FLIPBENCH" status small --watch --every 0.1 > watch.txt
wait $sweep
[ "$(tail -n 1 watch.txt)" = 'small: 3/3 finished' ] || { cat watch.txt; fail 'the last line is another'; }
[ "$(wc -l < watch.txt)" -ge 2 ] || fail 'no change was told'
if grep -q $'\x1b' run.out run.err watch.txt; then fail 'codes in a pipe'; fi
expect_status 2 bench status --watch
expect_line err.txt '\-\-watch takes one EXPERIMENT'
