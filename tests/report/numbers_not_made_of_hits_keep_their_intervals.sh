. "$SOURCE/tests/support/training.sh"
. "$SOURCE/tests/support/record.sh"
make_data
# ROC AUC, 11-point mAP and the mean of top-1 and top-5, of real runs: reports show the intervals over
# images that the runs recorded, with several seeds combined with their spread, and what each covers.
mkdir experiments unpacked json
tar xf data/heldout-00000.tar -C unpacked
value() { grep -o "\"$2\":\"[a-z]*\"" "$1" | cut -d'"' -f4; }
for j in unpacked/*.json; do
  key=$(basename "${j%.json}"); cp "unpacked/$key.png" json/
  printf '{"objects":["%s","%s"]}' "$(value "$j" shape)" "$(value "$j" color)" > "json/$key.json"
done
tar cf json.tar --sort=name -C json .
list=$(for j in unpacked/*.json; do value "$j" shape; value "$j" color; done | sort -u | tr '\n' ',' | sed 's/,$//')
set -- $(for j in unpacked/*.json; do value "$j" shape; done | sort | uniq -c | sort -rn | awk 'NR < 3 { print $2 }')
printf 'name: auc\nimages: [data/heldout-*.tar]\ntasks: [zeroshot]\nlabel: shape\nmetric: roc_auc\nclasses: [%s, %s]\ntemplates: ["a {}"]\n' "$1" "$2" > auc.yaml
printf 'name: many\nimages: [json.tar]\ntasks: [zeroshot]\nmultilabel: true\nlabel: objects\nclasses: [%s]\ntemplates: ["a {}"]\n' "$list" > many.yaml
printf 'name: both\nimages: [data/heldout-*.tar]\ntasks: [zeroshot]\nlabel: color\nmetric: mean_top1_top5\ntemplates: ["a {}"]\n' > both.yaml
write_file() { # NAME SEEDS
  cat > "experiments/$1.yaml" <<Y
name: $1
base: ../run.yaml
settings: {samples: 3200, eval.points: 1, eval.sets: [auc.yaml, many.yaml, both.yaml]}
matrix: {mask_ratio: [0, 0.5], seed: $2}
report:
  rows: mask_ratio
  baseline: {mask_ratio: 0}
  iso: zero_shot_roc_auc
  columns: [zero_shot_roc_auc, zero_shot_map_11point, zero_shot_mean_top1_top5, zero_shot_top1, final_loss]
claims:
  - {claim: area, metric: zero_shot_roc_auc, of: {mask_ratio: 0.5}, against: {mask_ratio: 0}, expect: greater}
  - {claim: precision, metric: zero_shot_map_11point, of: {mask_ratio: 0.5}, against: {mask_ratio: 0}, expect: greater, than: -99}
  - {claim: both, metric: zero_shot_mean_top1_top5, of: {mask_ratio: 0.5}, against: {mask_ratio: 0}, expect: greater}
Y
}
write_file one '[0]'
write_file two '[0, 1]'
expect_status 0 bench run experiments/one.yaml --no-progress
expect_status 0 bench run experiments/two.yaml --no-progress
bench report one --format json > one.json
bench report two --format json > two.json

# record RATIO SEED: the events of that run.
record() {
  for run in results/*/*/events.jsonl; do
    [ -e "$run" ] || continue
    [ "$(sed -nE '1s/.*"settings":\{"seed":([0-9]+),.*"mask_ratio":([0-9.]+),.*/\2 \1/p' "$run")" = "$1 $2" ] && echo "$run"
  done
  return 0
}
# event RATIO SEED METRIC: the value in the run's own record, as a share.
event() { sed -nE "s/.*\"$3\":([0-9.e-]+).*\"images\".*/\\1/p" "$(record $1 $2)" | sed -n 1p; }
# shown FILE RATIO COLUMN PATH
shown() { sqlite3 :memory: "SELECT value -> 'values' -> '$3' ->> '$4' FROM json_each(readfile('$1.json'), '\$.rows') WHERE value -> 'row' ->> 'mask_ratio' = '$2'"; }
claim() { sqlite3 :memory: "SELECT value ->> '$3' FROM json_each(readfile('$1.json'), '\$.claims') WHERE value ->> 'claim' = '$2'"; }
equal() { # WHAT MEASURED EXPECTED
  awk -v a="$2" -v b="$3" 'BEGIN { exit !(a != "" && (a - b) ^ 2 < 1e-8) }' || fail "$1: '$2' is shown, '$3' was expected"
}
alike() { [ "$2" = "$3" ] || fail "$1: '$2' is shown, '$3' was expected"; }

