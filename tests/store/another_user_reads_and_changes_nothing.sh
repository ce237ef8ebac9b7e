# A user who may not write the database reads it, also while its owner writes, and leaves nothing behind that the owner
# could not write. (Two users of one group, without names.)
. "$SOURCE/tests/support/sweep.sh"
[ "$(id -u)" = 0 ] || { echo 'skipped: only root can be two users'; exit 77; }
umask 002
owner() { setpriv --reuid=64321 --regid=64400 --clear-groups -- "$@"; }
reader() { setpriv --reuid=64322 --regid=64400 --clear-groups -- "$@"; }
chmod 755 "$SCRATCH"
owner "$FLIPBENCH" --version > /dev/null 2>&1 || { echo 'skipped: other users cannot run the programs'; exit 77; }
mkdir results
chown -R 64321:64400 .
chmod 2775 results
export FAKE_STEP_MS=0
run() { expect_status 0 owner "$FLIPBENCH" run experiments/small.yaml --no-progress "$@"; }
left() { find results -name 'flipbench.db-*'; }
touch out.txt err.txt
chmod 666 out.txt err.txt
run
for how in 'status' 'status small' 'report small' 'runs list' 'show 1' 'db check'; do
  expect_status 0 reader "$FLIPBENCH" $how
  [ -z "$(left)" ] || { ls -l results; fail "$how left files of the reader's"; }
done
[ "$(owner "$FLIPBENCH" status small | grep -c '^finished')" = 5 ] || fail 'the owner sees other cells'

# While the owner has the database open, what has been written is read from the log.
owner sqlite3 results/flipbench.db "UPDATE run SET note = 'in the log'; SELECT 1;" '.system touch ready; until [ -e done ]; do sleep 0.1; done' > /dev/null & holder=$!
until [ -e ready ]; do sleep 0.05; done
[ -s results/flipbench.db-wal ] || { ls -l results; fail 'there is no log'; }
expect_status 0 reader "$FLIPBENCH" runs list
expect_line out.txt 'in the log'
touch done
wait $holder
[ -z "$(left)" ] || { ls -l results; fail 'files of the log are left'; }

# A change is refused, with nothing left; the owner goes on.
expect_status 1 reader "$FLIPBENCH" runs note 1 hello
expect_line err.txt 'flipbench.db: cannot be written'
[ -z "$(left)" ] || fail 'a refused change left files'
run

# A folder that only the owner may write, and a watch that sees what the owner changes.
chmod 755 results
expect_status 0 reader "$FLIPBENCH" status small
expect_status 0 reader "$FLIPBENCH" report small
expect_line out.txt 'zero_shot|accuracy|%'
sqlite3 results/flipbench.db "PRAGMA foreign_keys = ON; DELETE FROM run WHERE directory LIKE 'small/mask_ratio=0.75%'"
reader "$FLIPBENCH" status small --watch --every 0.1 > watched.txt 2>&1 & watcher=$!
until grep -q '/5 finished' watched.txt; do sleep 0.05; done
run
wait $watcher || { cat watched.txt; fail 'the watch failed'; }
expect_line watched.txt '5/5 finished'

# Files that an earlier version's reader left are named with their owner.
: > results/flipbench.db-shm
: > results/flipbench.db-wal
chown 64322:64400 results/flipbench.db-*
chmod 644 results/flipbench.db-*
expect_status 1 owner "$FLIPBENCH" runs note 1 hello
expect_line err.txt 'flipbench.db-shm belongs to user 64322'

# The log of a process that was killed needs its index, or its owner.
rm results/flipbench.db-*
owner sqlite3 results/flipbench.db "UPDATE run SET note = 'left behind';" '.system cp results/flipbench.db left; cp results/flipbench.db-wal left-wal; cp results/flipbench.db-shm left-shm'
for suffix in '' -wal -shm; do owner cp "left$suffix" "results/flipbench.db$suffix"; done
expect_status 0 reader "$FLIPBENCH" runs list
expect_line out.txt 'left behind'
rm results/flipbench.db-shm
expect_status 1 reader "$FLIPBENCH" runs list
expect_line err.txt "any command of the database's owner"
expect_status 0 owner "$FLIPBENCH" runs list
[ -z "$(left)" ] || fail 'the owner left a log'

# What tasks have recorded, and cannot be read into the database, is not passed over in silence.
mkdir -p results/small/slurm
: > results/small/slurm/jobs.tsv
chown -R 64321 results/small/slurm
rm -f results/flipbench.db-*
owner sqlite3 results/flipbench.db "PRAGMA foreign_keys = ON; DELETE FROM run WHERE directory LIKE 'small/mask_ratio=0.75%'"
expect_status 0 reader "$FLIPBENCH" status small
[ "$(grep -c '^finished' out.txt)" = 5 ] || { cat out.txt err.txt; fail 'a reader does not see what the tasks recorded'; }
chmod 000 results/small/mask_ratio=0.75-*/events.jsonl
expect_status 0 reader "$FLIPBENCH" status small
expect_line err.txt 'warning: small: what its tasks have recorded since is not shown: .*events.jsonl'
