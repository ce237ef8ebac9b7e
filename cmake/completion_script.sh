#!/bin/sh
# completion_script.sh PROGRAM SHELL FILE: the program's completion for this shell, readable by everybody.
set -eu
umask 022
mkdir -p "$(dirname "$3")"
"$1" completion "$2" > "$3"
