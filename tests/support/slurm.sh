# A Slurm cluster of one machine in $SCRATCH/slurm: munged, slurmctld and slurmd of Debian's packages
# on ports of their own. start_slurm returns 1 and says why when it cannot run here; stop_slurm ends
# what was started.
slurm=$SCRATCH/slurm
slurm_pids=()

start_slurm() {
  local name port=$((20000 + RANDOM % 20000))
  [ "$(id -u)" = 0 ] || { echo 'skipped: slurmd needs root'; return 1; }
  for name in munged slurmctld slurmd sbatch squeue; do
    PATH=$PATH:/usr/sbin command -v $name > /dev/null || { echo "skipped: $name is not installed (slurm-wlm, munge)"; return 1; }
  done
  PATH=$PATH:/usr/sbin
  host=$(hostname -s)
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
SlurmctldHost=$host(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket=$slurm/munge/socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$slurm/state
SlurmdSpoolDir=$slurm/spool
SlurmctldPidFile=$slurm/slurmctld.pid
SlurmdPidFile=$slurm/slurmd.pid
SlurmctldLogFile=$slurm/slurmctld.log
SlurmdLogFile=$slurm/slurmd.log
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
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=500 State=UNKNOWN
PartitionName=short Nodes=ALL Default=YES MaxTime=60 State=UP
PartitionName=long Nodes=ALL MaxTime=INFINITE State=UP
C
  export SLURM_CONF=$slurm/slurm.conf
  for _ in $(seq 50); do [ -S "$slurm/munge/socket" ] && break; sleep 0.1; done
  slurmctld -D -f "$SLURM_CONF" > "$slurm/slurmctld.out" 2>&1 &
  slurm_pids+=($!)
  slurmd -D -f "$SLURM_CONF" -N "$host" > "$slurm/slurmd.out" 2>&1 &
  slurm_pids+=($!)
  for _ in $(seq 100); do
    sinfo --noheader --format=%T 2> /dev/null | grep -q idle && return 0
    sleep 0.2
  done
  echo 'skipped: the cluster does not start on this machine:'
  tail -n 5 "$slurm"/munge/log "$slurm"/slurmctld.out "$slurm"/slurmd.out
  return 1
}

stop_slurm() {
  local pid i
  scancel --me > /dev/null 2>&1 || true
  for ((i = ${#slurm_pids[@]} - 1; i >= 0; i--)); do kill "${slurm_pids[i]}" 2> /dev/null || true; done
  for pid in "${slurm_pids[@]}"; do wait "$pid" 2> /dev/null || true; done
}
