#include "train/spin.h"

#include <omp.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"

enum { MOST_IDLE = 512 };
/* Shares of the threads' and of the CPUs' time; the machine's time is counted in ticks of 10 ms, so
 * that less than this many seconds are not meaningful. */
static const double much = 0.05, little = 0.025, least_seconds = 0.2, quiet_seconds = 3;

struct spin {
  int idle; /* threads in the team of the thread that waits below, itself included */
  int met;  /* threads that arrived */
  bool is_short;
  int threads, cpus;
  double seconds, delay_seconds, other_cpu_seconds; /* since the last check */
  double quiet_for;
  pthread_t waiter;
  pthread_mutex_t lock; /* over is_over */
  pthread_cond_t changed;
  bool is_over;
};

spin *spin_create(int threads) {
  if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY")) return NULL;
  spin *s = mem_zeroed(1, sizeof *s);
  if (!s) return NULL;
  /* one more than CPUs in all: libgomp counts the threads that it created and the first one */
  s->threads = threads > 0 ? threads : 1;
  s->cpus = omp_get_num_procs();
  s->idle = s->cpus - s->threads + 2;
  if (s->idle < 2) s->idle = 2;
  pthread_mutex_init(&s->lock, NULL);
  pthread_cond_init(&s->changed, NULL);
  return s;
}

/* Creates a team, whose threads then sleep, and keeps it until it is released: a team lives as long
 * as its thread. */
static void *keep_team(void *context) {
  spin *s = context;
#pragma omp parallel num_threads(s->idle)
  {
#pragma omp atomic /* prevents the compiler from removing it */
    s->met++;
  }
  pthread_mutex_lock(&s->lock);
  while (!s->is_over) pthread_cond_wait(&s->changed, &s->lock);
  pthread_mutex_unlock(&s->lock);
  return NULL;
}

void spin_set_short(spin *s, bool is_short) {
  if (!s || is_short == s->is_short || s->idle > MOST_IDLE) return;
  if (is_short) {
    s->is_over = false;
    s->is_short = pthread_create(&s->waiter, NULL, keep_team, s) == 0;
    return;
  }
  pthread_mutex_lock(&s->lock);
  s->is_over = true;
  pthread_cond_signal(&s->changed);
  pthread_mutex_unlock(&s->lock);
  pthread_join(s->waiter, NULL);
  s->is_short = false;
}

void spin_consider(spin *s, double seconds, double delay_seconds, double other_cpu_seconds) {
  if (!s || !(seconds > 0)) return;
  s->seconds += seconds;
  s->delay_seconds += delay_seconds;
  s->other_cpu_seconds += other_cpu_seconds;
  if (s->seconds < least_seconds) return;
  double delayed = s->delay_seconds / (s->threads * s->seconds);
  double others = s->other_cpu_seconds / (s->cpus * s->seconds);
  s->quiet_for = others < little ? s->quiet_for + s->seconds : 0;
  if (delayed > much && others > much) /* false for NaN */
    spin_set_short(s, true);
  else if (s->quiet_for > quiet_seconds)
    spin_set_short(s, false);
  s->seconds = s->delay_seconds = s->other_cpu_seconds = 0;
}

bool spin_is_short(const spin *s) {
  return s && s->is_short;
}

void spin_destroy(spin *s) {
  if (!s) return;
  spin_set_short(s, false);
  pthread_mutex_destroy(&s->lock);
  pthread_cond_destroy(&s->changed);
  free(s);
}
