# flip bench loader measures what a few seconds read of data without end, and small data whole: once
# decoded and once from the cache.
set -euo pipefail
cd "$SOURCE/experiments"
small=(-c presets/scenes_small.yaml -s image.width=32 -s text.width=32 -s batch_size=32 --steps 1)

"$FLIP" bench loader "${small[@]}" --json > "$SCRATCH/endless"
[ "$(wc -l < "$SCRATCH/endless")" = 1 ]
grep -q '"what": *"decode, crop, tokenize"' "$SCRATCH/endless"
images=$(grep -o '"images": *[0-9]*' "$SCRATCH/endless" | grep -o '[0-9]*$')
[ "$images" -gt 32 ]

"$FLIP" bench loader "${small[@]}" -s data.train='scenes:0#count=100' --json > "$SCRATCH/small"
[ "$(grep -c '"images": *128,' "$SCRATCH/small")" = 2 ] # batches of 32 that hold all 100
grep -q '"what": *"from the cache".*"cached_share": *1}' "$SCRATCH/small"
# what the cache has no room for is decoded again, and told
"$FLIP" bench loader "${small[@]}" -s data.cache_mib=1 -s data.train='scenes:0#count=300' --json \
  > "$SCRATCH/large" 2> "$SCRATCH/err"
grep -q '"what": *"from the cache".*"cached_share": *0' "$SCRATCH/large"
grep -q 'data.cache_mib: 1 MiB had .* % of these images' "$SCRATCH/err"

"$FLIP" bench loader "${small[@]}" > "$SCRATCH/table"
grep -Eq '^[0-9]+ of 1000000000 images; ' "$SCRATCH/table"
