# Samples as other programs write them: what they mean is read; what cannot be read is left out,
# counted and named, by every command, and nothing else with it.
. "$SOURCE/tests/support/training.sh"
make_data
train --out run --set eval.points=0 2>/dev/null
mkdir whole; tar xf data/heldout-00000.tar -C whole; rm -f whole/0000000[89]* whole/000000[1-9]*
ls whole/*.png | wc -l | grep -qx 8 || fail "eight samples were expected"
# changed NAME COMMAND: the eight samples, after COMMAND has changed some of them in their folder.
changed() { rm -rf work; cp -r whole work; (cd work && eval "$2"); tar cf "$1.tar" --format=ustar -C work $(ls work); }
number() { grep -o "\"$1\":[0-9.e-]*" "$2" | cut -d: -f2; }
set_of() { printf 'name: s\nimages: [%s.tar]\ntasks: [zeroshot]\nlabel: shape\ntemplates: ["a {}"]\n' "$1"; }
# evaluated NAME N: zero-shot takes N of its images.
evaluated() {
  set_of "$1" > set.yaml
  expect_status 0 "$FLIP" eval zeroshot -m run -f set.yaml --json
  [ "$(number images out.txt)" = "$2" ] || { cat out.txt err.txt; fail "$1: not $2 images"; }
}

# JSON as json.loads takes it. The values come out of a filter as they went in.
odd='"odd":[NaN,-Infinity,18446744073709551615,1e999,"\ud800","a\u0000b"]'
changed python "sed -i 's/^{/{$(sed 's/[\\&/]/\\&/g' <<< "$odd"),/' 00000003.json"
evaluated python 8
changed mark "printf '\xef\xbb\xbf' | cat - 00000003.json > x && mv x 00000003.json"
evaluated mark 8
changed wide "iconv -t UTF-16 00000003.json > x && mv x 00000003.json"
evaluated wide 8
"$FLIP" data verify python.tar mark.tar wide.tar > out.txt || { cat out.txt; fail "verify finds faults"; }
"$FLIP" data filter -o kept --no-progress python.tar >/dev/null
tar xOf kept/kept-00000.tar 000000003.json | grep -qF -- "$odd" || fail "a filter changed what JSON says"
tar xOf kept/kept-00000.tar 000000003.json | grep -q '"origin":"python.tar/00000003"' || fail "no origin"

# One sample's JSON ends early: commands that ask for it leave that sample out.
changed broken "head -c 20 00000003.json > x && mv x 00000003.json"
evaluated broken 7
expect_line err.txt 'broken.tar: 00000003: its JSON cannot be read: line 1, column 2[0-9]:'
expect_status 1 "$FLIP" data verify broken.tar
expect_line out.txt '^8 samples checked, 1 fault$'
expect_status 0 "$FLIP" data stats broken.tar --json
[ "$(number unreadable out.txt)" = 1 ] || fail "stats does not count it"
expect_line err.txt 'broken.tar: 00000003: its JSON'
expect_status 0 "$FLIP" data filter -o f --no-progress broken.tar --json
expect_line out.txt '"kept":7.*"unreadable":1'
expect_line f/left_out.tsv '^broken.tar/00000003.unreadable.its JSON cannot be read'
expect_status 0 "$FLIP" data balance -o b -t 99 --no-progress broken.tar --json
expect_line out.txt '"kept":7.*"unreadable":1'
set_of broken > set.yaml
train --out told --set 'eval.sets=[set.yaml]' 2>/dev/null
grep '"kind":"skipped_sample"' told/events.jsonl | grep -c 'broken.tar: 00000003' | grep -qx 1 || fail "training does not name it once"
printf 'name: p\nimages: [broken.tar]\ntasks: [probe]\nlabel: shape\n' > probe.yaml
expect_status 0 "$FLIP" eval probe -m run -f probe.yaml --train probe.yaml --c 1 --json
[ "$(number images out.txt)" = 7 ] || fail "the probe does not continue without it"

# Captions that are no text, or none: a fault of the sample, and only where captions are asked for.
changed latin "printf 'caf\xe9' > 00000003.txt"
changed utf16 "iconv -t UTF-16 00000003.txt > x && mv x 00000003.txt"
changed silent "rm 00000003.txt"
for name in latin utf16 silent; do
  expect_status 1 "$FLIP" data verify $name.tar
  expect_line out.txt "^$name.tar: 00000003: (its caption is not UTF-8|it has no caption)"
  evaluated $name 8
  [ ! -s err.txt ] || fail "$name: zero-shot asks for no caption"
  expect_status 0 "$FLIP" embed -m run -i $name.tar -o x.npy
  expect_line out.txt '8 x 16, images'
  expect_status 0 "$FLIP" retrieve -m run -t 'a red circle' -i $name.tar
  expect_status 0 "$FLIP" data filter -o f --no-progress $name.tar --json
  expect_line out.txt '"samples":8,"kept":7'
  grep -q '00000003' f/left_out.tsv || fail "$name: left out and not named"
  expect_status 0 "$FLIP" tokenizer train -o v.txt --min-count 1 $name.tar
  grep -q '00000003' err.txt || fail "$name: the tokenizer's training does not name it"
done
# An empty caption is no text to retrieve, whatever else the set measures.
changed empty ": > 00000003.txt"
for tasks in 'zeroshot, retrieval' retrieval; do
  set_of empty | sed "s/zeroshot/$tasks/" > set.yaml
  expect_status 0 "$FLIP" eval retrieval -m run -f set.yaml --json
  expect_line out.txt '"texts":7'
  expect_line err.txt '1 sample has no readable caption \(captions: text\) and is skipped in retrieval'
done
changed nul "printf 'a red\0 apple tree' > 00000003.txt; rm 0000000[0124567]*"
"$FLIP" data stats nul.tar | grep -qE 'caption +4 … 4 … 4 words' || fail "what follows a NUL is lost"
# NULs at the end of a short text are padding, and one inside it does not make it UTF-16.
changed padded "printf 'dog\0' > 00000003.txt; printf 'a dog\0\0\0\0\0\0\0' > 00000004.txt; printf 'a\0 dog' > 00000005.txt"
expect_status 0 "$FLIP" data verify padded.tar
changed unmarked "printf 'a dog' | iconv -t UTF-16LE > 00000003.txt; printf 'a dog' | iconv -t UTF-16BE > 00000004.txt"
expect_status 1 "$FLIP" data verify unmarked.tar
[ "$(grep -c 'its caption is not UTF-8: every other byte is NUL: UTF-16?' out.txt)" = 2 ] || fail "UTF-16 without a mark is not named"

# Which member is used does not depend on the order in the tar; skipped members are counted.
cd whole
cp 00000003.png 00000003.jpg; echo 'not this one' > 00000003.caption; : > 00000003.seg.png
tar cf ../first.tar 00000003.{jpg,png,caption,txt,seg.png,json}; tar cf ../last.tar 00000003.{seg.png,txt,caption,json,png,jpg}
rm 00000003.{jpg,caption,seg.png}
cd ..
for name in first last; do
  expect_status 0 "$FLIP" data verify $name.tar
  expect_line out.txt "^$name.tar: 3 members skipped: 1 .(caption, 1 .seg.png|seg.png, 1 .caption), 1 additional image"
  "$FLIP" data filter -o $name --no-progress $name.tar >/dev/null 2>&1
  tar xOf $name/kept-00000.tar 000000000.txt | cmp - whole/00000003.txt || fail "$name: another caption"
done
cp whole/00000003.png a.b.png; cp whole/00000003.txt a.b.txt
tar cf dots.tar a.b.png a.b.txt
expect_status 1 "$FLIP" data verify dots.tar
expect_line out.txt 'dots.tar: sample a has no image: its members are .b.png, .b.txt'
expect_line out.txt 'dots.tar: contains no samples'
mkdir twice; cp whole/00000003.png twice/k.png; cp whole/00000003.txt twice/k.txt
tar cf twice.tar -C twice k.png k.txt k.png k.txt # GNU tar makes links of the second two
expect_status 0 "$FLIP" data verify twice.tar
expect_line out.txt '2 members skipped: 2 links'
tar cf once.tar -C twice k.png k.txt k.png
expect_status 0 "$FLIP" data verify once.tar
expect_line out.txt '1 member skipped: 1 link'
expect_status 0 "$FLIP" data scenes --out one --count 1 --size 16
expect_line out.txt '-\*.tar: 1 scene \(1 shard\)$'
tar cf twice.tar --hard-dereference -C twice k.png k.txt k.png k.txt
expect_status 1 "$FLIP" data verify twice.tar
expect_line out.txt 'twice.tar: member k.png occurs twice: the second starts a new sample'
expect_status 0 "$FLIP" embed -m run -i twice.tar -o x.npy
expect_line out.txt '2 x 16'
# So does a suffix that is not read, as in open_clip: the first has no caption, the second no image.
cp twice/k.png twice/k.cls
tar cf unread.tar --hard-dereference -C twice k.png k.cls k.cls k.txt
expect_status 1 "$FLIP" data verify unread.tar
expect_line out.txt 'unread.tar: member k.cls occurs twice: the second starts a new sample'
expect_line out.txt '2 samples checked, 3 faults'
tar cf capital.tar --hard-dereference -C twice k.png k.cls k.txt k.png k.cls k.txt
expect_status 1 "$FLIP" data verify capital.tar
expect_line out.txt '2 samples checked, 1 fault$'
# Folders __NAME__ are about the shard, not part of it.
mkdir twice/__meta__ twice/__; cp twice/k.png twice/k.txt twice/__meta__; cp twice/k.png twice/k.txt twice/__
tar cf meta.tar -C twice __meta__/k.png __meta__/k.txt __/k.png __/k.txt k.png k.txt
expect_status 0 "$FLIP" data verify meta.tar
expect_line out.txt '2 samples checked, 0 faults'

# Damage is a fault however a source is written, and what was skipped is none.
{ cat first.tar; cat last.tar; } > two.tar
bytes first.tar 0 1500 > cut.tar
for source in twice.tar two.tar cut.tar; do
  expect_status 1 "$FLIP" data verify $source
  tail -1 out.txt > plain.txt
  for name in shards:$source "$source#weight=2"; do
    expect_status 1 "$FLIP" data verify "$name"
    tail -1 out.txt | diff plain.txt - || fail "$name: other counts than of $source"
  done
done
expect_status 1 "$FLIP" data verify 'two.tar#caption=shape'
expect_line out.txt "^1 sample checked, 1 fault"
for command in 'data verify' 'data stats' 'data filter -o typo'; do
  expect_status 2 "$FLIP" $command 'first.tar#caption=shap'
  expect_line err.txt "first.tar#caption=shap: no string 'shap' in the JSON of the first 1 sample; fields there: "
done
expect_status 0 "$FLIP" data verify shards:first.tar
expect_line out.txt '3 members skipped'

# Nothing is not fine: shards without bytes or samples, compressed ones, other files.
: > none.tar; tar cf hollow.tar -T /dev/null; gzip -c first.tar > gz.tar; echo '<html>' > page.tar
for what in 'none: is empty' 'hollow: contains no samples' 'gz: is gzip-compressed' 'page: is an HTML page'; do
  expect_status 1 "$FLIP" data verify "${what%%:*}.tar"
  expect_line out.txt "${what%%:*}.tar: ${what#*: }"
done
train --out partly --set 'data.train=[data/train-*.tar, none.tar]' 2>/dev/null
expect_line partly/events.jsonl '"kind":"skipped_sample","message":"none.tar: is empty'
train --out rounded --set 'data.train=["data/train-*.tar#weight=0.5", "nul.tar#weight=0.01"]' 2> err.txt
expect_line err.txt 'nul.tar#weight=0.01: an epoch has a whole number of its 1 sample: 1, as with weight 1$'
grep '"kind":"data"' rounded/events.jsonl | grep -c 'whole number' | grep -qx 1 || fail "a rounded weight is not recorded, or an exact one is"
expect_status 2 "$FLIP" train -c run.yaml -o x --no-progress --set 'data.train=[none.tar]'
expect_status 2 "$FLIP" data verify data
expect_line err.txt 'no images found$'
expect_line err.txt '^.*: [0-9]+ \.tar files? not read: give shards as a pattern'
printf '\n' > list.txt
expect_status 2 "$FLIP" data verify @list.txt
expect_line err.txt 'matches no shards'

# A damaged image with a good header: kept by a filter that does not decode, which says so.
changed half "head -c 400 00000003.png > x && mv x 00000003.png"
expect_status 0 "$FLIP" data filter -o f --no-progress --min-words 1 half.tar
expect_line out.txt '8 of 8 samples'
expect_line out.txt "^images were not decoded.*flip data verify 'f/kept-\*.tar'"
expect_status 0 "$FLIP" data filter -o f --no-progress --duplicates 0 half.tar
expect_line out.txt '7 of 8 samples'
grep -q 'not decoded' out.txt && fail "images were decoded"

# Lists: no row is lost in silence, and a fault has its own line.
cp whole/*.png .
printf '\xef\xbb\xbf"filepath","caption"\r\n00000000.png,"one, with ""quotes"""\r\n00000001.png,6" nails\r\n' > good.csv
expect_status 0 "$FLIP" data verify good.csv
expect_line out.txt '^2 samples'
printf 'filepath\tcaption\n00000000.png\ta\n00000001.png\t"b\n00000002.png\tc\n00000003.png\td\n' > open.tsv
expect_status 2 "$FLIP" data verify open.tsv
expect_line err.txt 'open.tsv:3: a quote opens here and never closes'
printf 'filepath\tcaption\n00000000.png\ta\n00000001.png\t"b\n00000002.png\tc\n00000003.png\t"d"\n' > shifted.tsv
expect_status 2 "$FLIP" data verify shifted.tsv
expect_line err.txt 'shifted.tsv:3: a quote opens here and closes on line 5 in the middle'
printf 'filepath,caption\n00000000.png,"a\n00000001.png,b\n00000002.png,c 6"\n00000003.png,d\n' > hidden.csv
expect_status 2 "$FLIP" data verify hidden.csv
expect_line err.txt 'hidden.csv:2: a quoted field of this row spans several lines'
printf 'filepath,caption\n00000000.png,a dog, running\n00000001.png,b\n' > comma.csv
expect_status 1 "$FLIP" data verify comma.csv
expect_line out.txt 'comma.csv:2: has 3 fields, the header 2'
printf 'a,b\n1,2\n3,4\n' > names.csv
expect_status 2 "$FLIP" data verify names.csv
expect_line err.txt 'names.csv:1: no column image'
gzip -c open.tsv | head -c 40 > cut.tsv.gz
expect_status 2 "$FLIP" data verify cut.tsv.gz # a list by its name
expect_line err.txt 'cut.tsv.gz: damaged gzip file'
expect_status 1 "$FLIP" data verify list:whole # not a damage of a file
expect_line err.txt 'whole: cannot read: Is a directory'
printf 'filepath,caption\n%s/whole/00000000.png,a b\n%s/whole/00000001.png,c d\n' "$PWD" "$PWD" > two.csv
cat two.csv | "$FLIP" data stats list:/dev/stdin --json > piped.txt 2> err.txt || { cat err.txt; fail "a list on a pipe is not read"; }
expect_status 0 "$FLIP" data stats two.csv --json
expect_line piped.txt '"samples":2.*"caption_words":.?"min":2'
cmp -s piped.txt out.txt || { cat piped.txt out.txt; fail "a list on a pipe is another"; }
expect_status 2 "$FLIP" data stats 'pipe:cat first.tar'
expect_line err.txt 'runs a program, which only data.train may'
# Images whose folder is gone are no bad images: nothing is measured, selected or counted without them.
printf 'filepath,caption\n00000000.png,a\nlost/00000001.png,b\n' > lost.csv
for command in 'data stats lost.csv' 'data verify lost.csv' 'data filter -o f lost.csv' 'data balance --per-term 1 -o f lost.csv' \
  'embed -m run -o x.npy -i lost.csv'; do
  expect_status 1 "$FLIP" $command
  expect_line err.txt 'lost/00000001.png: cannot open: No such file or directory .not the fault of this file alone'
done
set_of lost | sed 's/lost.tar/lost.csv/; s/zeroshot/retrieval/' > set.yaml
expect_status 1 "$FLIP" eval retrieval -m run -f set.yaml
expect_line err.txt 'lost/00000001.png: cannot open'
printf 'filepath\n00000000.png\n00000001.png\n' > bare.csv
expect_status 0 "$FLIP" embed -m run -i bare.csv -o x.npy
expect_line out.txt '2 x 16'

# Vocabularies: a byte order mark and CR LF do no harm; one that is cut or holds NUL is refused.
"$FLIP" tokenizer encode -v vocab.txt 'a red circle' > plain.txt
{ printf '\xef\xbb\xbf'; sed 's/$/\r/' vocab.txt; } > marked.txt
"$FLIP" tokenizer encode -v marked.txt 'a red circle' | cmp - plain.txt || fail "a byte order mark changes the tokens"
{ head -5 vocab.txt; printf '\0\n'; tail -n +6 vocab.txt; } > nul.txt
expect_status 2 "$FLIP" tokenizer encode -v vocab.txt
expect_line err.txt 'no text was given'
expect_status 2 "$FLIP" tokenizer encode -v nul.txt 'a red circle'
expect_line err.txt 'nul.txt: contains a NUL character'
head -c 1000 "$SOURCE/tests/parity/fixtures/merges.txt.gz" > cut.gz
expect_status 2 "$FLIP" tokenizer encode -t bpe -v cut.gz 'a red circle'
expect_line err.txt 'cut.gz: damaged gzip file'

# Names and folders that do not belong together are counted; lists begin with a byte order mark or not.
mkdir -p tree/n1 tree/n2; cp whole/00000000.png tree/n1; cp whole/00000001.png tree/n2
printf '\xef\xbb\xbfn1 a cat\r\n\r\nn3 a horse\r\n' > folders.txt
expect_status 0 "$FLIP" data stats 'imagenet:tree#names=folders.txt'
expect_line err.txt 'tree: 1 folder has no name in the list: n2'
expect_line err.txt 'tree: 1 name of the list without a folder: n3'
printf '\xef\xbb\xbf# shards\r\n first.tar \r\n' > list.txt
expect_status 0 "$FLIP" data verify @list.txt

# Files of a folder that are no images are counted too.
mkdir album; cp whole/00000000.png album; cp whole/00000000.txt album; : > album/film.gif; : > album/notes.md
expect_status 0 "$FLIP" embed -m run -i album -o x.npy
expect_line err.txt 'album: 2 files skipped: not .jpg, .jpeg, .png or .webp'
expect_status 0 "$FLIP" data stats album
expect_line err.txt 'album: 2 files skipped'

# The size of drawn scenes is read; sizes that cannot be are counted and in no range.
expect_status 0 "$FLIP" data stats 'scenes:0#count=5,size=48'
expect_line out.txt '5 samples, '
grep -qE 'width +48 … 48 … 48 pixels' out.txt && grep -q ': 5 uncompressed$' out.txt || fail "the size of scenes is not known"
mkdir odd; printf 'RIFF\0\0\0\0WEBPnothing' > odd/a.webp; echo text > odd/a.txt
expect_status 0 "$FLIP" data stats odd
expect_line out.txt '1 image without a readable size'
grep -q '^  width ' out.txt && fail "an unknown width is shown"
for command in 'data stats' 'data verify' 'tokenizer train -o v.txt' 'data filter -o kept'; do
  expect_status 2 "$FLIP" $command scenes:0
  expect_line err.txt "scenes:0: has no end, and this reads all of it: give a number of samples, as in 'scenes:0#count=20k'"
done

# A caption in another encoding is left out of a folder as of a shard, and is a fault; a file that is no image is not.
mkdir latin; cp whole/00000000.png latin/a.png; cp whole/00000001.png latin/b.png; echo good > latin/b.txt; printf 'K\344se' > latin/a.txt
expect_status 0 "$FLIP" data stats latin
expect_line out.txt '1 sample cannot be read'
expect_status 0 "$FLIP" data filter -o sieved --min-words 1 latin
[ "$(sed -n 2p sieved/left_out.tsv | cut -f1)" = latin/a.png ] || fail "a file is not named by its path"
expect_status 0 "$FLIP" tokenizer train -o v.txt latin
expect_line err.txt '1 of 2 captions cannot be read'
expect_status 1 "$FLIP" data verify latin
expect_line out.txt 'its caption is not UTF-8'
mkdir -p "$(printf 'classes/\344pfel')" classes/pears; cp whole/00000000.png "$(printf 'classes/\344pfel')"; cp whole/00000001.png classes/pears
expect_status 0 "$FLIP" data filter -o named 'imagenet:classes#template=a {}'
expect_line out.txt '1 of 2 samples .*; 1 left out'
rm latin/a.txt latin/a.png; touch latin/notes.md
expect_status 0 "$FLIP" data verify latin
expect_line out.txt '1 file skipped'

# Rules that no sample can pass are mistakes.
for rule in '--min-letters 5' '--max-aspect 0.5' '--min-words 5 --max-words 3' '--min-words -3'; do
  expect_status 2 "$FLIP" data filter -o impossible $rule whole
  [ ! -e impossible ] || fail "$rule wrote something"
done
