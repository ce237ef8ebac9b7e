#include "base/machine.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"

static FILE *open_under(const char *root, const char *path) {
  strbuf full = {0};
  strbuf_format(&full, "%s%s", root, path);
  FILE *file = fopen(strbuf_string(&full), "re");
  strbuf_free(&full);
  return file;
}

/* The first line of a small file, "" when it cannot be read. */
static void read_line(const char *root, const char *path, char *line, size_t size) {
  FILE *file = open_under(root, path);
  if (!file || !fgets(line, (int)size, file)) line[0] = '\0';
  if (file) fclose(file);
  line[strcspn(line, "\n")] = '\0';
}

static double read_number(const char *root, const char *path) {
  char line[64];
  read_line(root, path, line, sizeof line);
  return strtod(line, NULL);
}

/* "cpu3 user nice system idle iowait irq softirq steal …" in ticks, of the CPUs that this process
 * may run on: what others do elsewhere does not disturb it. */
static void read_busy(const char *root, machine_state *m) {
  char line[256];
  double ticks = (double)sysconf(_SC_CLK_TCK);
  cpu_set_t own;
  if (sched_getaffinity(0, sizeof own, &own) != 0) return;
  FILE *file = open_under(root, "/proc/stat");
  while (file && fgets(line, sizeof line, file) && strncmp(line, "cpu", 3) == 0) {
    int number;
    double t[8] = {0};
    if (line[3] < '0' || line[3] > '9') continue; /* of all CPUs */
    if (sscanf(line, "cpu%d %lf %lf %lf %lf %lf %lf %lf %lf", &number, &t[0], &t[1], &t[2], &t[3],
               &t[4], &t[5], &t[6], &t[7]) < 5 ||
        number < 0 || number >= CPU_SETSIZE || !CPU_ISSET((size_t)number, &own))
      continue;
    m->busy_seconds += (t[0] + t[1] + t[2] + t[5] + t[6]) / ticks;
    m->stolen_seconds += t[7] / ticks;
  }
  if (file) fclose(file);
}

static void read_memory(const char *root, machine_state *m) {
  char line[128];
  FILE *file = open_under(root, "/proc/meminfo");
  while (file && fgets(line, sizeof line, file))
    if (strncmp(line, "MemAvailable:", 13) == 0)
      m->free_bytes = strtoull(line + 13, NULL, 10) * 1024;
  if (file) fclose(file);
}

/* The first number after a name in a file of "NAME NUMBER" lines; 0 when it is not there. */
static double read_entry(const char *root, const char *path, const char *name) {
  char line[128];
  double value = 0;
  size_t length = strlen(name);
  FILE *file = open_under(root, path);
  while (file && fgets(line, sizeof line, file))
    if (strncmp(line, name, length) == 0 && line[length] == ' ')
      value = strtod(line + length, NULL);
  if (file) fclose(file);
  return value;
}

/* File names of the two versions of control groups. */
typedef struct {
  const char *folder, *limit, *used, *inactive, *active;
} group_files;

/* What one group leaves: its limit minus its usage, not counting page cache, which can be
 * reclaimed. */
static double left_in_group(const char *root, const group_files *names, const char *group) {
  char file[3][768];
  const char *const entries[] = {names->limit, names->used, "memory.stat"};
  for (int i = 0; i < 3; i++)
    snprintf(file[i], sizeof file[i], "%s%s/%s", names->folder, group, entries[i]);
  double limit = read_number(root, file[0]); /* "max": 0 */
  if (!(limit > 0)) return INFINITY;
  double cache =
      read_entry(root, file[2], names->inactive) + read_entry(root, file[2], names->active);
  return fmax(0, limit - fmax(0, read_number(root, file[1]) - cache));
}

/* The minimum that a group and its ancestors leave. */
static double left_in_groups(const char *root, const group_files *names, char *group) {
  double least = INFINITY;
  for (;;) {
    least = fmin(least, left_in_group(root, names, strcmp(group, "/") == 0 ? "" : group));
    char *last = strrchr(group, '/');
    if (!last || !group[1]) return least;
    last[last == group] = '\0'; /* "/a/b" to "/a", "/a" to "/" */
  }
}

uint64_t machine_free_memory(const char *root, bool *is_group) {
  static const group_files v1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes",
                                 "memory.usage_in_bytes", "total_inactive_file",
                                 "total_active_file"},
                           v2 = {"/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file",
                                 "active_file"};
  machine_state m = {0};
  double least = INFINITY;
  char line[512];
  read_memory(root, &m);
  FILE *file = open_under(root, "/proc/self/cgroup");
  while (file && fgets(line, sizeof line, file)) { /* "4:memory:/a/b"; "0::/a/b" in version 2 */
    line[strcspn(line, "\n")] = '\0';
    char *kinds = strchr(line, ':'), *group = kinds ? strchr(kinds + 1, ':') : NULL;
    if (!group) continue;
    *group++ = '\0';
    if (!kinds[1]) least = fmin(least, left_in_groups(root, &v2, group));
    if (strstr(kinds, "memory")) least = fmin(least, left_in_groups(root, &v1, group));
  }
  if (file) fclose(file);
  *is_group = least < (double)m.free_bytes;
  return *is_group ? (uint64_t)least : m.free_bytes;
}

/* "200000 100000" microseconds in each period, or "max 100000". */
static void read_quota(const char *root, machine_state *m) {
  char line[64];
  double quota, period;
  read_line(root, "/sys/fs/cgroup/cpu.max", line, sizeof line);
  if (sscanf(line, "%lf %lf", &quota, &period) == 2 && period > 0) m->quota_cpus = quota / period;
}

