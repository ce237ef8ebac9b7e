# What a table, a claim and `show` say of a run is what that run had: its own settings, the settings that its
# experiment was run with, and only sets that both of two rows were measured on.
. "$SOURCE/tests/support/sweep.sh"
cat > experiments/two.yaml <<'Y'
name: two
settings: {samples: 2k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 2}
matrix: {mask_ratio: [0, 0.5], seed: [0, 1]}
profiles: {other: {}}
report: {rows: mask_ratio, baseline: {mask_ratio: 0}, plots: [],
         columns: [zero_shot_top1, shifted_zero_shot_top1, seed, log_every]}
claims:
  - {claim: better, metric: zero_shot_top1, of: {mask_ratio: 0.5}, against: {mask_ratio: 0}, expect: greater}
  - {claim: shifted, metric: shifted_zero_shot_top1, against_metric: zero_shot_top1, of: {mask_ratio: 0.5}, expect: smaller}
Y
expect_status 0 bench run experiments/two.yaml
expect_status 0 bench report two
expect_line out.txt '^ *50 % .* 0, 1 +1$'

# Rows without a seed in common are not subtracted, and that is said.
sed "s/rows: mask_ratio, baseline: {mask_ratio: 0}/rows: [mask_ratio, seed], baseline: {mask_ratio: 0, seed: 0}/; s/^name: .*/name: seeds/; /^claims/,\$d" experiments/two.yaml > experiments/seeds.yaml
expect_status 0 bench run experiments/seeds.yaml
expect_status 0 bench report seeds
expect_line out.txt '^zero-shot top-1 \(%\) of mask 50 %, seed 0 minus that of mask 0 %, seed 0: [−+0]'
expect_line out.txt '^zero-shot top-1 \(%\) of mask 0 %, seed 1; mask 50 %, seed 1 minus that of mask 0 %, seed 0: no seed has finished in both rows$'

# Settings that are no part of a cell's identity are the run's, whatever the file says later.
sed -i 's/eval.points: 2}/eval.points: 2, log_every: 25}/' experiments/two.yaml
expect_status 0 bench run experiments/two.yaml
expect_answer "SELECT count(*) FROM run" 4
expect_status 0 bench show 1
expect_line out.txt '^ *log_every +1$'
expect_status 0 bench report two
expect_line out.txt '^ *50 % .* 0, 1 +1$'
expect_status 0 bench export two --format csv --out curves
expect_line curves/params.csv ',log_every,1'
grep -q ',log_every,25' curves/params.csv && fail "an exported run has a setting of a later file"
expect_status 0 bench db rebuild
expect_status 0 bench show 1
expect_line out.txt '^ *log_every +1$'

# Changes from the command line are said, and those of one profile are not another's.
expect_status 0 bench run experiments/two.yaml --set weight_decay=0.5
expect_status 0 bench report two
expect_line out.txt ' · --set weight_decay=0.5$'
expect_status 0 bench run experiments/two.yaml --profile other
grep -q 'weight_decay' out.txt && fail "a profile was run with another run's --set"
expect_status 0 bench report two --profile other
grep -qE '–|weight_decay' out.txt && fail "a profile is reported with the settings of the plain run: $(cat out.txt)"
expect_status 0 bench report two@other
sed 's/mask_ratio: \[0, 0.5\], seed: \[0, 1\]/base_learning_rate: [1e-4, 2e-4]/; s/^name: .*/name: rates/; /^report/,$d' experiments/two.yaml > experiments/rates.yaml
expect_status 2 bench run experiments/rates.yaml --set learning_rate=1e-2
expect_line err.txt 'base_learning_rate is an axis of the matrix and gives the same in another way'

# Two files of one name.
sed 's/seed: \[0, 1\]/seed: [0]/' experiments/two.yaml > experiments/namesake.yaml
expect_status 0 bench run experiments/namesake.yaml
expect_line err.txt "experiments/namesake.yaml replaces experiments/two.yaml, which is called 'two' too"
expect_status 0 bench run experiments/namesake.yaml
grep -q replaces err.txt && fail "the same file replaces itself"
expect_status 0 bench run experiments/two.yaml
expect_line err.txt 'experiments/two.yaml replaces experiments/namesake.yaml'

