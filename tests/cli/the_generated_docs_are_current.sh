# What docs/ quotes from the programs is what the programs print now.
# the blocks that name no language: a block of YAML is the page's own
fence() { awk '/^```/ { if (inside) inside = wanted = 0; else { inside = 1; wanted = $0 == "```" } next } wanted' "$SOURCE/docs/$1"; }
diff <(fence settings.md) <("$FLIP" train --list-settings) ||
  fail "docs/settings.md is stale: put the output of 'flip train --list-settings' into it"
diff <(fence experiments.md) <("$FLIPBENCH" report --list) ||
  fail "docs/experiments.md is stale: put the output of 'flipbench report --list' into it"