# One seed: the run's own bounds.
for pair in zero_shot_roc_auc:roc_auc zero_shot_map_11point:map_11point; do
  for ratio in 0 0.5; do
    column=${pair%:*} metric=${pair#*:}
    for end in value: low:_low high:_high; do
      equal "$column ${end%:*}" "$(shown one $ratio $column "${end%:*}")" "$(awk -v v="$(event $ratio 0 "$metric${end#*:}")" 'BEGIN { print 100 * v }' OFMT=%.12g)"
    done
    alike "$column source" "$(shown one $ratio $column interval_over)" images
  done
done
# resamples RATIO SEED METRIC: its value on each of the 1,000 resamples.
resamples() {
  sed -nE "s/.*\"resampled\":\{\"$3\":\"([^\"]*)\".*/\\1/p" "$(record $1 $2)" | base64 -d | od -An -v -tf4 -w4
}
# Both runs resample the same images: 1.96 standard deviations of the differences.
hand_difference() { # METRIC
  paste <(resamples 0.5 0 $1) <(resamples 0 0 $1) | awk -v a="$(event 0.5 0 $1)" -v b="$(event 0 0 $1)" '
    /nan/ { next } # a resample without one of the classes
    { v = $1 - $2; s += v; q += v * v; n++ }
    END { if (NR != 1000 || n < 950) exit 1; w = 1.959964 * sqrt((q - s * s / n) / (n - 1)); d = a - b
          printf "%.12g %.12g %.12g\n", 100 * d, 100 * (d - w), 100 * (d + w) }'
}
check_claim() { # FILE CLAIM VALUE LOW HIGH OVER
  equal "$2 value" "$(claim $1 $2 value)" $3
  equal "$2 low" "$(claim $1 $2 low)" $4
  equal "$2 high" "$(claim $1 $2 high)" $5
  alike "$2 source" "$(claim $1 $2 interval_over)" "$6"
}
check_claim one area $(hand_difference roc_auc) 'paired images'
check_claim one precision $(hand_difference map_11point) 'paired images'

# Two seeds: as an accuracy (docs/results.md), the resamples in place of the images; Student's t with
# one degree of freedom, 12.7062.
hand_seeds() { # LOWEST HIGHEST FIRST SECOND, from lines of both seeds' values on a resample
  awk -v lowest=$1 -v highest=$2 -v a="$3" -v b="$4" '
    /nan/ { next }
    { m = ($1 + $2) / 2; o = ($1 - $2) / 2; s += m; q += m * m; so += o; qo += o * o; n++ }
    END { images = (q - s * s / n) / (n - 1); rest = 2 * (qo - so * so / n) / (n - 1) / 2; seeds = (a - b) ^ 2 / 2 / 2
          own = seeds > 0 ? seeds - 0.8 * rest * rest / seeds : 0; if (own < 0) own = 0
          w = sqrt(1.959964 ^ 2 * images + 12.706204736 ^ 2 * own); l = (a + b) / 2 - w; h = (a + b) / 2 + w
          printf("%.12g %.12g %.12g\n", 50 * (a + b), l < lowest ? 100 * lowest : 100 * l, h > highest ? 100 * highest : 100 * h) }'
}
hand_mean() { # RATIO METRIC
  paste <(resamples $1 0 $2) <(resamples $1 1 $2) | hand_seeds 0 1 "$(event $1 0 $2)" "$(event $1 1 $2)"
}
hand_paired() { # METRIC
  minus() { awk -v a="$(event 0.5 $1 $2)" -v b="$(event 0 $1 $2)" 'BEGIN { printf "%.12g", a - b }'; }
  paste <(resamples 0.5 0 $1) <(resamples 0 0 $1) <(resamples 0.5 1 $1) <(resamples 0 1 $1) |
    awk '{ print $1 - $2, $3 - $4 }' OFMT=%.12g | hand_seeds -9 9 "$(minus 0 $1)" "$(minus 1 $1)"
}
for ratio in 0 0.5; do
  for pair in zero_shot_roc_auc:roc_auc zero_shot_map_11point:map_11point; do
    column=${pair%:*}
    set -- $(hand_mean $ratio ${pair#*:})
    equal "$column of two seeds" "$(shown two $ratio $column value)" $1
    equal "$column of two seeds, low" "$(shown two $ratio $column low)" $2
    equal "$column of two seeds, high" "$(shown two $ratio $column high)" $3
    alike "$column of two seeds, source" "$(shown two $ratio $column interval_over)" 'seeds and images'
  done
done
check_claim two area $(hand_paired roc_auc) 'seeds and paired images'
check_claim two precision $(hand_paired map_11point) 'seeds and paired images'
alike 'loss of two seeds' "$(shown two 0 final_loss interval_over)" seeds
alike 'loss of one seed' "$(shown one 0 final_loss interval_over)" ''

# The mean of top-1 and top-5 is computed from hits: Wilson's form at the variance of the images' means.
bits() { # RATIO METRIC: a 0 or 1 per line, for 40 images in 5 bytes
  sed -nE "s/.*\"set\":\"both\".*\"hits\":.*\"$2\":\"([^\"]*)\".*/\\1/p" "$(record $1 0)" | base64 -d |
    od -An -v -tu1 -w1 | awk '{ for (i = 0; i < 8; i++) { print $1 % 2; $1 = int($1 / 2) } }'
}
set -- $(paste <(bits 0 top1) <(bits 0 top5) | awk '{ v = ($1 + $2) / 2; s += v; q += v * v; n++ }
  END { p = s / n; e2 = (q - s * s / n) / (n - 1) / n; z = 1.959964; m = p * (1 - p) / e2; c = (p + z * z / (2 * m)) / (1 + z * z / m)
        w = z * sqrt(p * (1 - p) / m + z * z / (4 * m * m)) / (1 + z * z / m); printf "%.12g %.12g %.12g", 100 * p, 100 * (c - w), 100 * (c + w) }')
equal 'both' "$(shown one 0 zero_shot_mean_top1_top5 value)" $1
equal 'both, low' "$(shown one 0 zero_shot_mean_top1_top5 low)" $2
equal 'both, high' "$(shown one 0 zero_shot_mean_top1_top5 high)" $3
alike 'both, source' "$(shown one 0 zero_shot_mean_top1_top5 interval_over)" images
alike 'difference of both' "$(claim one both interval_over)" 'paired images'

# Every format says what the intervals cover.
note='ROC AUC, 11-point mAP: 95 . intervals over images by each run.s bootstrap; differences are paired by image'
expect_status 0 bench report one
expect_line out.txt "^$note$"
expect_line out.txt '^- area: .*95 % interval .*one seed, [0-9]+ images( †)?; '
expect_line out.txt '^- both: .*one seed, 40 images( †)?; '
expect_line out.txt '^ROC AUC \(%\) of mask 50 % minus that of mask 0 %: .*one seed, [0-9]+ images\)'
expect_line out.txt '^ +0 %( †)? +[0-9.]+ \[[0-9.]+, [0-9.]+\] +[0-9.]+ \[[0-9.]+, [0-9.]+\] +[0-9.]+ \[[0-9.]+, [0-9.]+\]'
bench report one --format markdown > out.txt; expect_line out.txt "^$note\.$"
bench report one --format latex > out.txt; expect_line out.txt 'ROC AUC, 11-point mAP: 95 .% intervals over images by each run.s bootstrap'
bench report two > out.txt; expect_line out.txt 'by each run.s bootstrap, widened by the spread over seeds; differences are paired'
bench report one --format csv > one.csv
[ "$(sqlite3 :memory: '.import --csv one.csv c' "SELECT zero_shot_roc_auc_low + 0 < zero_shot_roc_auc + 0, zero_shot_roc_auc_interval_over, zero_shot_roc_auc_from_baseline_interval_over FROM c WHERE mask_ratio = '0.5'")" = '1|images|paired images' ] || fail "the CSV does not say it"
bench report one --format csv --claims > claims.csv
[ "$(sqlite3 :memory: '.import --csv claims.csv c' "SELECT interval_over FROM c WHERE claim = 'area'")" = 'paired images' ] || fail "the claims' CSV does not say it"
expect_status 0 bench report one --format html
expect_line results/one/report.html "$note"
expect_line results/one/report.html '95 % interval over images; one seed, [0-9]+ images'
expect_line results/one/report.html '"auc zeroshot roc_auc","[0-9.]+ \[[0-9.]+, [0-9.]+\]"'

# A single run: its bounds are on the line of the number, not listed as separate numbers.
expect_status 0 bench show 1
expect_line out.txt '^last evaluation, with 95 % intervals over images$'
expect_line out.txt '^  auc +zeroshot +roc_auc +[0-9.]+ \[[0-9.]+, [0-9.]+\]$'
expect_line out.txt '^  many +zeroshot +map_11point +[0-9.]+ \[[0-9.]+, [0-9.]+\]$'
expect_line out.txt '^  both +zeroshot +mean_top1_top5 +[0-9.]+ \[[0-9.]+, [0-9.]+\]$'
expect_line out.txt '^  auc +zeroshot +chance +0.5$'
! grep -qE 'roc_auc_(low|high)' out.txt || fail "a bound is listed as a separate number"
bench show 1 --json > show.json
[ "$(sqlite3 :memory: "SELECT group_concat(value ->> 'interval_over') FROM json_each(readfile('show.json'), '\$.evaluation') WHERE value ->> 'metric' IN ('roc_auc', 'map_11point')")" = images,images ] || fail "show --json has no bounds"

# Records of versions that did not keep the resampled values: differences are not paired, and every
# format says so. The wider sides of both, since recorded bounds may end at 0 or 1.
unpaired() { # METRIC
  awk -v a="$(event 0.5 0 $1)" -v al="$(event 0.5 0 $1_low)" -v ah="$(event 0.5 0 $1_high)" \
    -v b="$(event 0 0 $1)" -v bl="$(event 0 0 $1_low)" -v bh="$(event 0 0 $1_high)" '
    function wider(v, l, h) { return h - v > v - l ? h - v : v - l }
    BEGIN { d = a - b; w = sqrt(wider(a, al, ah) ^ 2 + wider(b, bl, bh) ^ 2)
            printf "%.12g %.12g %.12g\n", 100 * d, 100 * (d - w), 100 * (d + w) }'
}
forget() { # SCRIPT: edits the record of every run
  sed -i -E "$1" results/*/*/events.jsonl
  rm results/flipbench.db*
  expect_status 0 bench db rebuild
  bench report one --format json > one.json
  bench report two --format json > two.json
}
forget 's/"resampled":\{"roc_auc":"[^"]*"\},//'
check_claim one area $(unpaired roc_auc) 'unpaired images'
check_claim one precision $(hand_difference map_11point) 'paired images'
alike 'area of two seeds' "$(claim two area interval_over)" 'seeds and unpaired images'
bench report one > out.txt
expect_line out.txt 'bootstrap; some differences are not paired by image: the runs recorded no values on resampled images'
expect_line out.txt '^- area: .*one seed, [0-9]+ images, not paired by image( †)?; cannot tell'
expect_line out.txt '^ROC AUC \(%\) of mask 50 % minus that of mask 0 %: .*one seed, [0-9]+ images, not paired by image\)'
# Values that do not reproduce the recorded bounds belong to something else and are not used.
forget 's/("map_11point_low":)[0-9.]+/\10.01/'
alike 'precision with other bounds' "$(claim one precision interval_over)" 'unpaired images'
