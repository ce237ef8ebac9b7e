# The same samples from shards, from a pipe and from a folder of files train the same model; a pipe
# runs only when it is allowed.
. "$SOURCE/tests/support/training.sh"
make_data
losses() { field step loss "$1/events.jsonl"; }
train --out shards -s 'data.train=["data/train-*.tar"]'
train --out pipe -s 'data.train=["pipe:cat data/train-00000.tar"]' -s data.allow_pipes=true
[ "$(losses shards)" = "$(losses pipe)" ] || fail "a pipe gave other samples than its shard"
expect_status 2 "$FLIP" train --config run.yaml --out forbidden -s 'data.train=["pipe:cat data/train-00000.tar"]'
expect_line err.txt 'only data.train may, with data.allow_pipes: true'

mkdir files && tar xf data/train-00000.tar -C files
train --out folder -s 'data.train=[files]'
[ "$(losses shards)" = "$(losses folder)" ] || fail "a folder gave other samples than the shard made of it"

# a list of half of them, and the folder twice an epoch: 80 + 2 * 160 samples an epoch
{ echo 'file,caption'; for i in files/*[02468].png; do echo "$i,\"$(cat "${i%.png}.txt")\""; done; } > list.csv
train --out mixed -s 'data.train=["list.csv#images=.", "folder:files#weight=2"]' -s samples=0 -s epochs=1
expect_line mixed/events.jsonl '"event":"end".*"samples":416' # 400 in whole batches of 32, rounded

# a missing file is named and replaced
rm files/00000007.png && cp list.csv cut.csv && sed -i 's/00000008/00000007/' cut.csv
train --out gone -s 'data.train=["cut.csv#images=."]'
expect_line gone/events.jsonl 'skipped_sample.*00000007.png'
