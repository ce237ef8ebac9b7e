# Sourced by ./quickstart and ./test: installs what packages.txt lists and is missing, then builds.

say() { printf '\n\033[1m%s\033[0m\n' "$*" | if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then cat; else sed 's/\x1b\[[0-9;]*m//g'; fi; }

# missing_packages [test]: prints the missing packages marked with that word, or unmarked ones.
missing_packages() {
  sed 's/#.*//' packages.txt | while read -r name use; do
    [ -n "$name" ] && [ "$use" = "${1:-}" ] || continue
    dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$name"
  done
}

apt_install() {
  # shellcheck disable=SC2068
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $@ >/dev/null
}

# install_packages [test]: with `test` also the packages needed only by tests. A test whose program is
# missing reports that and is skipped, so these packages may fail to install.
install_packages() {
  [ "${NO_APT:-}" = 1 ] && return 0
  if ! command -v dpkg-query >/dev/null; then
    echo "this is not a Debian system: install what packages.txt lists, then run again with NO_APT=1" >&2
    exit 1
  fi
  local missing for_tests=
  missing=$(missing_packages)
  [ -z "${1:-}" ] || for_tests=$(missing_packages "$1")
  [ -n "$missing$for_tests" ] || return 0
  if [ "$(id -u)" != 0 ]; then
    printf 'these packages are missing, and installing them needs root:\n\n  sudo apt-get install --no-install-recommends %s\n\nthen run %s again (NO_APT=1 skips this check)\n' "$missing$for_tests" "$0" >&2
    exit 1
  fi
  say "installing: $missing$for_tests"
  apt-get update -qq
  [ -z "$missing" ] || apt_install "$missing"
  [ -z "$for_tests" ] || apt_install "$for_tests" || for name in $for_tests; do
    apt_install "$name" || say "$name is not available: the tests that need it will be skipped"
  done
}

# ninja's progress lines are noise; warnings and errors are not.
build_quietly() {
  cmake --build "$@" | { grep -vE '^\[[0-9]+/[0-9]+\]|ninja: no work' || true; }
  return "${PIPESTATUS[0]}"
}

# refuse_foreign FOLDER: ninja's own message, when root has built there before, names neither cause nor remedy.
refuse_foreign() {
  local file
  for file in "$1" "$1/build.ninja" "$1/.ninja_log"; do
    [ -e "$file" ] && [ ! -w "$file" ] || continue
    echo "$file cannot be written: it belongs to $(stat -c %U "$file"). Make it yours, then run $0 again:" >&2
    echo "  sudo chown -R $(id -un) $(find build data results -maxdepth 0 2>/dev/null | paste -sd ' ')" >&2
    exit 1
  done
}

# configure PRESET FOLDER WHAT: also again when packages were installed since, which a build may find and use, or when
# the presets have changed; from nothing when the folder was made for another checkout or by another generator.
configure() {
  local home fresh=
  refuse_foreign "$2"
  home=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$2/CMakeCache.txt" 2>/dev/null || true)
  if [ -n "$home" ] && ! { [ "$home" -ef . ] && grep -qx 'CMAKE_GENERATOR:INTERNAL=Ninja' "$2/CMakeCache.txt"; }; then
    fresh=--fresh
  elif [ "$2/build.ninja" -nt /var/lib/dpkg/status ] && [ "$2/build.ninja" -nt CMakePresets.json ]; then
    return 0
  fi
  say "configuring $3"
  cmake --preset "$1" $fresh >/dev/null
  touch "$2/build.ninja"
}

# build_release [TARGET]
build_release() {
  configure release build "the build"
  build_quietly build --target "${1:-all}"
}

# The plugins for CUDA and NCCL compile and link without a GPU, wherever there is a toolkit.
build_plugin() {
  if ! command -v nvcc >/dev/null && [ ! -x "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc" ]; then
    say "no CUDA toolkit here: the plugin is not compiled (its kernels are tested on the CPU)"
    return 0
  fi
  configure cuda build/cuda "the CUDA plugin"
  build_quietly build/cuda --target gpu_plugins
}

# The CUDA kernels under the sanitizers, on the host.
build_sanitized() {
  configure asan build/asan "the sanitizers' build"
  build_quietly build/asan --target sanitized_tests
}

# The programs and the tests whose threads are watched, with clang: docs/architecture.md.
build_threads() {
  configure tsan build/tsan "ThreadSanitizer's build"
  build_quietly build/tsan --target threaded_tests
}
