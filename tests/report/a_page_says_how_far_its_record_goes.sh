# Every page gives the time of the last event that it shows, also while cells are running. The time is
# of the record, not of a clock: the same record gives the same page.
. "$SOURCE/tests/support/sweep.sh"
mkdir experiments/paper
cp experiments/small.yaml experiments/paper/small.yaml
cat >> experiments/paper/small.yaml <<'Y'
claims:
  - {claim: faster, compare: ratio, metric: samples_per_second, of: {mask_ratio: 0.75}, against: {mask_ratio: 0}, expect: greater}
profiles: {mini: {}}
Y
last() { ask "SELECT substr(max(last), 1, 19) || 'Z' FROM process"; }
shown() { grep -oE '"recorded":"record up to 20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]Z"' "$1" | grep -oE '20[^"]*' || fail "$1 has no time"; }
FAKE_STEP_MS=24 bench run experiments/small.yaml > out1.txt 2> err1.txt & sweep=$!
for _ in $(seq 200); do grep -qs '"event":"step"' results/small/mask_ratio=0-*/events.jsonl && break; sleep 0.05; done
sleep 1
before=$(date -u +%Y-%m-%dT%H:%M:%SZ)
expect_status 0 bench report small --format html
cp results/small/report.html early.html
grep -q '"1 running"' early.html || fail "nothing is running"
[[ ! "$(shown early.html)" > "$before" ]] || fail "a time after the page was written"
wait $sweep || { cat err1.txt; fail "the sweep ended with $?"; }
[[ "$(shown results/small/report.html)" > "$(shown early.html)" ]] || fail "the page of the finished sweep has no later time"

pages() { # FOLDER
  expect_status 0 bench report small --format html
  expect_status 0 bench report --paper --format html
  mkdir -p "$1" && cp results/small/report.html results/index.html results/paper.html "$1"
}
pages first
sleep 1.1
pages again
expect_status 0 bench db rebuild
pages rebuilt
for page in report.html index.html paper.html; do
  cmp "first/$page" "again/$page" || fail "$page differs a second later"
  cmp "first/$page" "rebuilt/$page" || fail "$page differs in a rebuilt database"
  grep -q "record up to $(shown "first/$page")$" "first/$page" || fail "$page does not say it without JavaScript"
done
# The paper's page made of what was recorded elsewhere, which may be of a version that did not say it.
expect_status 0 bench report --paper --format json
cp out.txt claims.json
bench report --paper --from claims.json --format html --out from.html
cmp first/paper.html from.html || fail "the paper's page of the same record differs"
sed -i '/"recorded"/s/"recorded":"[^"]*",//' claims.json
bench report --paper --from claims.json --format html --out from.html
! grep -q '"recorded"' from.html || fail "a time out of nowhere"
[[ ! "$(shown first/report.html)" < "$(last)" ]] || fail "earlier than the last event"
