. "$SOURCE/tests/support/training.sh"
unset FLIPBENCH_DB
make_data
mkdir -p files/presets data/none
mv vocab.txt data/vocab.txt
sed 's/vocab.txt/data\/vocab.txt/' run.yaml > files/presets/tiny.yaml
mkdir evals && mv held.yaml evals/held.yaml
sed -i 's/held.yaml/evals\/held.yaml/' files/presets/tiny.yaml
cat > files/tiny.yaml <<'Y'
name: tiny
title: "Two mask ratios, two seeds"
base: presets/tiny.yaml
environment: {PLANET: mars, COLOUR: red}
profiles: {other: {environment: {PLANET: venus}}}
matrix: {mask_ratio: [0, 0.5], seed: [0, 1]}
report: {rows: mask_ratio, baseline: {mask_ratio: 0}, plots: [],
         columns: [samples_per_second, flops_ratio, final_loss, zero_shot_top1, retrieval_i2t_r1]}
Y
bench() { "$FLIPBENCH" "$@"; }
expect_status 0 bench run files/tiny.yaml --no-progress

# Where a number comes from.
expect_status 0 bench show 1
for fact in '^commit +[0-9a-f]{40}' '^compiler +gcc' '^flags +-' '^cpu ' '^data_fingerprint +[0-9a-f]' \
  '"libjpeg":"turbo' '"libc":"2' 'machine: .*[0-9]+ CPU' '  seed +0' 'files|config.yaml","--out"'; do
  expect_line out.txt "$fact"
done

# What two runs differ in, and nothing else.
expect_status 1 bench diff 1 2
expect_line out.txt '^  seed +0  1$'
! grep -qE '^  (mask_ratio|commit|cpu|compiler|fingerprint|flops_per_sample.*) ' out.txt || fail "equal facts were reported"
expect_status 0 bench diff 1 1
expect_line out.txt 'no differences'
expect_status 1 bench diff 1 3 --json
expect_line out.txt '"part":"settings","name":"mask_ratio","first":0.*,"second":0.5'

# Not only the training data: each input of the newest process.
sqlite3 results/flipbench.db "VACUUM INTO 'edited.db'"
sqlite3 edited.db "UPDATE process SET evaluation_fingerprints = '{\"scenes\":\"feed\"}', vocabulary_fingerprint = 'beef', init_fingerprint = 'cafe' WHERE run_id = 2"
expect_status 1 bench diff 1 2 --db edited.db
! grep -q ' fingerprint ' out.txt || fail "the training data is the same"
for fact in 'evaluation set scenes +[0-9a-f]{32} +feed' 'initial weights +– +cafe' 'vocabulary +[0-9a-f]{32} +beef'; do
  expect_line out.txt "^  $fact"
done

