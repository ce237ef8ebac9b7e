# Two machines on this one: network and host-name namespaces $node_a and $node_b, connected by a pair of
# veth devices, with an agent and a host file for mpirun. stop_nodes removes them and ends their
# processes. name_nodes ID: selects another pair, to run concurrently; $agent is its agent.
name_nodes() { nodes_id=$1 node_a=flipa$1 node_b=flipb$1 agent=$PWD/agent$1; }
name_nodes $$

start_nodes() {
  [ "$(id -u)" = 0 ] || { echo 'skipped: network namespaces need root'; return 1; }
  PATH=$PATH:/usr/sbin:/sbin
  command -v ip > /dev/null || { echo 'skipped: no ip (apt install iproute2)'; return 1; }
  ip netns add "$node_a" 2> netns$nodes_id.txt && ip netns add "$node_b" 2>> netns$nodes_id.txt &&
    ip link add "va$nodes_id" netns "$node_a" type veth peer name "vb$nodes_id" netns "$node_b" 2>> netns$nodes_id.txt ||
    { echo "skipped: cannot create network namespaces on this machine: $(cat netns$nodes_id.txt)"; stop_nodes; return 1; }
  ip -n "$node_a" addr add 10.77.0.1/24 dev "va$nodes_id"
  ip -n "$node_b" addr add 10.77.0.2/24 dev "vb$nodes_id"
  local node
  for node in "$node_a" "$node_b"; do ip -n "$node" link set lo up; done
  ip -n "$node_a" link set "va$nodes_id" up
  ip -n "$node_b" link set "vb$nodes_id" up
  # used by mpirun to start its daemons, instead of ssh: "agent HOST COMMAND…"
  cat > "$agent" <<A
#!/bin/sh
shift
exec ip netns exec $node_b unshare --uts sh -c 'hostname nodeb; exec sh -c "\$0"' "\$*"
A
  chmod +x "$agent"
  printf '10.77.0.1 slots=8\n10.77.0.2 slots=8\n' > hosts
}

# Runs a command on a node, as its host nodea or nodeb. Not with `ip netns exec`, which mounts a /sys without cgroups.
on_node_a() { nsenter --net="/run/netns/$node_a" unshare --uts sh -c 'hostname nodea; exec "$@"' sh "$@"; }
on_node_b() { nsenter --net="/run/netns/$node_b" unshare --uts sh -c 'hostname nodeb; exec "$@"' sh "$@"; }
# Cuts the link; or drops what the first node sends, while it still receives from the other.
cut_cable() { ip -n "$node_a" link set "va$nodes_id" down; }
cut_one_way() { ip -n "$node_a" neigh replace 10.77.0.2 lladdr 02:00:00:00:00:99 dev "va$nodes_id" nud permanent; }

stop_nodes() {
  local node pid
  for node in "$node_a" "$node_b"; do
    for pid in $(ip netns pids "$node" 2> /dev/null); do kill -KILL "$pid" 2> /dev/null || true; done
    ip netns del "$node" 2> /dev/null || true
  done
}
