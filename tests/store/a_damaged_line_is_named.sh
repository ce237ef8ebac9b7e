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
