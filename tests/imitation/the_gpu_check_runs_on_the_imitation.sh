# tests/gpu/run_all.sh, with models small enough for the imitation of a GPU, from an archive that has a table too: every
# proof passes, every benchmark gives numbers, a stage that is cut is told as such, and a second call adds to the first.
set -euo pipefail
cat > tiny.yaml << 'Y'
name: tiny
base: presets/scenes_small.yaml
settings: {image.size: 32, image.width: 16, image.layers: 1, image.heads: 1, text.width: 16, text.layers: 1, text.heads: 1,
           embed_dim: 8, samples: 64, batch_size: 64, warmup_samples: 0, eval.points: 0, precision: fp32, threads: 1}
matrix: {mask_ratio: [0]}
profiles: {gpu: {settings: {device: cpu}}}
report: {rows: mask_ratio, columns: [final_loss]}
Y
expect_status 0 "$SOURCE/tests/gpu/pack.sh" --build "$BINARY" --experiment tiny.yaml --proof both.tar.gz
tar xzf both.tar.gz
expect_status 0 proof/run_table.sh table
expect_line out.txt '^1 cells finished in'
export FLIP_PROOF_SMALL=1 FLIP_PLUGINS=$BINARY/imitation
check() { "$SCRATCH/proof/tests/gpu/run_all.sh" "$@"; }

FLIP_PROOF_SECONDS=1500 check "$SCRATCH/report" first > "$SCRATCH/out.txt" 2>&1 || { cat "$SCRATCH/out.txt"; exit 1; }
report=$SCRATCH/report/report.md
[ "$(grep -c '^- ok: ' "$report")" -ge 12 ] || { cat "$report"; fail "proofs are missing"; }
grep -q 'ended with status\|FAILED\|no time is left' "$report" && { cat "$report"; fail "a stage failed"; }
[ "$(grep -c '"samples_per_second":' "$report")" -ge 9 ] || fail "rows of the step's benchmark are missing"
expect_line "$report" '^\| vit_l16 \| 75 % \| [0-9]+ \| – \| – .*an imitation of a GPU'
expect_line "$report" '^first timed in this stage: [0-9]+ products, once each, .* less'
expect_line "$report" '"op":"attention gradient"'
expect_line "$report" '^\| backward \| 8 \| .* \| – \| (ours|cuDNN) \|$' # no bound for a card that is not known
diff <(sed -n '/^### Compared/,/^| vit_h14/p' "$report") "$SCRATCH/report/summary.md" || fail "another summary than the report's"
raw() { tar xzOf "$SCRATCH/report/report.tar.gz" "report/$1"; }
raw 1/settings_learn_the_same.txt | grep -q '^reconstruction-bf16: 6 steps' || fail "the raw output is not kept"

# A second call into the folder: the named stages alone, which train what they need.
raw 1/vit_l16_batch_8.txt > before.txt
FLIP_PROOF_SECONDS=200 check "$SCRATCH/report" again one_rank_through_nccl vit_l16_mask_75 > "$SCRATCH/out.txt" 2>&1 ||
  { cat "$SCRATCH/out.txt"; fail "stages cannot be run again"; }
[ "$(grep -c '^- ok: one_rank_through_nccl\|^- not run: one_rank_through_nccl, because NCCL is not in this build' "$report")" = 2 ] ||
  { cat "$report"; fail "a proof was not run again"; }
raw 1/vit_l16_batch_8.txt | cmp - before.txt || fail "the first call's result has changed"
raw 2/vit_l16_mask_75.txt | grep -q '"mask_ratio":0.75' || fail "the second call's result is not kept"

# Without time nothing counts as passed, and what was done stays in the report.
code=0
FLIP_PROOF_SECONDS=20 check "$SCRATCH/short" proofs > "$SCRATCH/out.txt" 2>&1 || code=$?
[ $code = 1 ] || fail "a cut proof gave status $code"
grep -q 'FAILED: settings_learn_the_same, status 1[23][47]' "$SCRATCH/short/report.md" || fail "a stage without time is not told"

# A loss that is missing, or another curve, is no agreement.
mkdir -p "$SCRATCH/a" "$SCRATCH/b"
export flip=$FLIP tests=$BINARY/tests work=$SCRATCH steps=20 cpu_steps=20 small=1
cd "$SOURCE"
lines() { for i in $(seq "$1"); do echo "{\"event\":\"step\",\"loss\":$2}"; done; }
lines 3 1.5 > "$SCRATCH/a/events.jsonl"
alike() { tests/gpu/proofs.sh alike "$SCRATCH/a" "$SCRATCH/b" 3 0.02; }
lines 3 1.51 > "$SCRATCH/b/events.jsonl"; alike || fail "equal curves are different"
lines 3 1.6 > "$SCRATCH/b/events.jsonl"; ! alike || fail "another curve agrees"
lines 2 1.5 > "$SCRATCH/b/events.jsonl"; ! alike || fail "a missing loss agrees"
: > "$SCRATCH/a/events.jsonl"; : > "$SCRATCH/b/events.jsonl"; ! alike || fail "no losses agree"
