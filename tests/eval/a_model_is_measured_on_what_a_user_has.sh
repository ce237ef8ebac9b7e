# Evaluation sets as people have them: several captions, class files, masked inference, probe, suite.
. "$SOURCE/tests/support/training.sh"
make_data
train --out run --set eval.points=0
number() { grep -o "\"$1\":[0-9.e-]*" "$2" | cut -d: -f2; } # number NAME FILE

# Several captions an image: lines of the .txt, or a list of the .json.
mkdir many; cd many
tar xf ../data/heldout-00000.tar
for text in *.txt; do
  key=${text%.txt}
  first=$(cat "$text")
  printf '%s\na picture of %s\r\n\n%s, once more\n' "$first" "$first" "$first" > "$text"
  printf '{"labels":{"shape":"x"},"captions":["%s","a picture of %s"]}' "$first" "$first" > "$key.json"
done
tar cf ../many.tar --sort=name *
cd ..
printf 'name: many\nimages: [many.tar]\ntasks: [retrieval]\ncaptions: lines\n' > lines.yaml
expect_status 0 "$FLIP" eval -m run -f lines.yaml --json
[ "$(number images out.txt)" = 40 ] && [ "$(number texts out.txt)" = 120 ] || { cat out.txt; fail "40 images and 120 texts were expected"; }
grep -o '"retrieval":.*' out.txt > feeds.txt
mkdir returns; tar xf many.tar -C returns # lines that end in CR
for text in returns/*.txt; do sed 's/\r$//' "$text" | tr '\n' '\r' > cr && mv cr "$text"; done
tar cf returns.tar --sort=name -C returns .
sed 's/many.tar/returns.tar/' lines.yaml > returns.yaml
expect_status 0 "$FLIP" eval -m run -f returns.yaml --json
grep -o '"retrieval":.*' out.txt | diff feeds.txt - || fail "captions that end in CR are lost"
sed 's/captions: lines/captions: lines\ncaptions_per_image: 1/' lines.yaml > first.yaml
expect_status 0 "$FLIP" eval retrieval -m run -f first.yaml --json
grep -o '"retrieval":.*' out.txt > first.txt
sed 's/tasks: .*/tasks: [retrieval]/' held.yaml > plain.yaml
expect_status 0 "$FLIP" eval retrieval -m run -f plain.yaml --json
grep -o '"retrieval":.*' out.txt | diff first.txt - || fail "one caption of several is not the caption"
sed 's/captions: lines/captions: captions/' lines.yaml > list.yaml
expect_status 0 "$FLIP" eval -m run -f list.yaml --json
[ "$(number texts out.txt)" = 80 ] || fail "80 texts were expected"
sed 's/captions: lines/captions: nowhere/' lines.yaml > none.yaml
expect_status 2 "$FLIP" eval -m run -f none.yaml
expect_line err.txt 'captions: nowhere: no sample has a caption'

# A set has the same rows whichever of its tasks are run: a sample without a caption keeps its own.
mkdir sparse; tar xf data/heldout-00000.tar -C sparse
rm sparse/*[05].txt; tar cf sparse.tar --sort=name -C sparse .
# A caption of white space is none: all of them would have one embedding, and could not be found.
mkdir blank; tar xf data/heldout-00000.tar -C blank
for text in blank/*[05].txt; do printf ' \302\240\n\n' > "$text"; done
tar cf blank.tar --sort=name -C blank .
sed 's/images: .*/images: [blank.tar]/' held.yaml > blank.yaml
expect_status 0 "$FLIP" eval retrieval -m run -f blank.yaml --json
[ "$(number images out.txt)" = 32 ] || { cat out.txt; fail "32 images were expected"; }
expect_line err.txt '^flip: warning: [^:]*: 8 samples have no readable caption'
sed 's/images: .*/images: [sparse.tar]/; $a limit: 20\ncorruption: {kind: gaussian_noise, strength: 5}' held.yaml > sparse.yaml
retrieval_of() { expect_status 0 "$FLIP" eval "$@" -m run -f sparse.yaml --json; grep -o '"retrieval":.*' out.txt; }
retrieval_of > both.txt
[ "$(number images both.txt)" = 16 ] || { cat both.txt; fail "16 images were expected"; }
retrieval_of retrieval | diff both.txt - || fail "retrieval alone is measured on other rows"
printf 'sets:\n  - {file: sparse.yaml, task: retrieval, metric: image_to_text_r10}\n' > sparse_suite.yaml
expect_status 0 "$FLIP" eval suite sparse_suite.yaml -m run --json
[ "$(number value out.txt)" = "$(number image_to_text_r10 both.txt)" ] || fail "a suite measures retrieval on other rows"

