. "$SOURCE/tests/support/sweep.sh"
# The reproduction's report: every claim of the paper's files, as far as they have been run.
mkdir none && cd none
expect_status 0 bench report --paper
expect_line out.txt '^Table 1a: mask ratio \(table1a\)$'
claims=$(cat "$SOURCE"/experiments/paper/*.yaml | grep -c '^  - claim:')
expect_line out.txt "^$claims claims, profile mini: 0 hold, 0 do not hold, 0 cannot tell, [0-9]+ not run, [0-9]+ not judged; 0 of [0-9]+ cells have finished runs$"
expect_line out.txt 'measured –; published \+1.00$'
[ ! -e results ] || fail "a report made a database"
# a database that was asked for by name has to be there
expect_status 2 bench report --paper --db nowhere.db
expect_status 2 bench report --paper --profile huge
expect_status 2 bench report --paper --format csv
cd ..

# A small record, of other files in the place of the shipped ones.
mkdir -p experiments/paper
sed 's/^name: small/name: first/; s/^title:.*/title: "First table"/' experiments/small.yaml > experiments/paper/first.yaml
cat >> experiments/paper/first.yaml <<'E'
profiles: {mini: {}, gpu: {settings: {batch_size: 128}}}
claims:
  - {claim: "faster | cheaper", from: Table 9, compare: ratio, metric: samples_per_second, of: {mask_ratio: 0.75}, against: {mask_ratio: 0}, expect: greater, published: 2.5}
  - {claim: slower, compare: ratio, metric: samples_per_second, of: {mask_ratio: 0.75}, against: {mask_ratio: 0}, expect: smaller}
E
cat > experiments/paper/second.yaml <<'E'
name: second
title: "Second table"
settings: {samples: 8k, batch_size: 64, text.vocabulary: vocab.txt, data.train: y.tar, eval.points: 4}
matrix: {mask_ratio: [0, 0.9]}
profiles: {mini: {}, gpu: {}}
report: {rows: mask_ratio, columns: [retrieval_i2t_r1]}
claims:
  - {claim: better, metric: retrieval_i2t_r1, of: {mask_ratio: 0.9}, against: {mask_ratio: 0}, expect: greater}
E
expect_status 0 bench run experiments/paper/first.yaml --no-progress
expect_status 0 bench report --paper --format markdown
cp out.txt findings.md
expect_line findings.md '^3 claims, profile mini: 1 holds, 1 does not hold, 0 cannot tell, 1 not run, 0 not judged; 5 of 7 cells have finished runs\.$'
! grep -q 'by chance' findings.md || fail 'two verdicts: hardly any is wrong by chance'
# Of 20 and more, a verdict may be expected to be.
"$FLIPBENCH" report --paper --from "$SOURCE/results/paper-mini/claims.json" > many.txt
expect_line many.txt '^With 95 % intervals, up to about [12] of these [2-6][0-9] verdicts (is|are) expected to be wrong by chance alone\.$'
{
  printf '{"profile":"mini","tables":[{"name":"t","title":"T","provenance":"","cells":1,"finished":1}],"claims":['
  for i in $(seq 20); do
    [ "$i" = 1 ] || printf ,
    printf '{"table":"t","from":"","claim":"%s","measured":"1.0","basis":"","published":"","verdict":"holds","note":""}' "$i"
  done
  printf ']}'
} > twenty.json
"$FLIPBENCH" report --paper --from twenty.json > twenty.txt
expect_line twenty.txt '^With 95 % intervals, up to about 1 of these 20 verdicts is expected to be wrong by chance alone\.$'
# On the page the published values are in the order of their numbers, those not verified too.
sed 's/"published":""/"published":"~−2.50"/' twenty.json > unverified.json
"$FLIPBENCH" report --paper --from unverified.json --format html --out unverified.html
expect_line unverified.html '\{"sort":-2.5,"text":"~−2.50"\}'
expect_line findings.md '^\| Table 9 \| faster \\\| cheaper \| speed of mask 75 % over that of mask 0 %: [0-9.]+ \(95 % interval .*\| 2.50 \| holds \|$'
expect_line findings.md '^\| second \| better \| – \| – \| not run: mask\\_ratio=0; mask\\_ratio=0.9 \|$'
expect_line findings.md '^\| First table \| 5 of 5 \| commit [0-9a-f]+.* · .*20[0-9][0-9]-[0-9][0-9]-[0-9][0-9].* \|$'
# A tuning of weights that its parent no longer has is no result, as for the claims.
sqlite3 results/flipbench.db "VACUUM INTO 'outdated.db'"
sqlite3 outdated.db "UPDATE step SET loss = loss + 90 WHERE run_id = (SELECT run_id FROM v_cell_latest WHERE label = 'mask_ratio=0.5')"
expect_status 0 bench report --paper --db outdated.db
expect_line out.txt '; 4 of 7 cells have finished runs$'
expect_status 0 bench report --paper --profile gpu
expect_line out.txt '^3 claims, profile gpu: 0 hold, 0 do not hold, 0 cannot tell, 3 not run'

# results/paper-mini/make.sh renews table and claims together, when all cells of the file have finished.
if command -v jq > /dev/null && command -v gnuplot > /dev/null; then
  mkdir -p kept/results/paper-mini kept/docs
  cp "$SOURCE/results/paper-mini/make.sh" kept/results/paper-mini/
  cp -r experiments kept/ && : > kept/x.tar && : > kept/y.tar && cp vocab.txt kept/
  cd kept
  expect_status 0 bench run experiments/paper/first.yaml --profile mini --no-progress
  bench report --paper --profile mini --format json > results/paper-mini/claims.json
  : > results/paper-mini/runs.jsonl
  expect_status 0 results/paper-mini/make.sh results
  cp results/paper-mini/first.md first.md && cp results/paper-mini/claims.json claims.json
  sed -i 's/mask_ratio: \[0, 0.5, 0.75\]/mask_ratio: [0, 0.5, 0.75, 0.9]/' experiments/paper/first.yaml
  sqlite3 results/flipbench.db "UPDATE summary SET value = value * 3 WHERE name = 'samples_per_second'" # the table, if it were renewed
  expect_status 0 results/paper-mini/make.sh results
  expect_line out.txt '^first: 5 of 7 cells are finished; what is there of an earlier record stays$'
  cmp first.md results/paper-mini/first.md || fail "the table is of another record than its claims"
  diff <(jq -S '.claims[] | select(.table == "first")' claims.json) <(jq -S '.claims[] | select(.table == "first")' results/paper-mini/claims.json) ||
    fail "claims of an unfinished table were renewed"
  cd ..
fi

# Kept as JSON, it gives the same documents without the record.
bench report --paper --format json > paper.json
rm -r results
expect_status 0 bench report --paper --from paper.json --format markdown
diff out.txt findings.md || fail "the JSON does not give the same Markdown"
expect_status 0 bench report --paper --from paper.json --format html
expect_line out.txt '^results/paper.html$'
grep -q 'does not hold' results/paper.html || fail "no verdict on the page"
# What no table or no count would show is an error, not left out.
sed 's/"verdict":"holds"/"verdict":"may hold"/' paper.json > other.json
expect_status 2 bench report --paper --from other.json
expect_line err.txt "other.json: the claim 'faster \| cheaper' has the unknown verdict 'may hold'"
sed 's/"name":"second"/"name":"third"/' paper.json > other.json
expect_status 2 bench report --paper --from other.json
expect_line err.txt "other.json: the claim 'better' is of table 'second', which is not among its tables"
sed -i 's/"verdict"/"vordict"/' paper.json
expect_status 2 bench report --paper --from paper.json
expect_line err.txt "paper.json: 'verdict' is missing"

# Both endings of an experiment file count.
mv experiments/paper/second.yaml experiments/paper/second.yml
expect_status 0 bench report --paper
expect_line out.txt '^3 claims, profile mini: '
cp experiments/paper/second.yml experiments/paper/second.yaml
expect_status 2 bench report --paper
expect_line err.txt "another file there is called 'second' too"
