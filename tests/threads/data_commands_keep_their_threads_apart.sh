# Under ThreadSanitizer: the commands that draw, check, filter, balance and count samples, on all cores and
# with one thread: the same bytes.
. "$SOURCE/tests/support/training.sh"
make_data
"$FLIP" data filter -o filtered --min-words 2 --duplicates 3 --no-progress 'data/train-*.tar'
"$FLIP" data balance -o balanced --per-term 20 --no-progress 'data/train-*.tar'
"$FLIP" data stats 'data/*.tar' > stats.txt
"$FLIP" data verify 'data/*.tar' > /dev/null
OMP_NUM_THREADS=1 "$FLIP" data filter -o one --min-words 2 --duplicates 3 --no-progress 'data/train-*.tar'
for shard in filtered/*.tar; do cmp "$shard" "one/${shard##*/}" || fail "one thread filters to other bytes"; done
OMP_NUM_THREADS=1 "$FLIP" data stats 'data/*.tar' | cmp - stats.txt || fail "one thread counts differently"
if [ -d /usr/share/openclipart/png/animals ]; then
  mkdir -p clipart/png/few clipart/svg/few
  for file in $(ls -S /usr/share/openclipart/png/animals/*.png | tail -20); do
    name=${file##*/}
    ln -s "$file" clipart/png/few/
    ln -s "/usr/share/openclipart/svg/animals/${name%.png}.svg" clipart/svg/few/
  done
  "$FLIP" data openclipart --source clipart --out drawn --threads 2 --no-progress
fi
