# The package, installed by dpkg in a root that has neither the sources nor the build, does all that
# matters: help, a plan, a check, a small training run and a figure. The root is this system's folders
# below a layer that takes what is written, and the dependencies are checked against what this system
# has. FLIP_FRESH_ROOT=debootstrap makes a minimal Debian instead and lets apt install the
# dependencies: run by hand, as root, some minutes.
command -v dpkg-shlibdeps > /dev/null || { echo "no dpkg-shlibdeps (Debian's dpkg-dev) here"; exit 77; }
unset FLIP FLIPBENCH FLIPBENCH_PLOTS FLIPBENCH_DB FLIP_PLUGINS
(umask 077 && expect_status 0 cpack --config "$BINARY/CPackConfig.cmake" -B "$SCRATCH/made")
package=$(echo made/flipbench_*_*.deb)
[ -f "$package" ] || { ls made; fail "no flipbench_VERSION_ARCHITECTURE.deb was made"; }
(cd made && sha256sum --quiet -c ./*.deb.sha256)
dpkg-deb -c "$package" > listed
expect_line listed '^drwxr-xr-x root/root .* \./usr/share/flip/$'
! grep -vE '^(-rw-r--r--|[-d]rwxr-xr-x|l)' listed || fail "not everybody can read what the package installs"

# All that the folder of an installed copy has, and no path of the build machine's folders.
dpkg-deb -x "$package" has
cmake --install "$BINARY" --prefix "$SCRATCH/copy" > /dev/null
rm -rf copy/lib copy/share/doc/flipbench-* made/_CPack_Packages # plugins have packages of their own
diff <(cd copy && find . -type f | sort) <(cd has/usr && find . -type f | sort) || fail "the package has other files"
dpkg-deb -f "$package" Depends > depends
for library in libc6 libdnnl2 libgomp1 libsqlite3-0 libxml2; do expect_line depends "$library "; done
for plugin in cuda mpi; do
  [ -f "$BINARY/lib/libflip_$plugin.so" ] || continue
  dpkg-deb -c made/flipbench-${plugin}_*.deb > plugin
  expect_line plugin " ./usr/lib/libflip_$plugin.so$"
  dpkg-deb -f made/flipbench-${plugin}_*.deb Depends > depends
  expect_line depends "flipbench \(= $(dpkg-deb -f "$package" Version)\)"
done

mkdir -p root/package root/srv root/tmp root/home && mv made/*.deb root/package/
cat > root/try.sh <<'R'
say() { echo "-- $*"; "$@"; }
say flip --help | grep -q train
say flipbench --help | grep -q report
[ "$(command -v flip)" = /usr/bin/flip ]
[ -s /usr/share/man/man1/flip-train.1 ]
[ -s /usr/share/bash-completion/completions/flipbench ]
cd /srv
say flip plan --config experiments/presets/mini.yaml
say flipbench check experiments/quickstart.yaml
say flip data scenes --out data --count 96 --size 16 --no-progress
say flip data scenes --out data --count 32 --size 16 --split heldout --no-progress
say flip tokenizer train --out vocab.txt --size 200 'data/train-*.tar'
cat > held.yaml <<'Y'
name: held
images: [data/heldout-*.tar]
tasks: [retrieval]
Y
cat > small.yaml <<'Y'
name: small
title: "From the package"
base: presets/mini.yaml
settings:
  image: {size: 16, patch: 8, width: 16, layers: 1, heads: 1}
  text: {width: 16, layers: 1, heads: 1, length: 8, vocabulary: vocab.txt}
  embed_dim: 8
  batch_size: 16
  samples: 128
  warmup_samples: 16
  data.train: "data/train-*.tar"
  eval: {sets: [held.yaml], points: 2}
  threads: 2
matrix: {mask_ratio: [0, 0.5]}
report: {rows: mask_ratio, baseline: {mask_ratio: 0}, iso: retrieval_i2t_r1,
         columns: [samples_per_second, retrieval_i2t_r1], plots: [loss]}
Y
say flipbench run small.yaml --no-progress
say flipbench report small.yaml
say flipbench plot small.yaml --out figures
[ -s figures/loss.svg ]
R
layered() {
  for folder in usr bin sbin lib lib64 etc var dev proc sys; do
    [ ! -L "/$folder" ] || { cp -P "/$folder" root/; continue; }
    [ -d "/$folder" ] || continue
    mkdir -p "root/$folder" "layer/$folder" "work/$folder"
    case $folder in
      dev | proc | sys) mount --rbind "/$folder" "root/$folder" ;;
      *) mount -t overlay overlay -o "lowerdir=/$folder,upperdir=layer/$folder,workdir=work/$folder,userxattr" "root/$folder" ;;
    esac
  done
}
enter() { # COMMAND…
  exec chroot root /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp NO_COLOR=1 GOMP_SPINCOUNT=1000 \
    DEBIAN_FRONTEND=noninteractive "$@"
}
export -f layered enter
if [ "${FLIP_FRESH_ROOT:-}" = debootstrap ]; then
  mv root ours
  debootstrap --variant=minbase "$(. /etc/os-release && echo "$VERSION_CODENAME")" root > debootstrap.txt
  cp -r ours/* root/ && cp /etc/resolv.conf root/etc/
  cp /etc/apt/apt.conf.d/*roxy* root/etc/apt/apt.conf.d/ 2> /dev/null || true
  expect_status 0 unshare -m bash -euc "mount --rbind /proc root/proc; mount --rbind /dev root/dev
    enter bash -euc 'apt-get update -qq; apt-get install -y -qq /package/flipbench_*.deb'"
  expect_status 0 unshare -m bash -euc 'mount --rbind /proc root/proc; enter bash -euo pipefail /try.sh'
else
  unshare -r -m bash -euc 'layered; enter true' 2> why || { cat why; echo "no layered root can be made here"; exit 77; }
  expect_status 0 unshare -r -m bash -euc "layered
    enter bash -euo pipefail -c '[ ! -e \"$SOURCE\" ]; dpkg -i /package/flipbench_*.deb >&2; . /try.sh'"
fi
expect_line out.txt '50 %'
