# A machine where nothing is installed, seen by somebody who is not root.
unset NO_APT # the caller may have set it
mkdir bin
printf '#!/bin/sh\nexit 1\n' > bin/dpkg-query
printf '#!/bin/sh\necho 1000\n' > bin/id
printf '#!/bin/sh\necho apt-get must not run >&2; exit 99\n' > bin/apt-get
chmod +x bin/*
for command in quickstart test; do
  expect_status 1 env PATH="$PWD/bin:$PATH" "$SOURCE/$command"
  expect_line err.txt 'needs root'
  expect_line err.txt 'sudo apt-get install .*libsqlite3-dev.*'
  for name in libyaml-dev gnuplot-nox libdnnl-dev libcmocka-dev openclipart-png openclipart-svg cmake; do
    expect_line err.txt "\b$name\b"
  done
done
expect_status 0 "$SOURCE/quickstart" --help
expect_line out.txt 'NO_APT=1'
