# One model on 1, 2 and 4 imitated GPUs: the losses of one CPU rank within rounding, the same bits
# for the same number of ranks, in whatever order the GPUs work; and with one rank through NCCL the
# bits of a run without it.
. "$SOURCE/tests/imitation/ranks_on_gpus.sh"
make_data
tiny=(--set batch_size=8 --set samples=48 --set eval.sets= --set precision=fp32)
losses() { field step loss "$1/events.jsonl"; }
# near A B: the same number of losses, equal within rounding.
near() {
  paste <(losses "$1") <(losses "$2") | awk '{ if (NF != 2 || ($1 - $2)^2 > (1e-4 * $2)^2) exit 1 } END { if (NR != 6) exit 1 }' ||
    { paste <(losses "$1") <(losses "$2"); fail "losses of $1 and $2 differ"; }
}
same_tensors() { cmp <(tensors "$(newest "$1")") <(tensors "$(newest "$2")") || fail "$3"; }
train --out cpu "${tiny[@]}" --set device=cpu
gpu plain "${tiny[@]}"
FLIP_COMM=nccl gpu through "${tiny[@]}"
cmp "$(newest plain)" "$(newest through)" || fail "one rank through NCCL gives other bits"
expect_line through/events.jsonl '"ranks":"NCCL [0-9.]+, started by one rank"'
near cpu plain
for n in 2 4; do
  must_run ranks $n --out "on$n" "${tiny[@]}"
  near cpu "on$n"
  expect_line "on$n/events.jsonl" "\"ranks\":${n}[,}]"
done
# work run immediately, and alternating branches of the captured step
for order in eager turns; do
  FLIP_IMITATION_ORDER=$order must_run ranks 2 --out $order "${tiny[@]}"
  cmp "$(newest on2)" "$(newest $order)" || fail "the weights depend on the order: $order"
done
# sharded: the same bits; with the gradient cache, NCCL's own sums and evaluation: the same losses
must_run ranks 2 --out sharded "${tiny[@]}" --set optimizer.shard=true
same_tensors on2 sharded "a sharded optimizer gives other bits"
must_run ranks 2 --out cached "${tiny[@]}" --set micro_batch_size=2 --set optimizer.shard=true
near cpu cached
must_run ranks 2 --out fast "${tiny[@]}" --set deterministic=false --set comm.bucket_bytes=16384
near cpu fast
must_run ranks 2 --out evaluated "${tiny[@]}" --set eval.sets=held.yaml --set eval.points=2 --set optimizer.shard=true
same_tensors on2 evaluated "evaluation changes the bits"
[ "$(field step comm_bytes on2/events.jsonl | sort -u | wc -l)" = 1 ] || fail "recorded steps count other bytes"
! grep -q comm_seconds on2/events.jsonl || fail "a time that is not measured is recorded"
# in 8 bits with the maxima of both ranks, gathered in the recorded step
narrow=("${tiny[@]}" --set precision=fp8 --set fp8_scaling=delayed --set batch_size=32 --set samples=192)
gpu narrow1 "${narrow[@]}"
for order in lazy eager; do FLIP_IMITATION_ORDER=$order must_run ranks 2 --out "narrow-$order" "${narrow[@]}"; done
same_tensors narrow-lazy narrow-eager "in 8 bits an order of the work changes the bits"
paste <(losses narrow1) <(losses narrow-lazy) | awk '{ if (($1 - $2)^2 > (0.02 * $2)^2) exit 1 } END { if (NR != 6) exit 1 }' ||
  { paste <(losses narrow1) <(losses narrow-lazy); fail "in 8 bits two ranks train differently"; }

# each rank would choose other algorithms: without choices of an earlier run, both take those of the first to need them
other_algorithms() {
  start 2 bash -c '[ $RANK = 0 ] || export FLIP_IMITATION_BLAS=slow_first; exec "$@"' - \
    "$FLIP" train --config run.yaml --no-progress --set device=cuda "${tiny[@]}" --out "$1"
  finish
}
for out in cold warm; do XDG_CACHE_HOME=$PWD/common must_run other_algorithms $out; done
same_tensors cold warm "ranks that choose algorithms give other bits than ranks that recall them"