# A set's fingerprint, by which runs are compared, covers the captions that it reads: those that an
# option chooses, and a list in a .json next to an image, which the data's own fingerprint leaves out.
print_of() { # print_of SET.yaml
  rm -rf printed; train --out printed --set eval.points=0 --set "eval.sets=$1" >/dev/null
  grep -o '"evaluation_fingerprints":{[^}]*}' printed/events.jsonl
}
sed 's/captions: lines/captions: text/' lines.yaml > text.yaml
sed 's/many.tar/"many.tar#caption=shape"/' text.yaml > field.yaml
text=$(print_of text.yaml)
field=$(print_of field.yaml)
[ -n "$text" ] && [ -n "$field" ] && [ "$text" != "$field" ] || fail "captions from a field of the JSON have the .txt's fingerprint"
sed 's/many.tar/"folder:many"/' list.yaml > files.yaml
before=$(print_of files.yaml)
[ "$before" = "$(print_of files.yaml)" ] || fail "a fingerprint does not repeat"
sed -i 's/a picture of/a drawing of/' many/*.json
after=$(print_of files.yaml)
[ -n "$after" ] && [ "$before" != "$after" ] || fail "rewritten captions of a list keep the set's fingerprint"

# Classes from a file, with names of their own; the order of a file is free.
expect_status 0 "$FLIP" eval zeroshot -m run -f held.yaml --json
mv out.txt all.txt
tar xOf data/heldout-00000.tar --wildcards '*.json' | grep -o '"shape":"[a-z]*"' | cut -d'"' -f4 | sort -u > labels.txt
tac labels.txt | sed 's/.*/&\t&/' > classes.tsv
{ cat held.yaml; echo 'class_file: classes.tsv'; } > file.yaml
expect_status 0 "$FLIP" eval zeroshot -m run -f file.yaml --json
diff all.txt out.txt || fail "a class file with the labels' own names changes the numbers"
sed 's/\t.*/\tthe same thing/' classes.tsv > same.tsv
sed -i 's/classes.tsv/same.tsv/' file.yaml
expect_status 0 "$FLIP" eval zeroshot -m run -f file.yaml --json
expect_line err.txt "all 12 classes are named 'the same thing'"

printf 'a {}\r\n\n{c}\n' > templates.txt
grep -v '^templates' held.yaml > template_file.yaml
echo 'template_file: templates.txt' >> template_file.yaml
expect_status 0 "$FLIP" eval zeroshot -m run -f template_file.yaml --json
diff all.txt out.txt || fail "templates from a file give other numbers than the same in the set"

# Masked inference: a tenth of the patches gives other numbers, the same ones every time.
masked() { expect_status 0 "$FLIP" eval -m run -f held.yaml --json --set eval.mask_ratio=0.9 "$@"; }
masked; mv out.txt masked.txt
masked; diff masked.txt out.txt || fail "masked inference does not repeat"
masked --set seed=9; cmp -s masked.txt out.txt && fail "the seed does not move the masks"
expect_status 0 "$FLIP" eval -m run -f held.yaml --json
cmp -s masked.txt out.txt && fail "the mask changes nothing"

# An ensemble of complementary views: other numbers than one view; 14 of 36 patches
# leave no equal views.
views() { expect_status 0 "$FLIP" eval -m run -f held.yaml --json --set eval.mask_ratio=0.75 "$@"; }
views; mv out.txt one.txt
views --set eval.views=complementary; mv out.txt ensemble.txt
views --set eval.views=complementary; diff ensemble.txt out.txt || fail "an ensemble does not repeat"
cmp -s one.txt ensemble.txt && fail "an ensemble of views is one view"
expect_status 2 "$FLIP" eval -m run -f held.yaml --set eval.mask_ratio=0.6 --set eval.views=complementary
expect_line err.txt '36 patches do not divide into views of'
expect_status 2 "$FLIP" eval -m run -f held.yaml --set eval.views=complementary
expect_line err.txt 'complementary views need eval.mask_ratio above 0'

