# An error that breaks a rank's CUDA context fails each of its later calls. Whenever it happens, on any rank, all ranks
# end with a failure, and one message names the rank and the cause.
. "$SOURCE/tests/imitation/ranks_on_gpus.sh"
make_data
run=(--set batch_size=8 --set eval.batch_size=8 --set samples=32 --set eval.points=1 --set precision=fp32)
must_run ranks 2 --out chosen "${run[@]}" # the runs below recall its choices
traces=$PWD/trace must_run ranks 2 --out whole "${run[@]}"
# before_first CALL LINE, before_last CALL LINE: how often rank 1 calls it before that line of its trace
before_first() { sed "/^$2\$/q" trace.1 | grep -c "^$1\$"; }
before_last() { tac trace.1 | sed "1,/^$2\$/d" | grep -c "^$1\$"; }

# breaks RANK CALL NUMBER: the context of that rank breaks there
breaks() {
  local rank code where="rank $1, $2:$3"
  echo "$where"
  rm -rf broken ranks.err
  start 2 bash -c '[ "$RANK" != "$0" ] || export FLIP_IMITATION_BREAK=$1; shift; exec "$@"' "$1" "$2:$3" \
    "$FLIP" train --config run.yaml --no-progress --set device=cuda --out broken "${run[@]}"
  for rank in 0 1; do
    code=0
    wait "${pids[rank]}" || code=$?
    [ $code = 1 ] || { cat ranks.err; fail "$where: rank $rank ends with $code"; }
  done
  [ "$(grep -c '^flip: error' ranks.err)" = 1 ] || { cat ranks.err; fail "$where: not one message"; }
  expect_line ranks.err "^flip: error: rank $1 of 2: .*(CUDA|cuBLASLt|cuDNN): .*"
  no_misuse ranks.err
}
# in the evaluation: a kernel, a copy of embeddings, a look at the stream before an exchange
for rank in 1 0; do
  breaks $rank assemble_f32 "$(grep -c '^assemble_f32$' trace.$rank)"
  breaks $rank cudaMemcpyAsync "$(grep -c '^cudaMemcpyAsync$' trace.$rank)"
done
breaks 1 cudaStreamQuery "$(before_last cudaStreamQuery embed_f32)"
# while the weights are loaded
breaks 1 cudaMemcpyAsync "$(before_first cudaMemcpyAsync cudaHostRegister)"
