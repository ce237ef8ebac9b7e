# A machine without a GPU: device: cuda fails with one line that says why; auto uses the CPU.
if [ -e /dev/nvidiactl ]; then
  echo "this machine has a GPU: nothing to refuse"
  exit 0
fi
plan=(bench step -n 1 -s image.width=16 -s image.heads=1 -s image.layers=1 -s text.width=16 -s text.heads=1
  -s text.layers=1 -s embed_dim=16 -s batch_size=4)

mkdir empty
FLIP_PLUGINS=empty expect_status 1 "$FLIP" "${plan[@]}" -s device=cuda
[ "$(wc -l <err.txt)" = 1 ] || fail "more than a line"
expect_line err.txt "^flip: error: device: cuda: this build has no CUDA backend .*cmake --preset cuda"

FLIP_PLUGINS=empty expect_status 0 "$FLIP" "${plan[@]}" -s device=auto

# the plugin itself, where a CUDA toolkit was there to build it
for plugins in "$BINARY/lib" "$BINARY/cuda/lib"; do
  [ -e "$plugins/libflip_cuda.so" ] || continue
  FLIP_PLUGINS=$plugins expect_status 1 "$FLIP" "${plan[@]}" -s device=cuda
  [ "$(wc -l <err.txt)" = 1 ] || fail "more than a line"
  expect_line err.txt "no NVIDIA driver|the CUDA backend needs a library|no NVIDIA GPU is visible"
  FLIP_PLUGINS=$plugins expect_status 0 "$FLIP" "${plan[@]}" -s device=auto
done
