# Shared by the stories of the source archive: flipbench-VERSION.tar.gz of the checkout's last commit,
# or of a copy of it with the changes that are not committed yet, and `commit`, what it is of.
[ -d "$SOURCE/.git" ] || [ -f "$SOURCE/.git" ] || { echo "these sources are no checkout: there is no commit to archive"; exit 77; }
command -v git > /dev/null || { echo "no git here"; exit 77; }
export GIT_AUTHOR_NAME=story GIT_AUTHOR_EMAIL=story@localhost GIT_COMMITTER_NAME=story GIT_COMMITTER_EMAIL=story@localhost
git -C "$SOURCE" rev-parse HEAD > /dev/null 2> unreadable.txt || { echo "git does not read $SOURCE: $(head -1 unreadable.txt)"; exit 77; }
git clone -q --no-hardlinks --depth 1 "file://$SOURCE" checkout
git -C "$SOURCE" diff --binary HEAD > changes.diff
[ ! -s changes.diff ] || { git -C checkout apply --index "$SCRATCH/changes.diff" && git -C checkout commit -qm changes; }
commit=$(git -C checkout rev-parse HEAD)
make_archive() { cmake -DSOURCE="$SCRATCH/checkout" -DNAME=flipbench-9.9 -DOUT="$SCRATCH" -P checkout/cmake/source_archive.cmake; }
