# ImageNet folders, CIFAR's binaries and COCO's annotations, through the evaluation sets that are shipped.
. "$SOURCE/tests/support/training.sh"
make_data
train --out run --set eval.points=0
number() { grep -o "\"$1\":[0-9.e-]*" "$2" | cut -d: -f2; }
cp -r "$SOURCE/experiments/evals" .
mkdir unpacked; tar xf data/heldout-00000.tar -C unpacked

# COCO: three captions for every other image, six for the others, of which five count.
mkdir -p data/coco/val2014
{
  printf '{"images":['; id=0
  for file in unpacked/*.png; do
    cp "$file" "data/coco/val2014/$(printf %012d $id).jpg"
    [ $id = 0 ] || printf ','
    printf '{"id":%d,"file_name":"%012d.jpg"}' $id $id; id=$((id + 1))
  done
  printf '],"annotations":['; id=0; number=0
  for file in unpacked/*.txt; do
    for copy in $(seq $((id % 2 ? 6 : 3))); do
      [ $number = 0 ] || printf ','
      printf '{"id":%d,"image_id":%d,"caption":"%s, seen %d times"}' $number $id "$(cat "$file")" "$copy"
      number=$((number + 1))
    done
    id=$((id + 1))
  done
  printf ']}'
} > data/coco/coco_test_karpathy.json
expect_status 0 "$FLIP" eval -m run -f evals/coco.yaml --json
[ "$(number images out.txt)" = 40 ] && [ "$(number texts out.txt)" = $((20 * 3 + 20 * 5)) ] ||
  { cat out.txt; fail "40 images and 160 texts were expected"; }

# ImageNet: folders by synset, names from a file, FLIP's seven templates; the same images as shards give the same.
mkdir -p data/imagenet
shapes=$(cat unpacked/*.json | grep -o '"shape":"[a-z]*"' | cut -d'"' -f4 | sort -u)
synset=1000
for shape in $shapes; do
  mkdir -p data/imagenet/val/n0000$synset
  printf 'n0000%d\t%s\n' $synset "$shape" >> data/imagenet/classes.txt
  for json in $(grep -l "\"shape\":\"$shape\"" unpacked/*.json); do
    cp "${json%.json}.png" data/imagenet/val/n0000$synset/
  done
  synset=$((synset + 1))
done
[ "$(grep -c '^  - ".*{}' evals/imagenet.yaml)" = 7 ] || fail "imagenet.yaml has not seven templates"
sed '/^templates/d' held.yaml > seven.yaml
sed -n '/^templates:/,$p' evals/imagenet.yaml >> seven.yaml
expect_status 0 "$FLIP" eval zeroshot -m run -f evals/imagenet.yaml --json
grep -o '"zeroshot":.*}' out.txt > folders.txt
expect_status 0 "$FLIP" eval zeroshot -m run -f seven.yaml --json
grep -o '"zeroshot":.*}' out.txt | diff folders.txt - || fail "folders and shards differ"

# CIFAR-10: records of a label and 3072 bytes by plane.
mkdir -p data/cifar10
printf '%s\n' airplane automobile bird cat deer dog frog horse ship truck > data/cifar10/batches.meta.txt
for record in $(seq 0 29); do
  printf "\\x$(printf %02x $((record % 10)))"
  head -c 3072 /dev/zero | tr '\0' "\\$(printf %03o $((record * 8)))"
done > data/cifar10/test_batch.bin
expect_status 0 "$FLIP" eval -m run -f evals/cifar10.yaml --json
[ "$(number images out.txt)" = 30 ] && [ "$(number classes out.txt)" = 10 ] || { cat out.txt; fail "30 images of 10 classes"; }

# The suite measures what is here and tells what is not.
expect_status 0 "$FLIP" eval suite evals/robustness.yaml -m run
expect_line out.txt '^\| imagenet \| top1 \| [0-9.]+ \[[0-9.]+, [0-9.]+\] \| 68.0 \| 74.3 \| 75.5 \| 76.4 \| 78.5 \|'
expect_line out.txt '^\| imagenet_r \| top1 \| – \|'
expect_line out.txt '^imagenet_sketch was not measured: '

# One row per caption, as lists and COCO have them: the captions of a file are one image's, whatever
# the order of the rows, and the numbers those of one sample with all of them.
sed "s/captions_per_image: .*/captions_per_image: 3/" evals/coco.yaml > one.yaml
expect_status 0 "$FLIP" eval retrieval -m run -f one.yaml --json
grep -o '"retrieval":{.*}' out.txt > one.txt
[ "$(number texts out.txt)" = 120 ] || { cat out.txt; fail "120 texts were expected"; }
{
  id=0
  for file in unpacked/*.txt; do
    for copy in 1 2 3; do
      printf 'data/coco/val2014/%012d.jpg,"%s, seen %d times",%d\n' $id "$(cat "$file")" $copy $copy
    done
    id=$((id + 1))
  done
} > rows.csv
awk -F, '{print $NF "," $0}' rows.csv | sort -s -t, -k1,1n | cut -d, -f2- > turns.csv
cmp -s rows.csv turns.csv && fail "the order of the rows is the same"
for order in rows turns; do
  { echo filepath,title,turn; cat $order.csv; } > list.csv
  printf 'name: coco\nimages: [list.csv]\ntasks: [retrieval]\n' > list.yaml
  expect_status 0 "$FLIP" eval retrieval -m run -f list.yaml --json
  grep -o '"retrieval":{.*}' out.txt | diff one.txt - || fail "a row per caption gives other numbers ($order)"
  grep -q 'embedding of another' err.txt && fail "rows of one file are called copies"
done
sed 's/,captions=first//;s/^name:.*/name: coco/' one.yaml > each.yaml
expect_status 0 "$FLIP" eval retrieval -m run -f each.yaml --json
grep -o '"retrieval":{.*}' out.txt | diff one.txt - || fail "coco: without captions=first gives other numbers"

# The same images under two names cannot be told from wrong matches, but that they are there.
cp -r data/coco/val2014 data/coco/again
{ echo filepath,title,turn; cat rows.csv; sed 's/val2014/again/' rows.csv; } > list.csv
expect_status 0 "$FLIP" eval retrieval -m run -f list.yaml --json
[ "$(number images out.txt)" = 80 ] || { cat out.txt; fail "80 images were expected"; }
expect_line err.txt '40 of 80 images have exactly the embedding of another one'
