# Corrupted held-out images: in a set's file, in a suite with a mean, and in a run's record.
. "$SOURCE/tests/support/training.sh"
make_data
train --out run --set eval.points=0
{ cat held.yaml; echo 'corruption: {kind: gaussian_noise, strength: 5}'; } > noisy.yaml
expect_status 0 "$FLIP" eval -m run -f held.yaml --json; cp out.txt clean.txt
expect_status 0 "$FLIP" eval -m run -f noisy.yaml --json; cp out.txt noisy.txt
cmp -s clean.txt noisy.txt && fail "noise changes nothing"
expect_status 0 "$FLIP" eval -m run -f noisy.yaml --json --set seed=9
diff noisy.txt out.txt || fail "the noise depends on the run's seed"
expect_status 0 "$FLIP" eval -m run -f noisy.yaml --json --set threads=1
diff noisy.txt out.txt || fail "the noise depends on the threads"

# The set's fingerprint, by which runs are compared, says that the images are others.
train --out a --set eval.points=0 >/dev/null
train --out b --set eval.points=0 --set eval.sets=noisy.yaml
prints() { grep -o '"evaluation_fingerprints":{[^}]*}' "$1/events.jsonl" | grep -o '"scenes":"[0-9a-f]*"'; }
[ "$(prints a)" != "$(prints b)" ] || fail "a corrupted set has the clean one's fingerprint"

# A suite: the same set in several ways, the mean over the corrupted ones; the first is not in it.
cat > suite.yaml <<'Y'
mean: mean of two
sets:
  - {file: held.yaml, metric: top5}
  - {file: held.yaml, metric: top5, corruption: {kind: gaussian_noise, strength: 5}}
  - {file: held.yaml, metric: top5, corruption: {kind: occlusion, strength: all}}
Y
expect_status 0 "$FLIP" eval suite suite.yaml -m run
expect_line out.txt '^\| held, gaussian_noise 5 \| top5 \|'
expect_line out.txt '^\| held, occlusion \| top5 \|'
expect_status 0 "$FLIP" eval suite suite.yaml -m run --json
values=$(grep -o '"value":[0-9.]*' out.txt | cut -d: -f2 | tr '\n' ' '); mean=$(grep -o '"mean":[0-9.]*' out.txt | cut -d: -f2)
noisy=$(grep -o '"top5":[0-9.]*' noisy.txt | cut -d: -f2)
echo "$values $mean $noisy" | awk '{ d = ($2 + $3) / 2 - $4; exit !(d * d < 1e-18 && $2 == $5) }' ||
  fail "mean $mean of $values, noise alone $noisy"
sed 's/held.yaml, metric: top5, corruption: {kind: occ/nowhere.yaml, corruption: {kind: occ/' suite.yaml > short.yaml
expect_status 0 "$FLIP" eval suite short.yaml -m run
expect_line out.txt '^\| mean of two \| \| – \|'

# Sets with the same prompts share their embeddings, sets with others do not.
sed 's/^label:.*/label: color/' held.yaml > other.yaml
for set in held other; do
  printf 'sets: [{file: %s.yaml, metric: top5}]' $set > single.yaml
  expect_status 0 "$FLIP" eval suite single.yaml -m run --json
  grep -o '"value":[0-9.]*' out.txt > $set.value
done
echo 'sets: [{file: held.yaml, metric: top5}, {file: other.yaml, metric: top5}, {file: held.yaml, metric: top5}]' > mixed.yaml
expect_status 0 "$FLIP" eval suite mixed.yaml -m run --json
grep -o '"value":[0-9.]*' out.txt | diff <(cat held.value other.value held.value) - || fail 'prompts of another set were used'
cmp -s held.value other.value && fail 'other classes give the same value'

# Every kind and strength of the shipped suite is there.
[ "$(grep -c corruption: "$SOURCE/experiments/evals/corruptions.yaml")" = 25 ] || fail "25 corruptions were expected"

{ cat held.yaml; echo 'corruption: {kind: gausian_noise, strength: 5}'; } > wrong.yaml
expect_status 2 "$FLIP" eval -m run -f wrong.yaml; expect_line err.txt "did you mean 'gaussian_noise'"
{ cat held.yaml; echo 'corruption: {kind: jpeg, strength: 6}'; } > wrong.yaml
expect_status 2 "$FLIP" eval -m run -f wrong.yaml; expect_line err.txt 'strength is a whole number in \[1, 5\] or all'
{ cat held.yaml; echo 'corruption: jpeg'; } > wrong.yaml
expect_status 2 "$FLIP" eval -m run -f wrong.yaml; expect_line err.txt 'corruption takes \{kind: NAME'
