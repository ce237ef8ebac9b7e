# A model trained here is written for others, read back, and embeds as before.
. "$SOURCE/tests/support/training.sh"
make_data
clip=(--set image.position=learned --set image.pool=class --set image.pre_norm=true --set image.patch_bias=false
      --set text.special_tokens=both --set text.causal=true --set text.pool=eot --set image.activation=quick_gelu --set text.activation=quick_gelu
      --set eval.points=0)
train --out run "${clip[@]}"
printf 'a red star\n\ntwo small circles\r\na red star' > texts.txt
same() { cmp -s "$1" "$2" || fail "$1 and $2 differ"; }

# Rows in input order, readable by NumPy: 4 texts of width 16 take a 128-byte header and 256 bytes.
expect_status 0 "$FLIP" embed -m run -t texts.txt -o texts.npy
expect_line out.txt 'texts.npy: 4 x 16, texts'
head -c 128 texts.npy | grep -qa "'descr': '<f4', 'fortran_order': False, 'shape': (4, 16), }" || fail "no npy header"
[ "$(stat -c %s texts.npy)" = $((128 + 4 * 16 * 4)) ] || fail "wrong size"
row() { bytes texts.npy $((128 + $1 * 64)) 64 | sha256sum; }
[ "$(row 0)" = "$(row 3)" ] || fail "the same text has two embeddings"
[ "$(row 0)" != "$(row 2)" ] || fail "two texts have one embedding"

# Every format gives the embeddings that the run gives, bit for bit.
expect_status 0 "$FLIP" embed -m run -i 'data/heldout-*.tar' -o images.npy
for format in hf open_clip; do
  expect_status 0 "$FLIP" convert -i run -o "$format" -f "$format"
  case $format in # the images here have no margin
    hf) expect_line err.txt 'image.crop: transformers crops some images with an odd margin a pixel away' ;;
    *) expect_line err.txt "text.tokenizer: open_clip's own tokenizer is CLIP's, whose tokens this model does not have"
       [ "$(wc -l < err.txt)" = 1 ] || fail "nothing else changed: $(cat err.txt)" ;;
  esac
  expect_status 0 "$FLIP" embed -m "$format" -i 'data/heldout-*.tar' -o again.npy
  same images.npy again.npy
  expect_status 0 "$FLIP" embed -m "$format" -t texts.txt -o again.npy
  same texts.npy again.npy
  expect_status 0 "$FLIP" convert -i "$format" -o "$format.safetensors" -f flip
  expect_status 0 "$FLIP" embed -m "$format.safetensors" -t texts.txt -o again.npy
  same texts.npy again.npy
done
expect_status 0 "$FLIP" eval -m hf.safetensors -f held.yaml
mv out.txt from_hf.txt
expect_status 0 "$FLIP" eval -m run -f held.yaml
same from_hf.txt out.txt
# and training can start from what came back
expect_status 0 "$FLIP" train --config run.yaml --no-progress --out tuned "${clip[@]}" --set init_from=hf.safetensors --set samples=64

# A vocabulary is exported with the model only if its words are the model's.
cp vocab.txt kept.txt
{ head -n -2 kept.txt; tail -1 kept.txt; tail -2 kept.txt | head -1; } > vocab.txt
for format in hf open_clip; do
  expect_status 2 "$FLIP" convert -i run -o other_words -f $format
  expect_line err.txt 'the model was trained with another vocabulary .* than vocab.txt'
