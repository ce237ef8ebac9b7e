. "$SOURCE/tests/harness/common.sh"

# A program that says of which commit it is and how fast it was: RATE, a few per mille up and down.
cat > program <<'P'
#!/bin/bash
[ "$1" = --version ] && { printf 'flip 0.1.0 (%s, gcc 12.2.0)\n' "$COMMIT"; exit; }
n=$(cat count 2>/dev/null || echo 0); echo $((n + 1)) > count
wobble=$(( (n * 7919) % 11 - 5 ))
printf 'not JSON\n{"mask_ratio":0.5,"samples_per_second":%d}\n' $(( RATE * (1000 + ${NOISE:-1} * wobble) / 1000 ))
P
chmod +x program
export COMMIT RATE NOISE
measure() { # measure NUMBER RATE: five rounds of one commit
  COMMIT=$(printf '%040d' "$1") RATE=$2 expect_status 0 bench compare ./program --rounds 5
}

# Two builds: a difference that is there, and one that is not.
printf '#!/bin/bash\nCOMMIT=%040d RATE=11000 exec ./program "$@"\n' 2 > faster && chmod +x faster
COMMIT=$(printf '%040d' 1) RATE=10000 expect_status 0 bench compare ./program ./faster --rounds 6 --results ab
expect_line out.txt 'mask_ratio=0.5 +1\.(09|10|11)[0-9]* × \[1\.0[89][0-9]*, 1\.1[0-9]*\]  more; ±[0-9.]+ % would be found'
[ "$(cat ab/benchmarks/*.jsonl | grep -c '"side":"new"')" = 6 ] || fail "not every sample was kept"
COMMIT=$(printf '%040d' 1) RATE=10000 expect_status 0 bench compare ./program ./program --rounds 6 --results ab --json
expect_line out.txt '"series":"mask_ratio=0.5","rounds":6,"ratio":(1|0\.99|1\.00)'

# Too few commits to tell; then enough, and all fine.
for i in 1 2 3; do measure $i 10000; done
expect_status 2 bench regress
expect_line out.txt 'cannot tell  mask_ratio=0.5: 3 commits, at least 6 are needed'
for i in 4 5 6 7; do measure $i 10000; done
expect_status 0 bench regress
expect_line out.txt '^fine +mask_ratio=0.5: 7 commits'

# One slow commit is an outlier; a level that stays lower is a regression, named with its commit.
measure 8 9000
expect_status 0 bench regress --least 5
for i in 9 10 11 12; do measure $i 9000; done
expect_status 1 bench regress
expect_line out.txt 'regression   mask_ratio=0.5: -(9|10)\.[0-9] % since 0000000000'
expect_status 0 bench history
expect_line out.txt 'changed by -(9|10)\.[0-9] % \(p = 0\.0'
expect_status 0 bench regress --lower-is-better # were it a time, it would have become better

# Noise that would hide a change of the size asked for.
for i in 1 2 3 4 5 6; do NOISE=40 measure $((20 + i)) 10000; done
expect_status 2 bench regress --least 0.1
# The record can be made again.
expect_status 0 bench history
mv out.txt before.txt
rm results/flipbench.db*
expect_status 0 bench history
cmp out.txt before.txt || fail "the history read again differs"

expect_status 3 bench regress --metric nothing
expect_status 3 bench regress --nonsense
expect_status 2 bench compare ./nowhere
expect_line err.txt 'nowhere: there is no such program'
expect_status 2 bench compare ./program --metric nothing
expect_line err.txt "prints no JSON object with a number 'nothing'"
