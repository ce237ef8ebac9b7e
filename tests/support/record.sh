# Shared by the flipbench tests: the program, and queries of its database.
unset FLIPBENCH_DB
export NO_COLOR=1
bench() { "$FLIPBENCH" "$@"; }
# Rows of a query, columns by '|'.
ask() { sqlite3 -batch "file:${DB:-results/flipbench.db}?mode=ro" "$1"; }
expect_answer() {
  local got
  got=$(ask "$1")
  [ "$got" = "$2" ] || fail "'$1' gave '$got', not '$2'"
}
