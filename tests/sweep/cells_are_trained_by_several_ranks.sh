# Cells with several ranks: mpirun starts them, each on its own cores; one record has the metrics of all;
# ranks set by the matrix are part of a cell's identity, required ones are not.
. "$SOURCE/tests/support/ranks.sh"
cat > axis.yaml <<'Y'
name: axis
base: run.yaml
settings: {samples: 960}
matrix: {ranks: [1, 2, 3]}
report:
  rows: ranks
  baseline: {ranks: 1}
  columns: [samples_per_second, speedup, nodes, samples_per_second_per_rank, comm_share, comm_bytes_per_step, slowest_rank,
            rank_spread, peak_memory, peak_rank, cpu_seconds]
  reference: [{ranks: 2, speedup: 1.9}]
  plots: []
Y

# before anything runs, the ranks are shown
bench check axis.yaml --cells > out.txt || fail 'check'
grep -q 'ranks=3 · 3 ranks$' out.txt || { cat out.txt; fail 'check --cells shows no ranks'; }
bench run axis.yaml --dry-run > out.txt || fail 'dry run'
grep -q ' · 2 ranks' out.txt || { cat out.txt; fail 'the dry run shows no ranks'; }
[ ! -e results ] || fail 'a dry run wrote something'

# impossible requests are rejected, with the remedy
refused() { local why=$1; shift; bench "$@" > out.txt 2> err.txt && fail "not refused: $why"; grep -qF -- "$why" err.txt || { cat err.txt; fail "refused, but not because '$why'"; }; }
sed 's/\[1, 2, 3\]/[5]/' axis.yaml > bad.yaml; sed -i '/baseline/d; /reference/d' bad.yaml
refused 'batch_size: 24 is not divisible by 5 ranks' check bad.yaml
sed 's/\[5\]/[0]/' -i bad.yaml
refused 'ranks: a whole number from 1 on is expected here' check bad.yaml
(cat axis.yaml; echo 'limits: {fewest_ranks: 1}') > bad.yaml
refused 'a cell is named by its number of ranks' check bad.yaml
(cat axis.yaml; echo 'requires: {nodes: 2}') > bad.yaml
refused '1 rank cannot be divided evenly among 2 nodes' check bad.yaml
(cat axis.yaml; echo 'requires: {cores: 100000}') > bad.yaml
refused 'a cell of 3 ranks requires 300000 CPU cores' run bad.yaml --results none
mkdir only
(PATH=$PWD/only bench run axis.yaml --results none > out.txt 2> err.txt) && fail 'ran without mpirun'
grep -qF 'its 2 ranks are started by mpirun, which is not installed (apt install openmpi-bin)' err.txt || { cat err.txt; fail 'the package is not named'; }
[ -z "$(ls none/axis/*/log.txt 2>/dev/null)" ] || fail 'a cell was started without mpirun'

# three cells, one table
bench run axis.yaml --no-progress > out.txt 2> err.txt || { cat out.txt err.txt; fail 'the sweep'; }
one=$(echo results/axis/ranks=1-*) two=$(echo results/axis/ranks=2-*) three=$(echo results/axis/ranks=3-*)
near "$one" "$two" && near "$one" "$three" || fail 'other losses on several ranks'
expect_answer "SELECT label, value FROM v_cell_latest JOIN summary USING (run_id) WHERE name = 'ranks' ORDER BY label" 'ranks=1|1.0
ranks=2|2.0
ranks=3|3.0'
expect_answer "SELECT coalesce(ranks, 1), coalesce(nodes, 1), json_array_length(rank_records) FROM attempt ORDER BY 1" '1|1|0
2|1|2
3|1|3'
expect_answer "SELECT count(*) FROM summary WHERE name IN ('cpu_seconds', 'nodes') AND value > 0" 6
expect_answer "SELECT count(*) FROM summary WHERE name = 'peak_rank' AND value BETWEEN 0 AND 2" 2
# the peak is the greatest of all ranks, CPU time their sum
expect_answer "SELECT count(*) FROM attempt JOIN summary USING (run_id) WHERE ranks = 3 AND name = 'peak_bytes'
  AND value >= (SELECT max(json_extract(value, '\$.peak_bytes')) FROM json_each(rank_records))" 1
expect_answer "SELECT abs(value - (SELECT sum(json_extract(value, '\$.cpu_seconds')) FROM json_each(rank_records))) < 1e-6
  FROM attempt JOIN summary USING (run_id) WHERE ranks = 3 AND name = 'cpu_seconds'" 1
