# Variants of the heuristics' algorithms are tried and taken where they are faster; one whose result is
# wrong, or that fails, is not; the choices file says what was gained.
. "$SOURCE/tests/support/training.sh"
. "$SOURCE/tests/support/imitation.sh"
make_data
tiny=(--set batch_size=8 --set samples=16 --set eval.points=0 --set precision=bf16 --set image.layers=1)

# search WORDS MILLISECONDS: a run that chooses, and the table of its choices
search() {
  rm -rf first
  export FLIP_IMITATION_BLAS=$1 FLIP_PRODUCT_SEARCH_MS=$2 XDG_CACHE_HOME=$PWD/cache-$1-$2
  gpu first "${tiny[@]}"
  "$SOURCE/tests/gpu/product_times.sh" "$XDG_CACHE_HOME"/flip/choices-*.txt >times
}
losses() { field step loss "$1/events.jsonl"; }
# products PATTERN: rows of the table that match
products() { grep -cE "$1" times || true; }

search usual 100000
losses first >usual
all=$(products '^\| (forward|input gradient|weight gradient) ')
[ "$all" -gt 8 ] || { cat times; fail "only $all products in the table"; }
[ "$(products 'not named')" = 0 ] || { cat times; fail "a variant was taken that is no faster"; }
# the sum is without the square product by which a device's rate is measured, here of 1600
square=$(products '^\| forward \| 1600 \| 1600 \| 1600 ')
[ "$square" -gt 0 ] || fail "the rate's product is not in the table"
expect_line times "^$((all - square)) products.* 0 by algorithms that the heuristics did not name, 0 variants with wrong results"
# chosen once: a second run asks only, per device that it opens, which GELU the library has
FLIP_IMITATION_TRACE=$PWD/trace gpu second "${tiny[@]}"
cmp "$(newest first)" "$(newest second)" || fail "reused choices gave other bits"
[ "$(grep -c '^cublasLtMatmulAlgoGetHeuristic$' trace)" = "$(grep -c '^cublasLtCreate$' trace)" ] || fail "the second run chose again"

search better_tile,better_option 100000
[ "$(products '128x160.* 3 \| not named')" -gt 8 ] || { cat times; fail "the faster tile or option was not taken"; }
search better_tile,better_option,untold 100000 # a library that does not say what an algorithm can do
[ "$(products '128x160.* 3 \| not named')" -gt 8 ] || { cat times; fail "the faster tile or option was not taken untold"; }
search better_cluster 100000 # the tile needs a cluster, and is faster with a larger one
[ "$(products '256x128.*4x1x1.*not named')" -gt 8 ] || { cat times; fail "the faster cluster was not taken"; }
search better_pair 100000 # neither its tile nor its option alone is faster
[ "$(products '128x160.* 2 \| not named')" -gt 8 ] || { cat times; fail "the faster kind with another tile was not taken"; }

# A wrong result, by the fastest, and one that fails: the same losses as without them.
search wrong_tile,failing_tile 100000
expect_line times ' [1-9][0-9]* variants with wrong results'
[ "$(products '128x192|192x192')" = 0 ] || { cat times; fail "an algorithm that is wrong or fails was taken"; }
losses first | cmp - usual || fail "losses differ where one algorithm is wrong"

# One that breaks the device ends the run, and is named.
export FLIP_IMITATION_BLAS=faulting_tile FLIP_PRODUCT_SEARCH_MS=100000 XDG_CACHE_HOME=$PWD/cache-faulting
expect_status 1 train --out failed --set device=cuda "${tiny[@]}"
expect_line err.txt "^flip: error: .*while an algorithm of cuBLASLt \(tile 192 x 192\) was tried for a product of [0-9]+ x [0-9]+ x [0-9]+; FLIP_PRODUCT_SEARCH_MS=0 tries only"

# Little time: what the heuristics name is timed in any case.
search usual 1
[ "$(products '.')" -gt 0 ] || { cat times; fail "no products in the table"; }
[ "$(products '\| 1 \| 128x128 \|')" = 0 ] || { cat times; fail "a named algorithm was not tried"; }

# No search: only what the heuristics name.
search better_tile 0
[ "$(products '.')" -gt 0 ] || { cat times; fail "no products in the table"; }
[ "$(products 'not named')" = 0 ] || { cat times; fail "a variant was tried without time for it"; }
# With choices of a usual run in the cache, too: those of named algorithms are others, kept beside them.
asked() { grep -c '^cublasLtMatmulAlgoGetHeuristic$' "$1" || true; }
export FLIP_IMITATION_BLAS=better_tile,better_option XDG_CACHE_HOME=$PWD/cache-better_tile,better_option-100000
found=$("$SOURCE/tests/gpu/product_times.sh" "$XDG_CACHE_HOME"/flip/choices-*.txt | grep -c 'not named')
rm -rf named again usual_again
FLIP_IMITATION_TRACE=$PWD/named.txt FLIP_PRODUCT_SEARCH_MS=0 gpu named "${tiny[@]}"
[ "$(asked named.txt)" -gt 10 ] || fail "named algorithms alone: the variants that were found before are used"
[ "$("$SOURCE/tests/gpu/product_times.sh" "$XDG_CACHE_HOME"/flip/choices-*.txt | grep -c 'not named')" = "$found" ] || fail "the usual choices were replaced"
FLIP_IMITATION_TRACE=$PWD/again.txt FLIP_PRODUCT_SEARCH_MS=0 gpu again "${tiny[@]}"
[ "$(asked again.txt)" = "$(grep -c '^cublasLtCreate$' again.txt)" ] || fail "choices of named algorithms were not kept"
FLIP_IMITATION_TRACE=$PWD/usual.txt FLIP_PRODUCT_SEARCH_MS=100000 gpu usual_again "${tiny[@]}"
[ "$(asked usual.txt)" = "$(grep -c '^cublasLtCreate$' usual.txt)" ] || fail "the usual choices are not used any more"
FLIP_PRODUCT_SEARCH_MS=soon expect_status 2 train --out failed --set device=cuda "${tiny[@]}"
expect_line err.txt "^flip: error: .*FLIP_PRODUCT_SEARCH_MS=soon is not a whole number of milliseconds"
