# tests/gpu/run_all.sh, with models small enough for the imitation of a GPU: every proof passes, every benchmark gives
# numbers, and a stage that is cut or fails is told as such.
set -euo pipefail
cd "$SOURCE"
export FLIP_PROOF_SMALL=1 FLIP_PLUGINS=$BINARY/imitation
check() { tests/gpu/run_all.sh "$@"; }

FLIP_PROOF_SECONDS=1500 check "$SCRATCH/report" first > "$SCRATCH/out.txt" 2>&1 || { cat "$SCRATCH/out.txt"; exit 1; }
report=$SCRATCH/report/report.md
[ "$(grep -c '^- ok: ' "$report")" -ge 12 ] || { cat "$report"; fail "proofs are missing"; }
grep -q 'ended with status\|FAILED' "$report" && { cat "$report"; fail "a stage failed"; }
[ "$(grep -c '"samples_per_second":' "$report")" -ge 9 ] || fail "rows of the step's benchmark are missing"
grep -qE '^\| vit_l16 \| 75 % \| [0-9]+ \| – \| – ' "$report" || fail "no line of ViT-L/16 in the summary"
tar tzf "$SCRATCH/report/report.tar.gz" | grep -q 'report/settings_learn_the_same.txt' || fail "the raw output is not kept"

# Without time nothing counts as passed, and what was done stays in the report.
code=0
FLIP_PROOF_SECONDS=20 check "$SCRATCH/short" proofs > "$SCRATCH/out.txt" 2>&1 || code=$?
[ $code = 1 ] || fail "a cut proof gave status $code"
grep -q 'FAILED: settings_learn_the_same, status 1[23][47]' "$SCRATCH/short/report.md" || fail "a stage without time is not told"

# A loss that is missing, or another curve, is no agreement.
mkdir -p "$SCRATCH/a" "$SCRATCH/b"
export flip=$FLIP tests=$BINARY/tests work=$SCRATCH steps=20 small=1
lines() { for i in $(seq "$1"); do echo "{\"event\":\"step\",\"loss\":$2}"; done; }
lines 3 1.5 > "$SCRATCH/a/events.jsonl"
alike() { tests/gpu/proofs.sh alike "$SCRATCH/a" "$SCRATCH/b" 3 0.02; }
lines 3 1.51 > "$SCRATCH/b/events.jsonl"; alike || fail "equal curves are different"
lines 3 1.6 > "$SCRATCH/b/events.jsonl"; ! alike || fail "another curve agrees"
lines 2 1.5 > "$SCRATCH/b/events.jsonl"; ! alike || fail "a missing loss agrees"
: > "$SCRATCH/a/events.jsonl"; : > "$SCRATCH/b/events.jsonl"; ! alike || fail "no losses agree"
