. "$SOURCE/tests/support/sweep.sh"
cat > experiments/two.yaml <<'Y'
name: two
settings: {samples: 2k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 1}
matrix: {mask_ratio: [0, 0.5]}
report: {rows: mask_ratio, baseline: {mask_ratio: 0}, columns: [samples_per_second], plots: []}
Y
expect_status 0 bench run experiments/two.yaml
first=$(ask "SELECT directory FROM v_cell_latest WHERE label = 'mask_ratio=0'")

# The first cell's threads waited for a CPU: its row, the list and the end of a sweep say so.
sed -i 's/"delay_seconds":0/"delay_seconds":0.02/; s/"cpu_seconds":[0-9.e-]*/"cpu_seconds":0.01/; s/"other_cpu_seconds":0/"other_cpu_seconds":0.03/' "results/$first/events.jsonl"
expect_status 0 bench db rebuild
expect_status 0 bench status two
expect_line out.txt '^finished .* mask_ratio=0 † [0-9]+ % lost'
expect_line out.txt 'mask_ratio=0.5$'
expect_line out.txt 'retry disturbed'
expect_status 0 bench status
expect_line out.txt '^two +2/2 finished · 1 disturbed †'
expect_status 0 bench status two --json
expect_line out.txt '"disturbed":true,"lost_share":0.[0-9]+'
# Of the other the share that was recorded, as everywhere, not none.
expect_line out.txt '"disturbed":false,"lost_share":0[,.]'
expect_status 0 bench runs list --json
expect_line out.txt '"disturbed":true,"lost_share":0.[0-9]+'
expect_line out.txt '"disturbed":false,"lost_share":0[},.]'
expect_status 0 bench report two --format csv
expect_line out.txt '^mask_ratio,.*,seeds,disturbed_runs,row_lost_share,given_other,missing'
expect_line out.txt '^0,.*,1,1,0\.[0-9]+,0,'
expect_line out.txt '^0.5,.*,1,0,0,0,'
expect_status 0 bench run experiments/two.yaml
expect_line err.txt 'other processes disturbed 1 of 2 cells.*mask_ratio=0 \([0-9]+ % of its time lost\)'
expect_line err.txt 'to measure them again on an idle machine: .*--retry disturbed'

# It is measured again, and what was measured before is kept, also in a rebuilt database.
expect_status 0 bench run experiments/two.yaml --retry disturbed
grep -q 'disturbed 1 of 2' err.txt && fail 'still disturbed'
expect_answer "SELECT count(*), sum(archived) FROM run WHERE status = 'finished'" '3|1'
[ -f "results/$first.archived-1/events.jsonl" ] || fail 'the disturbed run is lost'
expect_status 0 bench db rebuild
expect_answer "SELECT directory FROM run WHERE archived" "$first.archived-1"
expect_status 0 bench run experiments/two.yaml --retry disturbed
expect_answer "SELECT count(*) FROM run" 3

# One cell has seen other data than the newest: said, and trained again on what is there now.
sed -i 's/feedfacefeedface/badc0ffee0ddf00d/' "results/$first/events.jsonl"
newest=$(ask "SELECT directory FROM run ORDER BY id DESC LIMIT 1")
other=$(ask "SELECT directory FROM v_cell_latest WHERE label = 'mask_ratio=0.5'")
[ "$newest" = "$first" ] || fail "the newest run is $newest"
expect_status 0 bench db rebuild
expect_status 0 bench run experiments/two.yaml
expect_line err.txt '1 of 2 cells used different training data from the newest run with the same settings'
expect_line err.txt 'retry data'
sed -i 's/badc0ffee0ddf00d/feedfacefeedface/' "results/$first/events.jsonl"; sed -i 's/feedfacefeedface/badc0ffee0ddf00d/' "results/$other/events.jsonl"
expect_status 0 bench db rebuild
expect_status 0 bench run experiments/two.yaml --retry data
expect_answer "SELECT count(*), sum(archived) FROM run" '4|2'

# The file is edited: status and report speak of the same cells.
sed -i 's/\[0, 0.5\]/[0, 0.75]/' experiments/two.yaml
expect_status 0 bench status two
expect_line out.txt '^not run +[0-9a-f]{8} +mask_ratio=0.75$'
expect_line out.txt 'no longer in the experiment file'
expect_status 0 bench report two
expect_line out.txt 'mask_ratio=0.75.*not run'
mv experiments/two.yaml gone.yaml
expect_status 0 bench status two
expect_line out.txt 'cannot be read; showing the recorded cells'
mv gone.yaml experiments/two.yaml
# --set of the run belongs to its name
expect_status 0 bench run experiments/two.yaml --set seed=7
expect_status 0 bench status two
expect_line out.txt '^finished .* mask_ratio=0.75$'

