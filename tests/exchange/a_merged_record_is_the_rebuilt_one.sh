# Two machines' records in one: the database after 'db merge' equals the one rebuilt
# from the merged folders, whichever machine ran first, and so do tables and names.
. "$SOURCE/tests/support/sweep.sh"
sed 's/^name: small/name: other/; s/samples: 8k/samples: 4k/' experiments/small.yaml > experiments/other.yaml
expect_status 0 bench run experiments/small.yaml --results there
expect_status 0 bench run experiments/other.yaml --results there
sleep 1.1 # runs are distinguished by the second in which they began
expect_status 0 bench run experiments/small.yaml --results here

# The other machine's runs are older, and not quite alike: another machine, another accuracy.
sed -i 's/"host":"[^"]*"/"host":"elsewhere"/; s/"top1":[0-9.e-]*/"top1":0.5/' there/*/*/events.jsonl
# One of its runs is newer than ours.
sed -i 's/"time":"2/"time":"3/' there/small/mask_ratio=0.5-*/attempts.jsonl there/small/mask_ratio=0.5-*/events.jsonl
for run in there/*/*/; do [ ! -e "$run/events.jsonl" ] || echo kept > "$run/a-file-of-later-versions"; done
mkdir -p there/benchmarks here/benchmarks
sample() { printf '{"ordinal":1,"series":"step","metric":"seconds","side":"","commit":"%s","dirty":"","committed":"2026-01-01","machine":"m","time":"2026-01-01","value":%s}\n' "$1" "$2"; }
sample abc 1.5 > there/benchmarks/2026-01-01.jsonl
sample abd 2.5 > here/benchmarks/2026-01-02.jsonl
sample abe 3.5 > there/benchmarks/2026-01-02.jsonl # the same name by chance
mkdir there/benchmarks/plots
echo '<html>' > there/benchmarks/history.html # drawn from the samples: no session
for results in here there; do expect_status 0 bench db rebuild --results $results; done

expect_status 0 bench db merge there --results here
expect_line out.txt '10 runs merged, 0 already known; 2 sessions of timings'

[ "$(ls here/*/*/a-file-of-later-versions | wc -l)" = 10 ] || fail "a run was not copied whole"
[ -z "$(ls here/*/*/lock 2> /dev/null | grep merged)" ] || fail "another machine's lock was copied"

# Every table, with the numbers that a database gives by itself replaced by what they stand for.
dump() { # DATABASE
  local t columns
  for t in $(sqlite3 "$1" "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1"); do
    columns=$(sqlite3 "$1" "SELECT group_concat(CASE
      WHEN name = 'run_id' THEN '(SELECT directory FROM run WHERE id = run_id)'
      WHEN name = 'environment_id' THEN '(SELECT digest FROM environment WHERE id = environment_id)'
      WHEN name = 'experiment_id' THEN '(SELECT name FROM experiment WHERE id = experiment_id)'
      ELSE '\"' || name || '\"' END) FROM pragma_table_info('$t') WHERE NOT (name = 'id' AND type = 'INTEGER')")
    sqlite3 "$1" "SELECT '$t', $columns FROM $t" | LC_ALL=C sort
  done
}
say() { # FILE: what a reader sees
  for name in small other; do
    bench report $name --results here --format csv
    bench report $name --results here
    bench status experiments/$name.yaml --results here || echo "status $?"
  done > "$1" 2>&1
}
dump here/flipbench.db > merged.txt
say merged.said
expect_status 0 bench db rebuild --results here
dump here/flipbench.db > rebuilt.txt
say rebuilt.said
cmp merged.txt rebuilt.txt || { diff merged.txt rebuilt.txt | head -20; fail "the rebuilt database is not the merged one"; }
cmp merged.said rebuilt.said || { diff merged.said rebuilt.said | head -20; fail "reports differ after a rebuild"; }
expect_line merged.txt '^benchmark_sample.*abe'
[ "$(grep -c '^run|' merged.txt)" = 15 ] || fail "runs were lost"
[ "$(grep -c '^benchmark_sample|' merged.txt)" = 3 ] || fail "samples were lost"

# Merging again changes nothing.
expect_status 0 bench db merge there --results here
expect_line out.txt '0 runs merged, 10 already known'
dump here/flipbench.db > again.txt
cmp merged.txt again.txt || fail "merging again changed something"

# Each machine trained a parent and its tuning: the parent of one began last, and the tuning of the other.
# A table, a page and an export show the tuning of the parent that they show, whichever way they were merged.
for results in laptop server; do expect_status 0 bench run experiments/small.yaml --results $results; done
date_of() { sed -i "s/\"time\":\"[^\"]*T..:../\"time\":\"2026-01-01T$2/" $1/attempts.jsonl $1/events.jsonl; }
date_of 'laptop/small/mask_ratio=0.5-*' 09:00
date_of 'laptop/small/mask_ratio=0.5_unmasked*' 11:00
date_of 'server/small/mask_ratio=0.5-*' 10:00
date_of 'server/small/mask_ratio=0.5_unmasked*' 10:30
sed -i 's/"host":"[^"]*"/"host":"server"/' server/*/*/events.jsonl
sed -i 's/"loss":\([0-9]\)/"loss":9\1/' server/small/mask_ratio=0.5-*/events.jsonl
sed -i 's/"origin_loss":\([0-9]\)/"origin_loss":9\1/' server/small/mask_ratio=0.5_unmasked*/attempts.jsonl
for results in laptop server; do expect_status 0 bench db rebuild --results $results; cp -r $results $results-alone; done
expect_status 0 bench db merge server-alone --results laptop
expect_status 0 bench db merge laptop-alone --results server
for results in laptop server; do
  for state in merged rebuilt; do
    DB=$results/flipbench.db
    bench report small --results $results --format json > table.json
    ids=$(sqlite3 :memory: "SELECT (value -> 'runs' ->> 0) || ',' || (value -> '\$.values.tuned_zero_shot_top1.run_ids' ->> 0)
      FROM json_each(readfile('table.json'), '\$.rows') WHERE value -> 'row' ->> 'mask_ratio' = '0.5'")
    expect_answer "SELECT group_concat(host) FROM (SELECT host FROM run JOIN environment ON environment.id = environment_id WHERE run.id IN ($ids) ORDER BY run.id)" server,server
    [ $results != laptop ] || expect_answer "SELECT count(*) FROM run WHERE id IN ($ids) AND directory LIKE '%.merged-1'" 2
    expect_status 0 bench export small --results $results --format csv --out curves
    for id in ${ids//,/ }; do
      name=$(ask "SELECT substr(directory, 7) FROM run WHERE id = $id")
      grep -q "^small,$name," curves/params.csv || fail "the run $name of the table is not exported"
    done
    bench report small --results $results --format html > /dev/null
    grep -q "\"id\":${ids#*,}," $results/small/report.html || fail "the page has not the tuning of the table"
    expect_status 0 bench run experiments/small.yaml --results $results
    expect_answer 'SELECT count(*) FROM run' 10 # nothing is trained again because of a merge
    expect_status 0 bench db rebuild --results $results
  done
done
