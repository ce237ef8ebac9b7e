# The commands that generate data sets replace what they wrote themselves, when all of the new set is there;
# shards of others are refused.
scenes() { "$FLIP" data scenes --out "${out:-own}" --size 16 --no-progress "$@"; }
refused() {
  local file=$1
  shift
  sha256sum own/* > before.txt
  expect_status 2 "$@"
  expect_line err.txt "own/$file: is not recorded as written by 'flip data [a-z]*', which would replace or remove it: move it, or choose another --out"
  sha256sum -c --quiet before.txt || fail "a shard of others was changed"
}
out=other scenes --count 4 > /dev/null
mkdir own; for number in 00000 00003; do cp other/train-00000.tar own/train-$number.tar; done
refused train-00000.tar scenes --count 2
cp own/train-00003.tar own/heldout-00002.tar
refused heldout-00002.tar scenes --count 2 --split heldout
rm own/*
# Its own shards are replaced, a larger set by a smaller one too, and each split apart from the other; not one
# that somebody else adds.
scenes --count 2001 > /dev/null
scenes --count 3 --split heldout > /dev/null
[ "$(cd own && echo *)" = "heldout-00000.tar train-00000.tar train-00001.tar train-00002.tar" ] || fail "there are $(ls own)"
scenes --count 4 > /dev/null
[ "$(cd own && echo *)" = "heldout-00000.tar train-00000.tar" ] || fail "there are $(ls own)"
cmp own/train-00000.tar other/train-00000.tar
cp own/train-00000.tar own/train-00001.tar
refused train-00001.tar scenes --count 4
rm own/train-00001.tar
# A record that is damaged is none.
cp own/.train.shards record.txt; echo 'flip data scenes' > own/.train.shards
refused train-00000.tar scenes --count 4
cp record.txt own/.train.shards
# An interruption leaves the earlier set as it was; the next run removes what was left.
scenes --count 1200 > /dev/null
sha256sum own/train-* > whole.txt
"$FLIP" data scenes --out own --size 16 --count 400k --seed 5 --no-progress > /dev/null & process=$!
for ((i = 0; i < 3000; i++)); do
  [ ! -e own/unfinished-train/train-00000.tar ] || break
  sleep 0.01
done
kill -9 $process; wait $process || true
[ -e own/unfinished-train/train-00000.tar ] || fail "no shard was written in 30 s"
sha256sum -c --quiet whole.txt || fail "an interrupted command changed the earlier set"
scenes --count 1001 --seed 5 > /dev/null
[ "$(cd own && echo *)" = "heldout-00000.tar train-00000.tar train-00001.tar" ] || fail "there are $(ls own)"
mkdir own/unfinished-train; echo mine > own/unfinished-train/notes.txt
expect_status 2 scenes --count 2
expect_line err.txt 'own/unfinished-train/notes.txt: is in the folder where shards are kept until all are there'
rm -r own/unfinished-train
# One process at a time writes a split; both splits may be written at once.
exec 9> own/.lock-train; flock 9
expect_status 1 scenes --count 2
expect_line err.txt 'own is in use by another process'
expect_status 0 scenes --count 2 --split heldout
exec 9>&-
# The other commands.
mkdir -p clipart/png/few
tar xf other/train-00000.tar -C clipart/png/few --wildcards '*.png'
drawings() { "$FLIP" data openclipart --source clipart --out own --size 16 --no-progress; }
refused '(train|heldout)-0000.\.tar' drawings
rm -r own
drawings > /dev/null
drawings > /dev/null
[ ! -e own/unfinished ] && [ -f own/manifest.json ] || fail "there are $(ls -A own)"
refused '(train|heldout)-00000.tar' scenes --count 2
if [ -f /usr/share/fonts/truetype/noto/NotoColorEmoji.ttf ] && [ -d /usr/share/unicode/cldr/common ]; then
  cp other/train-00000.tar own/emoji-00000.tar
  refused emoji-00000.tar "$FLIP" data emoji --out own --size 16 --no-progress
  rm own/emoji-00000.tar
  "$FLIP" data emoji --out own --size 16 --no-progress > /dev/null
  sha256sum own/emoji-* > emoji.txt
  "$FLIP" data emoji --out own --size 16 --no-progress > /dev/null
  sha256sum -c --quiet emoji.txt || fail "emoji differ from themselves"
fi
