# Shared by the tests of cells of several ranks: the tiny data of training.sh, a run of some thousand
# steps, and mpirun where it is installed.
command -v mpirun >/dev/null || { echo "skipped: no mpirun (apt install openmpi-bin)"; exit 77; }
. "$SOURCE/tests/support/training.sh"
. "$SOURCE/tests/support/record.sh"
export FLIP_PLUGINS=$BINARY/lib OMPI_MCA_btl=self,vader OMPI_MCA_mpi_yield_when_idle=1
make_data
sed -i 's/^batch_size: 32/batch_size: 24/; s/^threads: 2/threads: 1/; s/^eval:.*/eval: {sets: [held.yaml], points: 1}/' run.yaml
echo 'checkpoint.every_seconds: 1' >> run.yaml
# Waits until a command succeeds, at most $1 seconds.
await() { local end=$((SECONDS + $1)); shift; until "$@"; do [ $SECONDS -lt $end ] || return 1; sleep 0.05; done; }
steps_of() { grep -c '"event":"step"' "$1"/events.jsonl 2>/dev/null || true; }
has_steps() { [ "$(steps_of "$1")" -ge "$2" ]; }
# rank_pid FOLDER RANK: the process of a rank of the current attempt.
rank_pid() { grep -ho '"pid":[0-9]*' "$1"/ranks/attempt-*-rank-"$2".json 2>/dev/null | cut -d: -f2 | tail -1; }
rank_is_known() { [ -n "$(rank_pid "$1" "$2")" ]; }
# The live processes of this test's ranks: their command line contains the folder.
living() { pgrep -f "flip train .*--out $1" || true; }
none_live() { [ -z "$(living "$1")" ]; }
losses() { field step loss "$1/events.jsonl"; }
# near A B: the same number of losses, equal within rounding.
near() {
  paste <(losses "$1") <(losses "$2") | awk '{ if (NF != 2 || ($1 - $2)^2 > (1e-4 * $2)^2) exit 1 } END { if (NR < 2) exit 1 }'
}
