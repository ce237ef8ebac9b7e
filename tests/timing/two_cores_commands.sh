# What two_cores.sh measures: each a function of the threads, in a folder of its own.
names='scenes openclipart emoji filter filter_captions balance stats verify verify_folder embed zeroshot'
openclipart_shards=$DATA/openclipart/train-*.tar few_shards=$DATA/openclipart/heldout-*.tar
many_shards='many/*.tar' # eight copies: what takes microseconds a sample would else be over in 0.1 s

prepare() { # drawings as files, one folder of openclipart, and a model of the mini preset that was hardly trained
  "$FLIP" data scenes --out scenes --count 64 --size 64 --no-progress
  mkdir -p files clipart/png clipart/svg
  for kind in png svg; do ln -s /usr/share/openclipart/$kind/animals clipart/$kind/; done
  for shard in $openclipart_shards; do tar xf "$shard" -C files; done
  mkdir many
  for copy in 0 1 2 3 4 5 6 7; do
    for shard in $openclipart_shards; do cp "$shard" "many/$copy-${shard##*/}"; done
  done
  cat > run.yaml <<'Y'
image: {size: 64, patch: 8, width: 192, layers: 6, heads: 3}
text: {width: 128, layers: 2, heads: 2, length: 16, vocabulary: vocab.txt}
embed_dim: 64
batch_size: 32
samples: 32
warmup_samples: 32
learning_rate: 1.0e-3
data.train: ["scenes/train-*.tar"]
eval: {sets: [], points: 1}
threads: 2
Y
  "$FLIP" tokenizer train --out vocab.txt --size 400 'scenes/train-*.tar'
  "$FLIP" train --config run.yaml --no-progress --out model
  cat > drawings.yaml <<Y
name: drawings
images: ["$few_shards"]
tasks: [zeroshot]
label: top
templates: ["a drawing of {}"]
Y
}
scenes() { "$FLIP" data scenes --out out --count 3000 --size 64 --no-progress; }
openclipart() { "$FLIP" data openclipart --source clipart --out out --threads "$1" --no-progress; }
emoji() { "$FLIP" data emoji --out out --no-progress; }
filter() { "$FLIP" data filter -o out --min-words 2 --duplicates 3 --no-progress "$openclipart_shards"; }
filter_captions() { "$FLIP" data filter -o out --min-words 2 --no-progress "$many_shards"; }
balance() { "$FLIP" data balance -o out --per-term 50 --no-progress "$many_shards"; }
stats() { "$FLIP" data stats "$many_shards"; }
verify() { "$FLIP" data verify "$openclipart_shards"; }
verify_folder() { "$FLIP" data verify folder:files; }
embed() { "$FLIP" embed -m model --images "$few_shards" -o out.npy --set threads="$1"; }
zeroshot() { "$FLIP" eval zeroshot -m model --set threads="$1" --set-file drawings.yaml; }

# Of the numbers on standard input.
median() { sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
