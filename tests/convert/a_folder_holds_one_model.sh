# An export never mixes two models in one folder, and a folder that has both libraries' weights says which is read.
. "$SOURCE/tests/support/training.sh"
make_data
clip=(--set image.position=learned --set image.pool=class --set image.pre_norm=true --set image.patch_bias=false
      --set text.special_tokens=both --set text.causal=true --set text.pool=eot --set eval.points=0 --set samples=64 --set warmup_samples=0)
train --out run "${clip[@]}"
"$FLIP" tokenizer train --out fewer.txt --size 60 'data/train-*.tar' >/dev/null
train --out other "${clip[@]}" --set seed=1 --set text.vocabulary=fewer.txt
train --out pairs "${clip[@]}" --set text.tokenizer=bpe --set text.vocabulary="$SOURCE/tests/parity/fixtures/merges.txt.gz" --set precision=fp32
printf 'a red star\ntwo small circles\n' > texts.txt
for model in run other pairs; do
  expect_status 0 "$FLIP" embed -m $model -t texts.txt -o $model.texts.npy
  expect_status 0 "$FLIP" embed -m $model -i data/heldout-00000.tar -o $model.images.npy
done
# The first end token is pooled, also where a text has it written out: what follows is after the end.
printf 'a red star\na red star<end_of_text> and two circles\n' > ended.txt
expect_status 0 "$FLIP" embed -m pairs -t ended.txt -o ended.npy
cmp <(bytes ended.npy 128 64) <(bytes ended.npy 192 64) || fail "what follows the end of a text changes its embedding"
is_model() { # is_model FOLDER RUN: the folder's model is that of the run, texts and images
  expect_status 0 "$FLIP" embed -m "$1" -t texts.txt -o x.npy "${@:3}"
  cmp x.npy "$2.texts.npy" || fail "$1: the texts of another model"
  expect_status 0 "$FLIP" embed -m "$1" -i data/heldout-00000.tar -o x.npy "${@:3}"
  cmp x.npy "$2.images.npy" || fail "$1: the images of another model"
}

# Another format's weights would be left there, and read by one of the libraries, or by flip.
for format in hf open_clip; do expect_status 0 "$FLIP" convert -i run -o $format -f $format; done
refused() { # refused FOLDER FORMAT FILE WRITTEN: nothing is written
  ls -R "$1" > before.txt
  expect_status 2 "$FLIP" convert -i other -o "$1" -f "$2"
  expect_line err.txt "$1: holds the weights $3, which $4 does not replace, so that it would hold two models: choose another folder, or remove that file"
  ls -R "$1" | diff before.txt - || fail "$1 was changed"
}
refused hf open_clip model.safetensors open_clip_model.safetensors
refused open_clip hf open_clip_model.safetensors model.safetensors
refused run hf 'run/checkpoints/step-[0-9]*.safetensors' model.safetensors
mkdir parts; touch parts/model.safetensors.index.json
refused parts hf model.safetensors.index.json model.safetensors
is_model hf run
is_model open_clip run

# How images are prepared would be read from there too.
mkdir prepared; echo '{"image_processor": {"size": {"height": 30, "width": 30}}}' > prepared/processor_config.json
expect_status 2 "$FLIP" convert -i other -o prepared -f hf
expect_line err.txt 'prepared: holds processor_config.json, which would be read instead of the preprocessor_config.json that is written'

# The same format's are replaced; files of a tokenizer that stood beside them are named, and stay.
gzip -dc "$SOURCE/tests/parity/fixtures/merges.txt.gz" > merges.txt
for format in hf open_clip; do
  cp merges.txt $format
  expect_status 2 "$FLIP" convert -i other -o $format -f $format
  expect_line err.txt "$format/merges.txt: is of another model: choose another folder, or remove it"
  rm $format/merges.txt
  echo '{}' > $format/tokenizer.json
  sed -i 's/.*/\L&/' $format/vocab.txt; echo another >> $format/vocab.txt
  expect_status 0 "$FLIP" convert -i other -o $format -f $format
  expect_line err.txt "^flip: warning: $format/tokenizer.json: was there before, and may be another model's"
  [ -e $format/tokenizer.json ] || fail "$format/tokenizer.json is gone"
  is_model $format other
done
grep -q 'vocab.txt\|tokenizer_config' err.txt && fail "what is replaced is not removed"
# A tokenizer of the model's own words needs no remark.
expect_status 0 "$FLIP" convert -i other -o hf -f hf
grep -q tokenizer.json err.txt && fail "a tokenizer of the same words"
rm hf/tokenizer.json
# The list of words of an earlier model is not that of a byte-pair model; its own merges stay.
expect_status 0 "$FLIP" convert -i pairs -o hf -f hf
for file in vocab.txt tokenizer_config.json; do
  expect_line err.txt "^flip: warning: hf/$file: removed"
  [ ! -e hf/$file ] || fail "hf/$file is still there"
done
is_model hf pairs -s text.vocabulary=merges.txt
cp merges.txt hf
is_model hf pairs
for from in pairs hf; do # from the run, and from the folder itself
  expect_status 0 "$FLIP" convert -i $from -o hf -f hf
  cmp merges.txt hf/merges.txt || fail "the model's own merges were removed"
done
is_model hf pairs

# Repositories hold one model in both formats; flip reads transformers' and says so.
cp open_clip/open_clip* hf/
expect_status 0 "$FLIP" embed -m hf -i data/heldout-00000.tar -o x.npy
expect_line err.txt 'hf: contains model.safetensors and open_clip_model.safetensors: the first is read; give the path of the other file to read that one'
cmp x.npy pairs.images.npy || fail "not model.safetensors"
expect_status 0 "$FLIP" embed -m hf/open_clip_model.safetensors -i data/heldout-00000.tar -o x.npy
cmp x.npy other.images.npy || fail "not open_clip_model.safetensors"
[ ! -s err.txt ] || { cat err.txt; fail "the file was named"; }
expect_status 0 "$FLIP" convert -i hf -o x.safetensors -f flip
expect_line err.txt 'hf: contains model.safetensors and open_clip_model.safetensors: the first is read'
