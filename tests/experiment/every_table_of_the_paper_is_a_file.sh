# Each table and figure of the paper that training can make is a file with three profiles and the
# published values; a small copy of one is trained for real, on scenes that no disk holds.
# a bare word is a shipped experiment, whatever else is called so
echo 'exit 1' > quickstart
expect_status 0 "$FLIPBENCH" check quickstart
expect_line out.txt 'experiments/quickstart.yaml: ok'
files=("$SOURCE"/experiments/paper/*.yaml)
[ ${#files[@]} -ge 10 ] || fail "only ${#files[@]} files"
for file in "${files[@]}"; do
  name=$(basename "$file" .yaml)
  expect_status 0 "$FLIPBENCH" check "$file"
  cp out.txt checked.txt
  for profile in mini gpu paper; do
    expect_line checked.txt "^$profile: .*: ok: [0-9]+ cells"
    expect_status 0 "$FLIPBENCH" run "$file" --profile $profile --dry-run --results results
    cp out.txt "dry-$name-$profile.txt"
  done
  [ "$name" = figure1 ] || grep -q '^  reference:' "$file" || fail "$name has no published values"
  ! grep -q 'verified: false' "$file" || fail "$name has unchecked values"
done
# mini: an hour on two slow cores, and no file that a fresh machine lacks
for dry in dry-*-mini.txt; do
  awk -v name="$dry" '
    BEGIN { unit["MFLOP"] = 1e-6; unit["GFLOP"] = 1e-3; unit["TFLOP"] = 1; unit["PFLOP"] = 1e3 }
    match($0, /FLOP\/sample · [0-9.]+ [MGTP]FLOP/) {
      split(substr($0, RSTART, RLENGTH), word, " ")
      cells++; sum += word[3] * unit[word[4]]
    }
    END { printf "%s: %d cells, %.0f TFLOP\n", name, cells, sum; exit !(cells > 0 && sum < 250) }
  ' "$dry" || fail "$dry trains too long for two cores"
done
for file in "${files[@]}"; do
  sed '/^profiles:/q' "$file" > mini.txt
  grep -qx 'base: presets/scenes_small.yaml' mini.txt || fail "$file: mini is not on drawn scenes"
  ! grep -v '^#' mini.txt | grep -q 'data/' || fail "$file: mini needs files"
done
[ ! -e results ] || fail "a dry run wrote something"
# runs that several tables need are the same: trained once, with all that the tables read of them
cells() { "$FLIPBENCH" check "$SOURCE/experiments/paper/$1.yaml" --profile paper --cells | grep -oE '^[0-9a-f]{8} ' | sort; }
cmp <(cells table5) <(cells table6) || fail "Tables 5 and 6 are trained apart"
for pair in "table6 table2 3" "table1a figure1 3" "table1b figure1 2" "table1e figure1 4" "table1f table1a 2" "table3 table2 3" \
  "table8 table2 2"; do
  read -r one other shared <<< "$pair"
  [ "$(comm -12 <(cells $one) <(cells $other) | wc -l)" = "$shared" ] ||
    fail "$one and $other share $(comm -12 <(cells $one) <(cells $other) | wc -l) runs, not $shared"
done
# the lengths are the released code's: 2,000 virtual epochs, 38,000 updates of 65,536
expect_line dry-table1b-paper.txt '2.49 B samples'
expect_line dry-table8-paper.txt '24.9 B samples'

small=(-s image.width=16 -s image.layers=1 -s image.heads=1 -s text.width=16 -s text.layers=1 -s text.heads=1
       -s embed_dim=8 -s image.size=32 -s samples=512 -s eval.points=1 -s precision=fp32 -s threads=2 -s data.workers=2)
expect_status 0 "$FLIPBENCH" run experiments/paper/table1a.yaml "${small[@]}" --set-cell mask_ratio=0.75:samples=1024 --results results
expect_status 0 "$FLIPBENCH" report table1a --results results
cat out.txt > report.txt
for value in 68.6 69.6 68.2; do expect_line report.txt "$value"; done