# The same bits again; another seed in the settings gives others.
expect_status 0 bench verify 4
expect_line out.txt 'identical bits in all [0-9]+ tensors'
expect_line out.txt '^PLANET: is not set, but the experiment.s .environment:. sets mars; set it and verify again$'
[ ! -e results/verify-4-* ] || fail "the second run was left behind"
# nor by a verification that is stopped
printf '#!/bin/sh\nexec sleep 60\n' > sleeper && chmod +x sleeper
FLIP=$PWD/sleeper "$FLIPBENCH" verify 3 --results results > stopped.txt 2>&1 & verification=$!
for _ in $(seq 200); do ls results/verify-3-*/log.txt > /dev/null 2>&1 && break; sleep 0.02; done
kill -TERM $verification
wait $verification && fail "it was not stopped" || [ $? = 130 ] || fail "it ended otherwise: $(cat stopped.txt)"
[ -z "$(ls -d results/verify-3-* 2> /dev/null)" ] || fail "the second run was left behind when it was stopped"
sed -i 's/^seed: .*/seed: 5/' results/tiny/*0.5*seed=0*/config.yaml
expect_status 1 env PLANET=mars COLOUR=red "$FLIPBENCH" verify 3
expect_line out.txt 'of [0-9]+ tensors differ; largest difference in '
expect_line out.txt '^data, program, libraries, machine and environment match the record, yet the bits differ$'
# Libraries and the experiment's environment are named before the program is blamed.
sqlite3 results/flipbench.db "VACUUM INTO 'upgraded.db'"
sqlite3 upgraded.db "UPDATE environment SET libraries = json_set(libraries, '$.libc', '1.9', '$.older', '3')"
expect_status 1 env PLANET=mars COLOUR=blue "$FLIPBENCH" verify 3 --db upgraded.db
expect_line out.txt '^the recorded run used different libraries and a different environment:$'
expect_line out.txt '^libc: was 1\.9, is [2-9]'
expect_line out.txt '^older: was 3, is none$'
expect_line out.txt '^COLOUR: is blue, but .* sets red'
! grep -q PLANET out.txt || fail "a variable that is set as in the experiment is named"
# A recorded checkpoint that was damaged says nothing about the program.
weights=$(ls results/tiny/*0_seed=1*/checkpoints/*.safetensors | tail -n 1)
cp "$weights" whole.safetensors
damaged="run 2 cannot be verified: its checkpoint $weights was damaged, or changed by another program: "
flip_byte() { # FILE OFFSET
  printf "\\x$(printf %02x $(($(od -An -tu1 -j"$2" -N1 "$1") ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
flip_byte "$weights" $(($(stat -c %s "$weights") - 2))
expect_status 2 bench verify 2
expect_line err.txt "${damaged}tensor '.*' differs from its checksum$"
cp whole.safetensors "$weights"
flip_byte "$weights" 100
expect_status 2 bench verify 2
expect_line err.txt "${damaged}its header differs from its checksum$"
head -c -1 whole.safetensors > "$weights"
expect_status 2 bench verify 2
expect_line err.txt "${damaged}it has no tensor '"
! ls -d results/verify-* 2>/dev/null || fail 'the run was trained again'
rm -r results/tiny/*0_seed=1*/checkpoints
expect_status 2 bench verify 2
expect_line err.txt 'its checkpoints are gone'
sed -i 's/^seed: .*/seed: 0/' results/tiny/*0.5*seed=0*/config.yaml
# 1 is said of other bits alone, and of differences alone: any failure is 2.
head -c 5000 results/flipbench.db > damaged.db
expect_status 2 bench verify 1 --db damaged.db
expect_status 2 bench diff 1 2 --db damaged.db
for words in 'verify 4' 'diff 1 1'; do
  status=0; bench $words > /dev/full 2> err.txt || status=$?
  [ $status = 2 ] || { cat err.txt; fail "$words: status $status on a full device"; }
  expect_line err.txt 'standard output: cannot write: No space left on device'
done
# A trainer that fails is quoted; one that left no word may have found the disk full.
printf '#!/bin/sh\necho first\necho "no such data"\nexit 3\n' > failing && chmod +x failing
expect_status 2 env FLIP="$PWD/failing" "$FLIPBENCH" verify 4
expect_line err.txt 'the second training exited with status 3: no such data \(its output is in results/verify-4-[0-9]+/log.txt\)'
printf '#!/bin/sh\nexit 1\n' > failing
expect_status 2 env FLIP="$PWD/failing" "$FLIPBENCH" verify 4
expect_line err.txt 'exited with status 1 and its output, results/verify-4-[0-9]+/log.txt, is empty; the disk may be full'
rm -r results/verify-4-*

# One archive, from which another machine makes the table again.
expect_status 0 bench bundle tiny --out tiny.tar.gz
expect_line out.txt '4 runs'
tar tzf tiny.tar.gz > list.txt
for name in MANIFEST.json table.json files/files/tiny.yaml files/files/presets/tiny.yaml files/evals/held.yaml \
  results/tiny/experiment.json events.jsonl attempts.jsonl; do expect_line list.txt "$name"; done
! grep -q safetensors list.txt || fail "weights were packed without being asked for"
# What cannot be written is named with the reason, and what to do about it.
expect_status 1 env TMPDIR=/nowhere "$FLIPBENCH" bundle tiny --out none.tar.gz
expect_line err.txt '/nowhere/flipbench-.*: cannot create a temporary folder \(No such file or directory\); set TMPDIR to a folder'
small() { # KiB that a file may have, arguments
  status=0
  (ulimit -f "$1"; shift; exec "$FLIPBENCH" "$@" 2>&1) | cat > small.txt || status=$?
}
small 8 reproduce tiny.tar.gz --no-run --out limited
[ $status = 1 ] || { cat small.txt; fail "status $status where a file is too large"; }
expect_line small.txt 'limited/tiny/.*: .*File too large'
# A bundle that was unpacked in part is the same bundle.
small 0 reproduce tiny.tar.gz --no-run --out cut
[ $status = 1 ] || { cat small.txt; fail "status $status where every file is too large"; }
expect_line small.txt 'cut/tiny/MANIFEST.json.*: File too large'
for out in limited cut; do
  expect_status 0 bench reproduce tiny.tar.gz --no-run --out $out
  expect_line err.txt 'records reproduce its table'
done
mkdir elsewhere && mv data elsewhere/data && mv tiny.tar.gz elsewhere/ && cd elsewhere
expect_status 0 bench reproduce tiny.tar.gz --no-run
expect_line err.txt 'records reproduce its table'
expect_line out.txt 'Two mask ratios'
mkdir scratch && ln -s scratch linked # a folder of the user's may be a link
expect_status 0 bench reproduce tiny.tar.gz --no-run --out linked/out
[ -f scratch/out/tiny/MANIFEST.json ] || fail "the bundle is not behind the link"
expect_status 0 bench reproduce tiny.tar.gz --allow-commands
expect_line out.txt '8 of 8 numbers agree with the bundle: 8 equal'

# A changed file is found out; so is a number that is not the same.
mkdir bad && tar xzf tiny.tar.gz -C bad && sed -i 's/0.5/0.4/' bad/tiny/files/files/tiny.yaml
tar czf bad.tar.gz -C bad tiny
expect_status 2 bench reproduce bad.tar.gz --out other
expect_line err.txt 'differs from what was packed'
rm bad/tiny/files/files/tiny.yaml
tar czf bad.tar.gz -C bad tiny
expect_status 2 bench reproduce bad.tar.gz --out incomplete
expect_line err.txt 'files/files/tiny.yaml: is missing, though MANIFEST.json lists it'
sed -i 's/"final_loss":[0-9.]*/"final_loss":1.0/; s/"loss":[0-9.]*/"loss":1.25/' reproduced/tiny/again/tiny/*0.5*seed=*/events.jsonl
expect_status 1 bench reproduce tiny.tar.gz --allow-commands
expect_line out.txt 'mask 50 % · loss .* 1.250 .* DIFFERS'
expect_line out.txt 'verdict: NOT reproduced, on the same data, with the same program, on the same kind of machine'
: > escape && (mkdir -p in/tiny && cd in && tar czPf ../evil.tar.gz --transform 's,^,tiny/../../,' ../escape)
expect_status 2 bench reproduce evil.tar.gz --out elsewhere
expect_line err.txt 'does not belong in a bundle'
echo nonsense > no.tar.gz
expect_status 2 bench reproduce no.tar.gz

# What the manifest does not list would be believed without a digest: results of a reproduction, say.
expect_status 0 bench reproduce tiny.tar.gz --out listed --no-run
mkdir -p listed/tiny/again && echo '{}' > listed/tiny/again/events.jsonl
tar czf unlisted.tar.gz -C listed tiny
expect_status 2 bench reproduce unlisted.tar.gz --out fresh
expect_line err.txt "contains 'tiny/again/events.jsonl', which its MANIFEST.json does not list"
expect_status 2 bench reproduce tiny.tar.gz --no-run --jobs 2
expect_line err.txt '--no-run trains nothing: leave --data, --other-data and --jobs out'

# A bundle of the first version has fingerprints of the data and no list of what was read.
mkdir first && tar xzf tiny.tar.gz -C first
data=$(tr -d ' \n' < first/tiny/MANIFEST.json | sed 's/"recorded":\["\([0-9a-f]*\)".*/ "\1"/; s/.* //')
echo '{"version":1,"name":"tiny","experiment":"files/tiny.yaml","profile":"","created":"then","commit":"c","data":['"$data"'],"files":[]}' \
  > first/tiny/MANIFEST.json
tar czf first.tar.gz -C first tiny
expect_status 0 bench reproduce first.tar.gz --out of_first --allow-commands
expect_line out.txt 'training data .*: same as recorded'
expect_line out.txt 'verdict: reproduced, on the same data'

# A bundle of an unfinished experiment says so where it is made and where it is reproduced.
cd "$SCRATCH" && mv elsewhere/data data
printf '%s\n' 'name: part' 'base: files/presets/tiny.yaml' 'matrix: {mask_ratio: [0, 0.5]}' 'settings: {learning_rate: 2.0e-3}' \
  'report: {rows: mask_ratio, plots: [], columns: [samples, final_loss]}' > part.yaml
expect_status 0 bench run part.yaml --no-progress
run=$("$FLIPBENCH" status part | sed -n 's/.* run \([0-9]*\) .*mask_ratio=0\.5.*/\1/p')
expect_status 0 bench runs archive "$run"
expect_status 0 bench bundle part --out part.tar.gz
expect_line out.txt 'part.tar.gz: 1 run,'
expect_line err.txt '1 of 2 cells have a result; the bundle has none of: mask_ratio=0.5 \(archived\)'
! tar tzf part.tar.gz | grep 'part/results/.*mask_ratio=0.5' || fail "an archived run was packed"
expect_status 0 bench reproduce part.tar.gz
expect_line out.txt 'verdict: reproduced, .*; 1 of 2 recorded rows had no result$'

# Packed are the runs of the cells as they are loaded, with the settings that they were loaded with;
# by name those of the last run.
expect_status 0 bench run part.yaml --no-progress --set samples=96
expect_status 0 bench bundle part.yaml --out whole.tar.gz
expect_line out.txt 'whole.tar.gz: 1 run,'
mkdir whole && tar xzf whole.tar.gz -C whole
grep -q '"set": \[\]' whole/part/MANIFEST.json || fail "the settings of a later run were packed"
expect_status 0 bench reproduce whole.tar.gz --out whole_again
expect_line out.txt 'mask 0 % · loss '
expect_status 0 bench bundle part --out last.tar.gz
expect_line out.txt 'last.tar.gz: 2 runs,'
tar xzf last.tar.gz -O part/MANIFEST.json | grep -q 'samples=96' || fail "the settings of the last run are missing"
rm results/part/*0-*/attempts.jsonl
expect_status 2 bench bundle part.yaml --out none.tar.gz
expect_line err.txt 'no run of its cells that can be read'

# Limits of the experiment hold there too, and what failed is tried again by the same command.
sed 's/name: part/name: short/; s/2.0e-3/4.0e-3, samples: 20k/' part.yaml > short.yaml # not over before the limit is looked at
echo 'limits: {time: 1ms}' >> short.yaml
expect_status 0 bench run short.yaml --no-progress --time-limit 10m
expect_status 0 bench bundle short.yaml --out short.tar.gz
for tries in 1 2; do # one that was stopped before its first checkpoint starts over, in another folder
  expect_status 1 bench reproduce short.tar.gz
  expect_line err.txt 'failed.*: ran longer than its time limit of 1 ms'
  expect_line out.txt 'verdict: NOT reproduced'
  [ "$(cat reproduced/short/again/short/*mask_ratio=0.5*/attempts.jsonl | grep -c attempt_end)" = $tries ] || fail "what failed was not tried again"
done

# Where nothing could be judged, nothing was reproduced.
sed 's/name: part/name: speed/; s/2.0e-3/3.0e-3/; s/columns: .*/columns: [samples_per_second]}/' part.yaml > speed.yaml
expect_status 0 bench run speed.yaml --no-progress
expect_status 0 bench bundle speed.yaml --out speed.tar.gz
expect_status 1 bench reproduce speed.tar.gz
expect_line out.txt 'verdict: no number could be judged, .*the recorded numbers are all of speed, time and memory'
