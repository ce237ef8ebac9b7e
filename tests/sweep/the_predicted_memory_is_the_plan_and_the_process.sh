. "$SOURCE/tests/support/sweep.sh"
# The memory of a cell that is like no finished run is what 'flip plan' says, the batches read ahead and a
# checkpoint's copy too, and 192 MiB for the process (docs/experiments.md, Predictions): for every precision,
# vocabulary and number of ranks.
small='{image.size: 32, image.width: 64, image.heads: 2, image.layers: 4, text.width: 256, text.heads: 2, text.layers: 2,
  embed_dim: 64, batch_size: 256, samples: 1024, eval.points: 0, data.train: x.tar, data.cache_mib: 0, device: cpu,
  text.vocabulary: vocab.txt}'
printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' a b c > vocab.txt
{ echo '#version: 0.2'; for a in {a..z}; do for b in {a..z}; do echo "$a $b"; done; done; } | gzip > merges.txt.gz
echo "$small" > plan.yaml
in_mib() { # in_mib TEXT: "1.18 GiB" in MiB
  awk '{ print $1 * ($2 == "GiB" ? 1024 : 1) }' <<< "$1"
}
printf '%s\n' 'name: cell' "settings: $small" 'report: {rows: [], columns: [peak_memory]}' > experiments/cell.yaml
predicted() { # predicted SETTINGS…: MiB of the only cell, as a dry run says
  local sets=() one
  for one in "$@"; do sets+=(--set "$one"); done
  expect_status 0 bench run experiments/cell.yaml --dry-run "${sets[@]}"
  in_mib "$(grep -oE '[0-9.]+ [MG]iB' out.txt)"
}
planned() { # planned SETTINGS…: MiB
  local sets=() one
  for one in "$@"; do sets+=(--set "$one"); done
  "$BINARY/bin/flip" plan --config plan.yaml --json "${sets[@]}" 2> plan.err |
    grep -oE '"(planned|prefetched|checkpoint_copy)_bytes":[0-9]*' | awk -F: '{ sum += $2 / 1048576 } END { print NR == 3 ? sum : -1 }'
}
agree() { # agree NAME PREDICTED PLANNED OVERHEAD: up to the three digits that are printed
  awk -v p="$2" -v q="$3" -v o="$4" 'BEGIN { d = p - q - o; exit !(d < 0.006 * p && d > -0.006 * p) }' ||
    fail "$1: $2 MiB predicted, $3 MiB planned"
}
for precision in fp32 bf16 fp8; do
  agree $precision "$(predicted precision=$precision)" "$(planned precision=$precision)" 192
done
# auto: bf16 where the processor has such products
compute=fp32
if grep -qw avx512_bf16 /proc/cpuinfo; then compute=bf16; fi
agree auto "$(predicted precision=auto)" "$(planned precision=$compute)" 192
# the entries of a vocabulary, not its lines; of the published one of its kind where there is none
for words in merges.txt.gz nowhere.txt; do
  sets=(text.tokenizer=bpe text.pool=eot text.special_tokens=both text.vocabulary=$words precision=fp32)
  agree $words "$(predicted "${sets[@]}")" "$(planned "${sets[@]}")" 192
done
# the decoded images that are kept: of twice the side, each of the samples once at most
agree images "$(predicted data.cache_mib=1024 precision=fp32)" "$(planned precision=fp32)" 204
agree cache "$(predicted data.cache_mib=50 precision=fp32 samples=1M)" "$(planned precision=fp32)" 242
# of scenes without a number of them none is seen twice, and none is kept
for scenes in scenes:0 'scenes:0#version=2'; do
  agree "$scenes" "$(predicted data.cache_mib=1024 precision=fp32 "data.train=$scenes")" "$(planned precision=fp32)" 192
done
agree counted "$(predicted data.cache_mib=1024 precision=fp32 data.train=scenes:0#count=2k)" "$(planned precision=fp32)" 204
# a batch of the gradient cache is read whole, five times, whatever the micro-batch
awk -v p="$(planned precision=fp32 batch_size=16384 micro_batch_size=64)" 'BEGIN { exit !(p > 5 * 16384 * 3072 / 1048576) }' ||
  fail "the batches read ahead are not planned"
# of every rank, whose loss needs the features of all
"$BINARY/bin/flip" plan --config plan.yaml --set precision=fp32 --ranks 2 --rate 100 --link 1 --json > ranks.json 2> plan.err
number() { grep -oE "$1[0-9]+" ranks.json | head -1 | grep -oE '[0-9]+$'; }
planned=$(awk -v p="$(number '"samples_per_rank":128,"micro_batch_size":[0-9]*,"planned_bytes":')" -v b="$(number '"prefetched_bytes":')" \
  -v c="$(number '"checkpoint_copy_bytes":')" 'BEGIN { print (2 * p + b + 2 * c) / 1048576 }')
echo 'requires: {ranks: 2}' >> experiments/cell.yaml
agree ranks "$(predicted precision=fp32)" "$planned" 384
