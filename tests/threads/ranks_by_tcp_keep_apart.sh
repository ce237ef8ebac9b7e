# Under ThreadSanitizer: two ranks of two threads each, connected by TCP. In each a thread watches the other rank
# while another trains, exchanges gradients in buckets and saves. One run shards the optimizer's state.
. "$SOURCE/tests/support/training.sh"
. "$SOURCE/tests/support/processes.sh"
make_data
sed -i 's/^samples: .*/samples: 320/' run.yaml
echo 'checkpoint.every_samples: 64' >> run.yaml
port=$((20000 + RANDOM % 20000))
ranks() {
  pids=()
  port=$((port + 1))
  for rank in 0 1; do
    RANK=$rank WORLD_SIZE=2 MASTER_ADDR=localhost MASTER_PORT=$port timeout 600 "$@" & pids+=($!)
  done
  finish || fail "ranks: $*"
}
ranks "$BINARY/tests/one_rank_ends_first"
train="$FLIP train --config run.yaml --no-progress"
ranks $train --out whole
grep -q '"ranks":"TCP"' whole/events.jsonl || fail "the ranks did not connect by TCP"
ranks $train --out small --set comm.bucket_bytes=4096 --set optimizer.shard=true --set micro_batch_size=8
