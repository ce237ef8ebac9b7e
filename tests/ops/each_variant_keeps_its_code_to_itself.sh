# A function that two variants of the kernels share would be one of them in the program, and a crash
# on a processor that lacks its instructions: every name that a variant's objects show is its own.
set -euo pipefail
command -v nm >/dev/null || { echo "skipped: no nm"; exit 77; }
found=0
while read -r folder; do
  variant=${folder##*/flip_}; variant=${variant%.dir}; variant=${variant#*_}
  strays=$(find "$folder" -name '*.o' -exec nm --defined-only -g {} + |
    awk -v own="_${variant}_" 'NF == 3 && !index($3, own) && $3 !~ /^__(asan|odr_asan|gcov|llvm)/ {print $3}')
  [ -z "$strays" ] || { echo "$variant: $strays" >&2; exit 1; }
  found=$((found + 1))
done < <(find "$BINARY/core" -type d -regex '.*/flip_[a-z]+_\(v[0-9].*\|neon\|portable\)\.dir')
[ "$found" -ge 2 ] || { echo "found the objects of $found variants" >&2; exit 1; }

# the requested variant runs and is reported; an unknown name lists the valid ones
"$FLIP" bench ops -n 1 -s threads=1 -s batch_size=2 >out
best=$(sed -n 's/.*kernels: //p' out)
[ -n "$best" ]
FLIP_CPU_KERNELS=$best "$FLIP" bench ops -n 1 -s threads=1 -s batch_size=2 --json |
  grep -q "\"kernels\": *\"$best\""
! FLIP_CPU_KERNELS=fastest "$FLIP" bench ops 2>err || exit 1
grep -q "'fastest' is not a variant of this build" err && grep -q "$best" err
