# PROGRAM [KIND [SKIP]] against the double reference on the imitation, its queues run early or late
# (FLIP_IMITATION_ORDER), its libraries with the variations of FLIP_IMITATION_BLAS.
export XDG_CACHE_HOME=$PWD FLIP_PLUGINS=$BINARY/imitation
# shellcheck disable=SC2086
"$BINARY/tests/$PROGRAM" $KIND ${SKIP:+"$SKIP"} >out.txt 2>&1 || { cat out.txt; fail "$PROGRAM $KIND"; }
! grep '^imitation:' out.txt || fail "misuse"
[ -n "$(ls flip/choices-*)" ] || fail "no choice was saved"
