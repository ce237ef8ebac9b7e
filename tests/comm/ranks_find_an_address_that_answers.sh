# Of several addresses of rank 0 some do not answer: those of bridges that only its machine has, or of a network
# that drops what is sent to them. Machines are network namespaces.
. "$SOURCE/tests/support/training.sh"
. "$SOURCE/tests/support/namespaces.sh"
start_nodes || exit 77
trap stop_nodes EXIT
make_data
short=(--set threads=1 --set samples=96 --set warmup_samples=32 --set eval.sets= --set eval.points=0)
export FLIP_PLUGINS=$PWD WORLD_SIZE=2 MASTER_PORT=29500
rank() { RANK=$1 "${@:2}" 2> "err$1"; }
both() { # MESSAGE PID: rank 1 has ended with $got
  wait "$2" || { cat err0 err1; fail "$1: rank 0"; }
  [ $got = 0 ] || { cat err0 err1; fail "$1: rank 1"; }
}

# Seven bridges of rank 0's machine come before the address that the other reaches, from where all else is dropped.
ip -n "$node_a" link add bridge type veth peer name bridge2
ip -n "$node_a" link set bridge up; ip -n "$node_a" link set bridge2 up
for i in 1 2 3 4 5 6 7; do ip -n "$node_a" addr add 172.2$i.0.1/16 dev bridge; done
ip -n "$node_a" link del "va$nodes_id" # addresses are listed in the order in which their devices were made
ip -n "$node_a" link add late type veth peer name late netns "$node_b"
ip -n "$node_a" addr add 10.77.0.1/24 dev late; ip -n "$node_a" link set late up
ip -n "$node_b" addr add 10.77.0.2/24 dev late; ip -n "$node_b" link set late up
ip -n "$node_b" neigh add 10.77.0.254 lladdr 02:00:00:00:00:01 dev late
ip -n "$node_b" route add default via 10.77.0.254
export MASTER_ADDR=10.77.0.1
rank 0 on_node_a timeout 100 "$FLIP" train --config run.yaml --no-progress --out bridged "${short[@]}" & first=$!
got=0; rank 1 on_node_b timeout 100 "$FLIP" train --config run.yaml --no-progress --out bridged "${short[@]}" || got=$?
both 'seven addresses that do not answer' $first

# A name of two addresses, to the first of which packets are lost: the second is tried within the patience.
ip -n "$node_a" link add lost type veth peer name lost2
ip -n "$node_a" -6 addr add 2001:4860::9/64 dev lost nodad 2> no-ipv6.txt || exit 0
ip -n "$node_a" link set lost up; ip -n "$node_a" link set lost2 up
ip -n "$node_a" -6 neigh add 2001:4860::1 lladdr 02:00:00:00:00:01 dev lost
ip -n "$node_a" addr add 198.51.100.1/32 dev lo
printf '2001:4860::1 twin\n198.51.100.1 twin\n127.0.0.1 localhost\n' > hosts.twin
cat > named <<'S'
mount --bind hosts.twin /etc/hosts || exit 77
case $(getent ahosts twin | head -1) in 2001:*) ;; *) exit 77 ;; esac
exec "$@"
S
on_node_a unshare --mount bash named true 2> no-mount.txt || exit 0
export MASTER_ADDR=twin FLIP_RENDEZVOUS_SECONDS=20
rank 0 on_node_a timeout 100 unshare --mount bash named "$FLIP" train --config run.yaml --no-progress --out named.run "${short[@]}" & first=$!
got=0; rank 1 on_node_a timeout 100 unshare --mount bash named "$FLIP" train --config run.yaml --no-progress --out named.run "${short[@]}" || got=$?
both 'a name whose first address does not answer' $first
