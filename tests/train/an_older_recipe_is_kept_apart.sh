# A run from before a training rule changed: it is measured as what it was, and neither resumed nor
# repeated by the new rules.
. "$SOURCE/tests/support/training.sh"
make_data
train --out run --set eval.points=0
printf 'a red star\ntwo small circles\n' > texts.txt

# Its checkpoint and config.yaml as they were then: they name neither `recipe` nor `text.special_tokens`.
cp -r run old
blank() { LC_ALL=C sed -i 's/recipe: 2/         /; s/text.special_tokens: none/                         /' "$@"; }
blank old/config.yaml old/checkpoints/*.safetensors
without_checksum old/checkpoints/*.safetensors
cmp -s run/config.yaml old/config.yaml && fail "config.yaml names no recipe"

expect_status 2 train --out old --resume
expect_line err.txt 'step-000000020.safetensors was trained with recipe 1, this version trains with recipe 2'
expect_line err.txt 'name the checkpoint in init_from to start from its weights'
expect_status 2 "$FLIP" train --config old/config.yaml --out again --no-progress
expect_line err.txt 'recipe: these settings use recipe 1, this version trains with recipe 2'
expect_line err.txt 'or train from scratch with --set recipe=2'

# What it learned is read with the tokens that it was trained on, and can be started from.
expect_status 0 "$FLIP" embed -m old -t texts.txt -o old.npy
expect_status 0 "$FLIP" embed -m run -t texts.txt -o framed.npy --set text.special_tokens=both
cmp old.npy framed.npy || fail "an old run's texts are not framed by [CLS] and [SEP]"
expect_status 0 "$FLIP" embed -m run -t texts.txt -o bare.npy
cmp -s bare.npy framed.npy && fail "special tokens change nothing"
expect_status 0 train --out tuned --set init_from=old/checkpoints --set samples=64 --set eval.points=0
expect_line tuned/config.yaml 'recipe: 2'

# The embedding may have a row that no token uses (30,523 in FLIP's), but not fewer than tokens.
train --out rows --set text.vocabulary_rows=400 --set samples=64 --set eval.points=0
expect_status 0 "$FLIP" embed -m rows -t texts.txt -o rows.npy
expect_status 2 train --out few --set text.vocabulary_rows=20
expect_line err.txt 'text.vocabulary_rows: 20 are fewer than the [0-9]* entries of vocab.txt'
