# flip finetune on several ranks: the mathematics of one process, with mixup, CutMix, drop path, layer-wise
# rates and micro-batches; the same bits for the same number of ranks, sharded or not; checkpoints that
# any number of ranks can resume from; accuracies measured by all ranks.
command -v mpirun >/dev/null || { echo "skipped: no mpirun (apt install openmpi-bin)"; exit 77; }
. "$SOURCE/tests/support/training.sh"
export FLIP_PLUGINS=$BINARY/lib OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_btl=self,vader OMPI_MCA_mpi_yield_when_idle=1
make_data
for part in train heldout; do
  printf 'name: %s\nimages: [data/%s-*.tar]\ntasks: [probe, zeroshot]\nlabel: color\ntemplates: ["a {}"]\n' $part $part > $part.yaml
done
train --out pre -s 'eval.sets=[heldout.yaml]' -s samples=320 -s threads=1

words=(finetune -m pre --train train.yaml --test heldout.yaml --no-progress -s batch_size=32 -s epochs=4 -s warmup_epochs=1
       -s learning_rate=2e-3 -s eval.points=2 -s data.crop_min=0.5 -s checkpoint.every_samples=64 -s threads=1 -s classification.mix_batch=0)
finetune() { "$FLIP" "${words[@]}" "$@"; }
ranks() { local n=$1; shift; timeout 120 mpirun -np "$n" "$FLIP" "${words[@]}" "$@"; }
losses() { field step loss "$1/events.jsonl"; }
near() { # A B: the same number of losses, equal within rounding
  paste <(losses "$1") <(losses "$2") | awk '{ if (NF != 2 || ($1 - $2)^2 > (1e-4 * $2)^2) exit 1 } END { if (NR < 2) exit 1 }'
}
same() { cmp <(losses "$1") <(losses "$2") && cmp <(tensors "$(newest "$1")") <(tensors "$(newest "$2")") || fail "$3: the bits differ"; }

finetune --out alone > alone.txt
[ "$(losses alone | wc -l)" = 20 ] || fail "20 updates, $(losses alone | wc -l) losses"
for n in 2 4; do
  ranks $n --out on$n > on$n.txt || fail "on $n ranks"
  near alone on$n || { paste <(losses alone) <(losses on$n); fail "losses on $n ranks differ from those of one process"; }
  [ "$(grep -c classification on$n.txt)" = 1 ] || { cat on$n.txt; fail "the accuracy is not printed once"; }
  [ "$(grep -c '"task":"classification"' on$n/events.jsonl)" = 2 ] || fail "not two evaluations on $n ranks"
done
ranks 4 --out again > /dev/null
same on4 again "four ranks twice"
ranks 3 --out shard -s batch_size=24 -s optimizer.shard=true -s comm.bucket_bytes=8192 > /dev/null || fail "sharded"
ranks 3 --out plain -s batch_size=24 > /dev/null || fail "on 3 ranks"
same plain shard "a sharded optimizer"
ranks 2 --out parts -s micro_batch_size=4 > /dev/null || fail "micro-batches"
near alone parts || fail "micro-batches on ranks changed the losses"
# groups of a batch that are mixed by draws of their own: within a rank's part of it, or over two
mixed=(-s classification.mix_batch=12 -s batch_size=24)
finetune --out grouped "${mixed[@]}" > /dev/null
near grouped plain && fail "groups were mixed as the whole batch"
for n in 2 3; do
  ranks $n --out grouped$n "${mixed[@]}" > /dev/null || fail "groups on $n ranks"
  near grouped grouped$n || fail "groups on $n ranks changed the losses"
done
ranks 3 --out grouped_parts "${mixed[@]}" -s micro_batch_size=4 -s data.workers=3 > /dev/null || fail "groups in micro-batches"
near grouped grouped_parts || fail "groups in micro-batches on ranks changed the losses"
# without mixing no pairs are needed
unmixed=(-s classification.mixup=0 -s classification.cutmix=0 -s batch_size=18)
finetune --out unmixed "${unmixed[@]}" > /dev/null
ranks 2 --out unmixed2 "${unmixed[@]}" > /dev/null || fail "without mixing"
near unmixed unmixed2 || fail "without mixing: the losses on two ranks differ"
ranks 2 --out pairs -s batch_size=18 > out.txt 2> err.txt && fail "nine images are no pairs"
[ "$(grep -c 'batch_size: 18 is not divisible by 4; mixup and CutMix mix pairs' err.txt)" = 1 ] || { cat err.txt; fail "not rejected exactly once"; }

# one process continues from a checkpoint of two ranks
ranks 2 --out moved -s checkpoint.keep=9 > /dev/null
rm "$(newest moved)"
finetune --out moved -s checkpoint.keep=9 --resume > /dev/null || fail "resuming with one process"
[ "$(grep '"event":"start"' moved/events.jsonl | grep -oE '"ranks":[0-9]+' | tr '\n' ' ')" = '"ranks":2 "ranks":1 ' ] || fail "it was not resumed"
paste <(losses moved | tail -2) <(losses alone | tail -2) | awk '{ if (($1 - $2)^2 > (1e-3 * $2)^2) exit 1 }' ||
  fail "from two ranks to one: the losses differ"

# all ranks measure: with weights that hardly move, the accuracies are those of one process
for n in 1 3; do
  ranks $n --out still$n -s batch_size=24 -s learning_rate=1e-12 -s epochs=1 -s warmup_epochs=0 > /dev/null || fail "measuring on $n"
  grep -oE '"metrics":\{[^}]*\}' still$n/events.jsonl > still$n.txt
done
cmp still1.txt still3.txt || { cat still1.txt still3.txt; fail "the accuracies on three ranks differ"; }
