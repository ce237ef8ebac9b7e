# A list in Parquet is the list that it would be in text: the same samples, the same fingerprint, the
# same weights. What is no list of pictures is refused with what to do; failures that img2dataset
# tells of are counted and named.
. "$SOURCE/tests/support/training.sh"
fixtures=$SOURCE/tests/parity/fixtures/parquet
number() { grep -o "\"$1\":[0-9.e-]*" "$2" | sed -n 1p | cut -d: -f2; }
make_data
mkdir list && tar xf data/train-00000.tar -C list && rm -f list/*.txt list/*.json
cp "$fixtures/list.parquet" list/
colours=(red green blue)
{
  printf 'path\tcaption\n'
  for i in $(seq 0 79); do
    caption="a ${colours[i % 3]} thing, number $i"
    [ "$i" != 70 ] || caption=
    printf '%08d.png\t%s\n' "$i" "$caption"
  done
} > list/list.tsv
for kind in tsv parquet; do
  train --out $kind --set "data.train=[list/list.$kind]" --set eval.points=0 --set samples=320 2>/dev/null
  grep -q 'has no caption' $kind/events.jsonl || fail "$kind: the row without a caption is not named"
  "$FLIP" data stats list/list.$kind --json > $kind.stats 2>/dev/null
  [ "$(number samples $kind.stats)" = 79 ] && [ "$(number left_out $kind.stats)" = 1 ] || { cat $kind.stats; fail "$kind: other counts"; }
done
cmp <(tensors "$(newest tsv)") <(tensors "$(newest parquet)") || fail "other weights"
[ "$(field start data_fingerprint tsv/events.jsonl)" = "$(field start data_fingerprint parquet/events.jsonl)" ] || fail "other fingerprints"
expect_status 1 "$FLIP" data verify list/list.parquet
expect_line out.txt '^list/list.parquet: row 71: has no caption'
expect_line out.txt '^80 samples checked, 1 fault$'

# Only URLs, nested columns, columns that are not text, separators.
expect_status 2 "$FLIP" data stats "$fixtures/laion.parquet"
expect_line err.txt "laion.parquet: column 'URL' holds URLs.*img2dataset .*--url_col URL"
expect_status 2 "$FLIP" data stats "$fixtures/laion.parquet#image=URL"
expect_line err.txt "column 'URL' holds URLs"
"$FLIP" data stats "$fixtures/nested.parquet#caption=meta" > out.txt 2> err.txt && fail "a nested column is read"
expect_line err.txt "nested.parquet: column 'meta' is a nested column"
expect_status 2 "$FLIP" data stats "list/list.parquet#caption=height"
expect_line err.txt "column 'height' holds whole numbers, but text is expected"
expect_status 2 "$FLIP" data stats "list/list.parquet#caption=text"
expect_line err.txt 'no column text; its header has: path, similarity, caption, height'
expect_status 2 "$FLIP" data stats "list/list.parquet#separator=tab"
expect_line err.txt 'separator does not apply to Parquet'
expect_status 2 "$FLIP" data stats "shards:list/list.parquet"
expect_line err.txt 'a Parquet file; name it as list:'

# img2dataset's metadata: next to a folder, next to a shard, next to neither.
mkdir files shards
cp "$fixtures/img2dataset.parquet" files/00000.parquet
cp "$fixtures/img2dataset.parquet" shards/00000.parquet
expect_status 2 "$FLIP" data stats files/00000.parquet
expect_line err.txt 'neither the shard files/00000.tar nor the folder files/00000'
mkdir files/00000
for i in 0 1 2 3 4; do cp list/0000000$i.png files/00000/00000000$i.png; done
for i in 0 1 2 3 4; do echo "picture $i" > files/00000/00000000$i.txt; done
tar cf shards/00000.tar --format=ustar -C files/00000 $(ls files/00000)
for kind in files shards; do
  expect_status 0 "$FLIP" data stats $kind/00000.parquet --json
  [ "$(number samples out.txt)" = 5 ] && [ "$(number left_out out.txt)" = 3 ] || { cat out.txt err.txt; fail "$kind: other counts"; }
  expect_status 1 "$FLIP" data verify $kind/00000.parquet
  expect_line out.txt "^$kind/00000.parquet: row 6: 000000005: failed_to_download: HTTP Error 404"
  expect_line out.txt '^8 samples checked, 3 faults'
done
tar cf shards/00000.tar --format=ustar -C files/00000 000000000.png 000000000.txt
expect_status 1 "$FLIP" data verify shards/00000.parquet
expect_line out.txt 'lists 5 downloaded samples, but shards/00000.tar has 1$'
expect_line out.txt '^4 samples checked, 4 faults$' # three failed downloads, and the count

# A column of nulls has no type: no download failed, nothing has a caption.
cp "$fixtures/no-failures.parquet" files/00000.parquet
expect_status 0 "$FLIP" data stats files/00000.parquet --json
[ "$(number samples out.txt)" = 5 ] && [ "$(number left_out out.txt)" = 0 ] || { cat out.txt err.txt; fail "no failures: other counts"; }
expect_status 0 "$FLIP" data stats "files/00000.parquet#caption=error_message" --json
[ "$(number samples out.txt)" = 0 ] && [ "$(number left_out out.txt)" = 5 ] || { cat out.txt err.txt; fail "no captions: other counts"; }
expect_line err.txt 'row 1: has no caption'
