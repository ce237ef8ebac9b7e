. "$SOURCE/tests/support/sweep.sh"

# A repository in which the "program" of a commit prints the rate that its source says.
git init -q repo
commit() { # commit NUMBER RATE
  printf 'RATE=%d\n' "$2" > repo/rate
  git -C repo add rate
  git -C repo -c user.name=t -c user.email=t@t commit -q --allow-empty -m "change $1"
  git -C repo tag "c$1"
}
export GIT_COMMITTER_DATE
for i in 01 02 03 04 05; do GIT_COMMITTER_DATE=2026-01-01T00:00:$i commit $i 10000; done
echo broken > repo/rate
GIT_COMMITTER_DATE=2026-01-01T00:00:06 git -C repo -c user.name=t -c user.email=t@t commit -aqm 'change 06'
for i in 07 08 09; do GIT_COMMITTER_DATE=2026-01-01T00:00:$i commit $i 9000; done
cat > template <<'P'
#!/bin/bash
[ "$1" = --version ] && { printf 'flip 0.1.0 (COMMIT, gcc 12.2.0, -O3)\n'; exit; }
echo "$0" >> "$CALLS"
n=$(wc -l < "$CALLS"); sleep "${PAUSE:-0}"
printf '{"mask_ratio":0.5,"samples_per_second":%d}\n' $(( RATE * (1000 + (n * 7919) % 11 - 5) / 1000 ))
P
export TEMPLATE=$PWD/template CALLS=$PWD/calls TMPDIR=$PWD/tmp
mkdir tmp; : > calls
build='grep -q RATE rate && . ./rate && mkdir -p out && sed "s/RATE/$RATE/; s/COMMIT/$(git rev-parse HEAD)/" "$TEMPLATE" > out/flip && chmod +x out/flip'
measure() { bench history --repository "${REPOSITORY:-repo}" --build "$build" --program out/flip --rounds 3 --no-progress "$@"; }

# A budget ends it before all is done: the newest commits are there, measured in turns with the newest
# of all.
PAUSE=0.2 expect_status 0 measure --measure c01..c09 --budget 2500ms
expect_line err.txt '9 commits: [2-4] measured now, 0 measured before, [5-7] left: run the same command to continue'
head -1 out.txt | grep -q '^mask_ratio=0.5 ' || fail "no history"
expect_line out.txt "^  $(git -C repo rev-parse c09 | cut -c1-10) .* 3 samples"
calls=$(wc -l < calls)
[ $((calls % 6)) = 1 ] || fail "a commit was measured by halves" # the reference once to try it

# A stop in the middle, and on: what is there is not measured again, and a stopped commit is not
# said to have failed.
(PAUSE=0.3 exec "$FLIPBENCH" history --repository repo --build "$build" --program out/flip --rounds 3 \
  --no-progress --measure c01..c09 > stopped.txt 2>&1) & pid=$!
sleep 0.6; kill -TERM $pid; status=0; wait $pid || status=$?
[ $status = 130 ] || { cat stopped.txt; fail "stopped with status $status"; }
[ -z "$(ls -A tmp)" ] || fail "checkouts were left behind: $(ls -A tmp)"
[ ! -e results/benchmarks/failures.jsonl ] || fail "the stopped commit is said to have failed"
# While it builds, too: the build is ended with it.
(exec "$FLIPBENCH" history --repository repo --build 'sleep 60' --program out/flip --rounds 3 \
  --no-progress --measure c01..c02 > stopped.txt 2>&1) & pid=$!
sleep 0.5; kill -INT $pid 2> /dev/null; kill -TERM $pid; status=0; SECONDS=0; wait $pid || status=$?
[ $status = 130 ] && [ $SECONDS -lt 10 ] || { cat stopped.txt; fail "status $status after $SECONDS s"; }

