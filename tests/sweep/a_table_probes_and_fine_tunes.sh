# One table from pre-training to the probe and the classifier, by the real trainer: cells are probed
# when they finish, classifiers are trained from them and from what was tuned from them, and the report
# shows all of it, with the published values and the claims.
. "$SOURCE/tests/support/training.sh"
make_data
for part in train heldout; do
  printf 'name: %s\nimages: [data/%s-*.tar]\ntasks: [probe, zeroshot]\nlabel: color\ntemplates: ["a {}"]\n' $part $part > $part.yaml
done
mkdir -p experiments
cat > experiments/transfer.yaml <<'Y'
name: transfer
title: "Probe and fine-tuning"
base: ../run.yaml
settings:
  {samples: 640, eval.sets: [heldout.yaml], eval.points: 1, eval.probe_train: train.yaml, eval.probe_epochs: 3}
matrix:
  method:
    - {label: CLIP, mask_ratio: 0}
    - {label: FLIP, mask_ratio: 0.5}
tuning:
  unmasked: {from: "${cell}", when: {method: FLIP}, mask_ratio: 0, samples: 64}
  classifier: &classifier
    from: "${cell}"
    when: {method: CLIP}
    classification: {classes: 10, train: train.yaml, layer_decay: 0.75, label_smoothing: 0.1}
    epochs: 2
    eval.points: 2
  tuned_classifier:
    from: "${unmasked}"
    classification: {classes: 10, train: train.yaml, layer_decay: 0.75, label_smoothing: 0.1}
    epochs: 2
    eval.points: 2
report:
  rows: method
  columns: [zero_shot_top1, tuned_zero_shot_top1, linear_probe_top1, tuned_linear_probe_top1,
            linear_probe_mean_per_class, tuned_linear_probe_mean_per_class, fine_tuned_top1, fine_tuned_top5]
  reference:
    - {method: CLIP, linear_probe_top1: 82.6, fine_tuned_top1: 86.3}
    - {method: FLIP, tuned_linear_probe_top1: 83.6, fine_tuned_top1: 86.9}
claims:
  - {claim: "FLIP probes better", from: Table 3, metric: tuned_linear_probe_top1, against_metric: linear_probe_top1,
     of: {method: FLIP}, against: {method: CLIP}, expect: greater}
  - {claim: "FLIP probes better per class", from: Table 3, metric: tuned_linear_probe_mean_per_class,
     against_metric: linear_probe_mean_per_class, of: {method: FLIP}, against: {method: CLIP}, expect: greater}
  - {claim: "FLIP fine-tunes better", from: Table 3, metric: fine_tuned_top1, of: {method: FLIP},
     against: {method: CLIP}, expect: greater}
Y
expect_status 0 "$FLIPBENCH" run experiments/transfer.yaml --results results
expect_status 0 "$FLIPBENCH" report transfer --results results --format csv
cp out.txt report.csv
for value in 82.6 86.3 83.6 86.9; do grep -q "$value" report.csv || fail "no $value: $(cat report.csv)"; done
# what the report shows is what the last evaluation of each run's events says
column() { head -1 report.csv | tr ',' '\n' | grep -nx "$1" | cut -d: -f1; }
shown() { grep "^$1," report.csv | cut -d, -f"$(column "$2")"; }
said() { grep -hoE "\"task\":\"$2\",\"metrics\":\{\"top1\":[0-9.e-]*" results/transfer/$1/events.jsonl | tail -1 | cut -d: -f4; }
same() { # METHOD COLUMN RUN TASK
  local value
  value=$(said "$3" "$4")
  [ -n "$value" ] || fail "$3 has no $4"
  awk -v a="$(shown "$1" "$2")" -v b="$value" 'BEGIN { d = a - 100 * b; exit !(d < 0.06 && d > -0.06) }' ||
    fail "$1 $2: $(shown "$1" "$2"), its run says $value: $(cat report.csv)"
}
ls results/transfer > runs.txt
clip=$(grep -i '^clip' runs.txt | grep -v classifier); flip=$(grep -i '^flip.*unmasked' runs.txt | grep -v classifier)
same CLIP linear_probe_top1 "$clip" probe
same FLIP tuned_linear_probe_top1 "$flip" probe
same CLIP fine_tuned_top1 "$(grep -i '^clip.*classifier' runs.txt)" classification
same FLIP fine_tuned_top1 "$(grep -i '^flip.*classifier' runs.txt)" classification
# The probe's mean over classes: as zero-shot's, the variance of every class's share of hits, classes of
# one image together, then Wilson's form. `mean` prints value, low, high.
probed() { grep '"task":"probe"' "results/transfer/$clip/events.jsonl" | sed -nE "s/.*\"$1\":\"([^\"]*)\".*/\1/p" | base64 -d; }
paste <(probed top1 | od -An -v -tu1 -w1 | awk '{ for (i = 0; i < 8; i++) { print $1 % 2; $1 = int($1 / 2) } }') \
  <(probed labels | od -An -v -tu2 -w2) | awk '{ n[$2]++; right[$2] += $1 } END {
    for (c in n) classes++
    for (c in n) {
      p += right[c] / n[c] / classes
      if (n[c] > 1) e2 += right[c] / n[c] * (1 - right[c] / n[c]) / (n[c] - 1) / classes ^ 2
      else { single++; hits += right[c] } }
    if (single > 1) e2 += single ^ 2 * hits / single * (1 - hits / single) / (single - 1) / classes ^ 2
    z = 1.959964; m = p * (1 - p) / e2; middle = (p + z * z / (2 * m)) / (1 + z * z / m)
    w = z * sqrt(p * (1 - p) / m + z * z / (4 * m * m)) / (1 + z * z / m); print 100 * p, 100 * (middle - w), 100 * (middle + w) }' > mean
