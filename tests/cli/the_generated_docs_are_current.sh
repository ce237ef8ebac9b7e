# What docs/ quotes from the programs is what the programs print now.
fence() { sed -n '/^```$/,/^```$/p' "$SOURCE/docs/$1" | grep -v '^```$'; }
diff <(fence settings.md) <("$FLIP" train --list-settings) ||
  fail "docs/settings.md is stale: put the output of 'flip train --list-settings' into it"
diff <(fence experiments.md) <("$FLIPBENCH" report --list) ||
  fail "docs/experiments.md is stale: put the output of 'flipbench report --list' into it"
