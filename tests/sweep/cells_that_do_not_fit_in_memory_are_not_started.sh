. "$SOURCE/tests/support/sweep.sh"
cat > experiments/large.yaml <<'Y'
name: large
settings: {samples: 64M, batch_size: 4M, text.vocabulary: vocab.txt, data.train: x.tar, eval.points: 0,
  device: cpu, image.size: 224, image.patch: 16, image.width: 1024, image.layers: 24, image.heads: 16}
matrix: {mask_ratio: [0]}
report: {rows: mask_ratio, columns: [samples_per_second]}
Y
expect_status 1 bench run experiments/large.yaml
expect_line err.txt 'mask_ratio=0: skipped: it needs about [0-9.]+ [GT]iB of memory, [0-9.]+ [MG]iB are free here; reduce batch_size'
expect_answer "SELECT count(*) FROM run" 0
expect_status 0 bench run experiments/large.yaml --no-check-memory --set samples=8M
