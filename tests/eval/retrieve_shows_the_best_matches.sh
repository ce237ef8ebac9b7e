# flip retrieve: images for a text, texts for an image, and a page that opens from a file.
. "$SOURCE/tests/support/training.sh"
make_data
train --out run --set eval.points=0 --set mask_ratio=0
expect_status 0 "$FLIP" retrieve -m run -t 'a red star' -i 'data/heldout-*.tar' --top 7 --html out.html --json
[ "$(wc -l < out.txt)" = 7 ] || fail "seven hits were asked for"
grep -o '"score":[-0-9.e]*' out.txt | cut -d: -f2 | sort -rg -c || fail "the best do not come first"
[ "$(grep -o '"row":[0-9]*' out.txt | sort -u | wc -l)" = 7 ] || fail "an image is shown twice"
[ "$(grep -o '<img src="data:image/png;base64,' out.html | wc -l)" = 7 ] || fail "the page does not hold seven images"
grep -q 'src="http\|href=' out.html && fail "the page points outside of itself"

# The first image of the page is the first hit, as it is stored.
key=$(head -1 out.txt | grep -o '"name":"[^"]*"' | cut -d'"' -f4)
tar xOf data/heldout-00000.tar "$key.png" > first.png
sed -n '/<figure>/{s/.*<figure><img src="data:image\/png;base64,\([^"]*\)".*/\1/p;q}' out.html > first.b64
base64 -d first.b64 | cmp - first.png ||
  fail "the page's first image is another one"

# Drawn scenes are pixmaps, which browsers do not show: the page has PNGs of them.
expect_status 0 "$FLIP" retrieve -m run -t 'a red star' -i 'scenes:3#count=9' --top 1 --html drawn.html
sed -n '/<figure>/{s/.*data:image\/png;base64,\([^"]*\)".*/\1/p;q}' drawn.html | base64 -d > drawn.png
mkdir drawn; mv drawn.png drawn/; echo a star > drawn/drawn.txt
"$FLIP" data stats drawn --json 2>&1 | grep -q '"png":1,.*"width":{"min":64,"median":64' ||
  fail "the page's image is not a PNG of 64 pixels"

# What is found agrees with the embeddings that flip embed writes.
echo 'a red star' > query.txt
expect_status 0 "$FLIP" embed -m run -t query.txt -o q.npy
expect_status 0 "$FLIP" embed -m run -i 'data/heldout-*.tar' -o i.npy
floats() { tail -c +129 "$1" | od -v -An -tf4 -w64; }
{ floats q.npy; floats i.npy; } | awk 'NR == 1 { for (i = 1; i <= NF; i++) q[i] = $i; next }
  { s = 0; for (i = 1; i <= NF; i++) s += q[i] * $i; if (NR == 2 || s > best) { best = s; row = NR - 2 } }
  END { print row }' > best.txt
[ "$("$FLIP" retrieve -m run -t 'a red star' -i 'data/heldout-*.tar' -n 1 --json | grep -o '"row":[0-9]*' | cut -d: -f2)" = "$(cat best.txt)" ] ||
  fail "the best image is not that of the embeddings"

# The other way round; a query with markup stays text.
printf 'a red star\n<b>two & small</b> circles\na blue square\n' > texts.txt
expect_status 0 "$FLIP" retrieve -m run --image first.png --texts texts.txt --top 9 --html texts.html
[ "$(wc -l < out.txt)" = 3 ] || fail "three texts were expected"
grep -q '&lt;b&gt;two &amp; small' texts.html || fail "markup in a text was not escaped"
mkdir folder; cp first.png folder/
expect_status 0 "$FLIP" retrieve -m run -t 'a red star' -i folder
expect_line out.txt 'folder/first.png'

expect_status 2 "$FLIP" retrieve -m run -t x --image first.png
expect_line err.txt 'give one query'
expect_status 2 "$FLIP" retrieve -m run -t x
expect_line err.txt '--text needs --images'
expect_status 1 "$FLIP" retrieve -m run --image gone.png --texts texts.txt
expect_line err.txt 'gone.png'
echo text > bad.png
expect_status 2 "$FLIP" retrieve -m run --image bad.png --texts texts.txt
expect_line err.txt 'bad.png: not a JPEG, PNG or WebP image'
