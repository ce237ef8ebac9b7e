# 'flipbench cost' predicts device hours and energy from measured rates, says that it predicts, and
# reports what it could not count or had to extrapolate.
paper=$SOURCE/experiments/paper
cost() { expect_status 0 "$FLIPBENCH" cost "$@"; }
value() { grep -o "\"$1\":[^,}]*" out.txt | sed -n "${2}p" | cut -d: -f2; }
near() { awk -v a="$1" -v b="$2" -v share="$3" 'BEGIN { d = a / b - 1; exit !(d < share && d > -share) }' || fail "$1 is not about $2"; }

# by hand: 2,000 virtual epochs of 78 updates of 16,384 on one H100, without a mask 212.84 ms for 256 samples of which
# 5.34 are the update and 0.12 the loss; micro-batches of 256 are encoded twice, the loss of 16,384 is 8 B² d FLOPs
cost "$paper/table1a.yaml" --profile paper --rate h100 --cells --json
near "$(value device_hours 1)" "$(awk 'BEGIN {
  sample = (0.2128404 - 0.0053373 - 0.0001241) / 256
  flops = 463973393992375.3 / 1202.7792196577645
  print 156000 * (16384 * sample * 4 / 3 + 8 * 16384 ^ 2 * 768 * sample / flops + 0.0053373) / 3600 }')" 1e-3
near "$(value kwh 1)" "$(awk -v h="$(value device_hours 1)" 'BEGIN { print h * 0.5891671875 * 1202.7792 / 1000 }')" 1e-3
expect_line out.txt '"cells_extrapolated":0'

# over many devices the exchange is added; shared cells are counted once
cost "$paper/table1a.yaml" "$paper/table1a.yaml" "$paper/table2.yaml" --profile paper --rate h100 --rate a100 --ranks 256 --link 25
cp out.txt table.txt
for line in 'prediction, not measured: on up to 256 devices' '^Table 1a: mask ratio +3 ' '^total, shared cells once +14 ' \
  '^assumptions for a100' 'link of a device: 25 GB/s' 'the largest number of devices, up to 256'; do expect_line table.txt "$line"; done
cost "$paper/table1a.yaml" --profile paper --rate h100 --ranks 256 --link 1e6 --latency 0 --json
fast=$(value device_hours 1)
cost "$paper/table1a.yaml" --profile paper --rate h100 --ranks 256 --link 25 --json
awk -v slow="$(value device_hours 1)" -v fast="$fast" 'BEGIN { exit !(slow > 1.5 * fast) }' || fail "a slow link costs nothing"

# an experiment's costs are its cells', the total's those of all different cells, on each device
cost "$paper/table1a.yaml" "$paper/table1a.yaml" "$paper/table2.yaml" --profile paper --rate h100 --rate a100 --ranks 256 --link 25 --cells --json
sqlite3 :memory: "
  CREATE TABLE cell AS SELECT e.key AS experiment, c.value ->> 'id' AS id, d.value AS cost, d.key AS device
    FROM json_each(readfile('out.txt'), '\$.experiments') AS e, json_each(e.value, '\$.cells') AS c, json_each(c.value, '\$.devices') AS d;
  CREATE TABLE named AS SELECT column1 AS name FROM (VALUES ('cells'), ('samples'), ('flops'), ('device_hours'), ('kwh'));
  SELECT 'experiment', e.key, d.key, name, d.value ->> name, (SELECT sum(cost ->> name) FROM cell WHERE experiment = e.key AND device = d.key)
    FROM json_each(readfile('out.txt'), '\$.experiments') AS e, json_each(e.value, '\$.devices') AS d, named
  UNION ALL SELECT 'total', '', t.key, name, t.value ->> name, (SELECT sum(cost ->> name) FROM (SELECT * FROM cell WHERE device = t.key GROUP BY id))
    FROM json_each(readfile('out.txt'), '\$.total') AS t, named" > sums.txt
awk -F '|' '{ d = $5 / $6 - 1; if (!($5 > 0 && d < 1e-9 && d > -1e-9)) exit 1; n[$1]++ } END { exit n["experiment"] != 30 || n["total"] != 10 }' sums.txt ||
  { cat sums.txt; fail "costs are not the sums of the cells'"; }

# each cell has the micro-batches of the row that it is predicted from: 1,024 samples on a device that
# were measured at once are not encoded twice, whatever the batch of other rows
sed '/"mask_ratio":0,/!s/"batch_size":256/"batch_size":1024/' "$SOURCE/experiments/devices/h100.jsonl" > fitted.jsonl
sed 's/"batch_size":256/"batch_size":1024/' "$SOURCE/experiments/devices/h100.jsonl" > whole.jsonl
hours() { cost "$paper/table1a.yaml" --profile paper --rate "$1" --ranks 32 --link 1e6 --latency 0 --cells --json; value device_hours "$2"; }
near "$(hours fitted.jsonl 2)" "$(hours whole.jsonl 2)" 1e-6
awk -v a="$(hours fitted.jsonl 1)" -v b="$(hours whole.jsonl 1)" 'BEGIN { exit !(a > 1.25 * b) }' || fail "512 samples were measured at once"
cost "$paper/table1a.yaml" --profile paper --rate fitted.jsonl
expect_line out.txt 'micro-batches of at most the batch of the nearest measured row, 256 to 1024 samples'
cost "$paper/table1a.yaml" --profile paper --rate h100
expect_line out.txt 'micro-batches of at most 256 samples, the measured batch'

