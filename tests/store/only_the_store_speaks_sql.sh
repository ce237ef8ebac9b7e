# Readers of the record are functions of harness/store that return structs; statistics see arrays.

# The lines below a folder that break a rule, with their place.
sql_texts() { # a statement's beginning inside a string
  grep -rnE --include=*.[ch] --include=*.cu --include=*.cuh \
    '"[^"]*\b(SELECT |INSERT (OR [A-Z]+ )?INTO |UPDATE [a-z_]+ SET |DELETE FROM |CREATE (TABLE|VIEW|INDEX) |DROP (TABLE|VIEW) |PRAGMA )' "$@"
}
sql_uses() { grep -rnE --include=*.[ch] '#include [<"](store/(sql|rows|ingest)|sqlite3)\.h[>"]|\b(sqlite3_|sql_)[a-z0-9_]+ *\(' "$@"; }
store_uses() { grep -rnE --include=*.[ch] '#include "(store|report)/|\bstore_[a-z_]+ *\(' "$@"; }

cd "$SOURCE" || exit 1
rooms=$(find harness core -mindepth 1 -maxdepth 1 -type d ! -path harness/store)
[ "$(echo "$rooms" | wc -l)" -gt 15 ] || fail "the rooms were not found: $rooms"
tests=$(find tests -mindepth 1 -maxdepth 1 -type d ! -path tests/store)

# expect_none WHAT command…: the command prints nothing.
expect_none() {
  local found
  found=$("${@:2}" || true)
  [ -z "$found" ] || { echo "$found" >&2; fail "$1"; }
}
# shellcheck disable=SC2086 # lists of folders
{
  expect_none "SQL outside harness/store: write a reader there" sql_texts $rooms
  expect_none "SQLite outside harness/store: write a reader there" sql_uses $rooms $tests
}
[ -d harness/stats ] || fail "harness/stats was moved: look for what may not ask the database there"
expect_none "statistics that may ask the database: give them arrays" store_uses harness/stats

# the rules see what they forbid
mkdir -p "$SCRATCH/harness/report" "$SCRATCH/harness/stats"
cat > "$SCRATCH/harness/report/a.c" <<'C'
#include "store/sql.h"
static const char text[] =
    "SELECT value FROM summary";
C
cat > "$SCRATCH/harness/stats/b.c" <<'C'
void f(void) { store_find_run(0, 0, 0); sqlite3_step(0); }
C
[ "$(sql_texts "$SCRATCH/harness" | wc -l)" = 1 ] || fail "an SQL text was not seen"
[ "$(sql_uses "$SCRATCH/harness" | wc -l)" = 2 ] || fail "a use of SQLite was not seen"
[ "$(store_uses "$SCRATCH/harness/stats" | wc -l)" = 1 ] || fail "a reader in statistics was not seen"
[ "$(sql_texts harness/store | wc -l)" -gt 50 ] || fail "the store's own SQL is not seen"
