#!/bin/sh
# man_pages.sh FOLDER PROGRAM…: the man page of every command of the programs, as FOLDER/NAME.1.
set -eu
umask 022 # everybody reads them, whoever installs
folder=$1
shift
mkdir -p "$folder"

page() { # page PROGRAM NAME [COMMAND…]: this command's page, and those below it
  program=$1 name=$2
  shift 2
  if [ $# = 0 ]; then "$program" man; else "$program" man "$@"; fi > "$folder/$name.1"
  grep -q '^\.SH COMMANDS' "$folder/$name.1" || return 0
  "$program" --complete "$@" '' | cut -f1 | while read -r command; do
    case $command in completion | man) [ $# = 0 ] || continue ;; esac
    # a subshell, because shell functions share variables
    (page "$program" "$name-$command" "$@" "$command")
  done
}
for program in "$@"; do page "$program" "$(basename "$program")"; done