# Killed, it leaves its checkouts; the next call removes them, and none that another one uses.
begin() { # begin RESULTS FOLDERS: in the background, until there is a program in that many folders
  (PAUSE=0.3 exec "$FLIPBENCH" history --repository repo --build "$build" --program out/flip --rounds 30 \
    --no-progress --measure c08..c09 --results "$1" > "$1.txt" 2>&1) & pid=$!
  for _ in $(seq 200); do
    [ "$(ls -d tmp/*/*/out/flip 2> /dev/null | cut -d/ -f2 | sort -u | wc -l)" = "$2" ] && return
    sleep 0.05
  done
  cat "$1.txt"
  fail "nothing was built"
}
export CALLS=$PWD/left.calls
: > "$CALLS"
begin other 1
other=$pid
used=$(ls -d tmp/flipbench-*)
begin killed 2
kill -KILL $pid; wait $pid 2> /dev/null || :
left=$(ls -d tmp/flipbench-* | grep -v "$used")
sleep 0.5 # what it has started ends
expect_status 0 measure --measure c08..c09 --results cleaned
expect_line err.txt "$left/[0-9a-f]{40}: removed, since the process that made it was killed"
[ "$(ls -d tmp/*)" = "$used" ] || fail "not only the one in use is there: $(ls -d tmp/*)"
kill -0 $other || { cat other.txt; fail "the other call has ended"; }
ls "$used"/*/out/flip > /dev/null || fail "a checkout in use was removed"
kill -TERM $other; wait $other || :
[ -z "$(ls -A tmp)" ] || fail "checkouts were left behind: $(ls -A tmp)"
[ "$(git -C repo worktree list | wc -l)" = 1 ] || fail "git knows checkouts that are gone"
CALLS=$PWD/calls

expect_status 0 measure --measure c01..c09
expect_line err.txt 'skipped: .* failed: see results/benchmarks/logs/[0-9a-f]{40}.log'
expect_line err.txt '9 commits: [0-9] measured now, [0-9] measured before, 1 skipped'
expect_line results/benchmarks/failures.jsonl "\"event\":\"not_built\",\"commit\":\"$(git -C repo rev-parse c07^)\""
# 7 commits in turns with c09, of which the stop may have cut one; c09 alone once in each of 3 calls
[ "$(wc -l < calls)" -le 51 ] || fail "measured more than needed: $(wc -l < calls)"
expect_line out.txt 'changed by -(9|10)\.[0-9] %'
[ "$(grep -c ' 3 samples' out.txt)" -ge 7 ] || { cat out.txt; fail "not all commits are there"; }
# All is there now: nothing is built or measured, the broken commit is not tried again unless asked.
calls=$(wc -l < calls)
expect_status 0 measure --measure c01..c09
expect_line err.txt '9 commits: 0 measured now, 8 measured before, 1 skipped'
[ "$(wc -l < calls)" = "$calls" ] || fail "measured again"
expect_status 0 measure --measure c01..c09 --again
expect_line err.txt 'is skipped'
# Newest commits that do not build have no level, and what there was before them is not "fine" today.
git -C repo checkout -q c05
for i in 10 11 12; do GIT_COMMITTER_DATE=2026-01-02T00:00:$i commit $i 10000; done
cp repo/rate rate; echo broken > repo/rate
GIT_COMMITTER_DATE=2026-01-02T00:00:13 git -C repo -c user.name=t -c user.email=t@t commit -aqm 'change 13'
git -C repo tag c13
expect_status 0 measure --measure c01..c13 --results failing
expect_line err.txt '9 commits: 8 measured now, 0 measured before, 1 skipped'
expect_status 2 bench regress --results failing --least 5
expect_line out.txt "^cannot tell  mask_ratio=0.5: the newest commit could not be built or measured .* $(git -C repo rev-parse c12 | cut -c1-10) is its last"
# Only by a command that gave the series' compiler and flags.
cp -r failing elsewhere
sed -i '/"event":"not_built"/s/"build_command":"/&false; /' elsewhere/benchmarks/failures.jsonl
expect_status 0 bench regress --results elsewhere --least 5
rm elsewhere/benchmarks/builds.jsonl # of a version that did not record them: any command
expect_status 2 bench regress --results elsewhere --least 5
cp rate repo/rate
GIT_COMMITTER_DATE=2026-01-02T00:00:14 git -C repo -c user.name=t -c user.email=t@t commit -aqm 'change 14'
git -C repo tag c14
expect_status 0 measure --measure c12..c14 --results failing
expect_status 0 bench regress --results failing --least 5
git -C repo checkout -q c09
# Nor where its date does not say that it is the newest: a clock behind, commits rebased within a second.
git init -q order
ordered() { # ordered NUMBER DATE [RATE]
  echo "${3:+RATE=$3}" > order/rate
  git -C order add rate
  GIT_COMMITTER_DATE=$2 git -C order -c user.name=t -c user.email=t@t commit -q --allow-empty -m "change $1"
  git -C order tag "c$1"
}
for i in 1 2 3 4 5 6 7; do ordered $i "2026-03-0${i}T00:00:00Z" 10000; done
ordered 8 2026-03-05T00:00:00Z
REPOSITORY=order expect_status 0 measure --measure c1..c8 --results behind
expect_status 2 bench regress --results behind --least 5
expect_line out.txt "^cannot tell  mask_ratio=0.5: the newest commit could not be built or measured .* $(git -C order rev-parse c7 | cut -c1-10) is its last"
ordered 9 2026-03-05T00:00:00Z 10000 # measured, behind too: the failure is passed
REPOSITORY=order expect_status 0 measure --measure c1..c9 --results behind
expect_status 0 bench regress --results behind --least 5
git -C order checkout -q c7
ordered 10 2026-03-07T00:00:00Z
REPOSITORY=order expect_status 0 measure --measure c1..c10 --results burst
expect_status 2 bench regress --results burst --least 5
expect_line out.txt "^cannot tell  mask_ratio=0.5: the newest commit could not"
ordered 11 2026-03-07T00:00:00Z 10000
REPOSITORY=order expect_status 0 measure --measure c1..c11 --results burst
expect_status 0 bench regress --results burst --least 5
# Another build command is measured too, and its builds are its own where the checkouts are kept.
other=${build/sed \"/sed \"s\/-O3\/-O1\/; }
[ "$other" != "$build" ] || fail "the same command"
for command in "$build" "$other"; do
  expect_status 0 bench history --repository repo --build "$command" --program out/flip --rounds 3 --no-progress --measure c08..c09 \
    --builds kept --results of_two
  expect_line err.txt '2 commits: 2 measured now, 0 measured before'
done
expect_line out.txt 'build +gcc 12.2.0, -O1'
expect_line out.txt 'build +gcc 12.2.0, -O3'
for command in "$build" "$other"; do
  expect_status 0 bench history --repository repo --build "$command" --program out/flip --rounds 3 --no-progress --measure c08..c09 \
    --builds kept --results of_two
  expect_line err.txt '2 commits: 0 measured now, 2 measured before'
  ! grep -q 'not a sample' err.txt || { cat err.txt; fail "a record of builds is taken for samples"; }
done
for c in c08 c09; do git -C repo worktree remove --force "$PWD/kept/$(git -C repo rev-parse $c)"; done
# A kept checkout whose repository is gone is made again: its program would name no commit.
git clone -q repo first; git clone -q repo second
naming='c=$(git rev-parse HEAD) || c=unknown; grep -q RATE rate && . ./rate && mkdir -p out &&
  sed "s/RATE/$RATE/; s/COMMIT/$c/" "$TEMPLATE" > out/flip && chmod +x out/flip'
for clone in first second; do
  expect_status 0 bench history --repository $clone --build "$naming" --program out/flip --rounds 3 --no-progress \
    --measure c08..c09 --builds cached --results cached_results --again
  mv $clone $clone.gone
done
expect_status 0 bench history --repository second.gone --build "$naming" --program out/flip --rounds 4 --no-progress \
  --measure c08..c09 --builds cached --results cached_results --again
expect_line err.txt '2 commits: 2 measured now, 0 measured before'
[ "$(grep -c '^  [0-9a-f]\{10\} ' out.txt)" = 2 ] || { cat out.txt; fail "not a point of each commit"; }
rm -rf first.gone second.gone cached
# A program that names another commit would be measured as that one: it is not.
expect_status 2 bench history --repository repo --build "${build/rev-parse HEAD/rev-parse c07}" --program out/flip \
  --rounds 3 --no-progress --measure c08..c09 --results named_wrongly
expect_line err.txt "is skipped: its program's --version names commit '$(git -C repo rev-parse c07)'"
expect_line named_wrongly/benchmarks/failures.jsonl '"event":"not_measured"'
# The page names no failure of a commit that was measured since.
expect_status 0 measure --measure c08..c09 --results named_wrongly --again
expect_status 0 bench history --results named_wrongly --format html
expect_line named_wrongly/benchmarks/history.html '"failures":\[\]'
# Other words are another measurement; more rounds are added to what is there.
expect_status 0 measure --measure c08..c09 -- bench step -s threads=1
expect_line err.txt '2 commits: 2 measured now, 0 measured before'
[ -z "$(ls -A tmp)" ] || fail "checkouts were left behind: $(ls -A tmp)"
[ "$(git -C repo worktree list | wc -l)" = 1 ] || fail "git knows checkouts that are gone"

# A machine that becomes slower, by 5 % over the whole: measured in turns, it is in no commit's value.
sed 's/(1000 + (n \* 7919) % 11 - 5)/(1000 - n)/' template > drifting
: > drift.calls
(export TEMPLATE=$PWD/drifting CALLS=$PWD/drift.calls
  expect_status 0 measure --measure c01..c09 --results drift)
[ "$(wc -l < drift.calls)" -ge 43 ] || fail "measured less than it says: $(wc -l < drift.calls)"
[ "$(grep -c 'changed by' out.txt)" = 1 ] || { cat out.txt; fail "drift looks like changes"; }
expect_line out.txt 'changed by -(9\.[89]|10\.[01]) %'
! grep -q '‡' out.txt || { cat out.txt; fail "something was measured alone"; }
expect_status 1 bench regress --results drift
expect_line out.txt "regression +mask_ratio=0.5: -(9\.[89]|10\.[01]) % since $(git -C repo rev-parse c07 | cut -c1-10)"
# With no other that builds, a commit is measured alone, and it is said.
expect_status 0 measure --measure c07^..c07 --results one
expect_line err.txt '2 commits: 1 measured now, 0 measured before, 1 skipped'
expect_line out.txt ' [34] samples ‡'
expect_line out.txt "‡ 1 of these points was not measured in turns with the others"

# Commits of one second, as a rebase makes them, stay in git's order.
git init -q burst
for i in 1 2 3 4; do
  printf 'RATE=%d\n' $((10000 * i)) > burst/rate
  git -C burst add rate
  GIT_COMMITTER_DATE=2026-02-01T00:00:0$((i > 1)) git -C burst -c user.name=t -c user.email=t@t commit -qm "change $i"
done
REPOSITORY=burst expect_status 0 measure --measure HEAD~3..HEAD --results burst-results
expect_line err.txt '4 commits: 4 measured now, 0 measured before'
[ "$(grep -oE '^  [0-9a-f]{10} ' out.txt | tr -d ' ')" = "$(git -C burst log --reverse --format=%H | cut -c1-10)" ] ||
  { cat out.txt; git -C burst log --oneline; fail "commits of one second are not in git's order"; }
! grep -q '‡' out.txt || { cat out.txt; fail "something was measured alone"; }

# Signatures that the user has git show are in no commit's date or subject.
git init -q signed
cat > gpg <<'G'
#!/bin/sh
cat > /dev/null
case "$*" in
*--verify*) echo 'Good signature from t' >&2; echo '[GNUPG:] GOODSIG 1 t' ;;
*) printf '%s\n' '-----BEGIN PGP SIGNATURE-----' '' AAAA '-----END PGP SIGNATURE-----'; printf '\n[GNUPG:] SIG_CREATED D\n' >&2 ;;
esac
G
chmod +x gpg
git -C signed config gpg.program "$PWD/gpg"
git -C signed config log.showSignature true
for i in 1 2 3; do
  printf 'RATE=%d\n' $((10000 * i)) > signed/rate
  git -C signed add rate
  GIT_COMMITTER_DATE=2026-03-0${i}T00:00:00Z git -C signed -c user.name=t -c user.email=t@t commit -q -S -m "change $i"
done
git -C signed log -1 --format=%cI | grep -q 'Good signature' || fail "git shows no signature"
# the newest alone, then the others: in order of measurement, the history would begin with it
REPOSITORY=signed expect_status 0 measure --measure HEAD^..HEAD --results signed-results
REPOSITORY=signed expect_status 0 measure --measure HEAD~2..HEAD^ --results signed-results
! grep -h '"committed"' signed-results/benchmarks/*.jsonl | grep -v '"committed":"2026-03-0' || fail "a signature is taken for a date"
[ "$(grep -oE '^  [0-9a-f]{10} ' out.txt | tr -d ' ')" = "$(git -C signed -c log.showSignature=false log --reverse --format=%H | cut -c1-10)" ] ||
  { cat out.txt; fail "signed commits are not in git's order"; }
# When the reference is gone, one of the commits measured with it links them with the new ones.
git init -q gone
for i in 1 2 3 4 5 6; do
  echo RATE=10000 > gone/rate
  git -C gone add rate
  GIT_COMMITTER_DATE=2026-01-0${i}T00:00:00Z git -C gone -c user.name=t -c user.email=t@t commit -q --allow-empty -m "change $i"
  git -C gone tag "c$i"
done
REPOSITORY=gone expect_status 0 measure --measure c1..c6 --results relinked
git -C gone reset -q --hard c5
git -C gone tag -d c6 > /dev/null
git -C gone reflog expire --expire=now --all
git -C gone gc -q --prune=now
for i in 7 8 9; do
  echo RATE=9000 > gone/rate
  git -C gone add rate
  GIT_COMMITTER_DATE=2026-01-0${i}T00:00:00Z git -C gone -c user.name=t -c user.email=t@t commit -q --allow-empty -m "change $i"
  git -C gone tag "c$i"
done
REPOSITORY=gone expect_status 0 measure --measure c4..c9 --results relinked
expect_line err.txt 'the reference of earlier measurements, cannot be measured'
expect_line err.txt '5 commits: 4 measured now, 1 measured before'
! grep -q '‡' out.txt || { cat out.txt; fail "the commits of two references are not linked"; }
expect_status 1 bench regress --results relinked
expect_line out.txt "^regression +mask_ratio=0.5: -(9\.[5-9]|10\.[0-5]) % since $(git -C gone rev-parse c7 | cut -c1-10)"
REPOSITORY=gone expect_status 0 measure --measure c4..c9 --results relinked
expect_line err.txt '5 commits: 0 measured now, 5 measured before'

# A program that hangs is ended with the budget and recorded, and a stop names its commit.
git init -q hanging
sed 's/^n=/[ RATE != 1 ] || sleep 300\nn=/' template > hanging.template
for i in 1 2 3; do
  [ $i = 3 ] && echo RATE=1 > hanging/rate || echo RATE=10000 > hanging/rate
  git -C hanging add rate
  GIT_COMMITTER_DATE=2026-01-0${i}T00:00:00Z git -C hanging -c user.name=t -c user.email=t@t commit -q --allow-empty -m "change $i"
  git -C hanging tag "c$i"
done
hung=$(git -C hanging rev-parse c3)
SECONDS=0
REPOSITORY=hanging TEMPLATE=$PWD/hanging.template expect_status 2 measure --measure c1..c3 --results hung --budget 2s
[ $SECONDS -lt 200 ] || fail "a program that hangs was waited for, $SECONDS s"
expect_line err.txt "${hung:0:10} is skipped: .* was ended after [0-9.]+ s, when the budget was used up"
expect_line err.txt '3 commits: 0 measured now, 0 measured before, 1 skipped .*, 2 left'
expect_line hung/benchmarks/failures.jsonl "\"event\":\"not_measured\",\"commit\":\"$hung\""
REPOSITORY=hanging TEMPLATE=$PWD/hanging.template expect_status 0 measure --measure c1..c3 --results hung --budget 60s
expect_line err.txt '3 commits: 2 measured now, 0 measured before, 1 skipped'
(TEMPLATE=$PWD/hanging.template exec "$FLIPBENCH" history --repository hanging --build "$build" --program out/flip --rounds 3 \
  --no-progress --measure c1..c3 --results hung --again > stopped.txt 2>&1) & pid=$!
for _ in $(seq 200); do ls tmp/flipbench-*/"$hung"/out/flip > /dev/null 2>&1 && break; sleep 0.05; done
sleep 1; kill -TERM $pid; status=0; SECONDS=0; wait $pid || status=$?
[ $status = 130 ] && [ $SECONDS -lt 10 ] || { cat stopped.txt; fail "status $status after $SECONDS s"; }
expect_line stopped.txt "stopped at ${hung:0:10} change 3"

