# A Slurm cluster of one machine in $SCRATCH/slurm: munged, slurmctld and slurmd of Debian's packages
# on ports of their own. start_slurm returns 1 and says why when it cannot run here; stop_slurm ends
# what was started. On several machines (namespaces.sh): slurm_nodes has NAME=ADDRESS of each, the first
# of which runs slurmctld; on_node NAME COMMAND… runs a command there. slurm_settings: further lines of
# slurm.conf.
slurm=$SCRATCH/slurm
slurm_pids=()
slurm_nodes=("$(hostname -s)=127.0.0.1")
on_node() { shift; "$@"; }

start_slurm() {
  local name port=$((20000 + RANDOM % 20000))
  [ "$(id -u)" = 0 ] || { echo 'skipped: slurmd needs root'; return 1; }
  for name in munged slurmctld slurmd sbatch squeue; do
    PATH=$PATH:/usr/sbin command -v $name > /dev/null || { echo "skipped: $name is not installed (slurm-wlm, munge)"; return 1; }
  done
  PATH=$PATH:/usr/sbin
  local control=${slurm_nodes[0]%%=*} node
  mkdir -p "$slurm"/{state,spool,munge}
  chmod 755 "$SCRATCH" "$slurm"
  head -c 1024 /dev/urandom > "$slurm/munge/key"
  chmod 400 "$slurm/munge/key"
  chmod 755 "$slurm/munge"
  munged --foreground --force --key-file="$slurm/munge/key" --socket="$slurm/munge/socket" \
    --pid-file="$slurm/munge/pid" --seed-file="$slurm/munge/seed" --log-file="$slurm/munge/log" > "$slurm/munge/out" 2>&1 &
  slurm_pids+=($!)
  cat > "$slurm/slurm.conf" <<C
ClusterName=test
SlurmctldHost=$control(${slurm_nodes[0]#*=})
AuthType=auth/munge
AuthInfo=socket=$slurm/munge/socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$slurm/state
SlurmdSpoolDir=$slurm/spool/%n
TmpFS=$slurm/tmp/%n
SlurmctldPidFile=$slurm/slurmctld.pid
SlurmdPidFile=$slurm/slurmd-%n.pid
SlurmctldLogFile=$slurm/slurmctld.log
SlurmdLogFile=$slurm/slurmd-%n.log
SlurmctldPort=$port
SlurmdPort=$((port + 1))
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=1,bf_interval=1
MinJobAge=10
KillWait=3
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
${slurm_settings-}
$(for node in "${slurm_nodes[@]}"; do echo "NodeName=${node%%=*} NodeAddr=${node#*=} CPUs=$(nproc) RealMemory=500 State=UNKNOWN"; done)
PartitionName=short Nodes=ALL Default=YES MaxTime=60 State=UP
PartitionName=long Nodes=ALL MaxTime=INFINITE State=UP
C
  export SLURM_CONF=$slurm/slurm.conf
  for _ in $(seq 50); do [ -S "$slurm/munge/socket" ] && break; sleep 0.1; done
  on_node "$control" slurmctld -D -f "$SLURM_CONF" > "$slurm/slurmctld.out" 2>&1 &
  slurm_pids+=($!)
  for node in "${slurm_nodes[@]}"; do
    mkdir -p "$slurm"/{spool,tmp}/"${node%%=*}"
    on_node "${node%%=*}" slurmd -D -f "$SLURM_CONF" -N "${node%%=*}" > "$slurm/slurmd-${node%%=*}.out" 2>&1 &
    slurm_pids+=($!)
  done
  for _ in $(seq 100); do
    [ "$(on_node "$control" sinfo --noheader --Node --partition=short --format=%T 2> /dev/null | grep -c idle)" = ${#slurm_nodes[@]} ] && return 0
    sleep 0.2
  done
  echo 'skipped: the cluster does not start on this machine:'
  tail -n 8 "$slurm"/munge/log "$slurm"/slurmctld.out "$slurm"/slurmd-*.out
  return 1
}

# A daemon of on_node may be the child of a shell, which ends with it: that shell is left alone, so that
# waiting for it is waiting for the daemon, which writes its state until it ends.
stop_slurm() {
  local pid i
  on_node "${slurm_nodes[0]%%=*}" scancel --me > /dev/null 2>&1 || true
  for ((i = ${#slurm_pids[@]} - 1; i >= 0; i--)); do
    pid=${slurm_pids[i]}
    if [ "$(cat "/proc/$pid/comm" 2> /dev/null)" = bash ]; then pkill -P "$pid"; else kill "$pid"; fi 2> /dev/null || true
  done
  for pid in "${slurm_pids[@]}"; do wait "$pid" 2> /dev/null || true; done
}
