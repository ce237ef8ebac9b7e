#include "base/readings.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"

enum { MOST_THREADS = 512, STAT_BYTES = 1 << 16 };

typedef struct {
  long id;
  int fd;         /* its schedstat */
  double seconds; /* total wait at the last reading */
  bool is_there;
} thread;

struct readings {
  int stat_fd, pressure_fd, tasks_fd; /* -1: not available */
  DIR *tasks;
  nlink_t links; /* of the thread folder at the last scan: the number of threads */
  thread threads[MOST_THREADS];
  size_t count;
  bool has_delay;
  cpu_set_t cpus;
  double ticks;        /* a second */
  reading now, before; /* `before`: the counters when readings were opened */
  char text[STAT_BYTES];
};

static int open_under(const char *root, const char *path, int flags) {
  strbuf full = {0};
  strbuf_format(&full, "%s%s", root, path);
  int fd = full.is_broken ? -1 : open(strbuf_string(&full), O_RDONLY | O_CLOEXEC | flags);
  strbuf_free(&full);
  return fd;
}

/* Reads the file from the start; false when it is empty or gone. */
static bool read_again(readings *r, int fd) {
  ssize_t got = fd >= 0 ? pread(fd, r->text, sizeof r->text - 1, 0) : -1;
  r->text[got > 0 ? got : 0] = '\0';
  return got > 0;
}

/* "RUNNING WAITING SLICES", nanoseconds. NaN once the thread has ended. */
static double waited_by(readings *r, const thread *t) {
  double running, waiting;
  if (!read_again(r, t->fd) || sscanf(r->text, "%lf %lf", &running, &waiting) != 2)
    return (double)NAN;
  return waiting * 1e-9;
}

static thread *find_thread(readings *r, long id) {
  for (size_t i = 0; i < r->count; i++)
    if (r->threads[i].id == id) return &r->threads[i];
  return NULL;
}

static void add_thread(readings *r, long id) {
  char path[64];
  thread *t = &r->threads[r->count];
  if (r->count == MOST_THREADS) {
    r->has_delay = false;
    return;
  }
  snprintf(path, sizeof path, "%ld/schedstat", id);
  *t = (thread){.id = id, .fd = openat(r->tasks_fd, path, O_RDONLY | O_CLOEXEC), .is_there = true};
  if (t->fd >= 0)
    r->count++;
  else if (errno != ENOENT && errno != ESRCH)
    r->has_delay = false; /* too many open files */
}

/* Finds threads that started or ended since. */
static void look_for_threads(readings *r) {
  for (size_t i = 0; i < r->count; i++) r->threads[i].is_there = false;
  rewinddir(r->tasks);
  for (struct dirent *entry; r->has_delay && (entry = readdir(r->tasks));) {
    long id = strtol(entry->d_name, NULL, 10);
    if (id <= 0) continue;
    thread *known = find_thread(r, id);
    if (known)
      known->is_there = true;
    else
      add_thread(r, id);
  }
  size_t kept = 0;
  for (size_t i = 0; i < r->count; i++)
    if (r->threads[i].is_there)
      r->threads[kept++] = r->threads[i];
    else
      close(r->threads[i].fd);
  r->count = kept;
}

/* Adds each thread's wait time since the last reading. */
static void read_delay(readings *r) {
  struct stat status;
  bool is_changed = false;
  if (!r->has_delay) return;
  if (fstat(r->tasks_fd, &status) != 0 || status.st_nlink < 3 || status.st_nlink != r->links) {
    r->links = status.st_nlink;
    look_for_threads(r);
  }
  for (size_t i = 0; i < r->count; i++) {
    double waited = waited_by(r, &r->threads[i]);
    is_changed = is_changed || isnan(waited);
    if (!(waited > r->threads[i].seconds)) continue;
    r->now.delay_seconds += waited - r->threads[i].seconds;
    r->threads[i].seconds = waited;
  }
  if (is_changed) r->links = 0; /* one ended: rescan next time */
}

/* "cpu3 user nice system idle iowait irq softirq steal …" in ticks, for the CPUs that this process
 * may use. */
