# PROGRAM [KIND] against the double reference on the imitation, its queues run early or late
# (FLIP_IMITATION_ORDER); then again, with the algorithms that the first run chose.
export XDG_CACHE_HOME=$PWD FLIP_PLUGINS=$BINARY/imitation
for time in chosen recalled; do
  # shellcheck disable=SC2086
  "$BINARY/tests/$PROGRAM" $KIND >out.txt 2>&1 || { cat out.txt; fail "algorithms $time: $PROGRAM $KIND"; }
  ! grep '^imitation:' out.txt || fail "algorithms $time: misuse"
  [ "$PROGRAM" = test_step ] || break
done
[ -n "$(ls flip/choices-*)" ] || fail "no choice was kept"
