. "$SOURCE/tests/support/sweep.sh"
# The time of all cells is not divided by more than can run at once with cores of their own, and is at least that of the
# longest cell with what it starts from.
cores=$(nproc)
make() { # make NAME MATRIX: an experiment of these mask ratios, with or without tunings
  sed "s/^name: small/name: $1/; s/mask_ratio: \[0, 0.5, 0.75\]/mask_ratio: $2/; s/ unless: {mask_ratio: 0},//; /^report/,\$d" experiments/small.yaml > "experiments/$1.yaml"
  echo 'report: {rows: mask_ratio, columns: [samples_per_second]}' >> "experiments/$1.yaml"
}
seconds() { # seconds FILE…: the sum of "about 3.1 s" and "about 391 ms"
  grep -oE 'about [0-9.]+ m?s' "$@" | awk '{ sum += $2 * ($3 == "ms" ? 0.001 : 1) } END { print sum + 0 }'
}
dry() { # dry NAME WORDS…: cells.txt, and total.txt, the last line
  local name=$1
  shift
  expect_status 0 bench run "experiments/$name.yaml" --dry-run "$@"
  head -n -1 out.txt > cells.txt
  tail -n 1 out.txt > total.txt
}
agree() { # agree WHAT SECONDS: the total, up to the digits that are printed
  awk -v t="$(seconds total.txt)" -v s="$2" 'BEGIN { exit !(t > 0.95 * s && t < 1.05 * s) }' ||
    { cat cells.txt total.txt; fail "$1: not $2 s"; }
}
make one '[0]'
sed -i '/^tuning/,/unmasked/d' experiments/one.yaml
make chain '[0.5]'
make several '[0, 0.5, 0.75]'
expect_status 0 bench run experiments/several.yaml

dry one --set seed=1 --jobs $((6 * cores))
expect_line total.txt '1 to run: about .* sequentially$'
agree 'a single cell' "$(seconds cells.txt)"

dry several --set seed=1 --jobs 1
expect_line total.txt '6 to run: about .* sequentially$'
whole=$(seconds total.txt)
agree 'one after another' "$(seconds cells.txt)"
dry several --set seed=1 --jobs $((6 * cores))
expect_line total.txt "6 to run: about .*, 6 in parallel that share $cores cores?$"
agree 'cells that share all cores' "$whole"

if [ "$cores" -ge 2 ]; then
  dry several --set seed=1 --jobs 2
  expect_line total.txt '6 to run: about .* s, 2 in parallel$'
  agree 'two at once' "$(awk -v s="$(seconds cells.txt)" 'BEGIN { print s / 2 }')"
  # with half of the cores a cell takes about twice as long
  awk -v s="$(seconds cells.txt)" -v w="$whole" 'BEGIN { exit !(s > 1.5 * w) }' || { cat cells.txt; fail "half of the cores: not about twice $whole s"; }
  dry chain --set seed=1 --jobs 2
  agree 'a cell and its tuning' "$(seconds cells.txt)"
fi

# What an interrupted cell has trained takes no time.
dry one --set seed=2
whole=$(seconds cells.txt)
set -m
FAKE_STEP_MS=10 "$FLIPBENCH" run experiments/one.yaml --set seed=2 > run.txt 2>&1 & sweep=$!
for _ in $(seq 400); do
  grep -qs '"step":60,' results/one/*/events.jsonl && break
  sleep 0.05
done
kill -INT $sweep
wait $sweep || :
dry one --set seed=2
expect_line cells.txt '^interrupted'
expect_line cells.txt ' · about .* left · '
agree 'an interrupted cell' "$(seconds cells.txt)"
awk -v left="$(seconds total.txt)" -v whole="$whole" 'BEGIN { exit !(left > 0.05 * whole && left < 0.6 * whole) }' ||
  fail "$(seconds total.txt) s are left of $whole s"