# The set that a table is of: the one named, and no other beside it as shifted.
sed 's/^report: {/report: {main_set: emoji, /; s/^name: .*/name: main/' experiments/two.yaml > experiments/main.yaml
expect_status 0 bench run experiments/main.yaml
expect_status 0 bench report main --format csv
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
  { rows++ } $at["zero_shot_top1"] == $at["shifted_zero_shot_top1"] { bad = 1 } END { exit bad || !rows }' out.txt || { cat out.txt; fail "the main set is the shifted set too"; }

# So are the numbers of the index and of the database's view, also where the first set is the shifted one.
first=$(ask "SELECT set_name FROM v_final_evaluation WHERE run_id IN (SELECT run_id FROM v_cell_latest WHERE experiment = 'main') ORDER BY ordinal LIMIT 1")
[ "$first" = openclipart ] || fail "the main set is the first: this shows nothing"
sed "s/^report: {/report: {shifted_set: $first, /; s/^name: .*/name: away/" experiments/two.yaml > experiments/away.yaml
expect_status 0 bench run experiments/away.yaml
for name in main away; do
  expect_answer "SELECT count(*) FROM v_cell_summary AS c JOIN v_final_evaluation AS e USING (run_id) WHERE c.experiment = '$name'
    AND e.task = 'zeroshot' AND e.metric = 'top1' AND e.set_name = 'emoji' AND c.zero_shot_top1 = e.value AND zero_shot_set = 'emoji'" 4
done
expect_answer "SELECT DISTINCT zero_shot_set FROM v_cell_summary WHERE experiment = 'two'" openclipart
expect_status 0 bench db rebuild
expect_answer "SELECT DISTINCT zero_shot_set FROM v_cell_summary WHERE experiment = 'main'" emoji
expect_status 0 bench report main --format html
grep -q "of the set 'emoji'" results/index.html || fail "the index does not name the set"

