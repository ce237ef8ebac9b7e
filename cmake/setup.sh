# Sourced by ./quickstart and ./test: installs what packages.txt lists and is missing, then builds.

say() { printf '\n\033[1m%s\033[0m\n' "$*" | if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then cat; else sed 's/\x1b\[[0-9;]*m//g'; fi; }

missing_packages() {
  sed 's/#.*//' packages.txt | tr -s ' \t' '\n' | grep . | while read -r name; do
    dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$name"
  done
}

install_packages() {
  [ "${NO_APT:-}" = 1 ] && return 0
  if ! command -v dpkg-query >/dev/null; then
    echo "this is no Debian system: install what packages.txt lists, then run again with NO_APT=1" >&2
    exit 1
  fi
  local missing
  missing=$(missing_packages)
  [ -z "$missing" ] && return 0
  if [ "$(id -u)" != 0 ]; then
    printf 'these packages are missing, and installing them needs root:\n\n  sudo apt-get install --no-install-recommends %s\n\nthen run %s again (NO_APT=1 skips this check)\n' "$missing" "$0" >&2
    exit 1
  fi
  say "installing: $missing"
  apt-get update -qq
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

# ninja's progress lines are noise; warnings and errors are not.
build_quietly() {
  cmake --build "$@" | { grep -vE '^\[[0-9]+/[0-9]+\]|ninja: no work' || true; }
  return "${PIPESTATUS[0]}"
}

build_release() {
  [ -f build/build.ninja ] || { say "configuring"; cmake --preset release >/dev/null; }
  build_quietly build
}

# The CUDA plugin compiles and links without a GPU, wherever there is a toolkit.
build_plugin() {
  if ! command -v nvcc >/dev/null && [ ! -x "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc" ]; then
    say "no CUDA toolkit here: the plugin is not compiled (its kernels are tested on the CPU)"
    return 0
  fi
  [ -f build/cuda/build.ninja ] || { say "configuring the CUDA plugin"; cmake --preset cuda >/dev/null; }
  build_quietly build/cuda --target flip_cuda
}

# The CUDA kernels under the sanitizers, on the host.
build_sanitized() {
  [ -f build/asan/build.ninja ] || { say "configuring the sanitizers' build"; cmake --preset asan >/dev/null; }
  build_quietly build/asan --target simt_tests
}
