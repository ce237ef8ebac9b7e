# Attention by cuDNN's engines or by our kernel: what is chosen when engines are missing, fail or are
# slow, and that a second run uses what the first one chose, without timing.
. "$SOURCE/tests/support/training.sh"
. "$SOURCE/tests/support/imitation.sh"
make_data
tiny=(--set batch_size=8 --set samples=24 --set eval.points=0 --set precision=bf16 --set image.layers=1
  --set deterministic=false)
calls() { grep -cE "^$1\$" trace || true; }

# check WORDS ENGINE OWN: with cuDNN's imitation set up by WORDS, does a run that reuses its choices
# use an engine of it (yes, no) and our kernel?
check() {
  local engine=no own=no
  export FLIP_IMITATION_DNN=$1 XDG_CACHE_HOME=$PWD/cache-${1:-plain}
  gpu "first-$1" "${tiny[@]}"
  rm -f trace
  FLIP_IMITATION_TRACE=$PWD/trace gpu "second-$1" "${tiny[@]}"
  [ "$(calls cudnnBackendExecute)" = 0 ] || engine=yes
  [ "$(calls '((short|walk)_)?forward_[0-9]+')" = 0 ] || own=yes
  [ "$engine $own" = "$2 $3" ] || fail "'$1': engine $engine, own kernel $own; wanted $2 $3"
}
check "" yes no
# the choice keeps what it measured, of both, with and without sums
"$SOURCE/tests/gpu/attention_times.sh" "$PWD"/cache-plain/flip/choices-*.txt >times
expect_line times '^\| forward \| 8 \| .* \| no \| no \| [0-9.]+ \| [0-9.]+ \| – \| cuDNN \|$'
expect_line times '^\| backward \| 8 \| .* \| no \| yes \| [0-9.]+ \| [0-9.]+ \| – \| cuDNN \|$'
# and a bound only for a card whose bandwidth is known
cp "$PWD"/cache-plain/flip/choices-*.txt choices-NVIDIA-H200-1-1.txt
"$SOURCE/tests/gpu/attention_times.sh" choices-NVIDIA-H200-1-1.txt >times
expect_line times '^\| forward \| 8 \| .* \| [0-9.]+ at 4.3 \| cuDNN \|$'
check first_fails yes no
check fails no yes
check slow no yes
check refuses no yes

# Versions and shapes for which cuDNN's gradient is known to be wrong: ours is used, and forward still cuDNN's.
gradient() { # NAME ENGINES OWN WORDS…: how the gradient was computed in a run that reuses its choices
  local name=$1 engines=$2 own=$3 found
  shift 3
  export XDG_CACHE_HOME=$PWD/cache-$name
  gpu "first-$name" "${tiny[@]}" "$@"
  rm -f trace
  FLIP_IMITATION_TRACE=$PWD/trace gpu "second-$name" "${tiny[@]}" "$@"
  found="$(calls cudnnBackendExecute) $(calls '((short|walk|long)_)?(gradient|key_gradient)(_half)?_[0-9]+')"
  case $found in $engines) ;; *) fail "$name: $found executions of cuDNN and of our gradient's kernels" ;; esac
  [ "$own" = "$([ "${found#* }" = 0 ] && echo no || echo yes)" ] || fail "$name: our gradient's kernels were executed ${found#* } times"
}
export FLIP_IMITATION_DNN=
gradient usual '[1-9]* *' no
FLIP_IMITATION_CUDNN=91700 gradient older '[1-9]* *' yes
gradient half_tile '[1-9]* *' yes --set image.size=32 --set image.class_token=false --set mask_ratio=0
FLIP_IMITATION_CUDNN=91001 gradient wrong '0 *' yes
