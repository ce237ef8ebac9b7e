# Whatever way an experiment names its files, its bundle is all that another machine needs besides
# the data: every part is packed on one side, and reproduced in an empty folder on the other.
. "$SOURCE/tests/support/bundle.sh"
mkdir home store && mv data store/scenes && cd home
make_tiny
report='report: {rows: mask_ratio, columns: [samples_per_second, final_loss], plots: []}'
experiment() { # PATH, then lines of YAML
  mkdir -p "$(dirname "$1")"
  local path=$1 && shift
  { printf '%s\n' "$@"; echo "$report"; } > "$path"
}
# Runs and packs it here; where it is reproduced there is the bundle and what `give` puts there.
pack() { # PATH NAME [RUN OPTIONS]
  local path=$1 name=$2 && shift 2
  expect_status 0 bench run "$path" --no-progress "$@"
  expect_status 0 bench bundle "$name" "$@" --out "$SCRATCH/$name.tar.gz"
}
elsewhere() { # NAME
  rm -rf "$SCRATCH/there" && mkdir "$SCRATCH/there" && cd "$SCRATCH/there"
  mv "$SCRATCH/$1.tar.gz" .
}
same() { # NAME [OPTIONS]: reproduced, on the same data
  expect_status 0 bench reproduce "$@"
  expect_line out.txt 'verdict: reproduced, on the same data, with the same program'
}
here() { cd "$SCRATCH/home"; }

# Vocabulary, evaluation set, classes and templates in the data's own folder, which is a link; a base
# of a base, one of them above the experiment.
ln -s ../store/scenes data
mv ../vocab.txt data/
sed 's/vocab.txt/data\/vocab.txt/; s/sets: \[\]/sets: ["data\/my set.yaml"]/' tiny.yaml > middle.yaml
mkdir presets && mv middle.yaml presets/below.yaml
echo 'base: below.yaml' > presets/above.yaml
printf 'circle\nsquare\ntriangle\nstar\n' > data/classes.txt
printf 'a {}\nthe {}\n' > data/templates.txt
cat > 'data/my set.yaml' <<'Y'
name: scenes
images: [data/heldout-*.tar]
tasks: [zeroshot, retrieval]
label: shape
class_file: data/classes.txt
template_file: data/templates.txt
Y
experiment experiments/beside.yaml 'base: ../presets/above.yaml' 'matrix: {mask_ratio: [0, 0.5]}' \
  'tuning: {unmasked: {from: "${cell}", unless: {mask_ratio: 0}, mask_ratio: 0, samples: 32}}'
expect_status 0 "$FLIP" inputs -c presets/below.yaml
for line in '^train +data/train-\*\.tar$' '160 samples, 1 file, [0-9.]+ KiB, fingerprint [0-9a-f]{32}$' '^classes +data/classes.txt$' \
  '^templates +data/templates.txt$' '^vocabulary +data/vocab.txt$' '^evaluation +data/heldout'; do expect_line out.txt "$line"; done
