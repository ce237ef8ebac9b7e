# Names may contain what separates the parts of a report: each sample is one row, and is counted once.
"$FLIP" data scenes --out raw --count 1 --size 16 --no-progress > /dev/null
tar xf raw/train-00000.tar
mkdir -p 'odd/a: b'
cp 00000000.png 'odd/a: b/x.png'
cp 00000000.png $'odd/two\nlines.png'
cp 00000000.png odd/ok.png; echo 'a caption' > odd/ok.txt
"$FLIP" data filter -o kept --no-progress odd 2> err.txt > /dev/null
printf 'origin\treason\tdetail\nodd/a: b/x.png\tincomplete\thas no caption (.txt)\nodd/two lines.png\tincomplete\thas no caption (.txt)\n' |
  diff - kept/left_out.tsv
grep -q '"samples":3,"kept":1,"left_out":{"incomplete":2,' kept/report.json || { cat kept/report.json; fail "the counts are others"; }
expect_status 1 "$FLIP" data verify odd
expect_line out.txt '^odd/two\\nlines.png: has no caption'
expect_line out.txt '3 samples checked, 2 faults'
# In shards they are named as all others are: SHARD/KEY.
mkdir members; cp 00000000.png 'members/k: y.png'; cp 00000000.png $'members/new\nline.png'
cp 00000000.png members/whole.png; echo 'a caption' > members/whole.txt
echo text > members/a.b.txt # a key none of whose members is read
(cd members && tar -cf ../odd.tar --sort=name -- *)
"$FLIP" data filter -o of_shards --no-progress odd.tar 2> err.txt > /dev/null
cut -f 1,2 of_shards/left_out.tsv > names.txt
printf 'origin\treason\nodd.tar/a\tincomplete\nodd.tar/k: y\tincomplete\nodd.tar/new line\tincomplete\n' | diff - names.txt
grep -q '"samples":4,"kept":1,"left_out":{"incomplete":3,' of_shards/report.json || { cat of_shards/report.json; fail "the counts are others"; }
expect_status 1 "$FLIP" data verify odd.tar
expect_line out.txt '4 samples checked, 3 faults'
expect_status 1 "$FLIP" data verify shards:odd.tar
expect_line out.txt '4 samples checked, 3 faults'
