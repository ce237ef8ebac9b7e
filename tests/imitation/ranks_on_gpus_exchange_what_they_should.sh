# Every call between GPUs gives what it must, on 1, 2 and 3 of them, with work run as early and as
# late as it may.
. "$SOURCE/tests/imitation/ranks_on_gpus.sh"
export FLIP_TEST_SMALL=1
calls=$BINARY/tests/gpu_calls
on() { start "$1" "$calls" >out.txt; finish; }
for order in lazy eager; do
  export FLIP_IMITATION_ORDER=$order
  FLIP_COMM=nccl "$calls" >out.txt 2>&1 || { cat out.txt; fail "one rank, $order"; }
  no_misuse out.txt
  expect_line out.txt '^1 ranks, NCCL [0-9.]+, started by one rank$'
  for n in 2 3; do
    must_run on $n
    expect_line out.txt "^$n ranks, NCCL [0-9.]+, started by TCP\$"
  done
done
# longer than is summed at once
unset FLIP_TEST_SMALL FLIP_IMITATION_ORDER
must_run on 2