# a classifier with mixup needs whole pairs on each device: 130 samples are not divided between two
sed 's/batch_size: 1024$/batch_size: 130/;s/mix_batch: 32/mix_batch: 26/' "$paper/table3.yaml" > pairs.yaml
cost pairs.yaml --profile paper --rate h100 --ranks 2 --link 25

# the vocabulary is the cell's own, as for 'flip plan'; where it is not here, the published one
{ printf '[PAD]\n[UNK]\n[CLS]\n[SEP]\n'; seq 996; } > small.txt
cell() { # SETTING: device hours of an exchange that is most of the time
  printf 'name: v\nbase: %s\nsettings: {samples: 1M, data.train: [x.tar], eval.sets: [], %s}\nmatrix: {seed: [0]}\n' \
    "$SOURCE/experiments/presets/mini.yaml" "$1" > v.yaml
  cost v.yaml --rate h100 --ranks 4 --link 0.01 --json
  value device_hours 1
}
near "$(cell 'text.vocabulary: small.txt')" "$(cell 'text.vocabulary: small.txt, text.vocabulary_rows: 1000')" 1e-9
! grep -q 'published one' out.txt || fail "the vocabulary is here"
near "$(cell 'text.vocabulary: nowhere.txt')" "$(cell 'text.vocabulary: small.txt, text.vocabulary_rows: 30522')" 1e-9
cell 'text.vocabulary: nowhere.txt' > /dev/null
expect_line out.txt 'a vocabulary that is not here has the entries of its tokenizer.s published one'

# unknown values are counted
cost "$paper/family_text.yaml" --profile paper --rate h100
expect_line out.txt '14 of unknown length not counted'
cost "$paper/family_text.yaml" --profile paper --rate h100 --data-samples 10968539
expect_line out.txt 'an epoch of the data is 10968539 samples'
! grep -q 'unknown length' out.txt || fail "the length is known"
cost "$paper/table1a.yaml" --profile mini --rate h100
expect_line out.txt '9 extrapolated'

expect_status 2 "$FLIPBENCH" cost "$paper/table1a.yaml"
expect_line err.txt 'rate is missing'
expect_status 2 "$FLIPBENCH" cost "$paper/table1a.yaml" --rate h100 --ranks 4
expect_line err.txt 'ranks needs --link'
expect_status 2 "$FLIPBENCH" cost "$paper/table1a.yaml" --rate 1000
expect_line err.txt 'a rate in samples/s is of one model'

# A cell's own ranks count: those of the matrix, which --ranks cannot change, and those required, which it can
plain="name: own
base: $SOURCE/experiments/presets/mini.yaml
settings: {samples: 1M, data.train: [x.tar], eval.sets: [], text.vocabulary: small.txt, batch_size: 4096}"
printf '%s\nmatrix: {ranks: [1, 8, 64]}\n' "$plain" > axis.yaml
printf '%s\nmatrix: {seed: [0]}\n' "$plain" > none.yaml
printf '%s\nmatrix: {seed: [0]}\nrequires: {ranks: 8}\n' "$plain" > required.yaml
cost axis.yaml --rate h100 --link 0.1 --cells --json
cp out.txt axis.txt
cost none.yaml --rate h100 --link 0.1 --cells --json
near "$(cp axis.txt out.txt; value device_hours 1)" "$(cost none.yaml --rate h100 --json; value device_hours 1)" 1e-9
near "$(cp axis.txt out.txt; value device_hours 2)" "$(cost none.yaml --rate h100 --ranks 8 --link 0.1 --json; value device_hours 1)" 1e-9
near "$(cp axis.txt out.txt; value device_hours 3)" "$(cost none.yaml --rate h100 --ranks 64 --link 0.1 --json; value device_hours 1)" 1e-9
near "$(cost required.yaml --rate h100 --link 0.1 --json; value device_hours 1)" "$(cp axis.txt out.txt; value device_hours 2)" 1e-9
near "$(cost required.yaml --rate h100 --ranks 1 --json; value device_hours 1)" "$(cp axis.txt out.txt; value device_hours 1)" 1e-9
[ "$(grep -oE '"ranks":[0-9]+,"devices"' axis.txt | tr '\n' ' ')" = '"ranks":1,"devices" "ranks":8,"devices" "ranks":64,"devices" ' ] ||
  { cat axis.txt; fail "the ranks of each cell are not told"; }
cost axis.yaml --rate h100 --link 0.1
expect_line out.txt '^prediction, not measured: on the ranks that each cell has, up to 64 devices$'
expect_line out.txt 'link of a device: 0.1 GB/s'
cost none.yaml --rate h100
expect_line out.txt '^prediction, not measured: on 1 device$'
for file in axis required; do
  expect_status 2 "$FLIPBENCH" cost $file.yaml --rate h100
  expect_line err.txt "$file.yaml: .*8 ranks need --link: the bandwidth of a device's link in GB/s"
done
expect_status 2 "$FLIPBENCH" cost axis.yaml --rate h100 --ranks 8 --link 25
expect_line err.txt "axis.yaml: .*the matrix sets the ranks of each cell: leave out --ranks"
