# docs/findings.md, where it is committed, is what the committed record of the paper's tables says:
# results/paper-mini/claims.json, as 'flipbench report --paper --format json' wrote it.
findings=$SOURCE/docs/findings.md record=$SOURCE/results/paper-mini/claims.json
unset FLIPBENCH_DB
check() { # FINDINGS RECORD
  diff "$1" <("$FLIPBENCH" report --paper --from "$2" --format markdown) > difference.txt
}

# The check itself can fail.
"$FLIPBENCH" report --paper --format json > claims.json
"$FLIPBENCH" report --paper --format markdown > findings.md
check findings.md claims.json || fail "what was just generated counts as stale"
sed -i 's/not run/holds/' findings.md
! check findings.md claims.json || fail "an edited document counts as current"

if [ -e "$findings" ] && [ -e "$record" ]; then
  check "$findings" "$record" || { cat difference.txt; fail "docs/findings.md is stale: flipbench report --paper --from results/paper-mini/claims.json --format markdown --out docs/findings.md"; }
elif [ -e "$findings" ]; then
  fail "docs/findings.md is there without the record it is made from, results/paper-mini/claims.json"
fi