static bool read_cpus(readings *r, double *busy, double *stolen) {
  bool has_some = false;
  if (!read_again(r, r->stat_fd)) return false;
  *busy = *stolen = 0;
  for (char *line = strchr(r->text, '\n'); line && strncmp(line, "\ncpu", 4) == 0;
       line = strchr(line + 1, '\n')) {
    unsigned int cpu;
    double t[8] = {0};
    if (sscanf(line, "\ncpu%u %lf %lf %lf %lf %lf %lf %lf %lf", &cpu, &t[0], &t[1], &t[2], &t[3],
               &t[4], &t[5], &t[6], &t[7]) < 8 ||
        cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &r->cpus))
      continue;
    *busy += (t[0] + t[1] + t[2] + t[5] + t[6]) / r->ticks;
    *stolen += t[7] / r->ticks;
    has_some = true;
  }
  return has_some;
}

static double read_pressure(readings *r) {
  const char *total = read_again(r, r->pressure_fd) ? strstr(r->text, "total=") : NULL;
  return total ? strtod(total + 6, NULL) * 1e-6 : (double)NAN;
}

static double own_cpu_seconds(void) {
  struct timespec used;
  if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) != 0) return (double)NAN;
  return (double)used.tv_sec + 1e-9 * (double)used.tv_nsec;
}

/* The raw counters, except the delay, which is a sum of differences. */
static reading read_counters(readings *r) {
  reading c = {.delay_seconds = r->has_delay ? r->now.delay_seconds : (double)NAN,
               .cpu_seconds = own_cpu_seconds(),
               .switches = (double)NAN,
               .other_cpu_seconds = (double)NAN,
               .stolen_seconds = (double)NAN};
  struct rusage use;
  double busy;
  if (getrusage(RUSAGE_SELF, &use) == 0) c.switches = (double)use.ru_nivcsw;
  if (read_cpus(r, &busy, &c.stolen_seconds))
    c.other_cpu_seconds = busy - c.cpu_seconds;
  else
    c.stolen_seconds = (double)NAN;
  c.pressure_seconds = read_pressure(r);
  return c;
}

/* The machine's time is counted in ticks and ours exactly, so the difference may decrease by a
 * tick; the next increase compensates. */
static double risen(double counter, double before, double last) {
  double total = counter - before;
  return total > last || isnan(total) ? total : last;
}

reading readings_take(readings *r) {
  const reading *first = &r->before;
  read_delay(r);
  reading c = read_counters(r), *now = &r->now;
  *now = (reading){
      .cpu_seconds = risen(c.cpu_seconds, first->cpu_seconds, now->cpu_seconds),
      .delay_seconds = c.delay_seconds,
      .switches = risen(c.switches, first->switches, now->switches),
      .other_cpu_seconds =
          risen(c.other_cpu_seconds, first->other_cpu_seconds, now->other_cpu_seconds),
      .stolen_seconds = risen(c.stolen_seconds, first->stolen_seconds, now->stolen_seconds),
      .pressure_seconds = risen(c.pressure_seconds, first->pressure_seconds, now->pressure_seconds),
  };
  return *now;
}

err readings_open(const char *root, readings **out) {
  readings *r = mem_zeroed(1, sizeof *r);
  if (!r) return mem_error(sizeof *r, "the machine's counters");
  r->stat_fd = open_under(root, "/proc/stat", 0);
  r->pressure_fd = open_under(root, "/proc/pressure/cpu", 0);
  r->tasks_fd = open_under(root, "/proc/self/task", O_DIRECTORY);
  int again = r->tasks_fd >= 0 ? dup(r->tasks_fd) : -1;
  r->tasks = again >= 0 ? fdopendir(again) : NULL;
  if (!r->tasks && again >= 0) close(again);
  r->ticks = (double)sysconf(_SC_CLK_TCK);
  if (sched_getaffinity(0, sizeof r->cpus, &r->cpus) != 0) memset(&r->cpus, 0xff, sizeof r->cpus);
  r->has_delay = r->tasks != NULL;
  read_delay(r); /* earlier wait time does not count */
  r->has_delay = r->has_delay && r->count > 0;
  r->now.delay_seconds = 0;
  r->before = read_counters(r);
  *out = r;
  return NULL;
}

void readings_close(readings *r) {
  if (!r) return;
  for (size_t i = 0; i < r->count; i++) close(r->threads[i].fd);
  if (r->tasks) closedir(r->tasks);
  if (r->tasks_fd >= 0) close(r->tasks_fd);
  if (r->stat_fd >= 0) close(r->stat_fd);
  if (r->pressure_fd >= 0) close(r->pressure_fd);
  free(r);
}
