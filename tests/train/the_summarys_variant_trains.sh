# The summary's variant end to end, from transformers' towers: zeroed patches, one direction, features
# without normalisation, a fixed temperature, dropout; a resumed run is still bit-identical.
. "$SOURCE/tests/support/training.sh"
make_data
models=$SOURCE/tests/parity/fixtures/models

# The fixtures' BERT knows 40 tokens; a vocabulary of as many makes words of letters.
{ printf '[PAD]\n[UNK]\n[CLS]\n[SEP]\n'; printf '%s\n' {a..z}; printf '##%s\n' a e i o u n r s t l; } > letters.txt
[ "$(wc -l < letters.txt)" = 40 ] || fail "expected 40 entries"
expect_status 0 "$FLIP" convert -i "$models/vit" -i "$models/bert" -o towers.safetensors -f flip \
  --set embed_dim=16 --set text.length=12 --set text.vocabulary=letters.txt --set temperature=1
expect_line out.txt 'towers.safetensors: flip, [0-9]* parameters, from ViTModel'

# The preset, except for sizes, data and the learning-rate schedule.
cat > summary.yaml <<'Y'
base: presets/summary.yaml
image: {size: 24, patch: 8, width: 24, layers: 2, heads: 2, mlp_ratio: 3}
text: {width: 24, layers: 3, heads: 3, mlp_ratio: 2, length: 12, vocabulary: letters.txt}
embed_dim: 16
batch_size: 32
samples: 960
learning_rate: 1.0e-3
temperature: 1
init_from: towers.safetensors
data: {train: ["data/train-*.tar"], workers: 1}
eval: {sets: [held.yaml], points: 1}
threads: 2
precision: fp32
Y
go() { expect_status 0 "$FLIP" train --config summary.yaml --no-progress "$@"; }
go --out whole
field step loss whole/events.jsonl > losses
awk 'NR <= 5 { a += $1 / 5 } { last[NR % 5] = $1 } END { for (i in last) b += last[i] / 5; exit !(b < a) }' losses ||
  { cat losses; fail "the loss does not fall"; }
[ "$(field step logit_scale whole/events.jsonl | sort -u)" = 1 ] || fail "the temperature moved"
expect_status 0 "$FLIP" eval -m whole -f held.yaml

# Dropout's noise is the sample's: micro-batches and a stop in between change nothing.
digest() { sha256sum < "$(newest "$1")"; }
go --out again
[ "$(digest whole)" = "$(digest again)" ] || fail "the same run has other bits"
go --out stopped --set checkpoint.every_samples=32 --set checkpoint.keep=100
ls stopped/checkpoints/*.safetensors | tail -n +12 | xargs rm
go --out stopped --set checkpoint.every_samples=32 --set checkpoint.keep=100 --resume
cmp <(tensors "$(newest whole)") <(tensors "$(newest stopped)") || fail "a resumed run has other bits"

# Incompatible combinations are reported.
expect_status 2 "$FLIP" train --config summary.yaml --no-progress --out x --set mask_mode=random
expect_line err.txt 'mask_replacement: only mask_mode: zero'
expect_status 2 "$FLIP" convert -i "$models/vit" -i "$models/hf_quick_gelu" -o x -f flip
expect_line err.txt 'do not form one model'
expect_status 1 "$FLIP" convert -i whole -o x -f open_clip
expect_line err.txt "text.post_norm: open_clip's CLIP"