# Runs that no experiment owns, by themselves.
expect_status 0 bench runs list --unowned
expect_line out.txt 'no experiment'
run=$(ask "SELECT min(id) FROM run WHERE NOT archived")
expect_status 0 bench runs note "$run" 'before the fan was cleaned'
expect_status 0 bench runs tag "$run" paper old
expect_status 0 bench runs tag "$run" old --remove
expect_status 2 bench runs tag "$run" 'two words'
expect_status 0 bench db rebuild
expect_status 0 bench runs list --tag paper
expect_line out.txt "\[paper\]: before the fan was cleaned"
expect_status 0 bench runs list --tag paper --json
expect_line out.txt '"note":"before the fan was cleaned"'
expect_status 0 bench runs tag "$run" cold
expect_status 0 bench show "$run" --json
expect_line out.txt '"note":"before the fan was cleaned","tags":"cold paper",'
expect_status 0 bench show "$run"
expect_line out.txt '^tags +cold paper$'
expect_status 0 bench runs tag "$run" cold --remove
run=$(ask "SELECT run_id FROM tag WHERE name = 'paper'")
expect_status 0 bench runs archive "$run"
folder=$(ask "SELECT directory FROM run WHERE id = $run")
case $folder in *.archived-*) ;; *) fail "$folder" ;; esac
expect_status 0 bench runs restore "$run"
expect_answer "SELECT archived FROM run WHERE id = $run" 0
folder=$(ask "SELECT directory FROM run WHERE id = $run")
expect_status 2 bench runs remove "$run" </dev/null
expect_line err.txt 'pass --yes'
[ -d "results/$folder" ] || fail 'removed without a yes'
cell=$(ask "SELECT cell_id FROM run WHERE id = $run")
expect_status 0 bench runs remove "$run" --yes
expect_line out.txt "^removed run $run: results/$folder$"
[ ! -e "results/$folder" ] || fail 'not removed'
expect_answer "SELECT count(*) FROM run WHERE id = $run" 0
cell=$(ask "SELECT cell_id FROM run GROUP BY cell_id HAVING count(*) > 1 AND min(archived) = 0 LIMIT 1")
kept=$(ask "SELECT max(id) FROM run WHERE cell_id = '$cell' AND archived")
expect_status 0 bench runs remove "$cell" --yes
expect_line out.txt "^  run $kept of the same cell remains: results/.* .archived.$"
# The last run of a build and machine takes these with it.
expect_answer "SELECT count(*) > 0 FROM environment" 1
expect_status 0 bench runs remove $(ask 'SELECT group_concat(id, " ") FROM run') --yes
expect_answer "SELECT (SELECT count(*) FROM run), (SELECT count(*) FROM environment)" '0|0'

# All cells are finished and a file is replaced: said, though nothing is trained on it yet.
printf 'one' > x.tar
expect_status 0 bench run experiments/two.yaml --set seed=11
! grep -q 'changed since' err.txt || fail 'nothing has changed'
expect_status 0 bench run experiments/two.yaml --set seed=11
! grep -q 'changed since' err.txt || fail 'nothing has changed'
printf 'other' > x.tar
expect_status 0 bench run experiments/two.yaml --set seed=11
expect_line err.txt 'files that 2 of 2 cells were trained on have changed since; their results are for the old data'
expect_status 0 bench run experiments/two.yaml --set seed=11 --retry data
! grep -q 'changed since' err.txt || fail 'said after it was mended'
expect_status 0 bench db rebuild
expect_status 0 bench run experiments/two.yaml --set seed=11
! grep -q 'changed since' err.txt || fail 'said after it was mended'

# The same for every way to name data: ranges, weights, lists, a classifier's labelled set.
variant() { # NAME, then lines of YAML
  local name=$1 && shift
  { echo "name: $name"; echo 'matrix: {mask_ratio: [0]}'; echo 'settings:'
    printf '  %s\n' 'samples: 2k' 'batch_size: 64' 'eval.points: 1' "$@"; } > "experiments/$name.yaml"
  expect_status 0 bench run "experiments/$name.yaml"
  expect_status 0 bench run "experiments/$name.yaml" --retry data
  expect_answer "SELECT count(*) FROM run WHERE directory LIKE '$name/%'" 1
}
changed() { # NAME FILE: replaced, said, trained again
  printf 'another' > "$2"
  expect_status 0 bench run "experiments/$1.yaml"
  expect_line err.txt 'files that 1 of 1 cells were trained on have changed since'
  expect_status 0 bench run "experiments/$1.yaml" --retry data
  ! grep -q 'cannot tell' err.txt || fail "the files are known"
  expect_answer "SELECT count(*), sum(archived) FROM run WHERE directory LIKE '$1/%'" '2|1'
}
for number in 0 1 2; do printf 'one' > "y-0000$number.tar"; printf 'one' > "z-$number.tar"; done
echo 'z-{0..2}.tar' > list.txt
variant ranges 'text.vocabulary: vocab.txt' 'data.train: ["y-{00000..00002}.tar#weight=2"]'
changed ranges y-00001.tar
variant listed 'text.vocabulary: vocab.txt' 'data.train: ["@list.txt", "shards:x.tar", "scenes:0"]'
changed listed z-2.tar
printf '%s\n' 'name: labelled' 'images: ["y-*.tar"]' 'tasks: [zeroshot]' 'label: shape' 'class_file: classes.txt' > set.yaml
echo circle > classes.txt
variant classified 'classification: {classes: 10, train: set.yaml}'
changed classified classes.txt
variant tagged 'text.vocabulary: vocab.txt' 'data.train: x.tar' 'text_mask_mode: syntax' 'text_mask_ratio: 0.5' \
  'text_mask_lexicon: list.txt'
changed tagged list.txt

# Where nothing can be compared, that is said instead of nothing.
variant piped 'text.vocabulary: vocab.txt' 'data: {train: "pipe:cat x.tar", allow_pipes: true}'
expect_line err.txt 'retry data: cannot tell whether the files of 1 of 1 finished cell have changed \(mask_ratio=0\)'
