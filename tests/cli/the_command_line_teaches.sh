# Every command explains itself, refuses what it does not know, and speaks JSON where it says so.
commands() { # the names under "commands:" of a --help
  sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'
}
teach() { # teach PROGRAM [COMMAND…]: this level of commands, and the levels below
  expect_status 0 "$@" --help
  local names name
  names=$(commands < out.txt)
  expect_line out.txt '^usage: '
  if [ -z "$names" ]; then
    expect_line out.txt 'example'
    # 2 of regress means that it cannot tell
    if [[ "$*" == *regress ]]; then expect_status 3 "$@" --nonsense; else expect_status 2 "$@" --nonsense; fi
    expect_line err.txt "unknown option '--nonsense'"
    [ "$(wc -l < err.txt)" = 1 ] || fail "$*: more than one line for one mistake"
    count=$((count + 1))
  else
    expect_status 2 "$@" nonsense
    for name in $names; do teach "$@" "$name"; done
  fi
}
count=0
for program in "$FLIP" "$FLIPBENCH"; do
  expect_status 0 "$program" --version
  expect_line out.txt '^flip(bench)? [0-9]+\.[0-9]+'
  teach "$program"
done
[ $count -ge 15 ] || fail "only $count commands were found"

# A plan needs neither data nor a GPU; its numbers are checked by the unit test `count`.
preset=$SOURCE/experiments/presets/vit_l16_laion400m.yaml
expect_status 0 "$FLIP" plan --config "$preset" --set mask_ratio=0.75
expect_line out.txt 'image: 49 of 196 patches encoded'
expect_line out.txt '190000 updates of 65536 samples .12451840000., 760 of them warm-up'
expect_status 0 "$FLIP" plan --config "$preset" --set mask_ratio=0.75 --json
expect_line out.txt '"encoded_patches":49'
expect_status 1 "$FLIP" plan --config nowhere.yaml
expect_line err.txt 'nowhere.yaml'

# Benchmarks measure: every row has a rate above zero.
small=(--set image.size=16 --set image.width=32 --set image.heads=2 --set text.width=32 --set text.heads=2
       --set text.layers=1 --set image.layers=1 --set batch_size=16 --set embed_dim=16 --set samples=100)
expect_status 0 "$FLIP" bench step "${small[@]}" --steps 1 --json
read -r peak planned < <(sed -nE '1s/.*"peak_bytes":([0-9]+),"planned_bytes":([0-9]+).*/\1 \2/p' out.txt)
[ "${peak:-0}" -gt "${planned:-0}" ] || { cat out.txt; fail "the peak is not that of the process"; }
[ "$(grep -c '"samples_per_second":[0-9.]*[1-9]' out.txt)" -ge 3 ] || { cat out.txt; fail "three mask ratios were expected"; }
[ "$(grep -c '"in_turns":true' out.txt)" = 3 ] || { cat out.txt; fail "small models take turns"; }
expect_status 1 "$FLIP" bench step "${small[@]}" --device cpu --fit
expect_line err.txt '--fit needs a GPU'
# the model that is measured is the one that trains: with the vocabulary of the settings
expect_status 0 "$FLIP" bench step -c "$SOURCE/experiments/presets/scenes_small.yaml" --set image.size=16 --set batch_size=8 --steps 1 --mask 0 --json
parameters=$(grep -o '"parameters":[0-9]*' out.txt | grep -o '[0-9]*')
expect_status 0 "$FLIP" plan -c "$SOURCE/experiments/presets/scenes_small.yaml" --set image.size=16
expect_line out.txt "^ +total +$parameters$"
expect_status 2 "$FLIP" bench step "${small[@]}" --set text.vocabulary_rows=100
expect_line err.txt 'text.vocabulary_rows: 100 are fewer than'
expect_status 0 "$FLIP" bench step "${small[@]}" --mask 0.5 --mask 0.75 --set reconstruction.weight=1 --steps 1 --json
[ "$(grep -c '"reconstruction_seconds":[0-9.e-]*[1-9]' out.txt)" -ge 2 ] || { cat out.txt; fail "the decoder has no part of its own"; }
# what training would refuse is not planned or measured either, and a mask that is set is the one measured
expect_status 0 "$FLIP" bench step "${small[@]}" --set mask_ratio=0.25 --steps 1 --json
[ "$(grep -o '"mask_ratio":[0-9.]*' out.txt)" = '"mask_ratio":0.25' ] || { cat out.txt; fail "another mask was measured"; }
cp "$SOURCE/experiments/presets/mini.yaml" mini.yaml # by a name without spaces: it is split into words
for wrong in image.patch=5 image.heads=5 micro_batch_size=7 text_mask_ratio=0.5 'image.mlp_ratio=0.25 -s image.width=2 -s image.heads=1'; do
  for program in "plan -c mini.yaml" "bench step --steps 1"; do
    expect_status 2 "$FLIP" $program -s batch_size=64 -s $wrong
    expect_line err.txt "${wrong%%=*}: "
  done
