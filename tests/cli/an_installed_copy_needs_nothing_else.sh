# An installed folder works wherever it is moved to, and without the sources it was built from.
cmake --install "$BINARY" --prefix "$SCRATCH/stage" > install.txt
mv stage moved
for file in bin/flip bin/flipbench share/man/man1/flip-train.1 share/doc/flip/LICENSE share/doc/flip/README.md \
  share/bash-completion/completions/flip share/zsh/site-functions/_flipbench share/fish/vendor_completions.d/flip.fish \
  share/flip/experiments/quickstart.yaml share/flip/experiments/presets/mini.yaml \
  share/flip/experiments/evals/emoji.yaml share/flip/plots/theme.gp; do
  [ -s "moved/$file" ] || fail "$file was not installed"
done

# Where the sources are still there, only what was installed with the programs is found by its name.
expect_status 1 moved/bin/flip inputs -c experiments/presets/mini.yaml --set text.vocabulary=docs/data.md
expect_line out.txt 'missing: docs/data.md: no such file'

# The sources' own path, where the programs look last, becomes one that does not exist.
nowhere=/nonexistent$(printf '%*s' $((${#SOURCE} - 12)) '' | tr ' ' x)
[ ${#nowhere} = ${#SOURCE} ] || nowhere=$(printf '%*s' ${#SOURCE} '' | tr ' ' x)
for program in flip flipbench; do
  grep -qF "$SOURCE" "moved/bin/$program" || fail "$program does not know its sources: this story shows nothing"
  LC_ALL=C sed -i "s|$SOURCE|$nowhere|g" "moved/bin/$program"
done
unset FLIP FLIPBENCH FLIPBENCH_PLOTS FLIPBENCH_DB
PATH=$SCRATCH/moved/bin:$PATH
mkdir work && cd work

# What is shipped is found by its name in a checkout, from any folder.
expect_status 0 flip plan --config experiments/presets/vit_l16_laion400m.yaml --set mask_ratio=0.5
expect_status 0 flipbench check experiments/quickstart.yaml
expect_status 0 flipbench check experiments/paper/table1a.yaml --profile paper
expect_status 0 flip tokenizer encode -v experiments/vocabularies/scenes.txt 'a red star'
expect_line out.txt '^a:[0-9]+ red:[0-9]+ star:[0-9]+$'

# A small experiment on a shipped preset, with a shipped evaluation set, and its report and figures.
flip data scenes --out data/scenes --count 128 --size 16 --no-progress > /dev/null
flip tokenizer train --out vocab.txt --size 200 'data/scenes/*.tar' > /dev/null
mkdir -p data/emoji unpacked && tar xf data/scenes/*-00000.tar -C unpacked # shapes pass for emoji
sed -i 's/"shape"/"group"/' unpacked/*.json
(cd unpacked && tar cf ../data/emoji/emoji-00000.tar -- *)
cat > small.yaml <<'Y'
name: small
title: "From an installed copy"
base: presets/mini.yaml
settings:
  image: {size: 16, patch: 8, width: 16, layers: 1, heads: 1}
  text: {width: 16, layers: 1, heads: 1, length: 8, vocabulary: vocab.txt}
  embed_dim: 8
  batch_size: 16
  samples: 256
  warmup_samples: 16
  data.train: "data/scenes/*.tar"
  eval: {sets: [experiments/evals/emoji.yaml], points: 2}
  threads: 2
matrix: {mask_ratio: [0, 0.5]}
report: {rows: mask_ratio, baseline: {mask_ratio: 0}, iso: retrieval_i2t_r1,
         columns: [samples_per_second, retrieval_i2t_r1], plots: [accuracy_vs_time, throughput, memory, loss]}
Y
expect_status 0 flipbench run small.yaml --no-progress
expect_status 0 flipbench report small.yaml
expect_line out.txt '50 %'
expect_status 0 flipbench plot small.yaml --out figures
for figure in accuracy_vs_time throughput memory loss; do
  [ -s "figures/$figure.svg" ] || { ls figures; fail "$figure was not drawn"; }
done
expect_status 0 flipbench report small.yaml --format html --out report.html
grep -q '<svg' report.html || fail "the page has no figure"
! grep -rqF -e "$SOURCE" -e "$nowhere" figures report.html results/small || fail "the sources are named in what was made"