# A folder has the bytes of the files in it.
mkdir -p images/shape && tar xf data/train-*.tar -C images/shape
expect_status 0 "$FLIP" inputs -c presets/below.yaml -s 'data.train=[folder:images]'
expect_line out.txt '^ +160 samples, 1 folder, [1-9][0-9.]* KiB, fingerprint'
"$FLIP" inputs -c presets/below.yaml -s 'data.train=[folder:images]' --json > out.txt
expect_line out.txt "\"path\":\"images\",\"found\":\"images\",\"bytes\":$(find images -type f -printf '%s\n' | awk "{ sum += \$1 } END { print sum }")\}"
rm -r images
expect_status 1 "$FLIP" inputs -c presets/below.yaml -s 'data.train=[list:no/list.csv#images=pictures]'
expect_line out.txt 'missing: .*no/list.csv'
"$FLIP" inputs -c presets/below.yaml -s 'data.train=list:no/list.csv#images=pictures' --json > out.txt
expect_line out.txt '"paths":\["no/list.csv","pictures"\]'
pack experiments/beside.yaml beside
elsewhere beside
mkdir data && cp "$SCRATCH"/store/scenes/*.tar data/
same beside.tar.gz
expect_line out.txt 'training data data/train-\*\.tar: same as recorded \(1 file, '
expect_line out.txt 'evaluation images data/heldout-\*\.tar: same as where the bundle was made'
[ ! -L reproduced/beside/files/data ] || fail "the data folder hides what was packed in it"

# Other data, missing data, and data in another place.
mv data elsewhere
expect_status 2 bench reproduce beside.tar.gz
expect_line err.txt 'training data data/train-\*\.tar: missing here'
expect_line err.txt 'data/train-00000\.tar: missing here \([0-9.]+ KiB\)'
expect_line err.txt 'pass --data FOLDER'
rm -r reproduced
same beside.tar.gz --data elsewhere
cp -r elsewhere other; rm other/train-*; "$FLIP" data scenes --out other --count 160 --seed 2 --size 24 --no-progress > /dev/null
# The runs there were trained on the right data: other data found now says nothing about them.
expect_status 2 bench reproduce beside.tar.gz --data other --other-data
expect_line err.txt 'reproduced/beside/again: the runs there were trained on other data .* remove that folder'
expect_line err.txt 'training data .*: fingerprint [0-9a-f]{10} then, fingerprint [0-9a-f]{10} now'
same beside.tar.gz --data elsewhere
rm -r reproduced
expect_status 2 bench reproduce beside.tar.gz --data other
expect_line err.txt 'training data .*: differs from the record \(fingerprint [0-9a-f]{10} here, [0-9a-f]{10} recorded\)'
expect_line err.txt '--other-data'
expect_status 1 bench reproduce beside.tar.gz --data other --other-data
expect_line out.txt 'verdict: NOT reproduced, on DIFFERENT data'
expect_status 2 bench reproduce beside.tar.gz --data elsewhere
expect_line err.txt 'reproduced/beside/again: the runs there were trained on other data'
rm -r reproduced/beside/again
same beside.tar.gz --data elsewhere

# Another bundle of the same name is not mixed with this one.
here
expect_status 0 bench bundle beside --out "$SCRATCH/there/again.tar.gz"
cd "$SCRATCH/there"
expect_status 2 bench reproduce again.tar.gz --data elsewhere
expect_line err.txt 'contains another bundle'

# Paths above the starting folder, with blanks and non-ASCII letters, dots within names.
here
mkdir -p '../Grüße an/alle' && cp presets/below.yaml '../Grüße an/alle/ba se.yaml'
cp data/vocab.txt ../vocab..v2.txt
experiment 'my experiments/up..down.yaml' 'name: up' 'base: "../../Grüße an/alle/ba se.yaml"' \
  'settings: {text.vocabulary: "data/../../vocab..v2.txt", data.train: "../store/scenes/train-{00000..00000}.tar", eval.sets: []}' \
  'matrix: {mask_ratio: [0]}'
pack 'my experiments/up..down.yaml' up
elsewhere up
mkdir store && cp -r "$SCRATCH/store/scenes" store/scenes
mkdir deep && cd deep
same ../up.tar.gz
for locale in C C.UTF-8; do LC_ALL=$locale expect_status 0 bench reproduce ../up.tar.gz --no-run; done

# Absolute paths to what is not there: base, vocabulary, set, classes, data.
here
gone=$SCRATCH/gone && mkdir "$gone" && cp data/vocab.txt data/classes.txt data/templates.txt "$gone"
cp -r ../store/scenes "$gone/shards"
sed "s|data/classes|$gone/classes|; s|template_file: .*|template_file: \"$gone/templates.txt\" # all|; s|\[data/heldout|[$gone/shards/heldout|" \
  'data/my set.yaml' > "$gone/set.yaml"
sed "s|vocab.txt|$gone/vocab.txt|; s|sets: \[\]|sets: [$gone/set.yaml]|" tiny.yaml > "$gone/tiny.yaml"
echo "base: $gone/tiny.yaml" > "$gone/more.yaml"
experiment "$gone/experiment.yaml" 'name: absolute' "base: ['$gone/more.yaml']" \
  "settings: {data.train: ['$gone/shards/train-*.tar']}" 'matrix: {mask_ratio: [0]}'
pack "$gone/experiment.yaml" absolute
mv "$gone" "$SCRATCH/moved"
elsewhere absolute
expect_status 2 bench reproduce absolute.tar.gz
expect_line err.txt 'training data .*/gone/shards/train-\*\.tar: missing here'
same absolute.tar.gz --data "$SCRATCH/moved"
expect_line out.txt 'evaluation images .*/gone/shards/heldout-\*\.tar: same as where the bundle was made'
rm -r "$SCRATCH/moved"

