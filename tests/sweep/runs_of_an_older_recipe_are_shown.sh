# This version trains by other rules than the one that made the results here: the cells of the same file are
# others now. What has finished stays, says so wherever it is missing, and can be shown.
. "$SOURCE/tests/support/sweep.sh"
expect_status 0 bench run experiments/small.yaml
bench report small --format csv > then.csv

# The folders as a version of recipe 1 wrote them: with its ids, and without the settings that came later.
old='recipe: 1, image.normalization: clip, text.special_tokens: both'
ids() { bench status small --json | python3 -c '
import json, sys
for cell in json.load(sys.stdin): print(cell["cell"])'; }
ids > new.txt
cp experiments/small.yaml kept.yaml
sed -i "s/^settings: {/&$old, /" experiments/small.yaml
ids > old.txt
cp experiments/small.yaml then.yaml
mv kept.yaml experiments/small.yaml
cmp -s new.txt old.txt && fail 'the cells of recipe 1 are those of this one'
paste new.txt old.txt | sed 's|\(.*\)\t\(.*\)|s/\1/\2/g|' > ids.sed
sed -i -f ids.sed results/small/*/attempts.jsonl
sed -i -E '/"event":"start"/s/"(recipe":[0-9]+|text.special_tokens":"[a-z]+"|image.normalization":"[a-z]+"),//g' \
    results/small/*/events.jsonl
grep -q '"event":"start".*"recipe"' results/small/*/events.jsonl && fail 'a run names its recipe'
rm results/flipbench.db*
expect_status 0 bench db rebuild

said='5 finished runs of small are of recipe 1; this version trains with recipe 2, whose cells are others'
expect_status 0 bench status
expect_line out.txt '^small .* 0/5 finished · 5 more of another recipe$'
expect_status 0 bench status small
expect_line out.txt "^$said"
expect_line out.txt "with the settings of that time shows them: {$old}\$"
expect_status 0 bench report small
expect_line err.txt "$said"
expect_status 0 bench run experiments/small.yaml --dry-run
expect_line err.txt "$said"
expect_line out.txt '^5 cells, 5 to run'

# As it says, a copy of the file with these settings shows them; nothing is trained by their rules.
cp then.yaml experiments/then.yaml
expect_status 0 bench report experiments/then.yaml --format csv
cmp out.txt then.csv || fail 'the table of recipe 1 is another one'
! grep -q recipe err.txt || { cat err.txt; fail 'shown runs are said to be missing'; }
for command in run check; do
  expect_status 2 bench $command experiments/then.yaml
  expect_line err.txt 'recipe: these settings use recipe 1, this version trains with recipe 2'
done

# Nor is anything trained again to be compared with them.
expect_status 2 bench verify 1
expect_line err.txt 'run 1 is of recipe 1, and this version trains with recipe 2'
! ls -d results/verify-* 2> /dev/null || fail 'the run was trained again'
set=(--set recipe=1 --set image.normalization=clip --set text.special_tokens=both)
expect_status 0 bench bundle experiments/small.yaml "${set[@]}" --out then.tar.gz
# (A bundle of a version of recipe 1 names no recipe.)
tar xzf then.tar.gz
python3 -c '
import json
path = "small/MANIFEST.json"
manifest = json.load(open(path))
assert "recipe=1" in manifest["set"]
manifest["set"] = []
json.dump(manifest, open(path, "w"))'
tar czf then.tar.gz small
expect_status 2 bench reproduce then.tar.gz --other-data
expect_line err.txt 'the recorded runs of small are of recipe 1, and this version trains with recipe 2 '
[ ! -e reproduced/small/again ] || fail 'the bundle was trained again'
