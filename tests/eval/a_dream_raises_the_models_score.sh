# flip dream: an image that a model likes for a text. What it is judged by is that model's own score.
. "$SOURCE/tests/support/training.sh"
make_data
train --out run --set eval.points=0 --set mask_ratio=0 --set samples=1920 --set data.flip=false \
  --set text.special_tokens=both
dream() { expect_status 0 "$FLIP" dream -m run --no-progress --steps 40 --views 4 "$@"; }
dream -t 'a large red star' -o red.png
read -r after before < <(sed -E 's/.*score (-?[0-9.]+) \((-?[0-9.]+) before.*/\1 \2/' out.txt)
awk -v a="$after" -v b="$before" 'BEGIN { exit !(a > b + 0.2) }' || { cat out.txt; fail "the score did not rise by 0.2"; }
head -c 4 red.png | grep -qa PNG || fail "no PNG"

# The embedding computed from the written file has that score.
printf 'a large red star\na small blue ring\n' > texts.txt
expect_status 0 "$FLIP" retrieve -m run --image red.png --texts texts.txt --json
again=$(grep 'red star' out.txt | grep -o '"score":[-0-9.e]*' | cut -d: -f2)
awk -v a="$after" -v b="$again" 'BEGIN { d = a - b; exit !(d < 0.001 && d > -0.001) }' || fail "the file scores $again, not $after"

# The same options give the same bytes; another seed, text or size others.
dream -t 'a large red star' -o again.png
cmp red.png again.png || fail "a dream does not repeat"
dream -t 'a large red star' -o other.png --seed 5
cmp -s red.png other.png && fail "the seed changes nothing"
dream -t 'a small blue ring' -o blue.png --size 40
expect_line out.txt 'blue.png: 40 x 40'

expect_status 0 "$FLIP" dream --help
expect_line out.txt 'It is not an image generator'
expect_status 2 "$FLIP" dream -m run -t x -o x.png --views 1
expect_line err.txt '\-\-views: 1 is outside'
for pushed in --rate --smoothness; do
  expect_status 1 "$FLIP" dream -m run -t x -o nan.png --steps 2 --views 2 --no-progress $pushed 1e308
  expect_line err.txt 'step 1: the image is not finite any more: try a lower --rate'
  [ ! -e nan.png ] || fail "an image without numbers was written"
done
for name in a.jpg png a.png.tmp; do
  expect_status 2 "$FLIP" dream -m run -t x -o $name --steps 1 --views 2 --no-progress
  expect_line err.txt "[-][-]out: '$name' does not end in .png, and the image is a PNG"
  [ ! -e $name ] || fail "a PNG was written as $name"
done
expect_status 1 "$FLIP" dream -m run -t x -o nowhere/x.png --steps 1 --views 2 --no-progress
expect_line err.txt 'nowhere/x.png'
