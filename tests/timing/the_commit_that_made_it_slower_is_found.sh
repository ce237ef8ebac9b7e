. "$SOURCE/tests/support/sweep.sh"

# A repository in which the "program" of a commit prints the rate that its source says, a few per
# mille up and down. Commit 7 of 12 is slower; commit 6 does not build.
git init -q repo
commit() { # commit NUMBER RATE [NOISE]
  printf 'RATE=%d NOISE=%d\n' "$2" "${3:-1}" > repo/rate
  git -C repo add rate
  git -C repo -c user.name=t -c user.email=t@t commit -q --allow-empty -m "change $1"
  git -C repo tag "c$1"
}
for i in 1 2 3 4 5; do commit $i 10000; done
echo broken > repo/rate && git -C repo add rate && git -C repo -c user.name=t -c user.email=t@t commit -q -m 'change 6'
for i in 7 8 9 10 11 12; do commit $i 9000; done
cat > template <<'P'
#!/bin/bash
[ "$1" = --version ] && { printf 'flip 0.1.0 (COMMIT, gcc 12.2.0)\n'; exit; }
n=$(cat "$0.count" 2>/dev/null || echo 0); echo $((n + 1)) > "$0.count"
wobble=$(( (n * 7919) % 11 - 5 ))
printf '{"mask_ratio":0.5,"samples_per_second":%d}\n' $(( RATE * (1000 + NOISE * wobble) / 1000 ))
printf '{"mask_ratio":0.75,"samples_per_second":%d}\n' $(( 20000 * (1000 + wobble) / 1000 ))
P
export TEMPLATE=$PWD/template
build='grep -q RATE rate && . ./rate && mkdir -p out && sed "s/RATE/$RATE/; s/NOISE/$NOISE/; s/COMMIT/$(git rev-parse HEAD)/" "$TEMPLATE" > out/flip && chmod +x out/flip && touch built-here'
bisect() { bench bisect --repository repo --build "$build" --program out/flip --rounds 5 "$@"; }

# The broken commit lies just before the slow one: the two cannot be distinguished.
expect_status 3 bisect c1 c12
expect_line out.txt '^one of these commits \(the measurements do not distinguish them\):'
[ "$(grep -c '^  [0-9a-f]* change [67]$' out.txt)" = 2 ] || { cat out.txt; fail "not narrowed down to 6 and 7"; }
expect_line err.txt "is skipped: .* failed: see .*\.log"
[ -z "$(ls -d results/builds/*/ 2>/dev/null)" ] || fail "checkouts were left behind"

# Nothing to find; and what is built is used again if it is kept.
expect_status 3 bisect c1 c5
expect_line out.txt '^no difference found between GOOD and BAD: .*is detectable'
expect_status 3 bisect c1 c5 --keep
made=$(stat -c %Y.%i results/builds/"$(git -C repo rev-parse c1)"/out/flip)
expect_status 3 bisect c1 c5 --keep
[ "$(stat -c %Y.%i results/builds/"$(git -C repo rev-parse c1)"/out/flip)" = "$made" ] || fail "built again"

# An end that fails leaves no checkout either.
rm -rf results/builds; git -C repo worktree prune
expect_status 2 bisect c1 c7^
[ -z "$(ls -d results/builds/*/ 2>/dev/null)" ] || fail "checkouts were left behind: $(ls results/builds)"

# The commit is found, in the series that differs; for scripts too.
git -C repo checkout -q -b clean c5
for i in 13 14; do commit $i 10000; done
commit 15 9000
for i in 16 17 18; do commit $i 9000; done
expect_status 0 bisect c1 c18
expect_line out.txt "^$(git -C repo rev-parse c15) change 15$"
expect_line out.txt 'samples_per_second of mask_ratio=0.5: × 0\.(89|90|91)[0-9]* \[.*\] against GOOD'
expect_status 0 bisect c1 c18 --json
expect_line out.txt "\"series\":\"mask_ratio=0.5\",\"first_bad\":\"$(git -C repo rev-parse c15)\""
[ "$(grep -o '"verdict":"\(good\|bad\)"' out.txt | wc -l)" -ge 4 ] || { cat out.txt; fail "not so as JSON"; }
# Faster is found as well.
expect_status 0 bisect c18~5 c18 --metric samples_per_second -- bench step --json
git -C repo checkout -q -b faster c18
commit 19 9000; commit 20 12000; commit 21 12000
expect_status 0 bisect c18 c21
expect_line out.txt ' change 20$'
# What was measured is in the record.
expect_status 0 bench history
expect_line out.txt 'mask_ratio=0.75'

# Under a git alias or in a hook, git's own variables name the user's repository, work tree and index:
# what lies there untracked, and what is staged, stays, and the commits are those of the checkouts.
echo precious > repo/untracked
echo staged > repo/staged && git -C repo add staged
git -C repo status --porcelain > status-before.txt
for names in "GIT_DIR=$PWD/repo/.git GIT_WORK_TREE=$PWD/repo" "GIT_INDEX_FILE=$PWD/repo/.git/index" \
  "GIT_DIR=$PWD/repo/.git GIT_WORK_TREE=$PWD/repo GIT_INDEX_FILE=$PWD/repo/.git/index"; do
  rm -rf results
  # built twice: the second command line cleans what the first one left
  export $names # two words or three
  expect_status 0 bisect c18 c21 --keep
  expect_status 0 bisect c18 c21 --build "$build; true" --keep
  unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
  expect_line out.txt ' change 20$'
  git -C repo status --porcelain | cmp - status-before.txt || fail "$names: the user's files were changed"
  grep -qx precious repo/untracked || fail "$names: an untracked file was removed"
  expect_line results/builds/"$(git -C repo rev-parse c20)"/out/flip "$(git -C repo rev-parse c20)"
  rm -rf results && git -C repo worktree prune
done
git -C repo rm -q --cached staged
rm repo/staged repo/untracked

# Usage errors.
expect_status 2 bench bisect c1 c2
expect_line err.txt 'error: this folder is not in a git checkout, .*: name one with --repository DIR'
mkdir plain
expect_status 2 bench history --repository plain --measure c1..c2
expect_line err.txt 'error: plain is not in a git checkout'
[ "$(wc -l < err.txt)" = 1 ] || fail "more is said: $(cat err.txt)"
expect_status 2 bisect c1
expect_status 2 bisect c18 c1
expect_line err.txt 'c18 is not an ancestor of c1'
expect_status 2 bisect c1 nowhere
expect_line err.txt "error: 'nowhere' is no commit of repo$"
expect_status 2 bisect v0.1 c2
expect_line err.txt "error: 'v0.1' is no commit of repo$"
[ "$(wc -l < err.txt)" = 1 ] || fail "more is said: $(cat err.txt)"
expect_status 2 bench history --repository repo --measure v0.1..c2
expect_line err.txt "error: 'v0.1' is no commit of repo$"
expect_status 2 bisect c1 c1
expect_status 2 bisect c1 c18 --series mask_ratio=0.9
expect_line err.txt "no series 'mask_ratio=0.9'; available: mask_ratio=0.5, mask_ratio=0.75"
