# flip data filter --min-score: the score is the one that flip retrieve prints, and the rule keeps what
# reaches it.
. "$SOURCE/tests/support/training.sh"
make_data
train --out run >/dev/null 2>&1
filter() { "$FLIP" data filter --no-progress --model run --out "$1" --min-score="$2" 'data/heldout-*.tar'; }

filter all -1 > out.txt
expect_line out.txt '40 of 40 samples'
filter none 1 > out.txt
expect_line out.txt '40 left out'
[ "$(cut -f2 none/left_out.tsv | sort -u | grep -c '^score$')" = 1 ] || fail "another reason than the score"

# the middle score keeps about half, and nothing below it
middle=$(grep -oE 'score -?[0-9.]+' none/left_out.tsv | cut -d' ' -f2 | sort -g | sed -n 20p)
filter half "$middle" > out.txt
expect_line out.txt '2[01] of 40 samples'
grep -oE 'score -?[0-9.]+' half/left_out.tsv | cut -d' ' -f2 |
  awk -v middle="$middle" '$1 > middle { exit 1 }' || fail "a sample that reaches the score was left out"
expect_line half/report.json '"min_score"'

# the same number by another way
key=000000005
caption=$(tar xOf data/heldout-00000.tar "$(tar tf data/heldout-00000.tar | grep txt | sed -n 6p)")
key=$(tar tf data/heldout-00000.tar | grep txt | sed -n 6p); key=${key%.txt}
ours=$(grep -E "/$key	" none/left_out.tsv | grep -oE 'score -?[0-9.]+' | cut -d' ' -f2)
theirs=$("$FLIP" retrieve -m run -t "$caption" -i 'data/heldout-*.tar' --top 40 --json |
  grep "\"$key\"" | grep -oE '"score":[^,}]*' | cut -d: -f2)
awk -v a="$ours" -v b="$theirs" 'BEGIN { d = a - b; exit !(a != "" && b != "" && d < 2e-4 && d > -2e-4) }' ||
  fail "filter says $ours, retrieve $theirs"

expect_status 2 "$FLIP" data filter --out x --min-score 0.3 'data/heldout-*.tar'
expect_line err.txt 'must be given together'
