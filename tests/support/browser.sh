# Pages in a real browser. `browser` is empty where there is none.
browser=$(command -v chromium-headless-shell || command -v chromium || true)

# test_page PAGE COLUMN WORD WIDTH: the page with the test inside it, opened at that width.
test_page() {
  local copy=${1%.html}-test.html
  sed -e 's|<head>|<head><script>window.page_problems = []; addEventListener("error", e => page_problems.push(e.message)); addEventListener("securitypolicyviolation", e => page_problems.push(e.blockedURI));</script>|' \
    -e '/^<\/body><\/html>$/d' "$1" > "$copy"
  { echo '<script>'; sed "s/PAGE_COLUMN/$2/g; s/PAGE_WORD/$3/" "$SOURCE/tests/report/page_test.js"; echo '</script></body></html>'; } >> "$copy"
  HOME=$SCRATCH "$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$SCRATCH/browser" \
    --virtual-time-budget=5000 --window-size="$4,900" --enable-logging=stderr --dump-dom \
    "file://$PWD/$copy" > dom.txt 2> browser.txt
  grep -q '<title>pass ' dom.txt || fail "$1 at $4: $(grep -om1 '<title>[^<]*' dom.txt)"
  ! grep CONSOLE browser.txt || fail "$1 wrote to the console"
}
