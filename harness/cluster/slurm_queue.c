#include "cluster/slurm_queue.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/command.h"
#include "base/fs.h"
#include "base/mem.h"

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
static err capture(char *const *command, char *const *environment, strbuf *out, strbuf *said) {
  int status = 0;
  sigset_t none;
  sigemptyset(&none);
  int fd = memfd_create("stderr", MFD_CLOEXEC);
  if (fd < 0) return err_errno(errno, "cannot start %s", command[0]);
  command_call call = {.words = command,
                       .environment = environment,
                       .mask = &none,
                       .err = fd,
                       .has_no_input = true,
                       .leads_group = true};
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

/* ---- the environment of Slurm's commands ---- */

/* Without the variables that `drops` names; only the array is to be freed. */
static char **environment_without(bool (*drops)(const char *variable, const void *context),
                                  const void *context) {
  size_t count = 0, kept = 0;
  while (environ[count]) count++;
  char **out = mem_zeroed(count + 1, sizeof *out);
  for (size_t i = 0; out && i < count; i++)
    if (!drops(environ[i], context)) out[kept++] = environ[i];
  return out;
}

/* Options that our scripts or slurm.options may have, and the variables that would override them:
 * sbatch reads its environment after the lines of the script. */
typedef struct {
  const char *name, *letter; /* of "--name", "-l" */
  const char *variables;     /* without SBATCH_, each followed by a space */
} sbatch_option;
static const sbatch_option sbatch_options[] = {
    {"account", "A", "ACCOUNT "},
    {"array", "a", "ARRAY_INX "},
    {"clusters", "M", "CLUSTERS "},
    {"constraint", "C", "CONSTRAINT "},
    {"cpus-per-gpu", "", "CPUS_PER_GPU "},
    {"cpus-per-task", "c", "CPUS_PER_TASK "},
    {"dependency", "d", "DEPENDENCY "},
    {"distribution", "m", "DISTRIBUTION "},
    {"error", "e", "ERROR "},
    {"exclusive", "", "EXCLUSIVE "},
    {"export", "", "EXPORT "},
    {"gpus", "G", "GPUS "},
    {"gpus-per-node", "", "GPUS_PER_NODE "},
    {"gpus-per-task", "", "GPUS_PER_TASK "},
    {"gres", "", "GRES GPUS GPUS_PER_NODE GPUS_PER_TASK "},
    {"hint", "", "HINT "},
    {"job-name", "J", "JOB_NAME "},
    {"mem", "", "MEM_PER_NODE MEM_PER_CPU MEM_PER_GPU "},
    {"mem-per-cpu", "", "MEM_PER_NODE MEM_PER_CPU MEM_PER_GPU "},
    {"mem-per-gpu", "", "MEM_PER_NODE MEM_PER_CPU MEM_PER_GPU "},
    {"no-requeue", "", "REQUEUE NO_REQUEUE "},
    {"nodes", "N", "NNODES NODES "},
    {"ntasks", "n", "NTASKS "},
    {"ntasks-per-node", "", "NTASKS_PER_NODE "},
    {"open-mode", "", "OPEN_MODE "},
    {"output", "o", "OUTPUT "},
    {"partition", "p", "PARTITION "},
    {"qos", "q", "QOS "},
    {"requeue", "", "REQUEUE NO_REQUEUE "},
    {"reservation", "", "RESERVATION "},
    {"signal", "", "SIGNAL "},
    {"time", "t", "TIMELIMIT "},
};

/* Is an "#SBATCH" line of the script this option? */
static bool has_option(const char *script, const sbatch_option *o) {
  static const char mark[] = "#SBATCH";
  for (const char *line = script; line; line = strchr(line, '\n')) {
    line += *line == '\n';
    if (strncmp(line, mark, sizeof mark - 1) != 0) continue;
    const char *word = line + sizeof mark - 1;
    word += strspn(word, " \t");
    size_t length = strlen(o->name);
    if (strncmp(word, "--", 2) == 0 && strncmp(word + 2, o->name, length) == 0 &&
        strchr("= \t\n", word[2 + length]))
      return true;
    if (*o->letter && word[0] == '-' && word[1] == *o->letter) return true;
  }
  return false;
}

static bool overrides_script(const char *variable, const void *script) {
  static const char prefix[] = "SBATCH_";
  char name[48];
  if (strncmp(variable, prefix, sizeof prefix - 1) != 0) return false;
  variable += sizeof prefix - 1;
  int length = snprintf(name, sizeof name, "%.*s ", (int)strcspn(variable, "="), variable);
  if (length >= (int)sizeof name) return false;
  for (size_t i = 0; i < sizeof sbatch_options / sizeof *sbatch_options; i++) {
    const char *at = strstr(sbatch_options[i].variables, name);
    bool is_own = at && (at == sbatch_options[i].variables || at[-1] == ' ');
    if (is_own && has_option(script, &sbatch_options[i])) return true;
  }
  return false;
}

/* SQUEUE_STATES, SQUEUE_PARTITION, …: they filter what squeue prints, and a task that it does not
 * print would count as gone and be submitted again. */
static bool is_of_squeue(const char *variable, const void *unused) {
  (void)unused;
  return strncmp(variable, "SQUEUE_", 7) == 0;
}

err slurm_sbatch(const char *script, int64_t *job, strbuf *said) {
  strbuf out = {0};
  char *command[] = {"sbatch", "--parsable", (char *)script, NULL};
  char *text = NULL, **environment = NULL;
  size_t length;
  err error = fs_read(script, &text, &length);
  if (!error) {
    environment = environment_without(overrides_script, text);
    error = environment ? NULL : mem_error(0, "the environment of sbatch");
  }
  if (!error) error = capture(command, environment, &out, said);
  if (!error && !read_job(out.data, job))
    error = err_new(ERR_IO, "sbatch printed no job id: %s%s%s", strbuf_string(&out),
                    out.length && said->length ? "\n" : "", strbuf_string(said));
  free(environment);
  free(text);
  strbuf_free(&out);
  return error;
}

/* ---- the queue ---- */

static slurm_task *find_task(slurm_tasks *tasks, int64_t job, int index) {
  for (size_t i = 0; i < tasks->count; i++)
    if (tasks->items[i].job == job && tasks->items[i].index == index) return &tasks->items[i];
  return NULL;
}

static void count_miss(slurm_task *task) {
  task->missed = task->is_queued ? 0 : task->missed + 1;
  if (task->missed == 1) task->missed_since = clock_seconds();
}

static void mark_queued(slurm_tasks *tasks, char *printed) {
  for (size_t i = 0; i < tasks->count; i++) tasks->items[i].is_queued = false;
  for (char *rest = printed, *line; rest && (line = strsep(&rest, "\n"));) {
    int64_t job;
    int index;
    char state[24];
    if (sscanf(line, "%" SCNd64 " %d %23s", &job, &index, state) != 3) continue;
    slurm_task *task = find_task(tasks, job, index);
    if (!task || strcmp(state, "COMPLETED") == 0) continue;
    task->is_queued = true;
    strcpy(task->state, state);
  }
  for (size_t i = 0; i < tasks->count; i++) count_miss(&tasks->items[i]);
}

/* "--jobs=7,9": each once; tasks of one job follow each other. */
static void name_jobs(const slurm_tasks *tasks, strbuf *out) {
  strbuf_append(out, "--jobs=");
  for (size_t i = 0; i < tasks->count; i++) {
    size_t before = 0;
    while (before < i && tasks->items[before].job != tasks->items[i].job) before++;
    if (before == i) strbuf_format(out, "%s%" PRId64, i ? "," : "", tasks->items[i].job);
  }
}

/* By their ids, as another user of the results folder may have submitted them. A job that Slurm has
 * forgotten is an error of squeue where it is the only one asked for; elsewhere it is left out. */
err slurm_look(slurm_tasks *tasks) {
  strbuf out = {0}, said = {0}, jobs = {0};
  if (!tasks->count) return NULL;
  name_jobs(tasks, &jobs);
  char *command[] = {"squeue", "--noheader", "--array", "--format=%F %K %T", jobs.data, NULL};
  char **environment = environment_without(is_of_squeue, NULL);
  err error = jobs.is_broken || !environment ? mem_error(jobs.length, "the list of jobs") : NULL;
  if (!error) error = capture(command, environment, &out, &said);
  if (error && strstr(strbuf_string(&said), "Invalid job id")) {
    err_free(error);
    error = NULL;
    strbuf_free(&out);
  }
  if (!error) mark_queued(tasks, out.data);
  free(environment);
  strbuf_free(&jobs);
  strbuf_free(&said);
  strbuf_free(&out);
  return error;
}

bool slurm_most_tasks(int64_t *most) {
  static const char key[] = "\nMaxArraySize";
  char *command[] = {"scontrol", "show", "config", NULL};
  strbuf out = {0}, said = {0};
  err error = capture(command, NULL, &out, &said);
  const char *at = error ? NULL : strstr(strbuf_string(&out), key);
  bool is_known = at && sscanf(at + sizeof key - 1, " = %" SCNd64, most) == 1;
  err_free(error);
  strbuf_free(&said);
  strbuf_free(&out);
  return is_known;
}