# A shipped preset and a shipped evaluation set, from a folder that has neither; settings by words; a
# profile. The bundle is made from yet another folder.
here
mkdir -p data/emoji unpacked && tar xf data/heldout-00000.tar -C unpacked # shapes pass for emoji
sed -i 's/"shape"/"group"/' unpacked/*.json && (cd unpacked && tar cf ../data/emoji/emoji-00000.tar -- *)
experiment experiments/shipped.yaml 'base: presets/mini.yaml' \
  'settings: {data.train: "data/train-*.tar", eval: {sets: [experiments/evals/emoji.yaml]}, text: {vocabulary: data/vocab.txt}}' \
  'profiles: {small: {settings: {image: {size: 16, width: 16, layers: 1, heads: 1}, text: {width: 16, layers: 1, heads: 1, length: 8}, embed_dim: 8, batch_size: 16, samples: 999k}}}' \
  'matrix: {mask_ratio: [0, 0.5]}'
words=(--set samples=64 --set warmup_samples=16 --set eval.points=1 --set threads=1)
expect_status 0 bench run experiments/shipped.yaml --profile small --no-progress "${words[@]}"
mkdir "$SCRATCH/third" && cd "$SCRATCH/third"
expect_status 2 bench bundle shipped@small --results ../home/results --set samples=48
expect_line err.txt 'need the same options here'
expect_status 0 bench bundle shipped@small --results ../home/results "${words[@]}" --out ../shipped.tar.gz
tar tzf ../shipped.tar.gz > list.txt
expect_line list.txt 'files/experiments/presets/mini.yaml'
expect_line list.txt 'files/experiments/evals/emoji.yaml'
elsewhere shipped
same shipped.tar.gz --data "$SCRATCH/store/scenes"

# Weights to start from, a list of shards, a CSV list next to its images, a required file.
here
newest=$(ls results/beside/mask_ratio=0-*/checkpoints/*.safetensors | tail -1) && mkdir weights && cp "$newest" weights/first.safetensors
echo 'data/train-00000.tar' > shards.txt
mkdir pictures && tar xf data/train-00000.tar -C pictures
(cd pictures && echo 'file,caption' > list.csv && for f in *.png; do echo "$f,a shape"; done >> list.csv)
experiment experiments/kinds.yaml 'base: ../presets/below.yaml' \
  'settings: {init_from: weights/first.safetensors, data.train: ["@shards.txt", "pictures/list.csv#weight=0.5"], eval.sets: []}' \
  'requires: {files: [weights/first.safetensors]}' 'matrix: {mask_ratio: [0]}'
pack experiments/kinds.yaml kinds
elsewhere kinds
cp -r "$SCRATCH/home/pictures" "$SCRATCH/home/weights" . && mkdir data && cp "$SCRATCH/store/scenes/train-00000.tar" data/
same kinds.tar.gz
echo more >> weights/first.safetensors
rm -r reproduced
expect_status 2 bench reproduce kinds.tar.gz
expect_line err.txt 'weights weights/first.safetensors: differs from the record'

# A bundle does not run commands of its own.
here
experiment experiments/piped.yaml 'base: ../presets/below.yaml' \
  'settings: {data.train: "pipe:cat data/train-00000.tar", data.allow_pipes: true, eval.sets: []}' 'matrix: {mask_ratio: [0]}'
pack experiments/piped.yaml piped
elsewhere piped
mkdir data && cp "$SCRATCH/store/scenes/train-00000.tar" data/
expect_status 2 bench reproduce piped.tar.gz
expect_line err.txt "the experiment's data is a command, 'pipe:cat data/train-00000.tar'.*--allow-commands"
# Nor does it name other code to its trainers, in a variable that is not known to be harmless: every library has its own.
plugged() { # NAME VARIABLES
  here
  experiment experiments/$1.yaml 'base: ../presets/below.yaml' 'settings: {eval.sets: []}' 'matrix: {mask_ratio: [0]}' "environment: {$2}"
  pack experiments/$1.yaml $1
  elsewhere $1
  mkdir data && cp "$SCRATCH/store/scenes/train-00000.tar" data/
}
for tried in agent=OMPI_MCA_plm_rsh_agent prefix=OPAL_PREFIX modules=UCX_MODULE_DIR other=PLANET; do
  plugged ${tried%=*} "${tried#*=}: /tmp/other"
  expect_status 2 bench reproduce ${tried%=*}.tar.gz
  expect_line err.txt "the experiment sets ${tried#*=}=/tmp/other for its trainers, which may load other code"
  expect_status 0 bench reproduce ${tried%=*}.tar.gz --no-run # starts no trainer
done
same other.tar.gz --allow-commands
plugged threads 'OMP_PROC_BIND: "false", NCCL_DEBUG: WARN'
same threads.tar.gz