# A commit that changes the flags too begins a series; the one before it is not of today.
git init -q flagged
flagged='. ./rate && mkdir -p out && sed "s/RATE/$RATE/; s/COMMIT/$(git rev-parse HEAD)/; s/-O3/-O3$FLAGS/" "$TEMPLATE" > out/flip && chmod +x out/flip'
for i in 01 02 03 04 05 06 07 08 09 10 11 12; do
  [ $i -le 06 ] 2> /dev/null && echo 'RATE=10000 FLAGS=' > flagged/rate || echo 'RATE=7000 FLAGS=" -g"' > flagged/rate
  git -C flagged add rate
  GIT_COMMITTER_DATE=2026-01-${i}T00:00:00Z git -C flagged -c user.name=t -c user.email=t@t commit -q --allow-empty -m "change $i"
  git -C flagged tag "c$i"
done
expect_status 0 bench history --repository flagged --build "$flagged" --program out/flip --rounds 3 --no-progress \
  --measure c01..c12 --results flags
! grep -q '‡' out.txt || { cat out.txt; fail "what was measured in turns with another build is said to have been alone"; }
expect_status 2 bench regress --results flags --least 5
expect_line out.txt "^cannot tell  mask_ratio=0.5: not measured at the newest 6 commits, which were built otherwise: gcc 12.2.0, -O3 -g instead of gcc 12.2.0, -O3 \($(git -C flagged rev-parse c06 | cut -c1-10) is its last"
expect_line out.txt '^fine +mask_ratio=0.5: 6 commits'
expect_status 0 bench regress --results flags --least 5 --only=-g # the change of flags is accepted

