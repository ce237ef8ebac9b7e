# Each alternative of a `ctest -R PATTERN` in the documents matches a test.
names=$(ctest --test-dir "$BINARY" -N | sed -n 's/.*Test *#[0-9]*: //p')
[ "$(wc -l <<<"$names")" -gt 200 ] || fail "ctest -N lists no tests"
grep -qx nccl <<<"$names" || { echo "skipped: without the headers of CUDA and NCCL this build lacks tests"; exit 77; }
grep -ohE 'ctest -R [^`]*`' "$SOURCE"/docs/*.md "$SOURCE/README.md" | sed 's/^ctest -R //; s/`$//; s/ -[A-Z].*//' | sort -u >patterns.txt
[ "$(wc -l <patterns.txt)" -gt 50 ] || fail "no pattern was found"
alternatives() { # each on a line: of "a|^(b|c)$" they are a, ^b$ and ^c$
  awk '
    function expand(text, inner, before, after, words, count, i) { # text: without a "|" outside groups
      if (!match(text, /\([^()]*\)/)) { print text; return }
      before = substr(text, 1, RSTART - 1); inner = substr(text, RSTART + 1, RLENGTH - 2); after = substr(text, RSTART + RLENGTH)
      count = split(inner, words, "|")
      for (i = 1; i <= count; i++) expand(before words[i] after)
    }
    {
      depth = 0; one = ""
      for (at = 1; at <= length($0); at++) {
        c = substr($0, at, 1)
        depth += (c == "(") - (c == ")")
        if (c == "|" && depth == 0) { expand(one); one = "" } else one = one c
      }
      expand(one)
    }'
}
[ "$(echo 'a|^(b|c(d|e))$' | alternatives | tr '\n' ' ')" = 'a ^b$ ^cd$ ^b$ ^ce$ ' ] || fail "alternatives are not separated"
# quotes are left out; a pipe in a table is escaped
sed "s/^['\"]//; s/['\"]\$//; s/\\\\|/|/g" patterns.txt | alternatives | while read -r pattern; do
  grep -qE -- "$pattern" <<<"$names" || echo "$pattern"
done >missing.txt
[ ! -s missing.txt ] || { cat missing.txt; fail "documents name tests that do not exist"; }
