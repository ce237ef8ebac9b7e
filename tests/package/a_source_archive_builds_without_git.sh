# The archive is configured and built where there is no git, and the programs say which commit they are.
. "$SOURCE/tests/support/archive.sh"
make_archive > /dev/null 2>&1
rm -rf checkout && tar xf flipbench-9.9.tar.gz && cd flipbench-9.9
mkdir bin && ln -s /usr/bin/* bin/ && rm -f bin/git bin/git-*
export PATH=$PWD/bin
! command -v git || fail "git is still found"
expect_status 0 cmake -G Ninja -B build -DFLIP_TESTS=OFF -DCMAKE_BUILD_TYPE=Debug # -O0: the fastest to compile
expect_status 0 ninja -C build programs
for program in flip flipbench; do
  expect_status 0 build/bin/$program --version
  expect_line out.txt "${commit:0:12}"
  ! grep -q "${commit:0:12}[0-9a-f]*+" out.txt || fail "$program says that the archive was changed"
done
expect_status 0 build/bin/flip data scenes --out scenes --count 20 --size 16 --no-progress
expect_status 0 build/bin/flipbench check experiments/quickstart.yaml
expect_status 0 cmake --install build --prefix "$SCRATCH/there"
[ -s "$SCRATCH/there/share/man/man1/flip-train.1" ] || fail "no man page was installed"