# Drawn: a figure a machine, build and words, with the change in it; a page with all inside.
expect_status 0 bench history --format svg,pdf
expect_line out.txt '^results/benchmarks/plots/history-samples_per_second-1.svg$'
expect_line out.txt '^results/benchmarks/plots/history-samples_per_second-2.pdf$' # the other words
figure=$(cat results/benchmarks/plots/history-samples_per_second-1.svg)
for text in 'mask_ratio=0.5' 'gcc 12.2.0, -O3' "$(git -C repo rev-parse c07 | cut -c1-7)"; do
  case $figure in *"$text"*) ;; *) fail "'$text' is not in the figure" ;; esac
done
expect_line results/benchmarks/plots/history-samples_per_second-1.svg '-(9\.[5-9]|10\.[0-5]) %'
expect_status 0 bench history --format png --size column --only 'threads=1' --out paper
[ -s paper/history-samples_per_second-1.png ] || fail "no figure for a paper"
expect_status 0 bench history --format html
[ "$(cat out.txt)" = results/benchmarks/history.html ] || fail "no page"
page=results/benchmarks/history.html
expect_line $page '"text":"-(9\.[5-9]|10\.[0-5]) %","style":"best","plus":" \(p (=|\\u003c) 0\.0'
expect_line $page ' -(9\.[5-9]|10\.[0-5]) % \(p (=|&lt;) 0\.0' # without scripts, too
expect_line $page 'in turns'
expect_line $page '^<figure id="drawing-0" .*<svg'
expect_line $page "\"failures\":\[\{\"heading\":\"$(git -C repo rev-parse c07^ | cut -c1-10), 20"
! grep -qE '(src|href)="(https?:|//)' $page || fail "the page needs something from outside"
. "$SOURCE/tests/support/browser.sh"
if [ -n "$browser" ]; then
  for width in 1280 390; do test_page $page 2 "$(git -C repo rev-parse c08 | cut -c1-10)" $width; done
fi
expect_status 2 bench history --format gif
expect_line err.txt "'gif' is not one of text, html, svg, png, pdf"
for formats in html,svg svg,html text,svg; do
  expect_status 2 bench history --format $formats
  expect_line err.txt "'(html|text)' cannot be combined with other formats"
done
expect_status 2 bench history --size poster --format svg

expect_status 2 measure --measure c01
expect_line err.txt "'c01' is not a range of commits"
expect_status 2 measure --measure c09..c01
expect_status 2 measure --measure c01..c09 --budget soon
expect_status 2 measure --measure c01..c09 --rounds 0
