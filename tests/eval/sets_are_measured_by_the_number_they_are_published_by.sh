# Several labels an image (VOC's files and JSON lists), ROC AUC, means of two numbers, Table 4's suite.
. "$SOURCE/tests/support/training.sh"
make_data
train --out run --set eval.points=0
number() { grep -o "\"$1\":[0-9.e-]*" "$2" | cut -d: -f2; }
mkdir unpacked; tar xf data/heldout-00000.tar -C unpacked

# VOC's layout: an image's shape and its colour are two labels; every fifth star is difficult. The first
# image is in the data and not in the lists.
mkdir -p voc/JPEGImages voc/Main json
value() { grep -o "\"$2\":\"[a-z]*\"" "$1" | cut -d'"' -f4; }
classes=$(for j in unpacked/*.json; do value "$j" shape; value "$j" color; done | sort -u)
number=0
for json in unpacked/*.json; do
  key=$(basename "${json%.json}"); shape=$(value "$json" shape); color=$(value "$json" color)
  cp "unpacked/$key.png" voc/JPEGImages/
  number=$((number + 1))
  [ $number = 1 ] && continue
  for class in $classes; do
    mark=-1
    [ "$class" = "$shape" ] || [ "$class" = "$color" ] && mark=1
    [ $((number % 5)) = 0 ] && [ "$class" = star ] && mark=0
    printf '%s %2d\n' "$key" $mark >> "voc/Main/${class}_test.txt"
  done
  labels="\"$shape\",\"$color \""; difficult= # white space at the ends is no part of a label
  if [ $((number % 5)) = 0 ]; then difficult='"star"'; labels=$(printf %s "$labels" | sed 's/"star",//'); fi
  cp "unpacked/$key.png" json/
  printf '{"objects":[%s],"difficult":[%s]}' "$labels" "$difficult" > "json/$key.json"
done
list=$(echo $classes | sed 's/ /, /g')
cat > voc.yaml <<Y
images: ["folder:voc/JPEGImages"]
tasks: [zeroshot]
multilabel: true
label_files: "voc/Main/{}_test.txt"
classes: [$list]
templates: ["a {}"]
Y
tar cf json.tar --sort=name -C json .
sed -e 's/^label_files.*/label: objects\nignore_label: difficult/' -e 's/^images.*/images: [json.tar]/' -e '1i name: voc' voc.yaml > json.yaml
expect_status 0 "$FLIP" eval -m run -f voc.yaml --json
[ "$(number images out.txt)" = 39 ] || { cat out.txt; fail "39 images were expected"; }
expect_line out.txt '"metric":"map_11point"'
grep -q '"top1"' out.txt && fail "a set of several labels has no top-1"
expect_line err.txt '1 image is not in the label files'
grep -o '"map_11point":[0-9.]*' out.txt > files.txt
expect_status 0 "$FLIP" eval -m run -f json.yaml --json
grep -o '"map_11point":[0-9.]*' out.txt | diff files.txt - || fail "files and JSON lists give different numbers"
sed '/^ignore_label/d' json.yaml > all.yaml
expect_status 0 "$FLIP" eval -m run -f all.yaml --json
grep -o '"map_11point":[0-9.]*' out.txt | cmp -s files.txt - && fail "ignoring difficult images changes nothing"
expect_status 0 "$FLIP" eval -m run -f voc.yaml
expect_line out.txt '11-point mAP'

# An empty list is an image with none of the classes, as one whose lines are all -1; without the
# list it is left out.
first=$(ls unpacked/*.json | head -1); key=$(basename "$first" .json)
cp "unpacked/$key.png" json/; printf '{"objects":[]}' > "json/$key.json"
for class in $classes; do printf '%s -1\n' "$key" >> "voc/Main/${class}_test.txt"; done
tar cf json.tar --sort=name -C json .
expect_status 0 "$FLIP" eval -m run -f voc.yaml --json
[ "$(number images out.txt)" = 40 ] || { cat out.txt; fail "40 images were expected"; }
grep -o '"map_11point":[0-9.]*' out.txt > more.txt
cmp -s files.txt more.txt && fail "an image without any class changes nothing"
expect_status 0 "$FLIP" eval -m run -f json.yaml --json
grep -o '"map_11point":[0-9.]*' out.txt | diff more.txt - || fail "an empty list is not a list"
printf '{"difficult":[]}' > "json/$key.json"
tar cf json.tar --sort=name -C json .
expect_status 0 "$FLIP" eval -m run -f json.yaml --json
[ "$(number images out.txt)" = 39 ] || { cat out.txt; fail "an image without a list of labels takes part"; }
expect_line err.txt "1 image has no label 'objects'"
grep -q ignore_label err.txt && fail "difficult is a list here"
sed 's/difficult/dificult/' json.yaml > misspelt.yaml
expect_status 0 "$FLIP" eval -m run -f misspelt.yaml --json
expect_line err.txt "no image has a list 'dificult' .ignore_label."

# A label that cannot be read leaves an image without classes; retrieval does not need one, however it is asked for.
cp -r json odd; cp unpacked/*.txt odd/
printf '{"objects":[star]}' > "odd/$(basename "$(ls odd/*.json | sed -n 2p)")"
tar cf odd.tar --sort=name -C odd .
sed -e 's/json.tar/odd.tar/' -e 's/zeroshot/zeroshot, retrieval/' json.yaml > odd.yaml
expect_status 0 "$FLIP" eval -m run -f odd.yaml --json
grep -o '"retrieval":.*' out.txt | sed 's/}.*//' > both.txt
expect_status 0 "$FLIP" eval retrieval -m run -f odd.yaml --json
grep -o '"retrieval":.*' out.txt | sed 's/}.*//' | diff both.txt - || fail "an unreadable label changes retrieval"
[ -s both.txt ] || { cat out.txt; fail "no retrieval"; }

# The files of labels are inputs, and named where one is missing.
expect_status 0 "$FLIP" inputs -c run.yaml --set eval.sets=voc.yaml
[ "$(grep -c 'voc/Main/.*_test.txt' out.txt)" = "$(echo $classes | wc -w)" ] || { cat out.txt; fail "not all files of labels are listed"; }
mv "voc/Main/${shape}_test.txt" away.txt
expect_status 1 "$FLIP" inputs -c run.yaml --set eval.sets=voc.yaml
grep -q "voc/Main/${shape}_test.txt" out.txt err.txt || { cat out.txt err.txt; fail "a missing file of labels is not named"; }
mv away.txt "voc/Main/${shape}_test.txt"

# In training the number is recorded, without hits.
train --out watched --set eval.sets=voc.yaml --set eval.points=1
grep '"event":"eval"' watched/events.jsonl > event.txt
expect_line event.txt '"map_11point":[0-9.]+,"map_11point_low":[0-9.]+,"map_11point_high":[0-9.]+.*"hits":\{\}'

# What cannot be.
sed 's/^classes.*//' voc.yaml > wrong.yaml
expect_status 2 "$FLIP" eval -m run -f wrong.yaml; expect_line err.txt "multilabel: list the classes"
sed 's/^multilabel.*/metric: map_11point/;s/^label_files.*//' voc.yaml > wrong.yaml
expect_status 2 "$FLIP" eval -m run -f wrong.yaml; expect_line err.txt "needs a set with multilabel: true"
{ cat voc.yaml; echo 'min_images: 5'; } > wrong.yaml
expect_status 2 "$FLIP" eval -m run -f wrong.yaml; expect_line err.txt "multilabel: min_images leaves out no class"
{ cat held.yaml; echo 'metric: top_1'; } > wrong.yaml
expect_status 2 "$FLIP" eval -m run -f wrong.yaml; expect_line err.txt "did you mean 'top1'"
{ cat held.yaml; echo 'metric: roc_auc'; } > wrong.yaml
expect_status 2 "$FLIP" eval zeroshot -m run -f wrong.yaml; expect_line err.txt "roc_auc: needs two classes, the set has"
last=voc/Main/$(echo $classes | tr ' ' '\n' | tail -1)_test.txt; cp "$last" last.txt
sed "\$s/.*/$(head -1 last.txt)/" last.txt > "$last" # as many lines, one image twice
expect_status 2 "$FLIP" eval -m run -f voc.yaml; expect_line err.txt "$last:40: image '.*' is listed twice"
cp last.txt "$last"
printf '000 2\n' >> "voc/Main/$(echo $classes | cut -d' ' -f1)_test.txt"
expect_status 2 "$FLIP" eval -m run -f voc.yaml; expect_line err.txt "_test.txt:41: a line is IMAGE and 1, 0 or -1"

# Numbers of no image: no label is a class, or none of one of two; or the images that have it cannot be read.
sed 's/^classes.*/classes: [zebra, okapi]/' json.yaml > wrong.yaml
expect_status 2 "$FLIP" eval -m run -f wrong.yaml
expect_line err.txt "no image has any of the 2 classes: '.*' is a label, but no class"
mkdir -p torn; cp json/*.json torn
for json in torn/*.json; do
  key=$(basename "${json%.json}")
  if grep -q '"star"' "$json"; then echo torn > "torn/$key.png"; else cp "json/$key.png" torn/; fi
done
tar cf torn.tar --sort=name -C torn .
sed -e 's/^classes.*/classes: [star]/' -e 's/json.tar/torn.tar/' json.yaml > wrong.yaml
expect_status 2 "$FLIP" eval -m run -f wrong.yaml
expect_line err.txt 'metric map_11point: the images that can be read are not of any of the classes'
one=$(value "$(ls unpacked/*.json | head -1)" shape)
sed "/^name/d;s/tasks.*/tasks: [zeroshot]/;\$a metric: roc_auc\nclasses: [$one, okapi]" held.yaml > wrong.yaml
expect_status 2 "$FLIP" eval -m run -f wrong.yaml
expect_line err.txt "metric roc_auc: needs images of both classes; none is of 'okapi'"

# Two classes: AUC and top-1; it does not matter which of the two is called positive.
two=$(for j in unpacked/*.json; do value "$j" shape; done | sort | uniq -c | sort -rn | head -2 | awk '{print $2}')
set -- $two
sed '/^name/d;s/tasks.*/tasks: [zeroshot]/' held.yaml > base.yaml
{ cat base.yaml; echo "metric: roc_auc"; echo "classes: [$1, $2]"; } > auc.yaml
{ cat base.yaml; echo "metric: roc_auc"; echo "classes: [$2, $1]"; } > other.yaml
expect_status 0 "$FLIP" eval -m run -f auc.yaml --json; a=$(number roc_auc out.txt)
expect_status 0 "$FLIP" eval -m run -f other.yaml --json; b=$(number roc_auc out.txt)
[ "$a" = "$b" ] && [ -n "$a" ] || fail "AUC is $a for one class, $b for the other"
{ cat base.yaml; echo "metric: mean_top1_top5"; } > both.yaml
expect_status 0 "$FLIP" eval -m run -f both.yaml --json
awk -v a="$(number top1 out.txt)" -v b="$(number top5 out.txt)" -v m="$(number mean_top1_top5 out.txt)" \
  'BEGIN { d = (a + b) / 2 - m; exit !(b > 0 && m > 0 && d < 1e-9 && d > -1e-9) }' || { cat out.txt; fail "not the mean of both"; }

# A suite takes each set's own number; Table 4's names all 25 sets, whatever is on this machine.
printf 'sets:\n  - {file: auc.yaml}\n  - {file: json.yaml}\n  - {file: held.yaml}\n' > suite.yaml
expect_status 0 "$FLIP" eval suite suite.yaml -m run
expect_line out.txt '^\| auc \| roc_auc \| [0-9.]+ \[[0-9.]+, [0-9.]+\] \|'
expect_line out.txt '^\| json \| map_11point \| [0-9.]+ \[[0-9.]+, [0-9.]+\] \|'
expect_line out.txt '^\| held \| top1 \| [0-9.]+ \[[0-9.]+, [0-9.]+\] \|'
expect_line out.txt '95 % over the set.s images'
expect_status 0 "$FLIP" eval suite suite.yaml -m run --json
tr '{' '\n' < out.txt | grep -o '"value":[0-9.e-]*,"low":[0-9.e-]*,"high":[0-9.e-]*' | sed -E 's/"[a-z]*"://g; s/,/ /g' |
  awk '{ if (!($2 <= $1 && $1 <= $3 && $2 < $3)) bad = 1 } END { exit bad || NR != 3 }' || { cat out.txt; fail "intervals"; }
expect_status 2 "$FLIP" eval suite "$SOURCE/experiments/evals/table4.yaml" -m run
[ "$(grep -c '^| [a-z0-9_]* | [a-z0-9_]* | – |' out.txt)" = 25 ] || { cat out.txt; fail "25 sets were expected"; }
expect_line out.txt '^\| voc2007 \| map_11point \| – \| 81.1 \| 83.1 \|'
expect_line out.txt '^\| kinetics700 \| mean_top1_top5 \| – \| 53.5 \| 55.8 \|'
expect_line out.txt '^\| hateful_memes \| roc_auc \| – \| 53.3 \| 54.0 \|'
