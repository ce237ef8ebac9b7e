# A selection writes OUT/kept-*.tar: read from there, what it removes would be lost.
"$FLIP" data scenes --out raw --count 6 --size 16 --no-progress > /dev/null
"$FLIP" data filter -o out --shard-size 2 --no-progress 'raw/*.tar' > /dev/null
sha256sum out/kept-*.tar > before.txt
ln -s out same; mkdir linked; ln -s ../out/kept-00000.tar linked/a.tar
echo 'out/kept-{00000..00002}.tar' > list.txt
refused() {
  expect_status 2 "$@"
  expect_line err.txt 'kept-0000.\.tar|a\.tar'
  expect_line err.txt 'is in the output folder, where it would be replaced: choose another --out'
}
refused "$FLIP" data filter -o out --no-progress --max-words 1 'out/kept-*.tar'
refused "$FLIP" data filter -o out/ --no-progress --max-words 1 raw/train-00000.tar @list.txt
refused "$FLIP" data filter -o same --no-progress --max-words 1 './out/kept-*.tar#weight=2'
refused "$FLIP" data filter -o out --no-progress --max-words 1 shards:linked/a.tar
refused "$FLIP" data balance -o out --per-term 1 --no-progress 'out/kept-*.tar'
sha256sum -c --quiet before.txt || fail "a source was changed"
# Another folder, and another file of this one, are no hindrance.
expect_status 0 "$FLIP" data filter -o more --no-progress 'out/kept-*.tar'
cp raw/train-00000.tar out
expect_status 0 "$FLIP" data filter -o out --no-progress out/train-00000.tar
# An interrupted selection leaves the earlier one whole, with its report; what it left itself is removed by the next.
sha256sum out/* > whole.txt
ls out > names.txt
"$FLIP" data scenes --out big --count 2 --size 256 --no-progress > /dev/null
(ulimit -f 16; expect_status 1 "$FLIP" data filter -o out --shard-size 1 --no-progress --max-words 0 'raw/*.tar' 'big/*.tar')
expect_line err.txt 'out/unfinished/kept-0000[0-9].tar'
sha256sum -c --quiet whole.txt || fail "an interrupted selection changed the earlier one"
ls out | diff names.txt - || fail "an interrupted selection left files"
mkdir out/unfinished; : > out/unfinished/kept-00007.tar
"$FLIP" data filter -o out --shard-size 3 --no-progress 'raw/*.tar' > /dev/null
[ "$(cd out && echo *)" = "kept-00000.tar kept-00001.tar left_out.tsv report.json train-00000.tar" ] || fail "there are $(ls out)"
# The folder of unfinished shards has nothing else in it, and is no source; two selections into one folder
# would remove each other's shards.
mkdir -p kept/unfinished; echo mine > kept/unfinished/notes.txt
expect_status 2 "$FLIP" data filter -o kept --no-progress 'raw/*.tar'
expect_line err.txt 'kept/unfinished/notes.txt: is in the folder where shards are kept until all are there'
[ "$(cat kept/unfinished/notes.txt)" = mine ] || fail "a file of the user's is gone"
rm kept/unfinished/notes.txt; cp raw/train-00000.tar kept/unfinished/kept-00003.tar
expect_status 2 "$FLIP" data filter -o kept --no-progress 'kept/unfinished/*.tar'
expect_line err.txt 'is in the output folder, where it would be replaced'
cmp -s raw/train-00000.tar kept/unfinished/kept-00003.tar || fail "a source is gone"
exec 9> kept/.lock; flock 9
expect_status 1 "$FLIP" data filter -o kept --no-progress 'raw/*.tar'
expect_line err.txt 'kept is in use by another process'
exec 9>&-
# Shards of a larger selection go, whichever of them a process that was killed has left.
for number in 00002 00004 00117 100000; do cp raw/train-00000.tar kept/kept-$number.tar; done
touch kept/kept-7.tar kept/kept-00009.tar.old
expect_status 0 "$FLIP" data filter -o kept --shard-size 3 --no-progress raw/train-00000.tar
[ "$(cd kept && echo *)" = "kept-00000.tar kept-00001.tar kept-00009.tar.old kept-7.tar left_out.tsv report.json" ] || fail "there are $(ls kept)"
# Settings without a model would be ignored.
expect_status 2 "$FLIP" data filter -o fourth --no-progress --set precision=fp32 'raw/*.tar'
expect_line err.txt '\-\-set changes a model.s settings: give --model too'
