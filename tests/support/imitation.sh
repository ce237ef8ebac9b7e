# Shared by the tests that use the imitation: no run may report a violation.
export FLIP_PLUGINS=$BINARY/imitation XDG_CACHE_HOME=$PWD/cache
export LD_LIBRARY_PATH=$BINARY/imitation${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} # NVML's
no_misuse() { ! grep '^imitation:' "$1" || fail "the imitation complains"; }
# gpu FOLDER option…
gpu() {
  local out=$1
  shift
  train --out "$out" --set device=cuda "$@" 2>gpu.err || { cat gpu.err >&2; fail "$out"; }
  no_misuse gpu.err
}
