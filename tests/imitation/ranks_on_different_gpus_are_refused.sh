# The kernels of GPUs of different compute capability may give other bits: ranks that each update all weights would no
# longer have the same ones, and embeddings would depend on who computes them. With a sharded optimizer one rank
# updates each weight.
. "$SOURCE/tests/imitation/ranks_on_gpus.sh"
make_data
tiny=(--set batch_size=8 --set samples=32 --set eval.sets= --set precision=fp32)
# on_two_kinds WORDS…: flip on a GPU of 9.0, and on one of 8.0
on_two_kinds() {
  rm -f ranks.err
  start 2 bash -c '[ $RANK = 0 ] || export FLIP_IMITATION_CAPABILITY=8.0; exec "$@"' - "$FLIP" "$@"
  finish
}
train=(train --config run.yaml --no-progress --set device=cuda "${tiny[@]}")
kinds='rank 1 has the kernels for compute capability 8.0, rank 0 for compute capability 9.0, which'
on_two_kinds "${train[@]}" --out mixed && fail "ranks on different GPUs each update all weights"
expect_line ranks.err "^flip: error: $kinds update weights with other bits: set optimizer.shard: true, with which"
[ "$(grep -c 'flip: error' ranks.err)" = 1 ] || { cat ranks.err; fail "more than one message"; }
! grep -q '"event":"step"' mixed/events.jsonl || fail "a step was taken"
must_run on_two_kinds "${train[@]}" --out sharded --set optimizer.shard=true
on_two_kinds eval -m sharded -f held.yaml -s device=cuda > out.txt && fail "ranks on different GPUs evaluate together"
expect_line ranks.err "$kinds compute embeddings with other bits: use GPUs of one kind"