# steps are recorded with what they exchange
traces=$PWD/trace must_run ranks 2 --out traced "${tiny[@]}"
for rank in 0 1; do
  [ "$(grep -c '^cudaGraphInstantiate$' trace.$rank)" = 2 ] || fail "steps of rank $rank are not recorded"
  sed '1,/^cudaGraphInstantiate$/d' trace.$rank | sed '1,/^cudaGraphInstantiate$/d' >after
  [ "$(grep -c '^cudaGraphLaunch$' after)" = 3 ] || fail "recorded steps of rank $rank are not launched"
  ! grep -qE '^nccl(Send|Recv|AllGather|Broadcast)$' after || fail "calls of rank $rank after all was recorded"
done

# two ranks on one GPU, more ranks than GPUs
devices=1
rm -f ranks.err
ranks 2 --out one "${tiny[@]}" && fail "two ranks on one GPU"
expect_line ranks.err 'ranks 0 and 1 have the same GPU \(host .*, 0000:01:00.0\): NCCL supports one rank per GPU'
# of two machines that have one host name, which differ in the kernel's boot id
echo 00000000-0000-4000-8000-000000000000 > boot_id
if [ "$(id -u)" = 0 ] && unshare --mount mount --bind boot_id /proc/sys/kernel/random/boot_id 2> mount.txt; then
  one_gpu_each() {
    start 2 bash -c '[ $RANK = 0 ] || exec unshare --mount bash -c "mount --bind boot_id /proc/sys/kernel/random/boot_id && exec \"\$@\"" - "$@"; exec "$@"' - \
      "$FLIP" train --config run.yaml --no-progress --set device=cuda --out two_machines "${tiny[@]}"
    finish
  }
  no_buffers='recordings register no buffers'
  traces=apart must_run one_gpu_each
  same_tensors on2 two_machines "two ranks on two machines give other bits"
  for rank in 0 1; do
    grep -q "^$no_buffers$" apart.$rank || fail "rank $rank registers buffers over a network, where NCCL before 2.33 may hang"
    ! grep -q "^$no_buffers$" trace.$rank || fail "rank $rank registers none on one machine"
  done
  rm -r two_machines apart.*
  NCCL_GRAPH_REGISTER=1 traces=apart must_run one_gpu_each
  ! grep -q "^$no_buffers$" apart.0 || fail "the user's NCCL_GRAPH_REGISTER is not kept"
  rm -r two_machines apart.*
  FLIP_IMITATION_NCCL_VERSION=2.33 traces=apart must_run one_gpu_each
  ! grep -q "^$no_buffers$" apart.0 || fail "a later NCCL registers none either"
fi
devices=2
rm -f ranks.err
ranks 3 --out three "${tiny[@]}" --set batch_size=9 && fail "three ranks on two GPUs"
expect_line ranks.err 'this process is local rank 2, but 2 GPUs are visible here'
rm -f ranks.err
FLIP_IMITATION_DEVICES=2 ranks 3 --out mixed "${tiny[@]}" --set batch_size=9 --set device=auto && fail "a rank on the CPU, the others on GPUs"
expect_line ranks.err 'rank 2: it computes on the CPU, but rank 0 on a GPU'
rm -f ranks.err
start 3 "$FLIP" eval -m on2 -f held.yaml -s device=auto >out.txt
finish && fail "a rank evaluates on the CPU, the others on GPUs"
expect_line ranks.err 'rank 2: it computes on the CPU, but rank 0 on a GPU'
devices=4
# an NCCL that tells nobody of a broken network
rm -f ranks.err
FLIP_IMITATION_NCCL_VERSION=2.18 ranks 2 --out old "${tiny[@]}" && fail "NCCL 2.18 is accepted"
expect_line ranks.err 'NCCL 2.18.[0-9]+ does not report network errors: install 2.19 or later'
# without the plugin
mkdir plugins
ln -s "$BINARY/imitation/libflip_cuda.so" plugins/
rm -f ranks.err
FLIP_PLUGINS=$PWD/plugins ranks 2 --out none "${tiny[@]}" && fail "without the plugin"
expect_line ranks.err 'ranks on GPUs are connected by NCCL, but this build cannot connect them: .*libflip_nccl.so is missing. Install NCCL'
