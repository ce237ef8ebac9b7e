# The sources of a commit, without git, still say which commit they are, and what was changed in them.
. "$SOURCE/tests/support/archive.sh"
expect_status 0 make_archive
sha256sum flipbench-9.9.tar.gz > first
expect_status 0 make_archive
sha256sum --quiet -c first || fail "the same commit gave another archive"

# An archive would lack what is not committed.
echo '/* */' >> checkout/core/base/err.c
expect_status 1 make_archive
expect_line err.txt 'uncommitted changes would be missing'
git -C checkout checkout -q .

# Unpacked inside another project's checkout, whose commit must not be taken for flipbench's.
git init -q other && cd other
git commit -q --allow-empty -m other
tar xf ../flipbench-9.9.tar.gz
[ ! -e flipbench-9.9/.git ] || fail "the archive has git's folder"
write() {
  cmake -DSOURCE="$PWD/flipbench-9.9" -DOUT=version.h -DDIFF="$PWD/dirty.diff" -DFLAGS=-O3 -DVERSION=9.9 \
    -P flipbench-9.9/cmake/write_version.cmake
}
expect_status 0 write
expect_line version.h "FLIP_COMMIT \"$commit\""
expect_line version.h 'FLIP_DIRTY_DIGEST ""'
[ ! -s dirty.diff ] || fail "a fresh archive has changes"

# A file that was changed, one that is new and one that is gone, each alone, and in no other way.
clean=$(cat version.h)
dirty() { # dirty LINE: says so in the difference, and back
  expect_status 0 write
  expect_line version.h "FLIP_COMMIT \"$commit\""
  expect_line version.h 'FLIP_DIRTY_DIGEST "[0-9a-f]{12}"'
  expect_line dirty.diff "$1"
}
cp -r flipbench-9.9 as-unpacked
echo 'int changed;' >> flipbench-9.9/core/base/err.c
dirty '^\+int changed;'
cp version.h changed.h && sleep 1.1 && touch flipbench-9.9/core/base/err.c
expect_status 0 write
cmp -s version.h changed.h || fail "the digest depends on when a file was written"
cp as-unpacked/core/base/err.c flipbench-9.9/core/base/
echo 'int made;' > flipbench-9.9/harness/made.c
dirty '^# harness/made.c is not'
rm flipbench-9.9/harness/made.c flipbench-9.9/core/base/err.h
dirty '^# core/base/err.h is not .*missing'
cp as-unpacked/core/base/err.h flipbench-9.9/core/base/
echo more >> flipbench-9.9/README.md # a document
expect_status 0 write
[ "$(cat version.h)" = "$clean" ] || fail "as unpacked again, the sources are not clean"

# Sources without archive.txt there: no commit is better than another project's.
rm flipbench-9.9/cmake/archive.txt
expect_status 0 write
expect_line version.h 'FLIP_COMMIT "unknown"'
echo nonsense > flipbench-9.9/cmake/archive.txt
expect_status 1 write
expect_line err.txt 'archive.txt:1:'
