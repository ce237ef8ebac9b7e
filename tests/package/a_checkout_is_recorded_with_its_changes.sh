# What is built from a checkout says what was changed in it, whatever the user's git is configured to do, and
# a checkout that git does not read is not passed off as a clean one without a word.
. "$SOURCE/tests/support/archive.sh"
write() { # write [VARIABLE=VALUE…]: version.h, and changes.diff
  expect_status 0 env "$@" cmake -DSOURCE="$SCRATCH/checkout" -DOUT=version.h -DDIFF="$SCRATCH/changes.diff" -DFLAGS= \
    -DVERSION=9.9 -P checkout/cmake/write_version.cmake
}
write HOME="$SCRATCH"
expect_line version.h "FLIP_COMMIT \"$commit\""
expect_line version.h 'FLIP_DIRTY_DIGEST ""'

echo '/* changed */' >> checkout/core/base/err.c
echo '/* new */' > checkout/core/base/größe.c # git quotes such a name
write HOME="$SCRATCH"
expect_line changes.diff '^\+/\* changed \*/$'
expect_line changes.diff '^\+/\* new \*/$'
cp version.h plain.h
mkdir configured
cat > configured/.gitconfig <<'G'
[diff]
  external = /bin/true
  noprefix = true
  context = 9
[color]
  ui = always
[core]
  quotePath = true
  abbrev = 20
G
write HOME="$SCRATCH/configured"
cmp version.h plain.h || fail "the digest depends on the user's configuration of git"

# Of this checkout also where git's variables name another one, as in a hook or under an alias.
git init -q elsewhere && git -C elsewhere commit -q --allow-empty -m other
write HOME="$SCRATCH" GIT_DIR="$SCRATCH/elsewhere/.git" GIT_WORK_TREE="$SCRATCH/elsewhere" GIT_INDEX_FILE="$SCRATCH/elsewhere/.git/index"
cmp version.h plain.h || fail "another repository's commit is recorded"

# Another user's checkout: read all the same. GIT_TEST_… is git's own switch for it.
other=GIT_TEST_ASSUME_DIFFERENT_OWNER=1
[ "$(env $other git -C checkout rev-parse HEAD 2> refused.txt)" = "" ] || fail "git reads another user's checkout"
expect_line refused.txt 'dubious ownership'
write HOME="$SCRATCH" $other
cmp version.h plain.h || fail "another user's checkout has another digest"

# No git: the commit is not known, and that is said.
mkdir bin && ln -s /usr/bin/* bin/ && rm -f bin/git bin/git-*
write PATH="$SCRATCH/bin"
expect_line version.h 'FLIP_COMMIT "unknown"'
tr -s '\n ' ' ' < err.txt > said.txt # CMake breaks its lines
expect_line said.txt 'git does not read .*/checkout: builds record no commit'