done
cp kept.txt vocab.txt
# A folder of others says nothing of words; converted, they are those of its vocabulary.
tac hf/vocab.txt > tac.txt
expect_status 2 "$FLIP" embed -m hf.safetensors -t texts.txt -o again.npy --set text.vocabulary=tac.txt
expect_line err.txt 'hf.safetensors: the model was trained with another vocabulary'
# FLIP with class-token pooling instead of the mean converts to open_clip: fixed positions become learned ones.
train --out flip_class --set image.pool=class --set image.patch_bias=false --set text.special_tokens=both --set eval.points=0
expect_status 0 "$FLIP" convert -i flip_class -o fixed -f open_clip
expect_line fixed/open_clip_config.json '"no_ln_pre":true.*"approximate":"tanh".*"no_causal_mask":true.*"pool_type":"first"'
expect_status 0 "$FLIP" embed -m flip_class -i 'data/heldout-*.tar' -o first.npy
expect_status 0 "$FLIP" embed -m fixed -i 'data/heldout-*.tar' -o again.npy
same first.npy again.npy
expect_status 0 "$FLIP" embed -m flip_class -t texts.txt -o first.npy
expect_status 0 "$FLIP" embed -m fixed -t texts.txt -o again.npy
same first.npy again.npy

# A folder of files gives the rows of the shards that held them; what cannot be read is NaN and named.
mkdir -p files/deep
for shard in data/heldout-*.tar; do tar xf "$shard" -C files --wildcards '*.png'; done
expect_status 0 "$FLIP" embed -m run -i files -o again.npy
same images.npy again.npy
echo broken > files/deep/zzz.png
expect_status 0 "$FLIP" embed -m run -i files/deep -o again.npy
expect_line err.txt 'files/deep/zzz.png: not a JPEG, PNG or WebP image'
[ "$(tail -c +129 again.npy | od -v -An -tf4 | tr -s ' \n' '\n' | grep -c nan)" = 16 ] || fail "the row is not NaN"

# Bare word pieces do not fit a tokenizer that adds special tokens to every text.
train --out bare --set image.pool=class --set image.patch_bias=false --set eval.points=0 --set samples=64
expect_status 1 "$FLIP" convert -i bare -o x -f open_clip
expect_line err.txt "text.special_tokens: open_clip's CLIP adds start and end tokens to a text; --format flip keeps it"

# Unsupported requests are reported in one sentence.
refused() { # refused STATUS PATTERN WORDS…
  local status=$1 pattern=$2
  shift 2
  expect_status "$status" "$FLIP" "$@"
  expect_line err.txt "$pattern"
  [ "$(wc -l < err.txt)" = 1 ] || fail "more than one line"
}
# A tower alone has no embeddings, and what is drawn for the rest is said.
models=$SOURCE/tests/parity/fixtures/models
refused 1 'vit: contains no image projection, text tower, text projection, temperature, so that it has no embeddings' \
  embed -m "$models/vit" -i 'data/heldout-*.tar' -o x.npy
