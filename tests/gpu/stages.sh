# shellcheck shell=bash disable=SC2030,SC2031,SC2034,SC2154 # sourced by run_all.sh, whose variables it uses
# How run_all.sh runs a stage, several at once if need be, and reports it: one line for a proof, its output for a
# benchmark. describe (kinds.sh) says what a stage is.
#
# run_stage runs it and writes "STATUS SECONDS" to $work/ended/NAME; tell reports that and is called by the main shell
# only. The output goes to $raw/CALL/NAME.txt, a folder for each call: no call overwrites another one's.

say() { printf '%s\n' "$@" | tee -a "$report/report.md"; }
seconds_left() { # of the call, and of the group of proofs that is running
  local left=$((${FLIP_PROOF_SECONDS:-545} - (SECONDS - started)))
  [ -z "$group_end" ] || [ $((group_end - SECONDS)) -ge $left ] || left=$((group_end - SECONDS))
  echo $left
}

# After every stage, so that a killed call leaves its results so far. tar's status 1: a file grew while it was read.
keep() {
  local code=0
  summarize >"$raw/summary.md" && cp "$raw/summary.md" "$report/.summary" && mv "$report/.summary" "$report/summary.md"
  tar czf "$work/report.tar.gz" -C "$work" report 2>/dev/null || code=$?
  [ $code -gt 1 ] || mv "$work/report.tar.gz" "$report/"
}

