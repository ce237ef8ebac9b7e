# Machines that have only IPv6: a network namespace whose loopback device has no IPv4 address. The ranks meet,
# and watch each other.
[ "$(id -u)" = 0 ] || { echo 'skipped: network namespaces need root'; exit 77; }
PATH=$PATH:/usr/sbin:/sbin
command -v ip > /dev/null || { echo 'skipped: no ip (apt install iproute2)'; exit 77; }
unshare --net true 2> namespace.txt || { echo "skipped: $(cat namespace.txt)"; exit 77; }
. "$SOURCE/tests/support/training.sh"
make_data
cat > two <<'S'
ip link set lo up && ip addr del 127.0.0.1/8 dev lo || exit 1
ip -6 addr show dev lo | grep -q ' ::1/' || { echo 'skipped: no IPv6 on this machine'; exit 77; }
pids=() worst=0
for rank in 0 1; do
  RANK=$rank WORLD_SIZE=2 MASTER_ADDR=::1 MASTER_PORT=29500 timeout 60 "$FLIP" train --config run.yaml \
    --no-progress --out run --set threads=1 --set samples=96 --set warmup_samples=32 --set eval.sets= 2>> err &
  pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || worst=1; done
exit $worst
S
got=0
FLIP_PLUGINS=$PWD unshare --net bash two || got=$?
[ $got != 77 ] || exit 77
[ $got = 0 ] || { cat err; fail "two ranks without IPv4"; }
[ "$(field end status run/events.jsonl)" = finished ] || fail "the run is not recorded as finished"
