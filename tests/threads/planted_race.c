/* Shows that ThreadSanitizer's build finds races and takes no barrier for one: planted_race KIND
 * runs two threads that share a counter, with or without what keeps them apart. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { COUNT = 1000 };

static int total, shared[COUNT];

static void unguarded_loop(void) {
#pragma omp parallel for num_threads(2)
  for (int i = 0; i < COUNT; i++) total++;
}

/* Each thread reads what the other one wrote, without a barrier between the two loops. */
static void loop_without_barrier(void) {
#pragma omp parallel num_threads(2)
  {
#pragma omp for schedule(static) nowait
    for (int i = 0; i < COUNT; i++) shared[i] = i;
#pragma omp for schedule(static) reduction(+ : total)
    for (int i = 0; i < COUNT; i++) total += shared[COUNT - 1 - i];
  }
}

static void guarded_loops(void) {
#pragma omp parallel num_threads(2)
  {
#pragma omp for schedule(static)
    for (int i = 0; i < COUNT; i++) shared[i] = i;
#pragma omp for schedule(dynamic) reduction(+ : total)
    for (int i = 0; i < COUNT; i++) total += shared[COUNT - 1 - i];
#pragma omp critical
    total++;
#pragma omp barrier
#pragma omp atomic
    total++;
  }
  total += shared[0];
}

static void *count(void *lock) {
  for (int i = 0; i < COUNT; i++) {
    if (lock) pthread_mutex_lock(lock);
    total++;
    if (lock) pthread_mutex_unlock(lock);
  }
  return NULL;
}

static void two_threads(pthread_mutex_t *lock) {
  pthread_t other;
  if (pthread_create(&other, NULL, count, lock)) return;
  count(lock);
  pthread_join(other, NULL);
}

int main(int argc, char **argv) {
  pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  const char *kind = argc == 2 ? argv[1] : "";
  if (strcmp(kind, "unguarded_loop") == 0)
    unguarded_loop();
  else if (strcmp(kind, "loop_without_barrier") == 0)
    loop_without_barrier();
  else if (strcmp(kind, "guarded_loops") == 0)
    guarded_loops();
  else if (strcmp(kind, "unguarded_thread") == 0)
    two_threads(NULL);
  else if (strcmp(kind, "guarded_thread") == 0)
    two_threads(&lock);
  else
    return 2;
  return total > 0 ? 0 : 3;
}
