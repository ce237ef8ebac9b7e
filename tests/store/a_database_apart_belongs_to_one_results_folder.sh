# A database in its results folder goes where the folder goes. One that is given apart (--db, FLIPBENCH_DB)
# records the runs of one folder, and is refused for another, whose cells it would show as finished.
. "$SOURCE/tests/support/sweep.sh"
sed -i '/^tuning:/d; /^  unmasked:/d; s/tuned_zero_shot_top1, //; s/mask_ratio: \[0, 0.5, 0.75\]/mask_ratio: [0, 0.5]/' experiments/small.yaml
run() { bench run experiments/small.yaml "$@"; }
other="^flipbench: error: $PWD/local.db: records the runs of the results folder $PWD/A, not of B; give that folder with --results, or another database with --db"

export FLIPBENCH_DB=$PWD/local.db
expect_status 0 run --results A
for made in no yes; do
  expect_status 2 run --results B
  expect_line err.txt "$other"
  expect_status 2 run --results B --dry-run
  expect_line err.txt "$other"
  [ ! -e B/small ] || fail "something was written to B"
  mkdir -p B
done
for command in 'runs remove 2 --yes' 'runs archive 1' 'runs list' 'db rebuild' 'status' 'report small' 'show 1' \
  'history' 'compare /bin/false' 'bisect HEAD~1 HEAD'; do
  expect_status 2 bench $command --results B
  expect_line err.txt "$other"
done
expect_status 3 bench regress --results B
expect_line err.txt "$other"
expect_status 0 bench status small --results A
expect_line out.txt '^finished .* mask_ratio=0.5'
[ -d A/small ] && [ ! -e A/flipbench.db ] || fail "the runs of A are not as they were"

# Moved, copied, reached by another name: still the same runs, and the new path is the one that is named.
mv A moved
ln -s moved linked
expect_status 0 run --results linked
expect_status 2 run --results B
expect_line err.txt "of the results folder $PWD/moved, not of B"
cp -r moved copied
expect_status 0 bench db rebuild --results copied
expect_line out.txt 'rebuilt from 2 runs'
# a new folder at the old place is another one
mkdir A
expect_status 2 run --results A
# without the folder the database alone can be read; runs are not changed
expect_status 0 bench runs list --results gone
expect_line out.txt 'small/mask_ratio=0.5'
expect_status 2 bench runs remove 2 --yes --results gone
expect_line err.txt "gone/small/.*: run 2's folder is not there"
DB=local.db expect_answer "SELECT count(*) FROM run" 2

# Two machines with a database of their own and one folder; the second takes the folder's id.
FLIPBENCH_DB=$PWD/second.db expect_status 0 run --results moved
id() { sqlite3 "$1" 'SELECT id FROM results_folder'; }
[ "$(id local.db)" = "$(id second.db)" ] && [ "$(id local.db)" = "$(cat moved/.flipbench-id)" ] || fail "two ids of one folder"

# SQLite opens no path of more than about 500 bytes: that is said, and --db is the way out.
long=$(printf 'd%.0s' $(seq 120))
long=$PWD/$long/$long/$long/$long
(unset FLIPBENCH_DB
  expect_status 1 run --results "$long"
  expect_line err.txt 'flipbench.db: with its folder, this name is longer than SQLite opens .*; choose a shorter one for the database with --db$'
  expect_status 0 run --results "$long" --db short.db
  DB=short.db expect_answer "SELECT count(*) FROM run" 2)

# A database in its results folder is moved and copied with it, and named for no other.
unset FLIPBENCH_DB
expect_status 0 run --results own
DB=own/flipbench.db expect_answer "SELECT count(*) FROM results_folder" 0
mv own owned
expect_status 0 run --results owned
expect_status 2 run --results B --db owned/flipbench.db
expect_line err.txt "owned/flipbench.db: records the runs of the results folder owned, not of B"
# taken out of it, it still is that folder's
cp owned/flipbench.db taken.db
expect_status 2 run --results B --db taken.db
expect_line err.txt 'taken.db: the folders of the runs that it records are not in the results folder B'
expect_status 0 run --results owned --db taken.db
DB=taken.db expect_answer "SELECT path FROM results_folder" "$PWD/owned"
[ ! -e B/small ] || fail "something was written to B"