done
expect_status 2 "$FLIP" plan -c "$SOURCE/experiments/presets/mini.yaml" -s text_mask_mode=random -s text_mask_ratio=0.99
expect_status 0 "$FLIP" plan -c "$SOURCE/experiments/presets/mini.yaml" -s samples=10k -s warmup_epochs=2
expect_line out.txt 'warm-up of 2 epochs of the data, whose size is not known here'
expect_status 0 "$FLIP" bench step "${small[@]}" --set reconstruction.weight=1 --steps 1
awk '/ mask +batch /{ has = /loss ms  decoder ms/; next } NF > 9 && has && $1 ~ /^0/ { rows += $9 > 0 || $1 == 0 } END { exit rows != 3 }' out.txt ||
  { cat out.txt; fail "the decoder's time is in another column"; }
expect_status 0 "$FLIP" bench step "${small[@]}" --steps 1 --mask 0.5 --mask 0.25 --json
[ "$(grep -o '"mask_ratio":[0-9.]*' out.txt | tr '\n' ' ')" = '"mask_ratio":0.5 "mask_ratio":0.25 ' ] || fail "the masks that were asked for are not the rows"
expect_status 2 "$FLIP" bench step "${small[@]}" --mask 1
expect_line err.txt "--mask: '1' is not a mask ratio in \[0, 1\)"
for what in ops step eval; do
  expect_status 2 "$FLIP" bench $what "${small[@]}" --set image.patch=7
  expect_line err.txt 'image.size'
done
expect_status 0 "$FLIP" bench ops "${small[@]}" --steps 1 --json
[ "$(wc -l < out.txt)" -ge 8 ] || fail "too few operations"
[ "$(grep -cE '"precision":"(fp32|bf16)"' out.txt)" = "$(wc -l < out.txt)" ] || fail "operations of two precisions would be one series"
expect_status 0 "$FLIP" bench ops "${small[@]}" --steps 1 --set image.mlp_ratio=1 # narrower than queries, keys and values
expect_status 2 "$FLIP" bench ops "${small[@]}" --mask 0.5
expect_line err.txt "mask is an option of 'flip bench step', not of ops: change the mask with --set mask_ratio"
expect_status 2 "$FLIP" bench eval "${small[@]}" --fit
expect_status 2 "$FLIP" bench step "${small[@]}" --classes 10
expect_line err.txt "are options of 'flip bench eval', not of step"
expect_status 2 "$FLIP" bench eval "${small[@]}" --classes 0
expect_line err.txt 'classes: 0 is outside'
# an ensemble of views is encoded whole
expect_status 0 "$FLIP" bench eval "${small[@]}" --steps 1 --set eval.batch_size=8 --classes 10 --templates 1 --set eval.mask_ratio=0.5 --set eval.views=complementary --json
expect_line out.txt '"mask_ratio":0.5,"views":2,'
expect_status 2 "$FLIP" bench eval "${small[@]}" --steps 1 --set eval.views=complementary
expect_line err.txt 'complementary views need eval.mask_ratio'
expect_status 0 "$FLIP" bench eval "${small[@]}" --steps 1 --set eval.batch_size=8 --classes 10 --templates 3 --templates 1 --json
[ "$(grep -cE '"images_per_second":[0-9.]*[1-9].*"prompts_per_second":[0-9.]*[1-9].*"images_scored_per_second":[0-9.]*[1-9]' out.txt)" = 2 ] ||
  { cat out.txt; fail "a row for each number of templates was expected"; }
expect_line out.txt '"templates":3,"prompts":30,"prompts_measured":8,'
expect_status 0 "$FLIP" bench eval "${small[@]}" --steps 1 --set eval.batch_size=8 --classes 10 --templates 3
expect_line out.txt '^ +10 +3 .*from a part of the prompts'
expect_status 2 "$FLIP" bench eval --templates none
expect_line err.txt "templates: 'none' is not a number"
expect_status 2 "$FLIP" bench nonsense
expect_status 2 "$FLIP" bench step --steps 0

