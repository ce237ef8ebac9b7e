#include "cluster/slurm_queue.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/command.h"

/* What was written to a file in memory, safe for a terminal and without the last line ends. */
static void read_back(int fd, strbuf *text) {
  char block[4096];
  strbuf raw = {0};
  off_t from = 0;
  for (ssize_t got; (got = pread(fd, block, sizeof block, from)) > 0; from += got)
    strbuf_append_bytes(&raw, block, (size_t)got);
  while (raw.length && raw.data[raw.length - 1] == '\n') raw.data[--raw.length] = '\0';
  text_escape(strbuf_string(&raw), text);
  strbuf_free(&raw);
}

/* Runs a program and waits for it. On stderr a cluster writes warnings and messages to its users,
 * also when all is well: they are kept apart in `said`. Ctrl-C in a terminal does not reach it:
 * sbatch could be killed after it has submitted a job, and before it has printed its number. */
static err capture(char *const *command, strbuf *out, strbuf *said) {
  int status = 0;
  sigset_t none;
  sigemptyset(&none);
  int fd = memfd_create("stderr", MFD_CLOEXEC);
  if (fd < 0) return err_errno(errno, "cannot start %s", command[0]);
  command_call call = {
      .words = command, .mask = &none, .err = fd, .has_no_input = true, .leads_group = true};
  err error = command_read(&call, false, out, &status);
  read_back(fd, said);
  close(fd);
  if (error || command_exit_status(status) == 0) return error;
  if (command_exit_status(status) == COMMAND_NOT_FOUND)
    return err_new(ERR_UNSUPPORTED, "%s is not installed here; submit from a node of the cluster",
                   command[0]);
  return err_new(ERR_IO, "%s failed: %s", command[0], strbuf_string(said->length ? said : out));
}

/* "JOB" or "JOB;CLUSTER", a line of its own: the last one. Wrappers print more, also lines that
 * begin with a number. */
static bool read_job(char *text, int64_t *job) {
  bool is_found = false;
  for (char *rest = text, *line; rest && (line = strsep(&rest, "\n"));) {
    size_t digits = strspn(line, "0123456789");
    if (!digits || !strchr(";\r", line[digits])) continue; /* which finds the end of a line, too */
    is_found = sscanf(line, "%" SCNd64, job) == 1;
  }
  return is_found;
}

err slurm_sbatch(const char *script, int64_t *job, strbuf *said) {
  strbuf out = {0};
  char *command[] = {"sbatch", "--parsable", (char *)script, NULL};
  err error = capture(command, &out, said);
  if (!error && !read_job(out.data, job))
    error = err_new(ERR_IO, "sbatch printed no job id: %s%s%s", strbuf_string(&out),
                    out.length && said->length ? "\n" : "", strbuf_string(said));
  strbuf_free(&out);
  return error;
}

static slurm_task *find_task(slurm_tasks *tasks, int64_t job, int index) {
  for (size_t i = 0; i < tasks->count; i++)
    if (tasks->items[i].job == job && tasks->items[i].index == index) return &tasks->items[i];
  return NULL;
}

static void count_miss(slurm_task *task) {
  task->missed = task->is_queued ? 0 : task->missed + 1;
  if (task->missed == 1) task->missed_since = clock_seconds();
}

err slurm_look(slurm_tasks *tasks) {
  strbuf out = {0}, said = {0};
  char *command[] = {"squeue", "--noheader", "--array", "--me", "--format=%F %K %T", NULL};
  if (!tasks->count) return NULL;
  err error = capture(command, &out, &said);
  for (size_t i = 0; i < tasks->count && !error; i++) tasks->items[i].is_queued = false;
  for (char *rest = out.data, *line; !error && rest && (line = strsep(&rest, "\n"));) {
    int64_t job;
    int index;
    char state[24];
    if (sscanf(line, "%" SCNd64 " %d %23s", &job, &index, state) != 3) continue;
    slurm_task *task = find_task(tasks, job, index);
    if (!task || strcmp(state, "COMPLETED") == 0) continue;
    task->is_queued = true;
    strcpy(task->state, state);
  }
  for (size_t i = 0; i < tasks->count && !error; i++) count_miss(&tasks->items[i]);
  strbuf_free(&said);
  strbuf_free(&out);
  return error;
}
