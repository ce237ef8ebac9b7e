# ./quickstart and ./test configure a build folder once, again when its presets change, and from nothing when it came
# along with a copied checkout or was made by another generator. The project here has only a file to copy.
mkdir first && cd first
cp "$SOURCE/cmake/setup.sh" .
presets() { # presets VALUE
  cat > CMakePresets.json <<P
{"version": 6, "configurePresets": [{"name": "release", "generator": "Ninja", "binaryDir": "\${sourceDir}/build",
  "cacheVariables": {"WORD": "$1"}}]}
P
}
presets one
cat > CMakeLists.txt <<'C'
cmake_minimum_required(VERSION 3.25)
project(small NONE)
add_custom_target(word ALL COMMAND ${CMAKE_COMMAND} -E echo ${WORD} > ${CMAKE_SOURCE_DIR}/word.txt)
C
build() { # build yes|no WORD: whether it is configured, and what is built
  expect_status 0 bash -euo pipefail -c '. ./setup.sh; build_release'
  if [ "$1" = yes ]; then expect_line out.txt '^configuring the build$'; else [ ! -s out.txt ] || fail "configured again: $(cat out.txt)"; fi
  [ "$(cat word.txt)" = "$2" ] || fail "built with '$(cat word.txt)', not '$2'"
  rm word.txt
}
build yes one
build no one
presets two
build yes two
build no two

cp -a ../first ../second && cd ../second
build yes two
[ ! -e ../first/word.txt ] || fail "a copy builds in the checkout it was copied from"
build no two

rm -r build && cmake -G 'Unix Makefiles' -B build -DWORD=made . > /dev/null
build yes two
build no two

# A folder that this user cannot write to.
if [ "$(id -u)" = 0 ]; then
  chmod 755 "$SCRATCH" && chmod -R a+rX . && touch out.txt err.txt
  other() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
else
  other() { "$@"; }
  chmod a-w build/build.ninja
fi
expect_status 1 other bash -euo pipefail -c '. ./setup.sh; build_release'
expect_line err.txt "^build.* cannot be written: it belongs to $(id -un)\. "
expect_line err.txt '^  sudo chown -R [a-z]+ build$'
