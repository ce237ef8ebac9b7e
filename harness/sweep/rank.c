#include "sweep/rank.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/command.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/machine.h"
#include "base/mem.h"
#include "sweep/ranks.h"

typedef struct {
  int64_t rank, size, local_rank, local_size;
} position;

typedef struct {
  const rank_wishes *wishes;
  position at;
  char host[HOST_NAME_MAX + 1], cpu[128];
  strbuf cores; /* "0-1"; empty: not bound here */
  cpu_set_t share;
  pid_t pid;
} rank_process;

/* Signals that mpirun and srun send to the whole process group: left to the trainer. */
static const int trainers_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
enum { SIGNALS = sizeof trainers_signals / sizeof *trainers_signals };

/* ---- rank and cores of this process ---- */

/* The first of the variables that is set; -1: none. */
static err number_of(const char *const *names, size_t count, int64_t *number) {
  *number = -1;
  for (size_t i = 0; i < count; i++) {
    const char *value = getenv(names[i]);
    if (!value || !*value) continue;
    const char *end = text_read_whole(value, number);
    if (end && !*end) return NULL;
    return err_new(ERR_INPUT, "%s=%s, which the launcher has set, is not a whole number", names[i],
                   value);
  }
  return NULL;
}

static err find_position(position *at) {
  static const char *const ranks[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID"};
  static const char *const sizes[] = {"OMPI_COMM_WORLD_SIZE", "SLURM_NTASKS"};
  static const char *const locals[] = {"OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID"};
  static const char *const local_sizes[] = {"OMPI_COMM_WORLD_LOCAL_SIZE"};
  err error = number_of(ranks, sizeof ranks / sizeof *ranks, &at->rank);
  if (!error) error = number_of(sizes, sizeof sizes / sizeof *sizes, &at->size);
  if (!error) error = number_of(locals, sizeof locals / sizeof *locals, &at->local_rank);
  if (!error)
    error = number_of(local_sizes, sizeof local_sizes / sizeof *local_sizes, &at->local_size);
  if (error) return error;
  if (at->rank >= 0 && at->size >= 1) return NULL;
  return err_new(ERR_INPUT,
                 "no launcher has set this process's rank: 'flipbench rank' is started by "
                 "mpirun and srun, for cells of several ranks");
}

/* This rank's cores of those that the process may use. */
static void choose_cores(rank_process *p) {
  cpu_set_t allowed;
  int cores[CPU_SETSIZE], count = 0;
  const position *at = &p->at;
  if (!p->wishes->binds || at->local_rank < 0 || at->local_size < 1) return;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  for (int i = 0; i < CPU_SETSIZE; i++)
    if (CPU_ISSET((size_t)i, &allowed)) cores[count++] = i;
  int64_t each = p->wishes->cores ? p->wishes->cores : count / at->local_size;
  int64_t first = at->local_rank * each;
  if (each < 1 || first + each > count) return; /* more ranks than cores: they share them */
  CPU_ZERO(&p->share);
  for (int64_t i = first; i < first + each; i++) {
    CPU_SET((size_t)cores[i], &p->share);
    strbuf_format(&p->cores, "%s%d", i > first ? "," : "", cores[i]);
  }
}

/* ---- records ---- */

static err write_record(const rank_process *p, const int *status, const struct rusage *used) {
  strbuf text = {0};
  char now[CLOCK_STAMP_SIZE];
  char *path = ranks_record_path(p->wishes->folder, p->wishes->attempt, p->at.rank);
  json_writer w = jsonw_start(&text);
  jsonw_object(&w, NULL);
  jsonw_integer(&w, "rank", p->at.rank);
  jsonw_string(&w, "host", p->host);
  jsonw_string(&w, "cpu", p->cpu);
  jsonw_integer(&w, "pid", p->pid);
  if (p->cores.length) jsonw_string(&w, "cores", strbuf_string(&p->cores));
  if (status) {
    jsonw_string(&w, "ended", clock_stamp(now));
    jsonw_integer(&w, "exit_code", WIFEXITED(*status) ? WEXITSTATUS(*status) : -1);
    jsonw_integer(&w, "signal", WIFSIGNALED(*status) ? WTERMSIG(*status) : 0);
    jsonw_integer(&w, "peak_bytes", (int64_t)used->ru_maxrss * 1024);
    jsonw_number(&w, "cpu_seconds",
                 (double)(used->ru_utime.tv_sec + used->ru_stime.tv_sec) +
                     1e-6 * (double)(used->ru_utime.tv_usec + used->ru_stime.tv_usec));
  }
  jsonw_end(&w);
  strbuf_append_char(&text, '\n');
  err error = !path || text.is_broken ? mem_error(text.length, "the record of a rank")
                                      : fs_write_atomic(path, text.data, text.length);
  free(path);
  strbuf_free(&text);
  return error;
}

/* Rank 0 writes to the cell's log, each other rank to its own. */
static err open_log(const rank_process *p, int *fd) {
  char *path = ranks_log_path(p->wishes->folder, p->at.rank);
  strbuf head = {0};
  if (!path) return mem_error(0, "a path");
  *fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  err error = *fd < 0 ? err_errno(errno, "%s: cannot open", path) : NULL;
  if (!error && p->at.rank > 0) {
    strbuf_format(&head, RANKS_LOG_HEAD, p->wishes->attempt);
    strbuf_format(&head, ": rank %" PRId64 " of %" PRId64 ", host %s\n", p->at.rank, p->at.size,
                  p->host);
    error = fs_write_all(*fd, head.data, head.length, path);
  }
  strbuf_free(&head);
  free(path);
  return error;
}

/* ---- the trainer ---- */

/* In the child, after fork: only async-signal-safe calls. */
static void prepare(const void *context) {
  const rank_process *p = context;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (size_t i = 0; i < SIGNALS; i++) signal(trainers_signals[i], SIG_DFL);
  if (p->cores.length) sched_setaffinity(0, sizeof p->share, &p->share);
}

static err start(rank_process *p, int log) {
  command_call call = {.words = p->wishes->words,
                       .out = log,
                       .err = log,
                       .has_no_input = true,
                       .dies_with_parent = true,
                       .prepare = prepare,
                       .context = p};
  return command_start(&call, &p->pid);
}

/* Requests SIGKILL when the launcher dies; true if it has already exited. Only for mpirun's ranks:
 * srun's are ended with their job. */
static bool is_orphan(void) {
  if (!getenv("OMPI_COMM_WORLD_RANK")) return false;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  return getppid() == 1;
}

/* What the launcher gets to see. After a status other than 0 mpirun ends the other ranks, for which
 * it waits kill_seconds (ranks.c) once or twice even if all have ended; all ranks of a stopped cell
 * end with 130 by themselves, and the trainer's end event says that it was interrupted. */
static int status_for_launcher(int wait_status) {
  int status = WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
  return status == EXIT_INTERRUPTED && getenv("OMPI_COMM_WORLD_RANK") ? 0 : status;
}

err rank_run(const rank_wishes *wishes, int *status) {
  rank_process p = {.wishes = wishes};
  struct rusage used = {0};
  char *folder = fs_join(wishes->folder, "ranks");
  int log = -1, wait_status = 0;
  err error = NULL;
  *status = 1;
  if (!folder) FAIL(ERR_MEMORY, "out of memory: a path");
  TRY(find_position(&p.at));
  if (is_orphan()) FAIL(ERR_INTERRUPTED, "the launcher has ended");
  for (size_t i = 0; i < SIGNALS; i++) signal(trainers_signals[i], SIG_IGN);
  gethostname(p.host, sizeof p.host - 1);
  machine_processor("", p.cpu, sizeof p.cpu);
  choose_cores(&p);
  TRY(fs_make_folders(folder));
  TRY(open_log(&p, &log));
  TRY(start(&p, log));
  TRY(write_record(&p, NULL, NULL));
  while (wait4(p.pid, &wait_status, 0, &used) < 0)
    if (errno != EINTR) FAIL(ERR_IO, "cannot wait for the trainer");
  *status = status_for_launcher(wait_status);
  TRY(write_record(&p, &wait_status, &used));
cleanup:
  if (log >= 0) close(log);
  strbuf_free(&p.cores);
  free(folder);
  return error;
}