expect_answer "SELECT ranks, hosts FROM v_provenance WHERE label = 'ranks=3'" "3|$(hostname)"
bench show "$(ask "SELECT run_id FROM v_cell_latest WHERE label = 'ranks=3'")" > out.txt || fail 'show'
grep -q "3 ranks: $(hostname) (ranks 0, 1, 2)" out.txt || { cat out.txt; fail 'show names no nodes'; }
bench show "$(ask "SELECT run_id FROM v_cell_latest WHERE label = 'ranks=3'")" --json | grep -q '"rank_records":\[{"rank":0,"host":' || fail 'show --json has no ranks'
bench verify "$(ask "SELECT run_id FROM v_cell_latest WHERE label = 'ranks=3'")" > out.txt 2>&1 || { cat out.txt; fail 'trained again on three ranks: other bits'; }
bench report axis --format csv > out.csv || fail 'csv'
head -1 out.csv | grep -q 'comm_share' || { cat out.csv; fail 'no column of communication'; }

# each on its own cores, where there are enough
if [ "$(nproc)" -ge 2 ]; then
  (cat axis.yaml; echo 'requires: {cores: 1}') | sed 's/name: axis/name: bound/; s/\[1, 2, 3\]/[1, 2]/' > bound.yaml
  bench run bound.yaml --no-progress --results own > out.txt 2> err.txt || { cat err.txt; fail 'bound'; }
  [ "$(DB=own/flipbench.db ask "SELECT count(DISTINCT json_extract(value, '\$.cores')) FROM attempt, json_each(rank_records) WHERE ranks = 2")" = 2 ] ||
    fail 'two ranks share a core'
  grep -q '"slot":"core [0-9]*"' own/bound/ranks=1-*/attempts.jsonl || fail 'the cell of one rank has more than its core'
  grep -q '"threads":1,' own/bound/ranks=2-*/events.jsonl || fail 'a rank has more threads than cores'
fi

# required ranks change no identity; times on different numbers of ranks are not compared
sed 's/name: axis/name: plain/; s/^matrix:.*/matrix: {seed: [0, 1]}/; /^report/,$d' axis.yaml > plain.yaml
printf 'report: {rows: seed, baseline: {seed: 0}, columns: [samples_per_second, speedup], plots: []}\n' >> plain.yaml
id=$(bench check plain.yaml --cells | sed -n 1p | cut -c1-8)
[ "$(echo 'requires: {ranks: 2}' | cat plain.yaml - > plain2.yaml; bench check plain2.yaml --cells | sed -n 1p | cut -c1-8)" = "$id" ] || fail 'required ranks changed the id'
of_matrix=$(bench check axis.yaml --cells | sed -n 1p | cut -c1-8)
[ -n "$of_matrix" ] && [ "$of_matrix" != "$id" ] || fail 'a rank of the matrix is no part of the id'
sed 's/seed: \[0, 1\]/seed: [0]/' plain.yaml > first.yaml
bench run first.yaml --no-progress > out.txt 2>&1 || fail 'one seed alone'
bench run plain2.yaml --no-progress > out.txt 2> err.txt || { cat err.txt; fail 'the other on two ranks'; }
expect_answer "SELECT count(*) FROM attempt JOIN run ON run.id = run_id WHERE directory LIKE 'plain/%'" 2
bench report plain > out.txt || fail 'report'
grep -q 'differ in their number of ranks: times on different numbers of ranks are not compared' out.txt || { cat out.txt; fail 'ranks are mixed silently'; }
grep -E '^ *1 ' out.txt | grep -q '–' || { cat out.txt; fail 'a speed-up between different numbers of ranks'; }
bench db rebuild > /dev/null 2>&1 || fail 'rebuild'
expect_answer "SELECT count(*) FROM attempt WHERE ranks = 3 AND json_array_length(rank_records) = 3" 1
bench db check > /dev/null || fail 'check of the database'

# Runs of one row on 2 and on 1 ranks: the mean of their speeds is no speed, and a rank's number has no mean.
cat > mixed.yaml <<'Y'
name: mixed
base: run.yaml
settings: {samples: 960}
matrix: {mask_ratio: [0.5], seed: [0]}
requires: {ranks: 2}
report: {rows: mask_ratio, columns: [samples_per_second, ranks, peak_rank, final_loss], plots: []}
Y
bench run mixed.yaml --no-progress > out.txt 2> err.txt || { cat err.txt; fail 'on two ranks'; }
sed -i 's/seed: \[0\]/seed: [0, 1]/; s/ranks: 2/ranks: 1/' mixed.yaml
bench run mixed.yaml --no-progress > out.txt 2> err.txt || { cat err.txt; fail 'on one'; }
bench report mixed > out.txt
grep -qE '^50 % †? *– +– +[01–] ' out.txt || { cat out.txt; fail 'a mean over numbers of ranks'; }
grep -q 'its runs were made on different numbers of ranks' out.txt || { cat out.txt; fail 'the missing speed is not explained'; }
grep -q 'ranks of mask 50 %: its runs differ in it' out.txt || { cat out.txt; fail 'the missing number is not explained'; }
