. "$SOURCE/tests/support/sweep.sh"
# Nothing has run: FLOPs and memory are predicted, times are not, with the reason.
expect_status 0 bench run experiments/small.yaml --dry-run
expect_line out.txt '8.00 k samples · 500 MFLOP/sample · 4.00 TFLOP · [0-9]+ MiB$'
expect_line out.txt 'times can be predicted once a similar run has finished here'
[ ! -e results ] || fail 'a dry run wrote something'

# From then on the same settings with another seed are predicted from the most similar run.
expect_status 0 bench run experiments/small.yaml
expect_status 0 bench run experiments/small.yaml --dry-run --set seed=1
expect_line out.txt 'about 3.[12] s · 420 MiB \(like run [0-9]+\)'
expect_line out.txt '5 cells, 5 to run: about .* sequentially'
expect_status 0 bench run experiments/small.yaml --dry-run --set seed=1 --jobs 2
expect_line out.txt '5 cells, 5 to run: about .*, 2 in parallel'
expect_status 0 bench run experiments/small.yaml --set seed=1
expect_line err.txt 'predicted → measured, time and memory'
expect_line err.txt '3.[12] s → .* mask_ratio=0$'
# the prediction is in the record, and in a rebuilt database
count="SELECT count(*) FROM summary WHERE name = 'predicted_seconds'"
expect_answer "$count" 5
expect_answer "SELECT count(*) FROM summary AS p JOIN summary AS m USING (run_id)
  WHERE p.name = 'predicted_seconds' AND m.name = 'train_seconds' AND abs(m.value / p.value - 1) < 0.1" 5
expect_status 0 bench db rebuild
expect_answer "$count" 5

# Two seconds for starting and for each of four evaluations (a tuning has one) stay ten in a run of ten times
# the samples, and are twenty with nine evaluations.
sqlite3 results/flipbench.db "UPDATE summary SET value = (SELECT sum(value * (name = 'steady_seconds')) + iif(max(value * (name = 'samples')) = 8000, 10, 4)
  FROM summary AS own WHERE own.run_id = summary.run_id) WHERE name = 'wall_seconds'"
expect_status 0 bench run experiments/small.yaml --dry-run --set seed=2 --set samples=80k
expect_line out.txt '80.0 k samples · 500 MFLOP/sample · 40.0 TFLOP · about 41 s'
expect_status 0 bench run experiments/small.yaml --dry-run --set seed=2 --set samples=80k --set eval.points=9
expect_line out.txt '80.0 k samples · 500 MFLOP/sample · 40.0 TFLOP · about 51 s'
