#include "cluster/slurm_queue.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/command.h"

/* Runs a program and waits for it; `out` gets its stdout and stderr. */
static err capture(char *const *command, strbuf *out) {
  int status;
  sigset_t none;
  sigemptyset(&none);
  err error = command_read(&(command_call){.words = command, .mask = &none}, true, out, &status);
  if (error) return error;
  if (command_exit_status(status) == 0) return NULL;
  if (command_exit_status(status) == COMMAND_NOT_FOUND)
    return err_new(ERR_UNSUPPORTED, "%s is not installed here; submit from a node of the cluster",
                   command[0]);
  while (out->length && out->data[out->length - 1] == '\n') out->data[--out->length] = '\0';
  return err_new(ERR_IO, "%s failed: %s", command[0], strbuf_string(out));
}

err slurm_sbatch(const char *script, int64_t *job) {
  strbuf out = {0};
  char *command[] = {"sbatch", "--parsable", (char *)script, NULL};
  err error = capture(command, &out);
  if (!error && sscanf(strbuf_string(&out), "%" SCNd64, job) != 1)
    error = err_new(ERR_IO, "sbatch printed no job id: %s", strbuf_string(&out));
  strbuf_free(&out);
  return error;
}

static slurm_task *find_task(slurm_tasks *tasks, int64_t job, int index) {
  for (size_t i = 0; i < tasks->count; i++)
    if (tasks->items[i].job == job && tasks->items[i].index == index) return &tasks->items[i];
  return NULL;
}

err slurm_look(slurm_tasks *tasks) {
  strbuf out = {0};
  char *command[] = {"squeue", "--noheader", "--array", "--me", "--format=%F %K %T", NULL};
  if (!tasks->count) return NULL;
  err error = capture(command, &out);
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
  for (size_t i = 0; i < tasks->count && !error; i++)
    tasks->items[i].missed = tasks->items[i].is_queued ? 0 : tasks->items[i].missed + 1;
  strbuf_free(&out);
  return error;
}
