# One table is packed, run on a machine without an installation, and its record merged into another
# one; a call that is cut leaves the finished cells. Here the machine is a new folder, the device the CPU.
cat > tiny.yaml <<'Y'
name: tiny
title: "Mask ratio, packed"
base: presets/scenes_small.yaml
settings: {image.size: 32, image.width: 16, image.layers: 1, image.heads: 1, text.width: 16, text.layers: 1, text.heads: 1,
           embed_dim: 8, samples: 256, batch_size: 64, warmup_samples: 0, eval.points: 0, precision: fp32, threads: 1}
matrix:
  mask_ratio: [0, 0.5]
tuning:
  unmasked: {from: "${cell}", when: {mask_ratio: 0.5}, mask_ratio: 0, samples: 128}
profiles:
  gpu: {settings: {device: cpu}}
report:
  rows: mask_ratio
  columns: [samples, final_loss]
Y
pack() { expect_status 0 "$SOURCE/tests/gpu/pack.sh" --build "$BINARY" "$@"; }
pack --experiment tiny.yaml table.tar.gz
expect_line out.txt '^tiny.yaml: ok: 3 cells'
mkdir fresh
tar xzf table.tar.gz -C fresh
# no HOME: what is chosen by timing is stored with the table
(cd / && env -i PATH="$PATH" OMP_NUM_THREADS=1 "$SCRATCH/fresh/table/run_table.sh" "$SCRATCH/back") >run.txt 2>&1 ||
  { cat run.txt; fail "the packed table ended with $?"; }
expect_line run.txt '^3 cells finished in'
expect_line back/table.txt 'Mask ratio, packed'
[ -s back/log.txt ] || fail "no log"
[ "$(ls back | tr '\n' ' ')" = "log.txt table.txt tiny-gpu.results.tar.gz " ] || { ls back; fail "what came back"; }
! tar tzf back/tiny-gpu.results.tar.gz | grep -E 'checkpoints|flipbench.db' || fail "weights or the database came back"

# merged into a record with another experiment, and reported from there
sed 's/^name: tiny/name: other/; s/samples: 256/samples: 64/' tiny.yaml > other.yaml
export FLIP
expect_status 0 "$FLIPBENCH" run other.yaml --profile gpu --no-progress --results results
tar xzf back/tiny-gpu.results.tar.gz
expect_status 0 "$FLIPBENCH" db merge tiny-gpu.results --results results
expect_line out.txt '3 runs merged, 0 already known'
expect_status 0 "$FLIPBENCH" report tiny@gpu --results results
cp out.txt merged.txt
expect_line merged.txt '50 %'
expect_status 0 "$FLIPBENCH" db check --results results
rows() { sed -n '/───/,/^$/p' "$1" | sed 's/ *†//'; } # a mark of disturbance may turn on the machine it is judged on
[ "$(rows merged.txt)" = "$(rows back/table.txt)" ] || { cat merged.txt back/table.txt; fail "another table than on the other machine"; }

# A later call is given the finished cells of an earlier one and trains the others. Weights stay behind: where a tuning
# is unfinished, the cell that it starts from is trained again.
cp -r tiny-gpu.results earlier
rm -r earlier/tiny@gpu/*tuning*
again() { # FOLDER: packs with its finished cells, and runs it
  pack --experiment tiny.yaml --results "$1" more.tar.gz
  rm -rf more
  mkdir more
  tar xzf more.tar.gz -C more
  cp out.txt packed.txt
  more/table/run_table.sh more/back >run.txt 2>&1 || { cat run.txt; fail "the completed table ended with $?"; }
  expect_line run.txt '^3 cells finished in'
  tar xzf more/back/tiny-gpu.results.tar.gz -C more
}
same() { cmp -s tiny-gpu.results/tiny@gpu/"$1"/events.jsonl more/tiny-gpu.results/tiny@gpu/"$1"/events.jsonl; }
again earlier
expect_line packed.txt '^1 finished cells? of'
for cell in $(ls tiny-gpu.results/tiny@gpu | grep '^mask'); do
  case $cell in
  mask_ratio=0-*) same "$cell" || fail "$cell was trained again" ;;
  *) ! same "$cell" || fail "$cell cannot be the earlier one" ;;
  esac
done
! tar tzf more.tar.gz | grep -E 'results/.*(checkpoints|flipbench.db|lock$)' || fail "weights, database or locks are packed"
again results # all of them, from the folder into which they were merged
expect_line packed.txt '^3 finished cells of'
for cell in $(ls tiny-gpu.results/tiny@gpu | grep '^mask'); do same "$cell" || fail "$cell was trained again"; done
[ "$(rows more/back/table.txt)" = "$(rows back/table.txt)" ] || { cat more/back/table.txt; fail "another table than of one call"; }
expect_status 2 "$SOURCE/tests/gpu/pack.sh" --build "$BINARY" --results earlier lost.tar.gz # of which experiment?
expect_status 2 "$SOURCE/tests/gpu/pack.sh" --build "$BINARY" --experiment tiny.yaml --results gone lost.tar.gz

# a call that is cut once one cell has finished
sed 's/mask_ratio: \[0, 0.5\]/samples: [64, 50M]/; /^tuning:/,/unmasked:/d; s/samples: 256, //; s/^  rows: .*/  rows: samples/; s/^  columns: .*/  columns: [final_loss]/' tiny.yaml > cut.yaml
sed -i 's/^name: .*/name: cut/' cut.yaml
pack --experiment cut.yaml --set seed=3 cut.tar.gz
mkdir cut
tar xzf cut.tar.gz -C cut
cut/table/run_table.sh cut/back >run.txt 2>&1 & pid=$!
until [ -s cut/back/cut-gpu.results.tar.gz ]; do kill -0 $pid || { cat run.txt; fail "it ended too soon"; }; sleep 0.1; done
kill -TERM $pid
status=0
wait $pid || status=$?
[ $status = 130 ] || { cat run.txt; fail "a cut call ended with $status"; }
expect_line run.txt '^1 cells finished in'
expect_line run.txt 'time ran out'
expect_line cut/back/table.txt 'Mask ratio, packed' # with the --set that it was packed with
tar xzf cut/back/cut-gpu.results.tar.gz
expect_status 0 "$FLIPBENCH" db merge cut-gpu.results --results results
expect_line out.txt '^[12] runs merged'
expect_status 0 "$FLIPBENCH" status cut@gpu --results results
expect_line out.txt 'finished'
# its own time limit cuts it as well
rm -rf cut/table/results cut/back
FLIP_TABLE_SECONDS=20 expect_status 130 cut/table/run_table.sh cut/back
expect_line out.txt 'time ran out'

# what cannot be packed is rejected before anything is packed
sed 's/^base: .*/base: presets\/nowhere.yaml/' tiny.yaml > lost.yaml
expect_status 2 "$SOURCE/tests/gpu/pack.sh" --build "$BINARY" --experiment lost.yaml lost.tar.gz
expect_line err.txt 'nowhere.yaml'
[ ! -e lost.tar.gz ] || fail "an archive that cannot run"
expect_status 2 "$SOURCE/tests/gpu/pack.sh" --experiment tiny.yaml
expect_status 2 "$SOURCE/tests/gpu/pack.sh" --build "$BINARY" --experiment gone.yaml lost.tar.gz
expect_line err.txt 'no such file'
