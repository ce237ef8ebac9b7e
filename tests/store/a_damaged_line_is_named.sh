# A line that cannot be read is named with its file and number, and hides nothing else.
bench() { "$FLIPBENCH" "$@"; }

# Samples: seven commits, then five that are a tenth slower.
mkdir -p results/benchmarks
for i in $(seq 48); do
  printf '{"ordinal":%d,"series":"s","metric":"samples_per_second","words":"","build":"","machine":"m","side":"","round":%d,"commit":"%040d","dirty":"","committed":"2026-01-%02dT00:00:00Z","time":"2026-01-%02dT09:00:00.000Z","value":%d}\n' \
    $i $i $((i / 4)) $((1 + i / 4)) $((1 + i / 4)) $((i < 28 ? 1000 + i % 3 : 900 + i % 3))
done > whole.jsonl
cp whole.jsonl results/benchmarks/a.jsonl
expect_status 1 bench regress
expect_line out.txt '^regression +s: -10\.0 %'
{ sed -n '1,20p' whole.jsonl; printf '\0'; sed -n '21,$p' whole.jsonl; } > results/benchmarks/a.jsonl
rm results/flipbench.db*
expect_status 1 bench regress
expect_line out.txt '^regression +s: -10\.0 %'
expect_line err.txt '^flipbench: warning: results/benchmarks/a\.jsonl:21: not a line of JSON'
sed '22s/"metric"/"metrix"/' whole.jsonl > results/benchmarks/a.jsonl
expect_status 1 bench regress
expect_line err.txt '^flipbench: warning: results/benchmarks/a\.jsonl:22: not a sample '

# A sample whose number another one has would be dropped as known; what was stored is kept.
sed '23s/"ordinal":23/"ordinal":22/' whole.jsonl > results/benchmarks/a.jsonl
rm results/flipbench.db*
expect_status 1 bench regress
expect_line err.txt '^flipbench: warning: results/benchmarks/a\.jsonl:23: differs from the sample of this number'
[ "$(wc -l < err.txt)" = 1 ] || { cat err.txt; fail "other samples are said to differ"; }
cp whole.jsonl results/benchmarks/a.jsonl
expect_status 0 bench db rebuild
expect_status 1 bench regress
[ ! -s err.txt ] || { cat err.txt; fail "samples that are known are said to differ"; }

# A commit that could not be built, in a line that cannot be read.
printf '\0{"event":"not_built"}\n{"event":"not_b' > results/benchmarks/failures.jsonl
expect_status 1 bench regress
expect_line err.txt '^flipbench: warning: results/benchmarks/failures\.jsonl:1: not a line of JSON'
[ "$(wc -l < err.txt)" = 1 ] || { cat err.txt; fail "the cut last line is not accepted"; }

# Runs: of each its start, three steps and its end.
attempts() { # attempts CELL
  printf '{"event":"attempt_start","time":"2026-01-01T00:00:0%d.000Z","cell":"cell%d","attempt":1,"pid":1,"command":["flip"]}\n{"event":"attempt_end","time":"2026-01-01T00:00:09.000Z","attempt":1,"status":"finished"}\n' $1 $1
}
events() {
  printf '{"event":"start","version":2,"time":"2026-01-01T00:00:01.000Z","settings":{"seed":1},"total_steps":3,"first_step":0}\n'
  printf '{"event":"step","step":%d,"steps":1,"samples":8,"loss":1.5}\n' 1 2 3
  printf '{"event":"end","time":"2026-01-01T00:00:08.000Z","status":"finished"}\n'
}
for i in 1 2 3; do
  mkdir -p runs/x/r$i there/x/r$i
  attempts $i > runs/x/r$i/attempts.jsonl
  events > runs/x/r$i/events.jsonl
done
printf '{"name":"x","cells":[{"id":"cell1","settings":{}},{"id":"cell2","settings":{}}]}' > runs/x/experiment.json
expect_status 0 bench db rebuild --results runs
expect_line out.txt 'rebuilt from 3 runs'
[ ! -s err.txt ] || { cat err.txt; fail "a whole record is warned of"; }

# The start of one: it is named, and not counted, by a rebuilding and by a merging.
{ printf '\0'; attempts 2; } > runs/x/r2/attempts.jsonl
expect_status 0 bench db rebuild --results runs
expect_line out.txt 'rebuilt from 2 runs'
expect_line err.txt '^flipbench: warning: runs/x/r2/attempts\.jsonl:1: malformed line: \?\{"event":"attempt_start"'
expect_line err.txt '^flipbench: warning: runs/x/r2/attempts\.jsonl: no start of a process can be read: the run is left out$'
expect_status 0 bench db merge runs --results merged
expect_line out.txt '^2 runs merged'
expect_line err.txt 'runs/x/r2/attempts\.jsonl: no start of a process can be read: the run is left out$'
attempts 2 > runs/x/r2/attempts.jsonl

# A line of events, and what is wrong of it.
sed -i '3s/"step"/"step/' runs/x/r1/events.jsonl
printf '{"event":"step","step":4,"steps":1,"samples":8,"loss":1.5}\n' >> runs/x/r1/events.jsonl
expect_status 0 bench db rebuild --results runs
expect_line err.txt '^flipbench: warning: runs/x/r1/events\.jsonl:3: malformed line: '
expect_line err.txt '^flipbench: warning: runs/x/r1/events\.jsonl:6: step 4 of a run that has 3: left out$'

# Records of an experiment that are impossible: its runs are read, and so is the rest.
for damage in 's/"id":"cell2"/&,"parent":"cell9"/' 's/cell2/cell1/' 's/"settings":{}/&,"ranks":0.5/'; do
  sed -i.whole "$damage" runs/x/experiment.json
  expect_status 0 bench db rebuild --results runs
  expect_line out.txt 'rebuilt from 3 runs'
  expect_line err.txt '^flipbench: warning: runs/x/experiment\.json: .*: its runs are read, but not its tables'
  mv runs/x/experiment.json.whole runs/x/experiment.json
done
