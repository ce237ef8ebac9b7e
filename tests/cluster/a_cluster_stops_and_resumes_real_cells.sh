# A real slurmctld and the real trainer: a task that Slurm warns writes a checkpoint, and a later
# submission continues from there, with every step, evaluation and bit that it would have had.
. "$SOURCE/tests/support/real_sweep.sh"
. "$SOURCE/tests/support/slurm.sh"
trap stop_slurm EXIT
start_slurm || exit 77
# Deep enough that it still trains when it is warned, on a busy machine too.
sed -i 's/samples: 16k/samples: 32k/; s/image.layers: 1/image.layers: 3/; /^tuning:/d; /^  unmasked:/d; s/\[0, 0.5, 0.75\]/[0, 0.5]/' experiments/small.yaml
expect_status 0 bench submit experiments/small.yaml --slurm --detach
job=$(cut -f1 results/small/slurm/jobs.tsv | sed -n 1p)
# It follows before the task is warned: an interrupted one that it found would be submitted again.
bench submit experiments/small.yaml --slurm >follower.txt 2>&1 &
follower=$!
for _ in $(seq 1200); do grep -qsE '"step":[2-9][0-9],' results/small/mask_ratio=0-*/events.jsonl && break; sleep 0.1; done
scancel --batch --signal=TERM "${job}_0"
got=0
wait $follower || got=$?
[ $got = 1 ] || { cat follower.txt >&2; fail "what followed the warned task ended with $got, not 1"; }
expect_answer "SELECT status FROM v_cell_latest WHERE label = 'mask_ratio=0'" interrupted
expect_status 0 bench status small
expect_line out.txt '^interrupted .*mask_ratio=0'
expect_status 0 bench submit experiments/small.yaml --slurm
expect_answer "SELECT count(*) FROM v_cell_latest WHERE status = 'finished'" 2
expect_answer "SELECT DISTINCT (SELECT count(*) FROM step WHERE run_id = v.run_id), (SELECT sum(steps) FROM step WHERE run_id = v.run_id) FROM v_cell_latest AS v" '500|500'
[ "$(grep -c '"step":5,' results/small/mask_ratio=0-*/events.jsonl)" = 1 ] || fail 'trained from the start again'
expect_answer "SELECT count(DISTINCT step) FROM evaluation JOIN v_cell_latest AS v USING (run_id) WHERE v.label = 'mask_ratio=0'" 2
expect_answer "SELECT value FROM summary JOIN v_cell_latest AS v USING (run_id) WHERE name = 'attempts' AND v.label = 'mask_ratio=0'" 2.0
expect_status 0 bench verify "$(ask "SELECT run_id FROM v_cell_latest WHERE label = 'mask_ratio=0'")"
