. "$SOURCE/tests/support/sweep.sh"
unset GOMP_SPINCOUNT # a variable that changes speed is part of a series' arguments

# A program that says of which commit it is and how fast it was: RATE, a few per mille up and down.
cat > program <<'P'
#!/bin/bash
[ "$1" = --version ] && { printf 'flip 0.1.0 (%s, gcc 12.2.0)\n' "$COMMIT"; exit; }
n=$(cat count 2>/dev/null || echo 0); echo $((n + 1)) > count
wobble=$(( (n * 7919) % 11 - 5 ))
[ -n "${SAYS:-}" ] && { printf '{"mask_ratio":0.5,"samples_per_second":%s}\n' "$SAYS"; exit; }
printf 'not JSON\n{"mask_ratio":0.5,"samples_per_second":%d}\n' $(( RATE * (1000 + ${NOISE:-1} * wobble) / 1000 ))
P
chmod +x program
export COMMIT RATE NOISE
measure() { # measure NUMBER RATE: five rounds of one commit, on a day of its own
  COMMIT=$(printf '%040d' "$1") RATE=$2 expect_status 0 bench compare ./program --rounds 5
  [ "$1" -gt 30 ] || date_back "$1"
}
date_back() { # date_back DAY: the newest session
  local session; session=$(ls -t results/benchmarks/*.jsonl | head -1)
  sed -i -E "s/\"time\":\"[^T]*T/\"time\":\"$(printf '2026-01-%02d' "$1")T/" "$session"
  rm -f results/flipbench.db*
}

# Two builds: a difference that is there, and one that is not.
printf '#!/bin/bash\nCOMMIT=%040d RATE=11000 exec ./program "$@"\n' 2 > faster && chmod +x faster
COMMIT=$(printf '%040d' 1) RATE=10000 expect_status 0 bench compare ./program ./faster --rounds 6 --results ab
expect_line out.txt 'mask_ratio=0.5 +1\.(09|10|11)[0-9]* × \[1\.0[89][0-9]*, 1\.1[0-9]*\]  more; ±[0-9.]+ % detectable'
[ "$(cat ab/benchmarks/*.jsonl | grep -c '"side":"new"')" = 6 ] || fail "not every sample was kept"
# Each program is the first in every second round: what grows slower with time slows both.
sides=$(cat ab/benchmarks/*.jsonl | grep -oE '"side":"[a-z]+"' | cut -d '"' -f 4 | tr '\n' ' ')
[ "$sides" = 'base new new base base new new base base new new base ' ] || fail "measured in the order: $sides"
COMMIT=$(printf '%040d' 1) RATE=10000 expect_status 0 bench compare ./program ./program --rounds 6 --results ab --json
expect_line out.txt '"series":"mask_ratio=0.5","rounds":6,"ratio":(1|0\.99|1\.00)'

# Too few commits to tell; then enough, and all fine.
for i in 1 2 3; do measure $i 10000; done
expect_status 2 bench regress
expect_line out.txt 'cannot tell  mask_ratio=0.5: 3 commits, at least 6 are needed'
for i in 4 5 6 7; do measure $i 10000; done
expect_status 0 bench regress
expect_line out.txt '^fine +mask_ratio=0.5: 7 commits, no more than .* is possible; since the newest two, seen from [0-9.]+ % on'

# One slow commit is neither a level nor fine; one that stays is a regression,
# named with its commit.
measure 8 9000
expect_status 2 bench regress --least 5
expect_line out.txt 'cannot tell  mask_ratio=0.5: the newest commit is off by -(9|10)\.[0-9] %'
for i in 9 10; do measure $i 9000; done
expect_status 1 bench regress
expect_line out.txt 'regression   mask_ratio=0.5: -(9|10)\.[0-9] % since 0000000000'
for i in 11 12; do measure $i 9000; done
expect_status 1 bench regress
expect_line out.txt 'regression   mask_ratio=0.5: -(9|10)\.[0-9] % since 0000000000'
expect_status 0 bench history
expect_line out.txt 'changed by -(9|10)\.[0-9] % \(p (=|<|&lt;) 0\.0'
expect_status 0 bench regress --lower-is-better # were it a time, it would have become better
expect_status 0 bench regress --against "$(printf '%040d' 12)" # accepted
expect_status 3 bench regress --against nowhere
# A small recovery excuses nothing: the best level is what counts.
for i in 13 14 15; do measure $i 9200; done
expect_status 1 bench regress
expect_line out.txt 'regression   mask_ratio=0.5: -(7|8)\.[0-9] % in 2 steps since 0000000000'

# The same within minutes: it may be the machine that became slower.
mkdir minutes && cp -r results/benchmarks minutes/
sed -i -E 's/"time":"[^T]*T/"time":"2026-01-01T/' minutes/benchmarks/*.jsonl
expect_status 2 bench regress --results minutes
expect_line out.txt 'cannot tell +mask_ratio=0.5: -(7|8)\.[0-9] % since 0000000000, but 15 of 15 commits were measured alone, one after another'

# Noise that would hide a change of the size asked for.
for i in 1 2 3 4 5 6; do NOISE=40 measure $((20 + i)) 10000; done
expect_status 2 bench regress --least 0.1 --against "$(printf '%040d' 12)"
expect_line out.txt 'noise hides a change of 0.1 %: up to [0-9.]+ % is possible'
# The record can be made again.
expect_status 0 bench history
mv out.txt before.txt
rm results/flipbench.db*
expect_status 0 bench history
cmp out.txt before.txt || fail "the history read again differs"

# Other words, another build: other series, and what tells them apart is shown. The order of
# settings, and how long is measured, are no difference.
COMMIT=$(printf '%040d' 1) RATE=5000 expect_status 0 bench compare ./program --rounds 2 --results words -- bench -s a=1 -s b=2 --json
COMMIT=$(printf '%040d' 9) RATE=5000 expect_status 0 bench compare ./program --rounds 2 --results alone --json
expect_line out.txt '^\{"series":"mask_ratio=0.5","samples":2,"left_out":0,.*"runs":2'
COMMIT=$(printf '%040d' 2) RATE=5000 expect_status 0 bench compare ./program --rounds 2 --results words -- bench -n 3 -s b=2 -s a=1
COMMIT=$(printf '%040d' 2) RATE=2000 expect_status 0 bench compare ./program --rounds 2 --results words -- bench -s b=2 -s a=2
sed 's/gcc 12.2.0/gcc 12.2.0, -O0/' program > unoptimised && chmod +x unoptimised
COMMIT=$(printf '%040d' 2) RATE=1000 expect_status 0 bench compare ./unoptimised --rounds 2 --results words -- bench -s b=2 -s a=2
expect_status 0 bench history --results words
[ "$(grep -c '^mask_ratio=0.5 ' out.txt)" = 3 ] || { cat out.txt; fail "three series were measured"; }
expect_line out.txt '^  args +bench -s a=1 -s b=2$'
expect_line out.txt '^  build  gcc 12.2.0, -O0$'
[ "$(grep -A4 'a=1' out.txt | grep -c ' 2 samples')" = 2 ] || { cat out.txt; fail "one series of two commits"; }
expect_status 0 bench history --results words --only a=2
[ "$(grep -c '^mask_ratio=0.5 ' out.txt)" = 2 ] || fail "not only these"
expect_status 2 bench history --results words -- bench step
expect_line err.txt "are those of --measure"
expect_status 2 bench history --results words --out page.html
expect_line err.txt 'give --format html'

# A commit measured outside of its repository has no date: it is placed by its first measurement.
mkdir -p dates/benchmarks
for i in 1 2 3; do
  [ $i = 3 ] && date= || date=2026-01-0${i}T00:00:00Z
  printf '{"ordinal":1,"series":"s","metric":"samples_per_second","words":"","build":"","machine":"m","side":"new","round":%d,"commit":"%040d","dirty":"","committed":"%s","time":"2026-01-0%dT09:00:00.000Z","value":1000%d}\n' $i $i "$date" $i $i > dates/benchmarks/$i.jsonl
done
expect_status 0 bench history --results dates
[ "$(grep -oE '1000[123]' out.txt | tr '\n' ' ')" = '10001 10002 10003 ' ] || { cat out.txt; fail "a commit without a date comes before those with one"; }

# Fewer than five rounds claim nothing.
expect_status 2 bench compare ./program ./program --rounds 4 --results ab
expect_line err.txt '4 rounds cannot separate a difference from noise; at least 5 are needed'

# What is no positive number is never fine.
for said in null 0 -3 '"fast"' NaN 1e999; do
  SAYS=$said RATE=0 expect_status 2 bench compare ./program ./faster --rounds 5 --results none
  expect_status 2 bench compare ./program --rounds 2 --metric "$said" --results none
done
SAYS=null RATE=0 expect_status 2 bench compare ./program --rounds 2 --results none
[ -z "$(find none -name '*.jsonl' -empty)" ] || fail "a comparison without a sample leaves a file"
expect_status 2 bench history --results none
expect_line out.txt 'samples left out: no positive number'
expect_status 2 bench regress --results none
expect_line out.txt 'cannot tell  mask_ratio=0.5: 0 commits.*[0-9]+ samples left out: no positive number'
# A few rounds without a number are left out, in pairs, and counted.
cat > flaky <<'Q'
#!/bin/bash
[ "$1" = --version ] && exec ./program --version
n=$(cat flaky.count 2>/dev/null || echo 0); echo $((n + 1)) > flaky.count
[ $(( n % 7 )) = 3 ] && export SAYS=null
exec ./program
Q
chmod +x flaky
COMMIT=$(printf '%040d' 1) RATE=10000 expect_status 0 bench compare ./flaky ./flaky --rounds 12 --results some
expect_line out.txt 'detectable.*; 3 of 12 rounds left out: no positive number$'

# Disturbance between rounds is reported, and its samples are marked.
sed 's/^wobble/sleep 0.6; wobble/' program > slow && chmod +x slow
busy=
for i in 1 2 3 4; do timeout 20 bash -c 'while :; do :; done' & busy="$busy $!"; done
COMMIT=$(printf '%040d' 1) RATE=10000 expect_status 0 bench compare ./slow ./slow --rounds 5 --results busy
kill $busy
expect_line out.txt 'detectable †'
expect_line out.txt '^† [0-9]+ of 10 runs (was|were) disturbed: other processes used [0-9.]+ of [0-9]+ CPUs \(at most [0-9.]+\)'
expect_line busy/benchmarks/*.jsonl '"round":5,.*"run_seconds":0\.[0-9]+,"other_cpus":[0-9.]+,"stolen_share":[0-9.e-]+,"throttled":0,"is_disturbed":true'
expect_status 0 bench history --results busy
expect_line out.txt ' †$'
expect_line out.txt '† other processes disturbed the machine while 1 of these points'

# A name that git knows in this folder's checkout is a commit too.
git init -q . && git -c user.name=t -c user.email=t@t commit -q --allow-empty -m one
named=$(git rev-parse HEAD)
git -c user.name=t -c user.email=t@t commit -q --allow-empty -m two
mkdir -p named/benchmarks
for number in 1 2 3 4 5 6; do
  commit=$(printf '%040d' $number); [ $number != 5 ] || commit=$named
  printf '{"ordinal":1,"series":"s","metric":"samples_per_second","words":"","build":"","machine":"m","side":"","round":1,"commit":"%s","dirty":"","committed":"2026-01-0%dT00:00:00Z","time":"2026-01-0%dT09:00:00.000Z","value":1000}\n' $commit $number $number > named/benchmarks/$number.jsonl
done
expect_status 0 bench regress --results named --against HEAD~1
expect_line out.txt '^fine +s: 6 commits'
expect_status 3 bench regress --results named --against HEAD
expect_line err.txt "no series contains commit HEAD \($(git rev-parse HEAD | cut -c1-10)\)"
expect_status 3 bench regress --results named --against HEAD~7
expect_line err.txt 'no series contains commit HEAD~7'
rm -rf .git

expect_status 3 bench regress --against ""
expect_line err.txt 'too short; give at least 4 digits'
expect_status 3 bench regress --against 0000000
expect_line err.txt '0000000 is the beginning of several commits'

expect_status 3 bench regress --metric nothing
expect_status 3 bench regress --nonsense
expect_status 2 bench compare ./nowhere
expect_line err.txt 'nowhere: command not found'
expect_status 2 bench compare ./program --metric nothing
expect_line err.txt "prints no JSON object with a number 'nothing'"

# A row that the newest commits did not measure has no level of today.
cat > rows <<'P'
#!/bin/bash
[ "$1" = --version ] && { printf 'flip 0.1.0 (%s, gcc 12.2.0)\n' "$COMMIT"; exit; }
echo '{"mask_ratio":0.5,"samples_per_second":'$((10000 + RANDOM % 20))'}'
[ -n "${ONE:-}" ] || echo '{"mask_ratio":0.75,"samples_per_second":'$((20000 + RANDOM % 20))'}'
P
chmod +x rows
for i in 1 2 3 4 5 6 7 8 9 10; do
  ONE=; [ $i -le 8 ] || ONE=1
  export ONE
  COMMIT=$(printf '%04d%036d' $((1000 + i)) $i) expect_status 0 bench compare ./rows --rounds 5 --results rowed
  session=$(ls -t rowed/benchmarks/*.jsonl | head -1)
  sed -i -E "s/\"time\":\"[^T]*T/\"time\":\"$(printf '2026-01-%02d' $i)T/" "$session"
  rm -f rowed/flipbench.db*
done
expect_status 2 bench regress --results rowed
expect_line out.txt '^fine +mask_ratio=0.5: 10 commits'
expect_line out.txt '^cannot tell +mask_ratio=0.75: not measured at the newest 2 commits'
# The rows that --only leaves out still tell which commits were measured.
expect_status 2 bench regress --results rowed --only mask_ratio=0.75
expect_line out.txt '^cannot tell +mask_ratio=0.75: not measured at the newest 2 commits'
[ "$(wc -l < out.txt)" = 1 ] || { cat out.txt; fail "a row that was not asked for is judged"; }
expect_status 0 bench regress --results rowed --only mask_ratio=0.5
expect_status 3 bench regress --results rowed --only nothing

# The commits of a made-up record: one sample of one row, or of several.
sample() { # sample FOLDER COMMIT VALUE [VALUE…]
  local folder=$1 commit=$2 row=0 value
  shift 2
  mkdir -p "$folder/benchmarks"
  for value in "$@"; do
    row=$((row + 1))
    printf '{"ordinal":%d,"series":"row %d","metric":"'"${METRIC:-samples_per_second}"'","words":"","build":"","machine":"m","side":"","round":1,"commit":"%040d","dirty":"","committed":"2026-01-%02dT00:00:00Z","time":"2026-01-%02dT09:00:00.000Z","value":%s}\n' \
      $row $row "$commit" "$commit" "$commit" "$value"
  done > "$folder/benchmarks/$commit.jsonl"
  rm -f "$folder"/flipbench.db*
}

# A new level of fewer than six commits is fine when its own noise rules a slow-down out, and only then.
commit=0
for value in 1001 1002 1000 1001 999 1000 1002 1000 1300 1180 1240 1190 1100; do
  commit=$((commit + 1))
  sample short $commit $value
done
expect_status 2 bench regress --results short
expect_line out.txt '^cannot tell  row 1: noise hides a change of 2.0 %: up to 19\.[0-9] % is possible'
expect_status 2 bench regress --results short --against "$(printf '%040d' 11)"
for commit in 9 10 11 12 13; do sample short $commit $((1200 + commit % 2)); done
expect_status 0 bench regress --results short
expect_line out.txt '^fine +row 1: 13 commits, no more than 0\.[1-9] % less is possible'

# Nor is a series fine whose newest commits printed no number, in this row or in another one.
for commit in 1 2 3 4 5 6 7; do sample silent $commit $((10000 + commit % 3)) $((20000 + commit % 3)); done
expect_status 0 bench regress --results silent
sample silent 8 null
expect_status 2 bench regress --results silent
expect_line out.txt '^cannot tell  row 1: no number at the newest commit \(0000000000 is its last; 1 sample left out: no positive number; 1 commit has no other\)$'
expect_line out.txt '^cannot tell  row 2: not measured at the newest commit \(0000000000 is its last\)$'
sample silent 9 null 20001
expect_status 2 bench regress --results silent
expect_line out.txt '^cannot tell  row 1: no number at the newest 2 commits \('
expect_line out.txt '^fine +row 2: 8 commits'
sample silent 9 10001 20001 # one in between hides nothing of today
expect_status 0 bench regress --results silent
expect_line out.txt '^fine +row 1: 8 commits'

# Less of a time or a size is better, by the table of columns or by the name of the metric; more of a
# rate. Of what is not known there is no guess: a slow-down that is called fine passes a CI.
grow() { # grow METRIC: the newest four of twelve commits have a fifth more of it
  rm -rf grown
  for commit in 1 2 3 4 5 6 7 8 9 10 11 12; do
    METRIC=$1 sample grown $commit $((commit < 9 ? 1000 + commit % 3 : 1200 + commit % 3))
  done
}
for metric in step_seconds seconds seconds_of_50000_images seconds_per_step start_ms largest_bytes bytes_per_sample \
              joules_per_sample peak_bytes final_loss time_ratio steady_seconds milliseconds step_microseconds \
              decode_nanoseconds loss peak_mb energy_wh request_latency; do
  grow $metric
  expect_status 1 bench regress --results grown --metric $metric
  expect_line out.txt '^regression   row 1: \+(19|20)\.[0-9] % since 0000000000'
  expect_status 1 bench regress --results grown --metric $metric --lower-is-better
  expect_status 0 bench regress --results grown --metric $metric --higher-is-better
  expect_line out.txt '^fine +row 1: 12 commits, no more than [0-9.]+ % less is possible'
done
for metric in samples_per_second bytes_per_second mfu image_speedup zero_shot_top1 samples_per_joule \
              val_top1; do
  grow $metric
  expect_status 0 bench regress --results grown --metric $metric
  expect_line out.txt '^fine +row 1: 12 commits, no more than [0-9.]+ % less is possible'
  expect_status 0 bench regress --results grown --metric $metric --higher-is-better
  expect_status 1 bench regress --results grown --metric $metric --lower-is-better
done
grow programs
expect_status 3 bench regress --results grown --metric programs
expect_line err.txt 'programs.*give [-]-lower-is-better or --higher-is-better'
expect_status 1 bench regress --results grown --metric programs --lower-is-better
expect_status 0 bench regress --results grown --metric programs --higher-is-better
expect_status 3 bench regress --results grown --metric programs --higher-is-better --lower-is-better
expect_line err.txt '[-]-lower-is-better and --higher-is-better'
