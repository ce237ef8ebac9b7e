. "$SOURCE/tests/support/sweep.sh"

{ cat experiments/small.yaml; echo 'profiles: {long: {settings: {samples: 9k}}}'; } > experiments/profiles.yaml
expect_status 0 bench check experiments/profiles.yaml --cells
[ "$(grep -cE '^[0-9a-f]{8}  mask_ratio' out.txt)" = 10 ] || fail "not every cell is listed as such"
expect_line out.txt '^long: experiments/profiles.yaml: ok: 5 cells'
expect_status 0 bench check experiments/small.yaml --cells
expect_line out.txt 'mask_ratio=0.75 · unmasked tuning'
expect_status 0 bench run experiments/small.yaml --dry-run
expect_line out.txt '5 cells, 5 to run'
[ ! -e results ] || fail "a dry run left something behind"

expect_status 0 bench run experiments/small.yaml
expect_line err.txt '✓ mask_ratio=0.5 · unmasked tuning'
expect_line out.txt '^50 %'
expect_line out.txt 'results/small/plots/accuracy_vs_time.png'
expect_line out.txt 'report  results/small/report.html'
for figure in accuracy_vs_time throughput memory loss; do
  head -c 8 "results/small/plots/$figure.png" | grep -q PNG || fail "$figure.png is no PNG"
  grep -q '</svg>' "results/small/plots/$figure.svg" || fail "$figure.svg is cut"
done
grep -q '</html>' results/small/report.html || fail "the page is cut"
! grep -E 'src="http|href="http' results/small/report.html || fail "the page needs the network"

# Everything is recorded, once.
expect_answer "SELECT count(*), sum(status = 'finished') FROM run" '5|5'
expect_answer "SELECT count(*), count(loss), max(step) FROM step WHERE run_id = 1" '125|125|125'
before=$(sha256sum results/small/*/attempts.jsonl)
expect_status 0 bench run experiments/small.yaml
[ "$before" = "$(sha256sum results/small/*/attempts.jsonl)" ] || fail "a finished cell ran again"

# Shown from every side.
expect_status 0 bench status
expect_line out.txt 'small .*5'
expect_status 0 bench status small --json
python_free_json() { grep -qE '^\{.*\}$|^\[|^\{' out.txt || fail "no JSON: $(head -c 200 out.txt)"; }
python_free_json
expect_status 0 bench show 1
expect_line out.txt 'Imaginary CPU'
expect_line out.txt '0123456789'
expect_status 0 bench show 1 --json
python_free_json
: > small # a file with the experiment's name does no harm
for format in text markdown csv latex json; do
  expect_status 0 bench report small --format $format
  [ -s out.txt ] || fail "no $format"
done
expect_status 0 bench report small --format csv
[ "$(wc -l < out.txt)" = 4 ] || fail "a header and three rows were expected"
expect_status 0 bench report small --format latex
expect_line out.txt '\\toprule'
expect_status 0 bench report small --format text
expect_line out.txt '~69\.6|~ *0\.50' # an unchecked reference value is marked

# Usage errors.
expect_status 2 bench report small --format latx
expect_line err.txt "did you mean 'latex'"
expect_status 2 bench show 99
expect_line err.txt 'there is no run 99 \(' # and no cell whose id begins so
expect_status 2 bench report nothing
expect_line err.txt 'known: small'
expect_status 2 bench run experiments/none.yaml
expect_line err.txt 'no such experiment file'
sed 's/mask_ratio: \[0/mask_rato: [0/' experiments/small.yaml > experiments/wrong.yaml
expect_status 2 bench run experiments/wrong.yaml
expect_line err.txt "wrong.yaml:5:3: unknown setting 'mask_rato'"
expect_line err.txt "did you mean 'mask_ratio'"

# The name of a file is its experiment's, for which a name given in the file is another one.
sed '/^name:/d' experiments/small.yaml > 'experiments/two words.yaml'
expect_status 2 bench check 'experiments/two words.yaml'
expect_line err.txt "two words.yaml:1:1: the file's name is the experiment's, which may only hold letters"

# Nothing is left to submit, which is said.
expect_status 0 bench submit experiments/small.yaml --slurm --dry-run
[ "$(cat out.txt)" = 'nothing to submit: all 5 cells are finished' ] || fail "of a finished sweep: $(cat out.txt)"

# A dry run changes nothing of what is recorded.
expect_status 0 bench report small --format csv
mv out.txt before.txt
expect_status 0 bench run experiments/small.yaml --dry-run --set weight_decay=0.125
expect_line out.txt '5 cells, 5 to run'
expect_status 0 bench submit experiments/small.yaml --slurm --dry-run --set weight_decay=0.125
expect_status 0 bench report small --format csv
cmp before.txt out.txt || fail "a dry run changed the report"

# A setting that is an axis would be overridden by the matrix; a profile restricts the matrix.
expect_status 2 bench run experiments/small.yaml --set mask_ratio=0.9
expect_line err.txt "--set mask_ratio=0.9: mask_ratio is an axis of the matrix, .*'matrix: .mask_ratio: .0.9.*' and run it with --profile"
