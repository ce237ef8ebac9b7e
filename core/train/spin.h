/* How long the threads of OpenMP spin at a barrier before they sleep.
 *
 * libgomp's spin for some milliseconds, which on a quiet machine is the fastest way to wait. Next
 * to busy processes they use up the time slices that the thread they wait for needs. How long is
 * read from the environment when the library is loaded, and cannot be changed. But while a process
 * has more OpenMP threads than CPUs, libgomp spins only 100 turns; so a team of idle threads, which
 * sleep all the time, is the switch. With another OpenMP library nothing happens. OMP_WAIT_POLICY
 * and GOMP_SPINCOUNT, when set by the user, take precedence. */
#ifndef FLIP_TRAIN_SPIN_H
#define FLIP_TRAIN_SPIN_H

#include <stdbool.h>

typedef struct spin spin;

/* `threads`: that the run computes with. NULL when the user has said how long, or memory is short:
 * then threads spin as they did. */
spin *spin_create(int threads);
void spin_destroy(spin *s); /* NULL is allowed */
/* What the counters rose by in `seconds` of training (NaN: unknown): short while others use CPUs
 * that this run's threads wait for, and back to normal some seconds after they end. */
void spin_consider(spin *s, double seconds, double delay_seconds, double other_cpu_seconds);

/* The two halves of it, for tests. */
void spin_set_short(spin *s, bool is_short);
bool spin_is_short(const spin *s);

#endif