shown_all() { echo "$(shown CLIP $1) $(shown CLIP $1_low) $(shown CLIP $1_high)"; }
paste mean <(shown_all linear_probe_mean_per_class) | awk 'NF == 6 && ($1 - $4) ^ 2 + ($2 - $5) ^ 2 + ($3 - $6) ^ 2 < 0.01 { good = 1 } END { exit !good }' ||
  fail "the probe per class is $(shown_all linear_probe_mean_per_class), by hand $(cat mean)"
[ "$(shown CLIP linear_probe_mean_per_class_interval_over)" = images ] || fail "the interval per class does not say what it covers"
expect_status 0 "$FLIPBENCH" report transfer --results results --claims --format csv
grep 'probes better per class' out.txt | grep -q ',paired images,' || fail "probes per class are not paired: $(cat out.txt)"
expect_status 0 "$FLIPBENCH" report transfer --results results
grep -q 'FLIP fine-tunes better' out.txt || fail "the claim is not judged: $(cat out.txt)"
! grep -q ': not run' out.txt || fail "a claim has no runs: $(cat out.txt)"

# A probe added to an existing table: cells at rate 0 start from the tuned ones, or from those without a
# tuning, change none of their weights, and the table shows their probe; the existing cells keep their identity.
cat > experiments/after.yaml <<'Y'
name: after
base: ../run.yaml
settings: {samples: 640, eval.sets: [heldout.yaml], eval.points: 1}
matrix: {mask_ratio: [0, 0.5]}
tuning:
  unmasked: {from: "${cell}", when: {mask_ratio: 0.5}, mask_ratio: 0, samples: 64}
report: {rows: mask_ratio, columns: [zero_shot_top1, tuned_zero_shot_top1, linear_probe_top1, tuned_linear_probe_top1]}
Y
expect_status 0 "$FLIPBENCH" run experiments/after.yaml --results results
ls results/after > before.txt
sed -i '/^report:/i\  own: {from: "${cell}", when: {mask_ratio: 0}, samples: 32, warmup_samples: 0, learning_rate: 0,\n        base_learning_rate: 0, image.resize_to: 28, eval.probe_train: train.yaml, eval.probe_epochs: 3}\n  probed: {from: "${unmasked}", mask_ratio: 0, samples: 32, warmup_samples: 0, learning_rate: 0,\n           base_learning_rate: 0, eval.probe_train: train.yaml, eval.probe_epochs: 3}' experiments/after.yaml
expect_status 0 "$FLIPBENCH" report after --results results
expect_line out.txt 'probed tuning: not run'
expect_line out.txt 'own tuning: not run'
expect_status 0 "$FLIPBENCH" run experiments/after.yaml --results results
ls results/after > after.txt
[ "$(comm -23 before.txt after.txt | wc -l)" = 0 ] && [ "$(comm -13 before.txt after.txt | wc -l)" = 2 ] ||
  fail "cells other than the probe's were added: $(cat before.txt after.txt)"
tuned=results/after/$(grep unmasked before.txt) probed=results/after/$(comm -13 before.txt after.txt | grep probed)
own=results/after/$(comm -13 before.txt after.txt | grep -v probed)
weights() { bytes "$1" $(($(od -An -tu8 -N8 "$1") + 8)) "$2"; }
size=$((4 * $(field start total "$tuned/events.jsonl" | sed -n 1p)))
cmp <(weights "$(newest "$tuned")" $size) <(weights "$(newest "$probed")" $size) || fail "rate 0 changed the weights"
expect_status 0 "$FLIPBENCH" report after --results results --format csv
cp out.txt report.csv
shows() { # ROW COLUMN RUN
  local value=$(grep -hoE '"task":"probe","metrics":\{"top1":[0-9.e-]*' "$3/events.jsonl" | tail -1 | cut -d: -f4)
  awk -v a="$(shown $1 $2)" -v b="$value" 'BEGIN { d = a - 100 * b; exit !(b != "" && a != "" && d < 0.06 && d > -0.06) }' ||
    fail "the table does not show the probe $value of $3: $(cat report.csv)"
}
shows 0.5 tuned_linear_probe_top1 "$probed"
shows 0 linear_probe_top1 "$own"
