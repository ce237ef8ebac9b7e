# Each `ctest -R PATTERN` in the documents matches a test.
names=$(ctest --test-dir "$BINARY" -N | sed -n 's/.*Test *#[0-9]*: //p')
[ "$(wc -l <<<"$names")" -gt 200 ] || fail "ctest -N lists no tests"
grep -qx nccl <<<"$names" || { echo "skipped: without the headers of CUDA and NCCL this build lacks tests"; exit 77; }
grep -ohE 'ctest -R [^`]*`' "$SOURCE"/docs/*.md "$SOURCE/README.md" | sed 's/^ctest -R //; s/`$//; s/ -[A-Z].*//' | sort -u >patterns.txt
[ "$(wc -l <patterns.txt)" -gt 50 ] || fail "no pattern was found"
while read -r pattern; do
  pattern=$(sed "s/^['\"]//; s/['\"]\$//; s/\\\\|/|/g" <<<"$pattern") # quotes; a pipe in a table is escaped
  grep -qE -- "$pattern" <<<"$names" || echo "$pattern"
done <patterns.txt >missing.txt
[ ! -s missing.txt ] || { cat missing.txt; fail "documents name tests that do not exist"; }