cp -r "$models/bert" cased
{ printf '[PAD]\n[UNK]\n[CLS]\n[SEP]\n'; printf 'w%s\n' {1..36}; } > cased/vocab.txt
expect_status 0 "$FLIP" convert -i "$models/vit" -i cased -o both.safetensors -f flip -s embed_dim=24 -s text.length=10
expect_line out.txt '^new, initialised from seed 0: image projection, text projection, temperature$'
expect_status 0 "$FLIP" eval probe -m "$models/vit" -f held.yaml --train held.yaml -s eval.probe_features=encoder -s eval.batch_size=8
refused 1 'so that it has no embeddings' eval probe -m "$models/vit" -f held.yaml --train held.yaml
# What these files say of their towers holds; how each is pooled, they leave open.
towers=(convert -i "$models/vit" -i cased -o both.safetensors -f flip -s embed_dim=24 -s text.length=10)
refused 2 "set image.heads=4: .*/vit/model.safetensors is of a model with image.heads: 2, and its weights would" "${towers[@]}" -s image.heads=4
refused 2 "set text.causal=true: cased/model.safetensors is of a model with text.causal: false, and its weights would" "${towers[@]}" -s text.causal=true
expect_status 0 "$FLIP" "${towers[@]}" -s image.pool=mean -s text.pool=mean
[ ! -s err.txt ] || { cat err.txt; fail "the files say nothing of the pooling"; }
refused 2 'set text.pool=first: hf/model.safetensors is of a model with text.pool: eot' embed -m hf -t texts.txt -o x.npy -s text.pool=first
# A tokenizer that keeps the case, or that is not ours, makes other tokens of a text.
refused_words() { refused 1 "$1" convert -i "$models/vit" -i cased -o x -f flip -s embed_dim=24 -s text.length=10; }
echo '{"tokenizer_class": "BertTokenizer", "do_lower_case": false}' > cased/tokenizer_config.json
refused_words 'cased/tokenizer_config.json: do_lower_case: false is not supported; give .* --set text.vocabulary=FILE'
expect_status 0 "$FLIP" convert -i "$models/vit" -i cased -o both.safetensors -f flip -s embed_dim=24 -s text.length=10 -s text.vocabulary=cased/vocab.txt
echo '{"tokenizer_class": "BertJapaneseTokenizer"}' > cased/tokenizer_config.json
refused_words "cased/tokenizer_config.json: tokenizer_class 'BertJapaneseTokenizer' is not supported"
printf '{"tokenizer_class": "BertTokenizer",\n' > cased/tokenizer_config.json
expect_status 2 "$FLIP" convert -i "$models/vit" -i cased -o x -f flip -s embed_dim=24 -s text.length=10
expect_line err.txt 'cased/tokenizer_config.json:[0-9]*: is not JSON'
rm cased/tokenizer_config.json
sed -i '9s/.*/Apple/' cased/vocab.txt
refused_words 'cased/vocab.txt:9: a word with a capital letter, so it is a vocabulary of cased texts'
cp -r open_clip hf_words
sed -i 's/"context_length"/"hf_tokenizer_name": "bert-base-uncased", "context_length"/' hf_words/open_clip_config.json
refused 1 "hf_words/open_clip_config.json: hf_tokenizer_name 'bert-base-uncased': open_clip prepares this model's texts" \
  embed -m hf_words -t texts.txt -o x.npy
expect_status 0 "$FLIP" embed -m hf_words -i 'data/heldout-*.tar' -o again.npy
same images.npy again.npy
# Positions that the configuration does not name are no model's: other programs stop there too.
cp -r hf shorter
sed -i 's/"max_position_embeddings":[0-9]*/"max_position_embeddings":5/' shorter/config.json
refused 2 "shorter/model.safetensors: tensor 'text_model.embeddings.position_embedding.weight' is [0-9]*x[0-9]*, its configuration requires 5x" \
  embed -m shorter -i 'data/heldout-*.tar' -o x.npy
cp -r hf larger
sed -i 's/"image_size":[0-9]*/"image_size":64/' larger/config.json
sed -i 's/\b24\b/64/g' larger/preprocessor_config.json
refused 2 "tensor 'vision_model.embeddings.position_embedding.weight' is" embed -m larger -i 'data/heldout-*.tar' -o x.npy
expect_status 0 "$FLIP" embed -m hf -i 'data/heldout-*.tar' -o larger.npy -s image.size=64

train --out own --set eval.points=0
refused 1 'image.pool: .*CLIPModel pools the class token; --format flip keeps it' convert -i own -o x -f hf
refused 2 "'pt' is not one of hf, open_clip, flip" convert -i own -o x -f pt
refused 2 'do not form one model' convert -i hf -i open_clip -o x -f flip
refused 2 'contains no model.safetensors' convert -i files -o x -f flip
rm hf/vocab.txt
refused 2 'give one with --set text.vocabulary' embed -m hf -t texts.txt -o x.npy
refused 2 'give one of --images and --texts' embed -m run -o x.npy
rm hf/config.json
refused 1 'hf/config.json' convert -i hf -o x -f flip
head -c 5000 open_clip/open_clip_model.safetensors > open_clip/cut && mv open_clip/cut open_clip/open_clip_model.safetensors
refused 2 'truncated|outside the file' convert -i open_clip -o x -f flip
