# Events go to a pipe as long as it is read; then the run ends, as it does with a descriptor.
. "$SOURCE/tests/support/training.sh"
make_data
mkfifo pipe
head -1 pipe > first.txt & reader=$!
expect_status 1 "$FLIP" train --config run.yaml --no-progress --out piped --events pipe -s samples=64M -s log_every=1 -s eval.sets= -s eval.points=0
wait $reader
expect_line err.txt 'pipe: cannot write: Broken pipe'
expect_line first.txt '"event":"start"'

# A number is a descriptor that is open: 2^32 + 1 is not the first.
for number in 4294967297 99999999999999999999; do
  expect_status 2 "$FLIP" train --config run.yaml --no-progress --out numbered --events $number
  expect_line err.txt "[-][-]events $number: no such file descriptor is open"
done

# The command line is recorded to its end.
many=()
for i in $(seq 500); do many+=(-s init_from= -s log_every=1); done
train --out long "${many[@]}" -s samples=64 -s warmup_samples=0 -s eval.sets= -s eval.points=0 -s seed=17
expect_line long/events.jsonl '"event":"start".*"command":\[.*,"-s","seed=17"\],"conditions"'
