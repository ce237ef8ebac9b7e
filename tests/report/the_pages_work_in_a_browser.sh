. "$SOURCE/tests/support/sweep.sh"
browser=$(command -v chromium-headless-shell || command -v chromium || true)
if [ -z "$browser" ]; then
  echo "SKIPPED: no chromium here (apt install chromium-headless-shell)"
  cd / && rm -rf "$SCRATCH"
  exit 77
fi
sed -i 's/tuning:/  seed: [0, 1]\ntuning:/' experiments/small.yaml
(export FAKE_NAN=mask_ratio=0.75; expect_status 1 bench run experiments/small.yaml --no-progress)
sed 's/name: small/name: other/; s/samples: 8k/samples: 4k/' experiments/small.yaml > experiments/other.yaml
expect_status 0 bench run experiments/other.yaml --no-progress

# test_page PAGE COLUMN WORD WIDTH: the page with the test inside it, opened at that width.
test_page() {
  local copy=${1%.html}-test.html title
  sed -e 's|<head>|<head><script>window.page_problems = []; addEventListener("error", e => page_problems.push(e.message)); addEventListener("securitypolicyviolation", e => page_problems.push(e.blockedURI));</script>|' \
    -e '/^<\/body><\/html>$/d' "$1" > "$copy"
  { echo '<script>'; sed "s/PAGE_COLUMN/$2/g; s/PAGE_WORD/$3/" "$SOURCE/tests/report/page_test.js"; echo '</script></body></html>'; } >> "$copy"
  HOME=$SCRATCH "$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$SCRATCH/browser" \
    --virtual-time-budget=5000 --window-size="$4,900" --enable-logging=stderr --dump-dom \
    "file://$PWD/$copy" > dom.txt 2> browser.txt
  title=$(grep -o '<title>[^<]*' dom.txt | head -1)
  [[ $title == '<title>pass '* ]] || fail "$1 at $4: $title"
  ! grep CONSOLE browser.txt || fail "$1 wrote to the console"
}
for width in 1280 390; do
  test_page results/other/report.html 1 '50 %' $width
  test_page results/small/report.html 1 '50 %' $width
  test_page results/index.html 2 other $width
done
# what failed is told on the page, with its reason
grep -q 'loss is not a number' results/small/report.html || fail "the failure is not told"
