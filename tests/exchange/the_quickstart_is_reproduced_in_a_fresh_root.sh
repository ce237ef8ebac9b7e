# The promise in the product's name, with the quickstart's own experiment file, presets and layout:
# run it, pack it, carry the one archive and the data to a machine that has nothing else but an
# installed copy, and get the same table there. The model and the number of samples are made small by
# words on the command line, and drawings by scenes of the same labels.
unset FLIPBENCH_DB FLIP_PLUGINS
export NO_COLOR=1
mkdir home && cd home
cp -r "$SOURCE/experiments" .
"$FLIP" data scenes --out data/openclipart --count 300 --size 48 --no-progress > /dev/null
"$FLIP" data scenes --out data/openclipart --count 80 --size 48 --split heldout --no-progress > /dev/null
"$FLIP" data scenes --out data/emoji --count 60 --seed 9 --size 48 --no-progress > /dev/null
relabel() { # SHARD LABEL NEW-NAME
  mkdir unpacked && tar xf "$1" -C unpacked && sed -i "s/\"shape\"/\"$2\"/" unpacked/*.json
  (cd unpacked && tar cf made.tar -- *.*) && rm "$1" && mv unpacked/made.tar "$3" && rm -r unpacked
}
for shard in train heldout; do relabel data/openclipart/$shard-00000.tar leaf data/openclipart/$shard-00000.tar; done
relabel data/emoji/train-00000.tar group data/emoji/emoji-00000.tar
"$FLIP" tokenizer train --out data/openclipart/vocab.txt --size 400 'data/openclipart/train-*.tar' > /dev/null

words=(--set samples=512 --set batch_size=64 --set warmup_samples=64 --set eval.points=2 --set threads=2
       --set image.width=16 --set image.layers=1 --set image.heads=1 --set text.width=16
       --set text.layers=1 --set text.heads=1 --set text.length=12 --set embed_dim=16)
expect_status 0 "$FLIPBENCH" run experiments/quickstart.yaml --no-progress "${words[@]}"
expect_status 0 "$FLIPBENCH" bundle quickstart "${words[@]}" --out ../quickstart.tar.gz
expect_line out.txt '5 runs'
cd ..

# The other machine: an installed copy, the archive, and the data.
mkdir -p root/opt root/srv root/tmp root/etc
cmake --install "$BINARY" --prefix "$SCRATCH/root/opt/flip" > /dev/null
mv quickstart.tar.gz root/srv/ && mv home/data root/srv/data && mv home gone
cat > root/reproduce.sh <<'R'
cd /srv || cd "$ROOT/srv"
flipbench reproduce quickstart.tar.gz > table.txt
R
# In a root of its own where the kernel gives one: no sources, no build, no settings of the user.
enter() {
  for folder in usr bin sbin lib lib64 dev proc sys etc; do
    [ ! -L "/$folder" ] || { cp -P "/$folder" root/; continue; }
    [ -d "/$folder" ] || continue
    mkdir -p "root/$folder" && mount --rbind "/$folder" "root/$folder"
  done
  exec chroot root /usr/bin/env -i PATH=/opt/flip/bin:/usr/bin:/bin HOME=/tmp NO_COLOR=1 GOMP_SPINCOUNT=1000 \
    /bin/bash -euo pipefail "$@"
}
export -f enter
if unshare -r -m true 2> /dev/null && unshare -r -m bash -euc 'enter -c true' 2> /dev/null; then
  unshare -r -m bash -euc "enter -c '[ ! -e \"$SOURCE\" ]'" || fail "the other machine has the sources"
  expect_status 0 unshare -r -m bash -euc 'enter /reproduce.sh'
else
  echo "no root of its own can be made here: a clean environment and another folder instead"
  expect_status 0 env -i "PATH=$SCRATCH/root/opt/flip/bin:/usr/bin:/bin" HOME=/tmp NO_COLOR=1 GOMP_SPINCOUNT=1000 \
    "ROOT=$SCRATCH/root" bash -euo pipefail root/reproduce.sh
fi
expect_line err.txt "the bundle's records reproduce its table"
expect_line err.txt 'training data data/openclipart/train-\*\.tar: same as recorded'
expect_line err.txt 'evaluation images data/emoji/emoji-\*\.tar: same as where the bundle was made'
table=root/srv/table.txt
expect_line $table 'mask 75 % · .*equal$'
! grep -qE 'DIFFERS|MISSING|as printed$' $table || { cat $table; fail "the same program and data gave other numbers"; }
expect_line $table '([0-9]+) of \1 numbers agree with the bundle: \1 equal'
expect_line $table 'verdict: reproduced, on the same data, with the same program, on the same kind of machine'

# The record that was made there is the same cells': it joins the first one.
expect_status 0 "$FLIPBENCH" db merge root/srv/reproduced/quickstart/again --results gone/results
expect_line out.txt '5 runs merged, 0 already known'
