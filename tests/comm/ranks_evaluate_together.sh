# Evaluation on several ranks: each encodes and scores a part, and every number is that of one process:
# zero-shot, retrieval, ROC AUC, several labels per image, both probes, a suite. Samples that any rank
# skips are reported once, an error is one message.
command -v mpirun >/dev/null || { echo "skipped: no mpirun (apt install openmpi-bin)"; exit 77; }
. "$SOURCE/tests/support/training.sh"
export FLIP_PLUGINS=$BINARY/lib OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_btl=self,vader OMPI_MCA_mpi_yield_when_idle=1
make_data
train --out run -s eval.points=0 -s samples=320 -s threads=1
part() { printf 'name: %s\nimages: [data/%s-*.tar]\ntasks: [probe, zeroshot]\nlabel: color\ntemplates: ["a {}"]\n' "$1" "$1"; }
part train > train.yaml
part heldout > heldout.yaml
# one image near the end, which is the last rank's, cannot be decoded
mkdir broken
tar xf data/heldout-00000.tar -C broken
last=$(ls broken/*.png | tail -1)
head -c 60 "$last" > short && mv short "$last"
tar cf broken.tar --sort=name -C broken .
sed 's/^images.*/images: [broken.tar]/; s/^name.*/name: broken/' held.yaml > broken.yaml
sed 's/^label.*/label: shape\nclasses: [circle, square]\nmetric: roc_auc/; s/^name.*/name: two/; s/^tasks.*/tasks: [zeroshot]/' held.yaml > two.yaml
# a shape and a colour are two labels
mkdir several
tar xf data/heldout-00000.tar -C several
value() { grep -o "\"$2\":\"[a-z]*\"" "$1" | cut -d'"' -f4; }
for json in several/*.json; do
  shape=$(value "$json" shape) color=$(value "$json" color)
  printf '%s\n%s\n' "$shape" "$color" >> classes.txt
  printf '{"objects":["%s","%s"]}' "$shape" "$color" > "$json"
done
tar cf several.tar --sort=name -C several .
printf 'name: several\nimages: [several.tar]\ntasks: [zeroshot]\nmultilabel: true\nlabel: objects\ntemplates: ["a {}"]\nclasses: [%s]\n' \
  "$(sort -u classes.txt | paste -sd, | sed 's/,/, /g')" > several.yaml
cat > suite.yaml <<'Y'
title: All
sets:
  - {file: held.yaml}
  - {file: held.yaml, task: retrieval, metric: text_to_image_r5}
  - {file: broken.yaml, metric: mean_per_class, corruption: {kind: jpeg, strength: 3}}
  - {file: two.yaml}
  - {file: several.yaml}
  - {file: none.yaml}
Y
# check WHAT ARGUMENTS…: the output of one process is that of two and three ranks, and so are the warnings
check() {
  local what=$1 n
  shift
  "$FLIP" eval "$@" -m run -s eval.batch_size=8 -s threads=1 > "$what.1" 2> "$what.err1" || { cat "$what.err1"; fail "$what alone"; }
  for n in 2 3; do
    timeout 120 mpirun -np $n "$FLIP" eval "$@" -m run -s eval.batch_size=8 -s threads=1 > "$what.$n" 2> "$what.err$n" || { cat "$what.err$n"; fail "$what on $n ranks"; }
    cmp "$what.1" "$what.$n" || { diff "$what.1" "$what.$n"; fail "$what: the numbers on $n ranks differ"; }
    cmp "$what.err1" "$what.err$n" || { diff "$what.err1" "$what.err$n"; fail "$what: the warnings on $n ranks differ"; }
  done
}
check sets --json -f held.yaml -f broken.yaml -f two.yaml -f several.yaml
for name in zeroshot retrieval roc_auc roc_auc_low map_11point map_11point_high; do grep -q "\"$name\":" sets.1 || { cat sets.1; fail "no $name"; }; done
[ "$(grep -c 'damaged PNG' sets.err1)" = 1 ] || { cat sets.err1; fail "the broken image is not reported once"; }
check probe probe --json --train train.yaml -f heldout.yaml
check lars probe --json --train train.yaml -f heldout.yaml --method lars --epochs 3 --batch 20
check suite suite suite.yaml
check given --json -f held.yaml -s image.normalization=none
[ "$(grep -c 'was trained with image.normalization' given.err1)" = 1 ] || { cat given.err1; fail "what the model is given is not said"; }
grep -q 'none was not measured' suite.1 && grep -qE '\| broken, jpeg 3 \| mean_per_class \| [0-9.]+ \[' suite.1 || { cat suite.1; fail "the suite"; }

# one message for an error of all ranks
timeout 60 mpirun -np 3 "$FLIP" eval -m run -f none.yaml > out.txt 2> err.txt && fail "a missing set is accepted"
[ "$(grep -c 'flip: error:' err.txt)" = 1 ] && grep -q 'none.yaml' err.txt || { cat err.txt; fail "not one message"; }
# none of several batches of images can be decoded: all ranks detect it
for image in broken/*.png; do head -c 60 "$image" > short && mv short "$image"; done
tar cf broken.tar --sort=name -C broken .
timeout 60 mpirun -np 2 "$FLIP" eval -m run -f broken.yaml > out.txt 2> err.txt && fail "a set without readable images is accepted"
[ "$(grep -c 'flip: error:' err.txt)" = 1 ] || { cat err.txt; fail "not one message for a set without images"; }

# Ranks with other weights, or other images of a set, would measure neither.
"$FLIP" train --config run.yaml --no-progress --out other -s init_from=run -s learning_rate=1e-5 -s threads=1 -s samples=32 -s warmup_samples=0 -s eval.points=1 > /dev/null
timeout 60 mpirun -np 1 "$FLIP" eval -m run -f heldout.yaml : -np 1 "$FLIP" eval -m other -f heldout.yaml > out.txt 2> err.txt && fail "two models"
grep -q 'rank 1 has another model, other settings or another flip than rank 0 (fingerprint' err.txt || { cat err.txt; fail "two models are not told"; }
timeout 60 mpirun -np 1 "$FLIP" eval -m run -f heldout.yaml : -np 1 "$FLIP" eval -m run -f two.yaml > out.txt 2> err.txt && fail "two sets"
grep -q 'rank 1 has other data of this set than rank 0' err.txt || { cat err.txt; fail "two sets are not told"; }
# Other kernels compute other bits of an embedding.
best=$("$FLIP" bench ops -n 1 -s batch_size=2 | sed -n 's/.*kernels: //p')
if [ "$(uname -m)" = x86_64 ] && [ "$best" != x86-64-v2 ]; then
  timeout 60 mpirun -np 1 "$FLIP" eval -m run -f heldout.yaml : -np 1 env FLIP_CPU_KERNELS=x86-64-v2 "$FLIP" eval -m run -f heldout.yaml > out.txt 2> err.txt && fail "two kinds of kernels"
  grep -q "rank 1 has the kernels x86-64-v2, rank 0 $best, which compute embeddings with other bits: set FLIP_CPU_KERNELS" err.txt || { cat err.txt; fail "two kinds of kernels are not told"; }
fi

# in a run: the probe after the last evaluation is that of flip eval
timeout 120 mpirun -np 2 "$FLIP" train --config run.yaml --no-progress -s threads=1 -s samples=320 --out probed -s 'eval.sets=[heldout.yaml]' \
  -s eval.probe_train=train.yaml -s eval.probe_epochs=3 || fail "a probe in a run of two ranks"
[ "$(grep -c '"task":"probe"' probed/events.jsonl)" = 1 ] || fail "not one probe"
"$FLIP" eval probe -m probed --train train.yaml -f heldout.yaml --method lars --epochs 3 --json -s threads=1 > probe.json
[ "$(grep '"task":"probe"' probed/events.jsonl | grep -oE '"metrics":\{[^}]*' | cut -d: -f2-)" = "$(grep -oE '"probe":\{[^}]*' probe.json | cut -d: -f2-)" ] ||
  { cat probe.json; grep '"task":"probe"' probed/events.jsonl; fail "the probe differs from flip eval's"; }
# a failure in an evaluation is recorded, and reported once
timeout 120 mpirun -np 2 "$FLIP" train --config run.yaml --no-progress -s threads=1 -s samples=320 --out failed -s 'eval.sets=[broken.yaml]' > out.txt 2> err.txt &&
  fail "a set without images"
[ "$(grep -c 'flip: error:' err.txt)" = 1 ] && grep -q '"status":"failed","kind":"input"' failed/events.jsonl || { cat err.txt; tail -1 failed/events.jsonl; fail "a failed evaluation"; }
