#!/usr/bin/env bash
# Runs tests on an emulated Xeon of the Sapphire Rapids family (AVX-512, AVX-512 BF16, AMX), for machines
# whose processor lacks these. By hand; docs/kernels.md has the results, and how long it takes.
#   tests/emulated/run.sh FOLDER [--without FEATURE] STAGE…
#   STAGE                cpu                       what the machine's kernel says the processor has
#                        ops:VARIANT:PRECISION     test_ops, e.g. ops:x86-64-v4-bf16:bf16
#                        train:VARIANT:PRECISION   four steps of a tiny model
#                        limited:VARIANT:PRECISION the same with oneDNN limited to AVX2
#                        bench:PRECISION           flip bench ops
#   --without FEATURE    a processor without it, in Bochs's spelling (amx, avx512bf16, …); may be repeated
# FOLDER keeps the emulator (Bochs, built from its repository), a kernel and the outputs.
# FLIP_PROGRAM names another flip than build/bin/flip. Needs build/tests/test_ops and Debian's xorriso, isolinux,
# syslinux-common, busybox-static, git, patch, make and g++.
set -euo pipefail
REPOSITORY=${BOCHS_REPOSITORY:-https://github.com/bochs-emu/Bochs}
COMMIT=${BOCHS_COMMIT:-783b58fd6d9bae598a07c59719122322fa0edce6} # 2026-08-22, after release 3.0
usage() {
  sed -n '4,10s/^# *//p' "$0" >&2
  exit 2
}
[ $# -ge 2 ] || usage
mkdir -p "$1"
folder=$(realpath -- "$1")
shift
without=pku,pks # their state gives XSAVE a size that Linux computes differently
while [ "${1:-}" = --without ]; do
  [ $# -ge 2 ] || usage
  without=$without,$2
  shift 2
done
[ $# -ge 1 ] || usage
stages=$(IFS=,; echo "$*")
cd "$(dirname "$0")/../.."

# Linux requires extended feature disable (XFD) for AMX, which Bochs lacks: the patch adds what Linux uses.
build_bochs() {
  bochs=$folder/source/bochs
  [ ! -x "$bochs/bochs" ] || return 0
  git init -q "$folder/source"
  git -C "$folder/source" fetch -q --depth 1 "$REPOSITORY" "$COMMIT"
  git -C "$folder/source" checkout -qf FETCH_HEAD
  patch --quiet -p1 -d "$bochs" <tests/emulated/bochs-xfd.patch
  (cd "$bochs" &&
    ./configure CFLAGS=-O2 CXXFLAGS='-O2 -fno-strict-aliasing' --enable-x86-64 --enable-avx --enable-evex \
      --enable-amx --enable-protection-keys --enable-long-phy-address --enable-monitor-mwait \
      --enable-all-optimizations --enable-trace-linking --disable-docbook --with-nogui --disable-plugins &&
    make -j"$(nproc)" bochs) >"$folder/bochs-build.log" 2>&1 || { tail "$folder/bochs-build.log" >&2; exit 1; }
}

unpack_packages() { # the kernel and the BIOS, unpacked and not installed
  [ ! -d "$folder/packages/boot" ] || return 0
  local kernel
  kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: //p' | sed -n 1p)
  mkdir -p "$folder/packages"
  (cd "$folder/packages" && apt-get download -qq "$kernel" bochsbios vgabios && for deb in *.deb; do dpkg -x "$deb" .; done)
}

# A root with programs, the libraries that they load, and a data set of 160 drawings.
make_root() {
  root=$folder/root
  rm -rf "$root"
  mkdir -p "$root/bin" "$root/data"
  cp "$(command -v busybox)" "$root/bin/busybox"
  cp tests/emulated/guest.sh "$root/init"
  chmod +x "$root/init"
  cp "${FLIP_PROGRAM:-build/bin/flip}" "$root/bin/flip"
  cp build/tests/test_ops "$root/bin/"
  ldd build/bin/flip build/tests/test_ops | grep -oE '/[^ ]+\.so[^ ]*' | sort -u | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
  done
  (
    export FLIP=$PWD/build/bin/flip
    # shellcheck source=/dev/null
    . tests/support/training.sh
    cd "$root/data"
    make_data
  )
}

# clearcpuid=580 is fsrm: Bochs's processor starts with fast strings off, and Linux's memmove is wrong with
# only one of its two flags.
make_disc() {
  disc=$folder/disc
  rm -rf "$disc"
  mkdir -p "$disc"
  cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$disc/"
  cp "$folder"/packages/boot/vmlinuz-* "$disc/linux"
  (cd "$root" && find . | busybox cpio -o -H newc) >"$disc/root" 2>/dev/null
  cat >"$disc/isolinux.cfg" <<C
default linux
prompt 0
label linux
  kernel linux
  append initrd=root console=ttyS0,115200 nokaslr mitigations=off clearcpuid=580 loglevel=3 stages=$stages
C
  xorriso -as mkisofs -quiet -o "$folder/disc.iso" -b isolinux.bin -c boot.cat -no-emul-boot -boot-load-size 4 \
    -boot-info-table "$disc" 2>"$folder/xorriso.log" || { cat "$folder/xorriso.log" >&2; exit 1; }
}

boot() {
  cat >"$folder/bochsrc" <<C
cpu: model=sapphire_rapids, count=1, ips=100000000, ignore_bad_msrs=1, reset_on_triple_fault=0, exclude_features="$without"
memory: guest=1024, host=1024
romimage: file=$folder/packages/usr/share/bochs/BIOS-bochs-latest, options=fastboot
vgaromimage: file=$folder/packages/usr/share/vgabios/vgabios.bin
ata0-master: type=cdrom, path=$folder/disc.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$folder/serial.txt
display_library: nogui
log: $folder/bochs.log
panic: action=fatal
error: action=ignore
C
  rm -f "$folder/serial.txt"
  nice "$bochs/bochs" -q -f "$folder/bochsrc" >"$folder/bochs-out.log" 2>&1 </dev/null || true
}

build_bochs
unpack_packages
make_root
make_disc
boot
tr -d '\r' <"$folder/serial.txt" | tee "$folder/result.txt" || true
grep -q 'all stages have run' "$folder/result.txt" ||
  { echo "run.sh: the machine stopped early: see $folder/serial.txt, bochs-out.log and bochs.log" >&2; exit 1; }
! grep -qE '^stage .*: exit [^0]' "$folder/result.txt"