# Two sets have no image in common, though both have 790 here.
bench report two --claims > out.txt
expect_line out.txt '^- shifted: shifted top-1 \(%\) of mask 50 % minus its zero-shot top-1: −.* 2 seeds, 790 images, not paired by image; '
bench report two --format json > two.json
difference=$(sqlite3 :memory: "SELECT abs((c.value ->> 'value') - (v -> 'shifted_zero_shot_top1' ->> 'value') + (v -> 'zero_shot_top1' ->> 'value')) < 1e-9, c.value ->> 'interval_over'
  FROM json_each(readfile('two.json'), '\$.claims') AS c, (SELECT value -> 'values' AS v FROM json_each(readfile('two.json'), '\$.rows') WHERE value -> 'row' ->> 'mask_ratio' = '0.5') WHERE c.value ->> 'claim' = 'shifted'")
[ "$difference" = '1|seeds and unpaired images' ] || fail "the difference is not that of the table's columns: $difference"

# Rows that were measured on sets of different names are not subtracted.
expect_status 0 bench report two
expect_line out.txt '^- better: .*; (lower|higher|holds|does not hold|cannot tell)'
# A claim on the last evaluation is not judged by one before it.
events=results/$(ask "SELECT directory FROM v_cell_latest WHERE experiment = 'two' AND label = 'mask_ratio=0.5 seed=0'")/events.jsonl
cp "$events" whole.jsonl
last=$(grep '"event":"end"' "$events" | grep -o '"step":[0-9]*' | tail -1)
sed -i "/\"event\":\"eval\".*$last,/d" "$events"
expect_status 0 bench db rebuild
bench report two --claims > out.txt
expect_line out.txt "^- better: .*; not run: mask_ratio=0.5 seed=0 has lost events, maybe of its last evaluation \\('flipbench show RUN'\\)"
cp whole.jsonl "$events"
expect_status 0 bench db rebuild
expect_status 0 bench report two
for directory in $(ask "SELECT directory FROM run WHERE directory LIKE 'two/mask_ratio=0.5%'"); do
  sed -i '/"set":"openclipart"/d' "results/$directory/events.jsonl"
done
expect_status 0 bench db rebuild
expect_status 0 bench report two
expect_line out.txt "'openclipart', 'emoji'|'emoji', 'openclipart'"
expect_line out.txt '^- better: cannot tell; no seed of both rows was evaluated on the same set'
expect_line out.txt '^zero-shot top-1 \(%\) of mask 50 % minus that of mask 0 %: no seed of both rows was evaluated on the same set$'

# A number of a tuning is of the tuning's run, not of the row's.
expect_status 0 bench run experiments/small.yaml --no-progress
expect_status 0 bench report small --format json
cp out.txt small.json
tuned=$(ask "SELECT run_id FROM v_cell_latest WHERE experiment = 'small' AND label LIKE 'mask_ratio=0.5 %tuning'")
[ "$(sqlite3 :memory: "SELECT value -> '\$.values.tuned_zero_shot_top1.run_ids', value -> '\$.values.zero_shot_top1.run_ids'
  FROM json_each(readfile('small.json'), '\$.rows') WHERE value -> 'row' ->> 'mask_ratio' = '0.5'")" = "[$tuned]|" ] || { cat small.json; fail "a tuned number is not of run $tuned"; }
expect_status 0 bench report small --format html
grep -q "\"run_ids\":\[$tuned\]" results/small/report.html || fail "the page's tuned number is not of run $tuned"
grep -q '"text":"tuned top-1 of mask 0 %: no tuning starts from this row."' results/small/report.html || fail "the page does not say why a number is missing"
# The index has the mean over classes, and says so.
for heading in 'zero-shot per class \(%\)' 'wall time' 'process time'; do expect_line results/index.html "\"heading\":\"$heading\""; done
! grep -q '"heading":"time"' results/index.html || fail "the index has elapsed time under the name of the steady one"

# What --set does not reach is said at the start.
expect_status 0 bench run experiments/small.yaml --dry-run --set samples=4k
expect_line err.txt "--set samples=4k does not change tuning 'unmasked', which sets samples: 1000 itself"
expect_status 0 bench check experiments/small.yaml --set samples=4k
expect_line err.txt "does not change tuning 'unmasked'"

# What is damaged or missing in a record stands for nothing else: not an earlier evaluation for the last one, not
# a bound for no bound, not a run without events for one of another machine, no time for runs of two machines.
cat > experiments/damaged.yaml <<'E'
name: damaged
settings: {samples: 9k, batch_size: 64, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 4}
matrix: {mask_ratio: [0, 0.5], seed: [0, 1]}
report: {rows: mask_ratio, baseline: {mask_ratio: 0}, columns: [samples_per_second, zero_shot_top1], plots: [accuracy_vs_time, throughput]}
E
expect_status 0 bench run experiments/damaged.yaml --no-progress
cp -r results/damaged sound
events=$(ls results/damaged/mask_ratio=0.5_seed=1-*/events.jsonl)
line=$(grep -n '"set":"openclipart".*"task":"zeroshot"\|"task":"zeroshot".*"set":"openclipart"' "$events" | tail -1 | cut -d: -f1)
[ -n "$line" ] || line=$(grep -n '"zeroshot"' "$events" | tail -1 | cut -d: -f1)
sed -i "${line}s/\"/'/" "$events"
expect_status 0 bench db rebuild
expect_line err.txt 'events\.jsonl:[0-9]+: malformed line: .*: what it said is not in the record'
expect_status 0 bench report damaged
expect_line out.txt '^– zero-shot top-1 of mask 50 %: of 1 of the 2 seeds that have finished$'
cp sound/mask_ratio=0.5_seed=1-*/events.jsonl "$events"

# Few steps that differ much leave a speed no upper bound.
expect_status 0 bench db rebuild
sqlite3 results/flipbench.db "UPDATE summary SET value = 1e-9 WHERE name = 'steady_low'"
expect_status 0 bench report damaged
expect_line out.txt '^ 0 %  [0-9]+ \[[0-9]+, ∞\] '

# Without its events a run's machine is not known, and is not another one.
mv "$events" kept.jsonl
expect_status 0 bench db rebuild
bench report damaged > out.txt 2>&1
! grep -q 'different processors' out.txt || { cat out.txt; fail "an unknown processor is another one"; }
mv kept.jsonl "$events"

# A row of two machines has no time: not in figures and pages either.
sed -i 's/"cpu":"[^"]*"/"cpu":"another"/; s/"device_name":"[^"]*"/"device_name":"another"/' "$events"
expect_status 0 bench db rebuild
expect_status 0 bench plot damaged
grep -q '1 row left out or cut short: no single steady pace' results/damaged/plots/accuracy_vs_time.gp || fail "a curve of two machines' times"
grep -q '1 row left out: no value' results/damaged/plots/throughput.gp || fail "the row without a speed is not told"
