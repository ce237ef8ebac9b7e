# What is completed and what the man pages say is what --help says, for every command.
bin=${FLIP%/*}
export PATH=$bin:$PATH
options_of() { grep -oE '^ +(-., )?--[a-z-]+' | grep -oE -- '--[a-z-]+' | sort -u || true; }
count=0
walk() { # walk PROGRAM [COMMAND…]
  local program=$1 name
  shift
  "$program" "$@" --help > help.txt
  "$program" man "$@" > page.roff
  grep -q '^\.TH ' page.roff || fail "$program $*: no man page"
  if grep -q '^commands:' help.txt; then
    "$program" --complete "$@" '' | cut -f1 | sort > completed.txt
    sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' help.txt | sort > wanted.txt
    diff wanted.txt completed.txt || fail "$program $*: other commands are completed than --help lists"
    for name in $(cat wanted.txt); do walk "$program" "$@" "$name"; done
  else
    options_of < help.txt > wanted.txt
    "$program" --complete "$@" --  | cut -f1 | grep -v '^--help$' | sort > completed.txt || true
    diff <(grep . wanted.txt || true) completed.txt || fail "$program $*: other options are completed than --help lists"
    awk '/^\.TP/ { getline; print }' page.roff | sed 's/\\-/-/g; s/\\f[BIR]//g' | grep -oE '^(-., )?--[a-z-]+' | grep -oE -- '--[a-z-]+' | sort -u > page.txt || true
    diff wanted.txt page.txt || fail "$program $*: other options are in the man page than in --help"
    count=$((count + 1))
  fi
}
walk flip
walk flipbench
[ $count -ge 20 ] || fail "only $count commands were found"

# Values: choices, files, settings; "--name=" as well as a word of its own.
[ "$(flip --complete train --config '')" = ':files' ] || fail 'no files after --config'
[ "$(flip --complete train --set '')" = ':settings' ] || fail 'no settings after --set'
[ "$(flipbench --complete run '')" = ':yaml' ] || fail 'no experiment files'
shown=$(flipbench --complete show '') || fail 'the completion of show'
[ "$(sed -n 1p <<<"$shown")" = '' ] || fail 'a run is no file'
[ "$(flip --complete eval '' | cut -f1 | tr '\n' ' ')" = 'zeroshot retrieval probe suite ' ] || fail 'other tasks of eval'
[ "$(flipbench --complete db ch | cut -f1)" = check ] || fail 'no choice'
nonsense=$(flipbench --complete nonsense '') || fail 'the completion of an unknown command'
[ "$nonsense" = '' ] || fail 'an unknown command completes'
expect_status 2 flip completion tcsh
expect_line err.txt "unknown shell 'tcsh': expected bash, zsh or fish"

touch one.yaml two.txt
# bash, as it would at TAB
cat > bash_test <<'B'
complete_words() { # the line's words, the last one being typed
  COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
  COMPREPLY=()
  compopt() { :; }
  "_$1"
  printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' ' '
}
source <(flip completion bash)
source <(flipbench completion bash)
B
. ./bash_test
[ "$(complete_words flip tra)" = 'train ' ] || fail 'bash: a command'
[ "$(complete_words flip data emo)" = 'emoji ' ] || fail 'bash: a command of a command'
[ "$(complete_words flip train --res)" = '--resume ' ] || fail 'bash: an option'
[ "$(complete_words flip train --set mask_rat)" = 'mask_ratio= ' ] || fail 'bash: a setting'
[ "$(complete_words flipbench run --set mask_rat)" = 'mask_ratio= ' ] || fail 'bash: a setting of flipbench'
[ "$(complete_words flipbench run o)" = 'one.yaml ' ] || fail 'bash: an experiment file'
[ "$(complete_words flipbench completion z)" = 'zsh ' ] || fail 'bash: a choice'
[ "$(complete_words flip eval z)" = 'zeroshot ' ] || fail 'bash: a choice in brackets'
# Names with blanks stay whole, however they are typed so far.
mkdir -p 'Bilder der Reise/am Meer'
[ "$(complete_words flip embed -m x --images Bil)" = 'Bilder der Reise ' ] || fail 'bash: a file with blanks'
for typed in 'Bilder\ der' "'Bilder der" '"Bilder der'; do
  [ "$(complete_words flip embed -m x --images "$typed")" = 'Bilder der Reise ' ] || fail "bash: a file with blanks after $typed"
done
[ "$(complete_words flip embed -m x --images 'Bilder\ der\ Reise/a')" = 'Bilder der Reise/am Meer ' ] || fail 'bash: a file in a folder with blanks'
[ "$(complete_words flip train --out Bil)" = 'Bilder der Reise ' ] || fail 'bash: a folder with blanks'

if command -v fish > /dev/null; then
  export HOME=$PWD XDG_CONFIG_HOME=$PWD
  at_tab() { fish --no-config -c "source (flip completion fish | psub); source (flipbench completion fish | psub); complete -C '$1'" | cut -f1 | sort | tr '\n' ' '; }
  [ "$(at_tab 'flip tra')" = 'train ' ] || fail "fish: a command: $(at_tab 'flip tra')"
  [ "$(at_tab 'flip data emo')" = 'emoji ' ] || fail 'fish: a command of a command'
  [ "$(at_tab 'flip train --res')" = '--resume ' ] || fail 'fish: an option'
  [ "$(at_tab 'flip train --set mask_rat')" = 'mask_ratio= ' ] || fail "fish: a setting: $(at_tab 'flip train --set mask_rat')"
else
  echo 'fish is not installed: its script was not tried'
fi

if command -v zsh > /dev/null; then
  for program in flip flipbench; do $program completion zsh > _$program; zsh -n _$program; done
  cat > zsh_test <<'Z'
compdef() { :; }
_files() { print files "$@"; }
compadd() { shift $@[(i)--]; print -l -- "$@"; }
_describe() { local -a shown; shown=("${(@P)4}"); print -l -- "${(@)shown%%:*}"; }
source ./_flip; source ./_flipbench
at_tab() { words=("$@") CURRENT=$#; "_$1"; }
[[ $(at_tab flip tra) == train ]] || { print 'a command'; exit 1; }
[[ $(at_tab flip data emo) == emoji ]] || { print 'a command of a command'; exit 1; }
[[ $(at_tab flip train --res) == --resume ]] || { print 'an option'; exit 1; }
[[ $(at_tab flip train --set '') == *mask_ratio=* ]] || { print 'a setting'; exit 1; }
[[ $(at_tab flipbench run '') == 'files -g *.yaml' ]] || { print 'a file'; exit 1; }
Z
  zsh -f zsh_test > zsh.out || fail "zsh: $(cat zsh.out)"
else
  echo 'zsh is not installed: its script was not tried'
fi

# The pages as files, and what a formatter says of them.
sh "$SOURCE/cmake/man_pages.sh" pages "$FLIP" "$FLIPBENCH"
for name in flip flip-train flip-data-emoji flipbench-run; do [ -s pages/$name.1 ] || fail "no page $name"; done
if command -v mandoc > /dev/null; then
  mandoc -Tlint -Werror pages/*.1 > lint.txt || { cat lint.txt; fail 'a page is not well formed'; }
fi