chains=() pending=() training='' all_cores='' group_end='' optional=''
finish() { # on exit: nothing that was started goes on, and what has ended is reported
  local file group name
  [ -z "${chains[*]}$training" ] || kill -KILL "${chains[@]}" ${training:+"$training"} 2>/dev/null
  for file in "$work"/running/*; do
    [ ! -s "$file" ] || { read -r group <"$file"; kill -KILL -- "-$group" 2>/dev/null; }
  done
  { wait; } 2>/dev/null
  for name in "${pending[@]}"; do [ ! -e "$work/ended/$name" ] || tell "$name"; done
  keep
  rm -rf "$work"
}

status_of() { [ ! -e "$work/ended/$1" ] || cut -d' ' -f1 "$work/ended/$1"; }
passed() { [ "$(status_of "$1")" = 0 ]; }
choices() { cat "$XDG_CACHE_HOME"/flip/choices-*.txt 2>/dev/null | LC_ALL=C sort; }

# A benchmark prints row after row: what it has so far is kept, in case the call is killed.
keep_while() { # PID
  local ticks=0
  while kill -0 "$1" 2>/dev/null; do
    sleep 0.1
    ticks=$((ticks + 1))
    [ $((ticks % 100)) != 0 ] || keep
  done
}

# At most the stage's limit, and not beyond the call's own end; killed with all it started: a program that waits for a
# kernel that hangs does not end by itself, and would stay on the GPU during what follows. In the background, because
# the shell handles a signal only when a command in the foreground has ended.
run_stage() { # NAME
  local name=$1 code=0 left begun=$SECONDS kind limit words why
  describe "$name" || return 2
  rm -f "$work/ended/$name"
  left=$(seconds_left)
  if [ -n "$why" ]; then
    echo "skipped 0 $why" >"$work/ended/.$name"
  elif [ "$left" -lt 5 ]; then
    echo "none 0" >"$work/ended/.$name"
  else
    [ "$kind" != figure ] || choices >"$work/choices.before"
    if [ "$kind" = figure ]; then
      timeout -s KILL $((limit < left ? limit : left)) "${words[@]}" >"$out/$name$tag.txt" 2>"$out/$name$tag.err" &
    else
      timeout -s KILL $((limit < left ? limit : left)) "${words[@]}" >"$out/$name.txt" 2>&1 &
    fi
    echo $! >"$work/running/$name"
    [ "$kind" != figure ] || keep_while $!
    { wait $! || code=$?; } 2>/dev/null
    rm -f "$work/running/$name"
    if [ "$kind" = figure ]; then
      choices | LC_ALL=C comm -13 "$work/choices.before" - >"$out/$name$tag.choices"
      [ -s "$out/$name$tag.choices" ] || rm -f "$out/$name$tag.choices"
    fi
    echo "$code $((SECONDS - begun))" >"$work/ended/.$name"
    echo "$name: status $code, $((SECONDS - begun)) s" >>"$out/ended.txt"
  fi
  mv "$work/ended/.$name" "$work/ended/$name"
}

# tell NAME: reports a stage that has ended. Returns its status.
tell() {
  local name=$1 code=lost seconds=0 reason='' kind limit words why
  [ ! -e "$work/ended/$name" ] || read -r code seconds reason <"$work/ended/$name"
  describe "$name" >/dev/null
  why=${reason:-no time is left: run the script in parts, or increase FLIP_PROOF_SECONDS}
  case $kind:$code in
  *:skipped) [ "$reason" = unneeded ] || say "- not run: $name, because $reason"; code=0 ;;
  preparation:0) ;;
  proof:0) say "- ok: $name ($seconds s)" ;;
  figure:none) say "" "### $name" "" "not run: $why"; code=0 ;;
  figure:*)
    say "" "### $name$tag" "" "$seconds s$([ "$code" = 0 ] || echo ", ended with status $code: $(tail -n 1 "$out/$name$tag.err")")"
    say '```' "$(cat "$out/$name$tag.txt")" '```'
    [ ! -s "$out/$name$tag.choices" ] || say "$(tests/gpu/product_times.sh "$out/$name$tag.choices" |
      sed -n 's/^\([0-9]* products\)/first timed in this stage: \1/p')" ;;
  *:none) say "- FAILED: $name, status 124: $why"; failed=1 code=124 ;;
  *:lost) say "- FAILED: $name, it was lost before it ended"; failed=1 code=1 ;;
  *:137)
    if [ -n "$optional" ] && [ "$(seconds_left)" -lt 5 ]; then
      say "- not finished: $name, the call's time was over after $seconds s"
    else
      say "- FAILED: $name, status 137, killed after $seconds s; its last line: $(tail -n 1 "$out/$name.txt")"
      failed=1
    fi ;;
  *)
    # an isolated runtime may have the tool and refuse it the device: that says nothing of the tests
    if [[ $name = memcheck_* || $name = racecheck_* ]] && grep -q 'Device not supported' "$out/$name.txt"; then
      say "- not run: $name, because compute-sanitizer says here: Device not supported"
      keep
      return 0
    fi
    say "- FAILED: $name, status $code after $seconds s: $(tail -n 1 "$out/$name.txt")"
    grep -m 3 'FAILED' "$out/$name.txt" | sed 's/^/    /' | tee -a "$report/report.md"
    failed=1 ;;
  esac
  [ "$name:$code" != ops_cuda_bf16:77 ] || ! grep -q 'no NVIDIA driver\|no NVIDIA GPU is visible' "$out/$name.txt" ||
    { say "nothing was run: there is no GPU"; pending=(); exit 77; }
  keep
  return "$code"
}

stage() { # NAME…, one after another
  local name
  for name; do
    run_stage "$name"
    tell "$name"
  done
}

use_named_algorithms() { # WHY…
  say "" "$*: what follows uses those that the libraries name (FLIP_PRODUCT_SEARCH_MS=0), and the names of benchmarks say so."
  export FLIP_PRODUCT_SEARCH_MS=0 XDG_CACHE_HOME=$raw/cache_named
  tag=_named_algorithms
}

# Benchmarks of steps. The first that gives nothing is repeated with named algorithms, in case that one which the search
# for products has found breaks it; if these do not help either, what follows searches again.
step_or_named_algorithms() { # NAME…
  local name searched=${FLIP_PRODUCT_SEARCH_MS-unset} chosen=$XDG_CACHE_HOME is_repeated=$tag
  for name; do
    stage "$name"
    [ -z "$is_repeated" ] || continue
    if [ ! -e "$out/$name.txt" ] || [ -s "$out/$name.txt" ] || [ "$(seconds_left)" -lt 5 ]; then continue; fi
    is_repeated=1
    use_named_algorithms "$name has given nothing, perhaps because of algorithms that the search for products has found"
    stage "$name"
    [ ! -s "$out/$name$tag.txt" ] || continue
    say "" "Nor has it with named algorithms: what follows searches."
    tag='' XDG_CACHE_HOME=$chosen FLIP_PRODUCT_SEARCH_MS=$searched
    [ "$searched" != unset ] || unset FLIP_PRODUCT_SEARCH_MS
  done
}

# Of a call that is expected to run out of time, which does not fail it: stages with less than half of their limit, and
# less than 40 s, left are not begun.
stage_if_time() { # NAME…
  local name kind limit words why optional=1 least
  for name; do
    describe "$name"
    least=$((limit / 2 < 40 ? limit / 2 : 40))
    if [ "$(seconds_left)" -ge $least ]; then
      stage "$name"
    else
      say "- not run: $name, because fewer than $least s are left"
    fi
  done
}

# together CHAIN…: chains of stages (strings of names) beside each other, reported in the order of the arguments as far
# as they have ended; the raw output of all is kept meanwhile. What fails or hangs in a chain delays that chain alone.
# The name after_operations waits for data, and for the tests of operations, for 45 s at most or a quarter of the time.
#
# Each chain has choices of its own (core/cuda/choice.c), in cache_NAME after its first stage: one lock is for all choices
# of a file, so that chains would wait for each other's, and all of them for one that hangs while it chooses. Bits are
# compared within a chain only.
together() {
  local chain first name i=0 pids=() kept=$SECONDS
  if nvidia-smi --query-gpu=compute_mode --format=csv,noheader 2>/dev/null | grep -qi exclusive; then
    say "The GPU takes one process at a time: the proofs run one after another." ""
    set -- "$*"
  fi
  for chain; do
    # shellcheck disable=SC2206
    pending+=($chain)
    first=${chain#after_operations }
    (
      [ $# = 1 ] || export XDG_CACHE_HOME=$raw/cache_${first%% *}
      export GOMP_SPINCOUNT=1000 # a thread that waits must not burn a core that others need
      for name in $chain; do
        [ "$name" != after_operations ] || { after_operations; continue; }
        run_stage "$name"
        # what follows is compared with the runs of this one
        [ "$name" != the_same_bits_with_named_algorithms ] || ! passed "$name" ||
          export FLIP_PRODUCT_SEARCH_MS=0 XDG_CACHE_HOME=$raw/cache_named
      done
    ) &
    pids+=($!)
  done
  chains=("${pids[@]}")
  for chain; do
    for name in $chain; do
      pending=("${pending[@]:1}")
      [ "$name" != after_operations ] || continue
      until [ -e "$work/ended/$name" ] || ! kill -0 "${pids[i]}" 2>/dev/null; do
        sleep 0.2
        [ $((SECONDS - kept)) -lt 10 ] || { keep; kept=$SECONDS; }
      done
      tell "$name"
    done
    i=$((i + 1))
  done
  { wait "${pids[@]}"; } 2>/dev/null
  chains=()
}
after_operations() {
  local begun=$SECONDS most
  most=$(($(seconds_left) / 4))
  [ $most -le 45 ] || most=45
  until [ -e "$work/ended/make_data" ] || ! kill -0 "$training" 2>/dev/null; do sleep 0.2; done
  until [ $((SECONDS - begun)) -ge $most ] || { [ -e "$work/ended/ops_cuda_bf16" ] && [ -e "$work/ended/narrow_cuda" ] &&
    [ -e "$work/ended/ops_cuda_fp32" ] && [ -e "$work/ended/step_cuda" ]; }; do sleep 0.2; done
}

# The cores that this shell may use, as a list.
cores() {
  taskset -pc $BASHPID 2>/dev/null | sed 's/.*: //' | tr ',' '\n' |
    awk -F- 'NF { for (i = $1; i <= (NF > 1 ? $2 : $1); i++) print i }'
}

# Data, then training on the CPU: beside the tests of operations and the proofs, on half of the cores, so that it
# delays nothing but itself.
begin_training() {
  local mine half
  mapfile -t mine < <(cores)
  half=$((${#mine[@]} / 2))
  (
    [ $half -lt 4 ] || taskset -pc "$(printf '%s,' "${mine[@]:half}" | sed 's/,$//')" $BASHPID >/dev/null
    export GOMP_SPINCOUNT=1000
    run_stage make_data
    run_stage train_on_the_cpu
  ) &
  training=$!
  if [ $half -ge 4 ]; then
    all_cores=$(printf '%s,' "${mine[@]}" | sed 's/,$//')
    taskset -pc "$(printf '%s,' "${mine[@]:0:half}" | sed 's/,$//')" $$ >/dev/null
  fi
}
# Benchmarks need a quiet machine: nothing of the proofs goes on.
end_training() {
  local group
  if kill -0 "$training" 2>/dev/null; then
    kill -KILL "$training"
    echo "137 $((SECONDS - started))" >"$work/ended/train_on_the_cpu"
    [ ! -s "$work/running/train_on_the_cpu" ] ||
      { read -r group <"$work/running/train_on_the_cpu"; kill -KILL -- "-$group"; rm -f "$work/running/train_on_the_cpu"; }
  fi 2>/dev/null
  { wait "$training"; } 2>/dev/null
  training=
  tell make_data
  tell train_on_the_cpu
  [ -z "$all_cores" ] || taskset -pc "$all_cores" $$ >/dev/null
}