# A linear probe, swept and given; images of classes that were not seen are left out.
cat > fit.yaml <<'Y'
images: [data/train-*.tar]
tasks: [probe]
label: shape
Y
expect_status 0 "$FLIP" eval probe -m run --train fit.yaml -f held.yaml --json
[ "$(number tried out.txt)" -ge 11 ] || fail "the sweep is too short"
[ "$(number train_images out.txt)" = 160 ] || fail "160 training images were expected"
probe=$(number top1 out.txt)
expect_status 0 "$FLIP" eval probe -m run --train fit.yaml -f fit.yaml --c 100000 --json
awk -v p="$(number top1 out.txt)" 'BEGIN { exit !(p > 0.2) }' || fail "a loose probe fits its own images no better than twice chance"
expect_status 2 "$FLIP" eval probe -m run -f held.yaml
expect_line err.txt 'give the set that the probe is fitted on'

# A suite goes through all of its sets; a missing one is reported and does not stop it.
cat > suite.yaml <<'Y'
title: Two sets
sets:
  - {file: held.yaml, metric: top1, reference: {Paper: 74.3}}
  - {file: held.yaml, task: retrieval, metric: text_to_image_r5}
  - {file: gone.yaml, reference: {Paper: 70.0, Other: 60}}
Y
expect_status 0 "$FLIP" eval suite suite.yaml -m run
expect_line out.txt "of this one model; bootstrap, shares in Wilson's form"
expect_line out.txt '\| set \| metric \| this model \(%\) \| Paper \(%\) \| Other \(%\) \|'
expect_line out.txt '^\| held \| top1 \| [0-9.]* \[[0-9.]*, [0-9.]*\] \| 74.3 \| – \|'
expect_line out.txt '^\| gone \| top1 \| – \| 70.0 \| 60.0 \|'
expect_line out.txt '^gone was not measured: .*gone.yaml'
expect_status 0 "$FLIP" eval suite suite.yaml -m run --json
expect_line out.txt '"set":"held","task":"retrieval","metric":"text_to_image_r5","value":0'
for row in 'metric: images' 'metric: chance' 'task: retrieval, metric: chance_r1' 'metric: text_to_image_r5, task: zeroshot'; do
  printf 'sets:\n  - {file: held.yaml, %s}\n' "$row" > wrong.yaml
  expect_status 2 "$FLIP" eval suite wrong.yaml -m run
  expect_line err.txt "wrong.yaml:2:[0-9]+: task (zeroshot|retrieval): unknown metric '[a-z_0-9]+'"
done
sed -i 's/metric: top1/metrik: top1/' suite.yaml
expect_status 2 "$FLIP" eval suite suite.yaml -m run
expect_line err.txt "did you mean 'metric'"

# A suite of which nothing could be measured has failed.
printf 'sets:\n  - {file: gone.yaml}\n  - {file: lost.yaml}\n' > nothing.yaml
expect_status 2 "$FLIP" eval suite nothing.yaml -m run
expect_line out.txt '^\| gone \|'
expect_line err.txt 'nothing.yaml: none of its sets could be measured'
expect_status 2 "$FLIP" eval suite suite.yaml -m run -f held.yaml
expect_line err.txt 'a suite names its sets itself'

# A checkpoint of ours with shorter texts, as other models'.
expect_status 0 "$FLIP" eval zeroshot -m run -f held.yaml --set text.length=8 --json
checkpoint=$(ls run/checkpoints/*.safetensors)
expect_status 0 "$FLIP" eval zeroshot -m "$checkpoint" -f held.yaml --set text.length=8 --json
expect_status 2 "$FLIP" eval zeroshot -m "$checkpoint" -f held.yaml --set text.length=20
expect_line err.txt "tensor 'text.positions' is 12x32, its configuration requires 20x32"

# Images in folders with a loop of links; an output that is a link is written where it leads.
mkdir pictures; tar xf data/heldout-00000.tar -C pictures --wildcards '*.png'
expect_status 0 "$FLIP" embed -m run -i pictures -o real.npy
ln -s real.npy linked.npy; : > real.npy
expect_status 0 "$FLIP" embed -m run -i pictures -o linked.npy
[ -L linked.npy ] && [ -s real.npy ] || fail "the link was replaced"
ln -s . pictures/loop; ln -s . pictures/again
expect_status 2 "$FLIP" embed -m run -i pictures -o loop.npy
expect_line err.txt 'folders nest deeper than 32 \(a loop of links\?\)'

# What is written into a pipe is not read again.
timeout 60 "$FLIP" tokenizer train -o /dev/stdout --size 300 'data/train-*.tar' | cat > out.txt
[ "$(sed '$d' out.txt | wc -l)" = "$(sed -n '$s/.*: \([0-9]*\) entries.*/\1/p' out.txt)" ] || { tail -2 out.txt; fail "other entries"; }
