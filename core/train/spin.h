/* How long OpenMP threads spin at a barrier before they sleep.
 *
 * libgomp's threads spin for some milliseconds, which on an idle machine is the fastest way to
 * wait. Next to busy processes they use up the time slices that the thread they wait for needs. The
 * duration is read from the environment when the library is loaded, and cannot be changed. But
 * while a process has more OpenMP threads than CPUs, libgomp spins only for 100 iterations; so a
 * team of idle, sleeping threads serves as the switch. With another OpenMP library this has no
 * effect. OMP_WAIT_POLICY and GOMP_SPINCOUNT, when set by the user, take precedence. */
#ifndef FLIP_TRAIN_SPIN_H
#define FLIP_TRAIN_SPIN_H

#include <stdbool.h>

typedef struct spin spin;

/* `threads`: that the run computes with. NULL when the user has set the duration, or out of memory:
 * then spinning is unchanged. */
spin *spin_create(int threads);
void spin_destroy(spin *s); /* NULL is allowed */
/* The increase of the counters in `seconds` of training (NaN: unknown): short spinning while others
 * use CPUs that this run's threads wait for, and back to normal some seconds after they end. */
void spin_consider(spin *s, double seconds, double delay_seconds, double other_cpu_seconds);

/* Its two parts, for tests. */
void spin_set_short(spin *s, bool is_short);
bool spin_is_short(const spin *s);

#endif