static void read_clock(const char *root, machine_state *m) {
  char line[128];
  m->mhz = read_number(root, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq") / 1000;
  FILE *file = m->mhz > 0 ? NULL : open_under(root, "/proc/cpuinfo");
  while (file && fgets(line, sizeof line, file))
    if (strncmp(line, "cpu MHz", 7) == 0 && strchr(line, ':')) {
      m->mhz = strtod(strchr(line, ':') + 1, NULL);
      break;
    }
  if (file) fclose(file);
}

void machine_boot(const char *root, char *id, size_t size) {
  read_line(root, "/proc/sys/kernel/random/boot_id", id, size);
}

/* The value of the first "KEY : value" of /proc/cpuinfo; "": there is none. */
static void read_processor(const char *root, const char *key, char *value, size_t size) {
  char line[256], *colon = NULL;
  FILE *file = open_under(root, "/proc/cpuinfo");
  while (file && !colon && fgets(line, sizeof line, file))
    if (strncmp(line, key, strlen(key)) == 0) colon = strchr(line, ':');
  if (file) fclose(file);
  if (colon) colon[strcspn(colon, "\n")] = '\0';
  snprintf(value, size, "%s", colon && colon[1] ? colon + 2 : "");
}

void machine_processor(const char *root, char *name, size_t size) {
  char maker[32], part[32];
  read_processor(root, "model name", name, size);
  if (*name) return;
  /* ARM's are listed by number */
  read_processor(root, "CPU implementer", maker, sizeof maker);
  read_processor(root, "CPU part", part, sizeof part);
  if (*maker && *part)
    snprintf(name, size, "ARM implementer %s part %s", maker, part);
  else
    snprintf(name, size, "unknown");
}

void machine_gpu_driver(const char *root, char *version, size_t size) {
  char line[256];
  *version = '\0';
  read_line(root, "/proc/driver/nvidia/version", line, sizeof line);
  for (char *rest = line, *word; (word = strsep(&rest, " \t"));) {
    size_t length = strspn(word, "0123456789.");
    if (!length || word[length] || !strchr(word, '.')) continue;
    snprintf(version, size, "%s", word);
    return;
  }
}

static double own_seconds(void) {
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
         1e-6 * (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

machine_state machine_look(const char *root) {
  machine_state m = {0};
  cpu_set_t allowed;
  char line[128];
  m.cpus = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
  read_line(root, "/proc/loadavg", line, sizeof line);
  m.load = *line ? strtod(line, NULL) : (double)NAN;
  read_quota(root, &m);
  read_clock(root, &m);
  read_line(root, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", m.governor,
            sizeof m.governor);
  read_line(root, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_driver", m.driver, sizeof m.driver);
  m.throttled = (int64_t)read_number(
      root, "/sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count");
  read_memory(root, &m);
  read_busy(root, &m);
  m.own_seconds = own_seconds();
  m.wall_seconds = clock_seconds();
  return m;
}

void machine_write_json(json_writer *w, const char *key, const machine_state *m) {
  jsonw_object(w, key);
  jsonw_integer(w, "cpus", m->cpus);
  if (m->quota_cpus > 0) jsonw_number(w, "quota_cpus", m->quota_cpus);
  if (!isnan(m->load)) jsonw_number(w, "load", m->load);
  if (m->mhz > 0) jsonw_number(w, "mhz", m->mhz);
  if (*m->governor) jsonw_string(w, "governor", m->governor);
  if (*m->driver) jsonw_string(w, "clock_driver", m->driver);
  if (m->free_bytes) jsonw_integer(w, "free_bytes", (int64_t)m->free_bytes);
  jsonw_end(w);
}

void machine_doubts(const machine_state *m, int threads, strbuf *lines) {
  /* these two drivers report every mode as "powersave" and reach full speed in it */
  bool sets_clock_itself =
      strcmp(m->driver, "intel_pstate") == 0 || strcmp(m->driver, "amd-pstate-epp") == 0;
  if (strcmp(m->governor, "powersave") == 0 && !sets_clock_itself)
    strbuf_append(lines, "the CPU clock is held low (governor powersave); for timings: "
                         "cpupower frequency-set -g performance\n");
  if (threads > m->cpus)
    strbuf_format(lines, "%d threads share %d %s; set threads: %d\n", threads, m->cpus,
                  text_plural(m->cpus, "CPU", "CPUs"), m->cpus);
  if (m->quota_cpus > 0 && m->quota_cpus < threads - 0.01)
    strbuf_format(lines, "the control group allows only %.2g CPUs for %d %s\n", m->quota_cpus,
                  threads, text_plural(threads, "thread", "threads"));
}

machine_span machine_between(const machine_state *first, const machine_state *last) {
  machine_span span = {0};
  double wall = last->wall_seconds - first->wall_seconds;
  double own = last->own_seconds - first->own_seconds;
  if (wall <= 0) return span;
  span.other_cpus = fmax(0, last->busy_seconds - first->busy_seconds - own) / wall;
  span.stolen_share =
      (last->stolen_seconds - first->stolen_seconds) / (wall * (last->cpus > 0 ? last->cpus : 1));
  span.throttled = last->throttled - first->throttled;
  return span;
}

void machine_span_doubts(const machine_span *span, int cpus, strbuf *lines) {
  if (span->other_cpus > 0.1 * cpus)
    strbuf_format(lines, "other processes used %.1f of %d CPUs during the measurement\n",
                  span->other_cpus, cpus);
  if (span->stolen_share > 0.02)
    strbuf_format(lines, "the hypervisor took %.0f %% of the CPUs' time\n",
                  100 * span->stolen_share);
  if (span->throttled > 0)
    strbuf_format(lines, "the clock was thermally throttled %lld %s\n", (long long)span->throttled,
                  text_plural(span->throttled, "time", "times"));
}