# Unsupported requests give one error message.
expect_status 1 env FLIP_PLUGINS=/nonexistent "$FLIP" bench step "${small[@]}" --set device=cuda
expect_line err.txt 'device: cuda: this build has no CUDA backend'
[ "$(wc -l < err.txt)" = 1 ] || fail "more than one line"
echo garbage > libflip_cuda.so
expect_status 1 env FLIP_PLUGINS=. "$FLIP" bench step "${small[@]}" --set device=cuda
expect_line err.txt 'device: cuda: the CUDA backend needs a library|libflip_cuda.so: .*(short|header)'
expect_status 0 env FLIP_PLUGINS=. "$FLIP" bench step "${small[@]}" --steps 1 --set device=auto

# Data commands refuse what they do not know.
for what in "scenes --out x" "emoji --out x" "openclipart --out x" formats; do
  expect_status 2 "$FLIP" data $what 5000 # meant as --count
  expect_line err.txt "5000"
done
[ ! -e x ] || fail "written in spite of an error"
expect_status 2 "$FLIP" data openclipart --out x --format gif
expect_line err.txt "'gif' is not jpg or png"
expect_status 1 "$FLIP" data stats nowhere.tar
expect_line err.txt 'nowhere.tar'

# Words that a command has no use for are named, not ignored.
expect_status 2 "$FLIP" plan --config "$preset" mask_ratio=0.75
expect_line err.txt "unexpected word 'mask_ratio=0.75': to change a setting, write -s mask_ratio=0.75"
expect_status 2 "$FLIP" inputs --config "$preset" extra
expect_line err.txt "unexpected word 'extra'$"
expect_status 2 "$FLIP" man train extra
expect_line err.txt "unexpected word 'extra' after the command 'flip train'"
expect_status 2 "$FLIP" man data emoji extra
expect_line err.txt "unexpected word 'extra' after the command 'flip data emoji'"
for words in 'plot --list' 'report --list' 'check --schema'; do
  expect_status 2 "$FLIPBENCH" $words extra
  expect_line err.txt "unexpected word 'extra'$"
done
# A value that is wrong is not one that is missing.
expect_status 2 "$FLIP" plan --config "$preset" --ranks 2 --rate 100 --link -1
expect_line err.txt '[-]-link: -1 GB/s is not above 0'
expect_status 2 "$FLIP" plan --config "$preset" --ranks 2 --rate 100 --link 0
expect_line err.txt '[-]-link: 0 GB/s is not above 0'
expect_status 2 "$FLIP" plan --config "$preset" --ranks 2 --rate 100
expect_line err.txt '[-]-ranks needs --link'
# Nor is a variable that is no number.
OMPI_COMM_WORLD_RANK=first OMPI_COMM_WORLD_SIZE=2 expect_status 2 "$FLIPBENCH" rank --folder cell -- true
expect_line err.txt 'OMPI_COMM_WORLD_RANK=first, which the launcher has set, is not a whole number'

# An unset shell variable is no folder; what cannot be printed says why; an empty name is named.
expect_status 2 "$FLIP" train -c "$SOURCE/experiments/presets/mini.yaml" --out=
expect_line err.txt '^flip: error: --out is empty: give DIR \(an unset variable\?\)'
for words in 'db export -o' 'db check --results' 'plot NAME --out' 'report NAME --out'; do
  expect_status 2 "$FLIPBENCH" $words ''
  expect_line err.txt '^flipbench: error: --(out|results) is empty: give [A-Z|]+ '
done
expect_status 2 "$FLIP" train -c '' --out x
expect_line err.txt '[-]-config is empty: give '
expect_status 2 "$FLIP" eval suite '' -m x
expect_line err.txt 'an argument is empty \(an unset variable\?\); usage: flip eval '
for jobs in 0 -1 257; do
  expect_status 2 "$FLIPBENCH" run "$SOURCE/experiments/quickstart.yaml" --jobs $jobs
  expect_line err.txt "[-]-jobs: $jobs is not between 1 and 256"
done
expect_status 2 "$FLIPBENCH" run ''
expect_line err.txt 'an argument is empty'
for words in "$FLIP --help" "$FLIP --version" "$FLIP man" "$FLIP man train" "$FLIP data --help" "$FLIP train --help" "$FLIPBENCH --help" "$FLIPBENCH --version"; do
  status=0; $words > /dev/full 2> err.txt || status=$?
  [ $status = 1 ] || fail "$words: status $status on a full device"
  expect_line err.txt 'standard output: cannot write: No space left on device'
done
status=0; "$FLIP" plan -c "$SOURCE/experiments/presets/mini.yaml" --json > /dev/full 2> err.txt || status=$?
[ $status = 1 ] || fail "printed to a full device with status $status"
expect_line err.txt 'standard output: cannot write: No space left on device'
expect_status 2 "$FLIP" inputs -c "$SOURCE/experiments/presets/mini.yaml" -s classification.classes=5
expect_line err.txt 'classification.train is empty'
