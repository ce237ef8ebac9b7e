# What the emulated machine runs also runs here, for comparison: the losses, the variant and oneDNN's
# implementations are printed, and a stage that fails says so.
[ "$(uname -m)" = x86_64 ] || { echo "skipped: the stages are for x86-64"; exit 77; }
. "$SOURCE/tests/support/training.sh"
make_data
mkdir bin
ln -s "$FLIP" bin/flip
export DATA=$PWD PATH=$PWD/bin:$PATH
sh "$SOURCE/tests/emulated/guest.sh" train:x86-64-v2:bf16 train:sse9:fp32 none >out
expect_line out '"cpu_kernels":"x86-64-v2"'
expect_line out '"onednn_isa":"'
expect_line out '^ +[0-9]+ matmul,'
[ "$(grep -c '^"loss":[0-9.]*$' out)" = 4 ] || { cat out; fail "no four losses"; }
expect_line out '^stage train:x86-64-v2:bf16: exit 0$'
expect_line out "'sse9' is not a variant of this build"
expect_line out '^stage train:sse9:fp32: exit 1$'
expect_line out '^stage none: exit 2$'
# each stage is described where it is asked for
stages=$(sed -n 's/^  \([a-z]*\):\*).*/\1/p' "$SOURCE/tests/emulated/guest.sh")
[ "$(wc -l <<<"$stages")" -ge 4 ] || fail "the stages are: $stages"
for stage in $stages; do
  expect_line "$SOURCE/tests/emulated/run.sh" "^# .* $stage:"
done
