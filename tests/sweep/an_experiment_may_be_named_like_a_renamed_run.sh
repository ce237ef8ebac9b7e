# Runs are renamed LABEL-ID8.failed-N and .archived-N. An experiment whose own name looks like that is an
# experiment like any other: its cells are set aside, archived and restored in its own folder.
. "$SOURCE/tests/support/sweep.sh"
write() { # write NAME SEED
  cat > "experiments/$1.yaml" <<Y
name: $1
settings: {samples: 1k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 1, seed: $2}
matrix:
  mask_ratio: [0, 0.5]
report: {plots: []}
Y
}
write study 1
write study.failed-1 2
write study.archived-2 3
expect_status 0 bench run experiments/study.yaml
find results/study -name 'mask*' | sort > before.txt

# set aside twice
for again in '' --retry --retry; do
  (export FAKE_NAN=mask_ratio=0.5; expect_status 1 bench run experiments/study.failed-1.yaml $again)
done
find results/study -name 'mask*' | sort | cmp - before.txt || fail "another experiment's folders were changed"
cell=$(ask "SELECT cell_id FROM run WHERE directory GLOB 'study.failed-1/mask_ratio=0.5*' LIMIT 1")
name=study.failed-1/mask_ratio=0.5-${cell:0:8}
expect_answer "SELECT directory FROM run WHERE cell_id = '$cell' ORDER BY 1" "$name
$name.failed-1
$name.failed-2"

# archived and restored
expect_status 0 bench run experiments/study.archived-2.yaml
id=$(ask "SELECT id FROM run WHERE directory GLOB 'study.archived-2/mask_ratio=0.5*'")
name=$(ask "SELECT directory FROM run WHERE id = $id")
expect_status 0 bench runs archive "$id"
expect_answer "SELECT directory, archived FROM run WHERE id = $id" "$name.archived-1|1"
[ -d "results/$name.archived-1" ] || fail "the folder was not renamed"
expect_status 0 bench run experiments/study.archived-2.yaml
expect_answer "SELECT count(*) FROM run WHERE directory = '$name' AND status = 'finished'" 1
rm -r "results/$name"
expect_status 0 bench db rebuild
id=$(ask "SELECT id FROM run WHERE directory = '$name.archived-1'")
expect_status 0 bench runs restore "$id"
expect_answer "SELECT directory, archived FROM run WHERE id = $id" "$name|0"
[ -d "results/$name" ] || fail "the folder did not get its name back"

# nothing is lost in a rebuild
ask "SELECT directory FROM run ORDER BY 1" > before.txt
[ "$(wc -l < before.txt)" = 8 ] || fail "not 2 runs of study, 4 of study.failed-1, 2 of study.archived-2"
expect_status 0 bench db rebuild
ask "SELECT directory FROM run ORDER BY 1" | cmp - before.txt || fail "runs were lost"

# A folder that another experiment's record is in is not taken over: on a file system that does not
# distinguish upper and lower case, 'Study' and 'study' have one.
write Upper 4
mkdir -p results/Upper && cp results/study/experiment.json results/Upper/
for options in '' --dry-run; do
  expect_status 2 bench run experiments/Upper.yaml $options
  expect_line err.txt "results/Upper is the folder of experiment 'study', not of 'Upper' .*; choose another name, or another folder with --results"
done
cmp results/study/experiment.json results/Upper/experiment.json || fail "the record of the other experiment was replaced"
rm -r results/Upper
expect_status 0 bench run experiments/Upper.yaml

# A file name that the record cannot hold is refused before anything is written.
latin=$(printf 'caf\351.yaml')
sed 's/^name: .*/name: cafe/' experiments/study.yaml > "$latin"
expect_status 2 bench run "$latin"
expect_line err.txt "'caf.*yaml' is not UTF-8, in which experiments are recorded: rename the file or its folder"
[ ! -e results/cafe ] || fail "something was recorded for a file whose name is not UTF-8"
