# ThreadSanitizer's build reports a race in a parallel loop, a missing barrier and two threads without a
# lock, and nothing where reductions, barriers, atomics and locks keep the threads apart.
race() { "$BINARY/tests/planted_race" "$1"; }
export ARCHER_OPTIONS=verbose=1
for kind in unguarded_loop loop_without_barrier unguarded_thread; do
  expect_status 66 race $kind
  expect_line err.txt 'WARNING: ThreadSanitizer: data race'
  expect_line err.txt "planted_race.c:[0-9]+"
done
for kind in guarded_loops guarded_thread; do
  for _ in 1 2 3 4 5; do expect_status 0 race $kind; done
done
race guarded_loops > loaded.txt 2>&1
expect_line loaded.txt 'Archer detected OpenMP application with TSan'
# Without Archer OpenMP's barriers are not seen: what the preset is worth.
export OMP_TOOL=disabled
expect_status 66 race guarded_loops
