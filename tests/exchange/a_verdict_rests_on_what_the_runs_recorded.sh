# What `reproduce` calls the same data is what the recorded runs read: the lexicon of a mask, data in the
# streaming order, and files that changed between the run and its bundle.
. "$SOURCE/tests/support/bundle.sh"
mkdir home && mv data vocab.txt home/ && cd home
make_tiny
experiment() { # NAME ROWS, then lines of YAML
  local name=$1 rows=$2 && shift 2
  { echo "name: $name"; echo 'base: tiny.yaml'; printf '%s\n' "$@"
    echo "report: {rows: $rows, columns: [final_loss], plots: []}"; } > "$name.yaml"
}
run() { expect_status 0 bench run "$1.yaml" --no-progress; }
pack() { expect_status 0 bench bundle "$1" --out "$SCRATCH/$1.tar.gz"; }
elsewhere() { # NAME: an empty folder with the bundle and the data
  rm -rf "$SCRATCH/there" && mkdir "$SCRATCH/there" && cd "$SCRATCH/there"
  cp "$SCRATCH/$1.tar.gz" . && cp -r "$SCRATCH/home/data" .
}
here() { cd "$SCRATCH/home"; }
lexicon() { printf '%s\n' 'circle: { nn: 5 }' "red: { $1: 5 }" 'small: { jj: 5 }' 'a: { dt: 5 }'; }

# A lexicon is listed, packed and found, wherever it lies; one for nothing is no input.
lexicon jj > words.yml
mkdir "$SCRATCH/gone" && lexicon vb > "$SCRATCH/gone/words.yml"
experiment masked mask_ratio 'settings: {text_mask_mode: syntax, text_mask_ratio: 0.5, text_mask_lexicon: words.yml}' 'matrix: {mask_ratio: [0]}'
experiment twice text_mask_lexicon 'settings: {text_mask_mode: syntax, text_mask_ratio: 0.5}' \
  "matrix: {text_mask_lexicon: [words.yml, $SCRATCH/gone/words.yml]}"
expect_status 0 "$FLIP" inputs -c tiny.yaml -s text_mask_lexicon=words.yml
! grep -q lexicon out.txt || fail "listed without a mask that uses it"
expect_status 0 "$FLIP" inputs -c tiny.yaml -s text_mask_mode=syntax -s text_mask_ratio=0.5 -s text_mask_lexicon=words.yml
expect_line out.txt '^lexicon +words.yml$'
expect_line out.txt '1 file, [0-9]+ B, fingerprint [0-9a-f]{32}'
run masked && pack masked
run twice && pack twice
mv "$SCRATCH/gone" "$SCRATCH/moved"
for name in masked twice; do
  elsewhere $name
  expect_status 0 bench reproduce $name.tar.gz
  expect_line out.txt 'lexicon words.yml: same as recorded'
  expect_line out.txt 'verdict: reproduced, on the same data'
  here
done

# One that changed after the run is said and not packed: who has the right one uses it.
cp words.yml right.yml && lexicon nn > words.yml
pack masked
expect_line err.txt 'lexicon words.yml: the local files differ from what the runs were trained on .* and does not contain the file'
elsewhere masked
cp "$SCRATCH/home/words.yml" .
expect_status 2 bench reproduce masked.tar.gz
expect_line err.txt 'lexicon words.yml: differs from the record'
rm -r reproduced && cp "$SCRATCH/home/right.yml" words.yml
expect_status 0 bench reproduce masked.tar.gz
expect_line out.txt 'verdict: reproduced, on the same data'

# Templates that changed between the run and its bundle: the runs here read others than those recorded.
here
cat > held.yaml <<'Y'
name: scenes
images: [data/heldout-*.tar]
tasks: [zeroshot, retrieval]
label: shape
template_file: templates.txt
Y
echo 'a {}' > templates.txt
experiment edited mask_ratio 'settings: {eval.sets: [held.yaml]}' 'matrix: {mask_ratio: [0, 0.5]}'
run edited
echo 'not a {}' > templates.txt
pack edited
elsewhere edited
expect_status 0 bench reproduce edited.tar.gz
expect_line out.txt 'evaluation images data/heldout-\*\.tar: same as where the bundle was made'
expect_line out.txt 'evaluation set scenes: not what the recorded runs read \(fingerprint [0-9a-f]{10} here, [0-9a-f]{10} recorded\), in 2 cells: mask_ratio=0, mask_ratio=0.5$'
expect_line out.txt 'verdict: reproduced, on DIFFERENT data'
here && echo 'a {}' > templates.txt

# Images that were renewed before the bundle was made: who has those of the runs reproduces them.
here
run edited && cp -r data right
"$FLIP" data scenes --out data --count 40 --seed 9 --split heldout --size 24 --no-progress > /dev/null
pack edited
elsewhere edited
rm -r data && cp -r "$SCRATCH/home/right" data
expect_status 2 bench reproduce edited.tar.gz
expect_line err.txt 'evaluation images data/heldout-\*\.tar: differs from where the bundle was made'
expect_status 0 bench reproduce edited.tar.gz --other-data
expect_line out.txt 'all inputs are those that the recorded runs read, though not those found where the bundle was made'
expect_line out.txt 'verdict: reproduced, on the same data'

# The streaming order's fingerprint of more than 4 GiB is another than the exact order's; cells with
# both orders have both.
here
mkdir large && cp data/train-00000.tar large/ && truncate -s 4400M large/train-00000.tar
experiment streamed data.order 'settings: {data.train: ["large/train-*.tar"], data.workers: 1}' 'matrix: {data.order: [exact, stream]}'
run streamed
for order in exact stream; do
  recorded=$(field start data_fingerprint "$(grep -l "order: $order" results/streamed/*/config.yaml | xargs dirname)/events.jsonl")
  "$FLIP" inputs -c tiny.yaml -s 'data.train=[large/train-*.tar]' -s data.order=$order > listed.txt
  expect_line listed.txt "fingerprint $recorded"
done
pack streamed
! grep -q 'differ from what the runs were trained on' err.txt || fail "the data have not changed"
elsewhere streamed
mkdir large && ln "$SCRATCH/home/large/train-00000.tar" large/
expect_status 0 bench reproduce streamed.tar.gz
expect_line out.txt 'training data large/train-\*\.tar: same as recorded'
expect_line out.txt 'training data large/train-\*\.tar \(data.order: stream\): same as recorded'
expect_line out.txt 'verdict: reproduced, on the same data'

# Of a cell with two runs, after a merge, the one counts that its table shows: of which the tuning was made.
here
experiment tuned mask_ratio 'matrix: {mask_ratio: [0.5]}' 'tuning: {unmasked: {from: "${cell}", mask_ratio: 0, samples: 16}}'
run tuned
experiment alone mask_ratio 'matrix: {mask_ratio: [0.5]}'
cp -r data data.first
"$FLIP" data scenes --out data --count 160 --seed 9 --split train --size 24 --no-progress > /dev/null
expect_status 0 bench run alone.yaml --no-progress --results later
rm -r data && mv data.first data
expect_status 0 bench db merge later
pack tuned
! grep -q 'differ' err.txt || fail "a run that the table does not show decides what the data are"
elsewhere tuned
expect_status 0 bench reproduce tuned.tar.gz
expect_line out.txt 'verdict: reproduced, on the same data'
