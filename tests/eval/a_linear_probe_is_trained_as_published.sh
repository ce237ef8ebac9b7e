# The paper's linear probe: LARS on augmented features, compared with logistic regression.
. "$SOURCE/tests/support/training.sh"
make_data
train --out run --set eval.points=0
sed 's/^name.*/name: train/;s/heldout/train/;s/tasks.*/tasks: [probe]/;/^templates/d' held.yaml > train.yaml
probe() { expect_status 0 "$FLIP" eval probe -m run -f held.yaml --train train.yaml --json "$@"; }
field() { grep -o "\"$1\":[0-9.e-]*" out.txt | cut -d: -f2; }
probe --method lars --epochs 3
expect_line out.txt '"epochs":3,"batch":2,"rate":0.64,'
[ "$(field train_images)" = 160 ] && [ "$(field images)" = 40 ] || { cat out.txt; fail "160 and 40 images were expected"; }
cp out.txt first.txt
probe --method lars --epochs 3; diff first.txt out.txt || fail "a probe does not repeat"
probe --method lars --epochs 3 --no-augment; cmp -s first.txt out.txt && fail "augmentation changes nothing"
# On the encoder's output, which is wider than the embedding; the default is the embedding.
probe --method lars --epochs 3 -s eval.probe_features=encoder; cp out.txt encoder.txt
cmp -s first.txt encoder.txt && fail "the encoder's output gives the embedding's numbers"
probe --method lars --epochs 3 -s eval.probe_features=encoder; diff encoder.txt out.txt || fail "a probe of the encoder does not repeat"
probe --method lars --epochs 3 -s eval.probe_features=embedding; diff first.txt out.txt || fail "not the default"
probe -s eval.probe_features=encoder; expect_line out.txt '"tried":'
# Other evaluations do not depend on it, nor does what comes after a probe in a run.
"$FLIP" eval -m run -f held.yaml --json > whole.txt
"$FLIP" eval -m run -f held.yaml --json -s eval.probe_features=encoder | diff whole.txt - || fail "zero-shot depends on the probe's features"
"$FLIP" eval -m run -f held.yaml --json -s eval.mask_ratio=0.5 -s eval.views=complementary > views.txt
"$FLIP" eval -m run -f held.yaml --json -s eval.mask_ratio=0.5 -s eval.views=complementary -s eval.probe_features=encoder | diff views.txt - || fail "views depend on the probe's features"
train --out probed --set eval.points=1 --set eval.probe_train=train.yaml --set eval.probe_epochs=3 --set eval.probe_features=encoder
[ "$(grep -o '"task":"probe","metrics":{"top1":.*,"images":40}' probed/events.jsonl | cut -d: -f3-)" = "$(grep -o '{"top1":.*,"images":40}' encoder.txt)" ] || fail "a run's probe differs from flip eval probe"

# With labels to learn by heart and features encoded once, the training loss falls.
probe --method lars --epochs 2 --no-augment --batch 16; early=$(field loss)
probe --method lars --epochs 200 --no-augment --batch 16 --rate 5; late=$(field loss)
awk -v a="$early" -v b="$late" 'BEGIN { exit !(b < a - 0.05) }' || fail "the loss went from $early to $late"
probe; expect_line out.txt '"tried":'
grep -q '"epochs"' out.txt && fail "logistic regression has no epochs"
expect_status 0 "$FLIP" eval probe -m run -f held.yaml --train train.yaml --method lars --epochs 1
expect_line out.txt 'LARS, 1 epoch, batch 2, rate 0.64'

expect_status 2 "$FLIP" eval probe -m run -f held.yaml --train train.yaml --method sgd
expect_line err.txt "'sgd' is not lbfgs or lars"
expect_status 2 "$FLIP" eval probe -m run -f held.yaml --train train.yaml --epochs 3
expect_line err.txt 'require --method lars'
expect_status 2 "$FLIP" eval probe -m run -f held.yaml --train train.yaml --method lars --batch 1000
expect_line err.txt 'a batch of 1000 is more than the 160 images'
# A batch of one is normalised to nothing.
expect_status 2 "$FLIP" eval probe -m run -f held.yaml --train train.yaml --method lars --batch 1
expect_line err.txt 'a batch of 1 cannot be normalised: the probe by LARS needs 2 images or more, and .* has 160: choose a larger'
# A probe that diverges has no accuracy, whether its loss shows it or only the weights after the last update.
for rate in 1e9 1e300; do
  expect_status 1 "$FLIP" eval probe -m run -f held.yaml --train train.yaml --method lars --epochs 2 --no-augment --rate $rate
  [ ! -s out.txt ] || { cat out.txt; fail "a probe that diverged has an accuracy"; }
done
expect_line err.txt 'epoch 1 of 2: the linear probe diverged: its loss or its weights are not finite at a peak rate of 1e\+300 \(flip eval probe: a lower --rate\)'
expect_status 1 "$FLIP" eval probe -m run -f held.yaml --train train.yaml --method lars --epochs 1 --no-augment --batch 53 --rate 1e300
expect_line err.txt 'epoch 1 of 1: the linear probe diverged'
# Zero is a value that was given, and no default.
for given in '--c 0' '--c -1' '--method lars --epochs 0' '--method lars --batch 0' '--method lars --rate 0'; do
  expect_status 2 "$FLIP" eval probe -m run -f held.yaml --train train.yaml $given
  expect_line err.txt 'is not above 0; leave it out for the default'
done
expect_status 2 "$FLIP" eval zeroshot -m run -f held.yaml --c 0
expect_line err.txt 'are only for flip eval probe'
# A probe in a run that cannot be measured is refused before the training.
refused() { # refused SET MESSAGE
  expect_status 2 train --out refused --set eval.points=1 --set eval.sets=$1 --set eval.probe_train=train.yaml
  expect_line err.txt "eval.probe_train, which is evaluated on the first of eval.sets: $2"
  [ -z "$(ls refused/checkpoints 2>/dev/null)" ] || fail "it was trained before the probe was refused"
}
sed 's/tasks.*/tasks: [retrieval]/' held.yaml > pairs.yaml
refused pairs.yaml 'scenes: has no labels'
sed 's/label:.*/label: color/; s/name:.*/name: colors/' held.yaml > colors.yaml
refused colors.yaml 'no image of colors belongs to a class of train'
sed '$a multilabel: true\nclasses: [circle, square]\nlabel: list' held.yaml | sed '/label: shape/d' > several.yaml
mkdir several; tar xf data/heldout-00000.tar -C several
for json in several/*.json; do echo '{"list":["circle"]}' > "$json"; done
tar cf several.tar --sort=name -C several .; sed -i 's/images:.*/images: [several.tar]/' several.yaml
refused several.yaml 'scenes: the probe requires one label per image'
expect_status 2 "$FLIP" eval zeroshot -m run -f held.yaml --method lars
expect_line err.txt 'are only for flip eval probe'
