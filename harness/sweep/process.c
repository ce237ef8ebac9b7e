#include "sweep/process.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/command.h"
#include "base/fs.h"
#include "base/mem.h"
#include "store/runs.h"
#include "sweep/limits.h"
#include "sweep/ranks.h"
#include "sweep/stamp.h"

static err write_config(const run_options *options, const run_cell *cell, const char *init_from,
                        char **path) {
  settings own;
  strbuf text = {0};
  err error = settings_copy(&cell->cell->settings, &own);
  if (error) return error;
  if (init_from) error = setting_assign(settings_find("init_from"), &own, init_from);
  settings_write_yaml(&own, &text);
  settings_free(&own);
  *path = directory_path(options->results, cell->directory, "config.yaml");
  if (!error && (!*path || text.is_broken)) error = mem_error(text.length, "the cell's settings");
  if (!error) error = fs_write_atomic(*path, text.data, text.length);
  strbuf_free(&text);
  return error;
}

/* What a trainer does before it is one. */
typedef struct {
  char **command, **environment;
  bool is_pinned;
  bool is_launcher; /* of several ranks */
  cpu_set_t cores;
  char *cgroup_procs; /* file that the process writes itself into; NULL: none */
  int64_t memory_bytes;
  int lock_fd;
  const sigset_t *unblocked;
} birth;

/* In the child, after fork: only async-signal-safe calls. */
static void prepare_trainer(const void *context) {
  const birth *b = context;
  fcntl(b->lock_fd, F_SETFD, 0); /* held as long as the trainer lives */
  if (b->is_launcher) prctl(PR_SET_PDEATHSIG, SIGUSR1);
  if (b->is_pinned) sched_setaffinity(0, sizeof b->cores, &b->cores);
  if (b->memory_bytes > 0) limits_enter(b->cgroup_procs, b->memory_bytes);
}

static void free_environment(char **variables) {
  for (char **at = variables; at && *at; at++) free(*at);
  free(variables);
}

/* Puts NAME=VALUE into a list with room for it, replacing an earlier NAME. */
static err put_variable(char **variables, size_t *count, const char *name, const char *value) {
  strbuf text = {0};
  size_t at = 0, length = strlen(name);
  while (at < *count && (strncmp(variables[at], name, length) != 0 || variables[at][length] != '='))
    at++;
  strbuf_format(&text, "%s=%s", name, value);
  if (at == *count)
    ++*count;
  else
    free(variables[at]);
  variables[at] = strbuf_take(&text);
  return variables[at] ? NULL : mem_error(0, "the environment");
}

static err make_environment(const process_wishes *wishes, bool is_launcher, char ***made) {
  const spec_pairs *more = wishes->environment;
  size_t own = 0, count = 0;
  while (environ[own]) own++;
  char **variables = mem_zeroed(own + (more ? more->count : 0) + 4, sizeof *variables);
  err error = variables ? NULL : mem_error(own * sizeof *variables, "the environment");
  for (; !error && count < own; count++) {
    variables[count] = mem_copy_string(environ[count]);
    if (!variables[count]) error = mem_error(0, "the environment");
  }
  for (size_t i = 0; i < 2 && is_launcher && geteuid() == 0 && !error; i++)
    error = put_variable(variables, &count, ranks_root_variables[i], "1");
  for (size_t i = 0; more && i < more->count && !error; i++)
    error = put_variable(variables, &count, more->items[i].key, more->items[i].value);
  if (!error && wishes->place && wishes->place->gpus)
    error = put_variable(variables, &count, "CUDA_VISIBLE_DEVICES", wishes->place->gpus);
  if (error) free_environment(variables);
  *made = error ? NULL : variables;
  return error;
}

static err spawn(const run_options *options, const run_cell *cell, const birth *b, pid_t *pid) {
  char *log_path = directory_path(options->results, cell->directory, "log.txt");
  if (!log_path) return mem_error(0, "a path");
  int log_fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  command_call call = {.words = b->command,
                       .environment = b->environment,
                       .out = log_fd,
                       .err = log_fd,
                       .mask = b->unblocked,
                       .has_no_input = true,
                       .leads_group = true,
                       .dies_with_parent = true,
                       .prepare = prepare_trainer,
                       .context = b};
  err error =
      log_fd < 0 ? err_errno(errno, "%s: cannot open", log_path) : command_start(&call, pid);
  if (log_fd >= 0) close(log_fd);
  free(log_path);
  return error;
}

static err record_start(const run_options *options, store *s, run_cell *cell,
                        const process_wishes *wishes, const process *p, const char *time,
                        char *const *command) {
  char *stamp = stamp_make(&cell->cell->settings);
  int64_t nodes = spec_nodes_of(cell->cell, cell->ranks);
  attempt_start start = {.cell_id = cell->cell->id,
                         .parent_id = spec_parent_id(&cell->cell->settings),
                         .time = time,
                         .stamp = stamp,
                         .attempt = p->attempt,
                         .pid = p->pid,
                         .log_start = p->log_start,
                         .events_start = p->events_start,
                         .origin_loss = p->attempt == 1 ? wishes->origin_loss : (double)NAN,
                         .command = command,
                         .why = cell->why ? cell->why : "first",
                         .slot = wishes->place ? strbuf_string(&wishes->place->shown) : "",
                         .ranks = cell->ranks,
                         .nodes = nodes,
                         .predicted_seconds = cell->predicted_seconds,
                         .predicted_bytes = cell->predicted_bytes,
                         .limits = cell->limits};
  err error = directory_record_start(options->results, cell->directory, &start);
  free(stamp);
  if (!error && s) error = store_ingest(s, options->results, cell->directory, &cell->run_id);
  return error;
}

/* Prepares what the child needs, so that nothing is allocated after fork. */
static err prepare_birth(const run_cell *cell, const process_wishes *wishes, process *p, birth *b) {
  int64_t bytes = cell->limits.memory_bytes;
  int64_t here = cell->ranks / spec_nodes_of(cell->cell, cell->ranks);
  b->is_launcher = cell->ranks > 1;
  err error = make_environment(wishes, b->is_launcher, &b->environment);
  b->is_pinned = wishes->place && wishes->place->is_pinned;
  if (b->is_pinned) b->cores = wishes->place->cores;
  b->memory_bytes = bytes;
  b->lock_fd = wishes->lock_fd;
  b->unblocked = wishes->unblocked;
  if (error || bytes <= 0 || !wishes->cgroup_base) return error;
  p->cgroup = limits_make_cgroup(wishes->cgroup_base, cell->cell->id, bytes * here);
  if (p->cgroup) p->cgroup_kills_before = limits_count_kills_in(p->cgroup);
  if (p->cgroup) b->cgroup_procs = fs_join(p->cgroup, "cgroup.procs");
  return NULL;
}

err process_start(const run_options *options, store *s, run_cell *cell,
                  const process_wishes *wishes, process *p) {
  err error = NULL;
  birth b = {0};
  char time[CLOCK_STAMP_SIZE];
  const char *directory = cell->directory;
  char *config = NULL, *events = directory_path(options->results, directory, "events.jsonl");
  char *out = directory_path(options->results, directory, NULL);
  if (!events || !out) FAIL(ERR_MEMORY, "out of memory: a path");
  TRY(write_config(options, cell, wishes->init_from, &config));
  TRY(directory_mend_lines(options->results, directory, "events.jsonl"));
  TRY(directory_mend_lines(options->results, directory, "attempts.jsonl"));
  TRY(directory_next_attempt(options->results, directory, &p->attempt));
  /* flip refuses a folder with a checkpoint unless it resumes, and checks that it belongs to the
   * run; without one it starts over, and its events follow those of earlier processes */
  bool resumes = directory_size_of(options->results, directory, "events.jsonl") > 0 ||
                 directory_has_checkpoint(options->results, directory);
  p->events_start = directory_size_of(options->results, directory, "events.jsonl");
  p->kills_before = limits_count_kills();
  p->log_start = directory_size_of(options->results, directory, "log.txt");
  p->ranks = cell->ranks;
  char *command[] = {
      (char *)options->flip,       "train", "--config", config, "--out", out, "--events", events,
      resumes ? "--resume" : NULL, NULL};
  ranks_start launch = {.ranks = cell->ranks,
                        .nodes = spec_nodes_of(cell->cell, cell->ranks),
                        .mpi = wishes->mpi,
                        .cores = wishes->slots ? wishes->slots->cores_of_rank : wishes->cores,
                        .folder = out,
                        .attempt = p->attempt,
                        .environment = wishes->environment};
  TRY(ranks_words(&launch, command, &b.command));
  TRY(prepare_birth(cell, wishes, p, &b));
  clock_stamp(time);
  TRY(spawn(options, cell, &b, &p->pid));
  p->lock_fd = wishes->lock_fd;
  p->place = wishes->place;
  p->slots = wishes->slots;
  p->started = clock_seconds();
  cell->state = CELL_RUNNING;
  cell->ran_now = true;
  TRY(record_start(options, s, cell, wishes, p, time, b.command));
cleanup:
  free_environment(b.environment);
  ranks_free_words(b.command);
  free(b.cgroup_procs);
  free(config);
  free(events);
  free(out);
  return error;
}

void process_stop(process *p, stop_reason why) {
  bool is_first =
      p->stop == STOP_NONE || p->stop == STOP_TURN; /* the end of a time slice is not a failure */
  if (is_first) p->stopped = clock_seconds();
  if (is_first || why == STOP_ASKED) p->stop = why;
  p->asked_early = p->asked_early || !p->has_events;
  kill(p->pid, p->ranks > 1 ? SIGUSR1 : SIGTERM);
}

void process_look_after_ranks(const run_options *options, const run_cell *cell, process *p) {
  static const double patience = 5, patience_when_finished = 60; /* seconds */
  double now = clock_seconds();
  bool has_failed;
  if (p->ranks < 2 || now - p->looked < 1) return;
  p->looked = now;
  char *folder = directory_path(options->results, cell->directory, NULL);
  bool has_ended = folder && ranks_have_ended(folder, p->attempt, &has_failed);
  free(folder);
  p->has_events =
      directory_size_of(options->results, cell->directory, "events.jsonl") > p->events_start;
  if (p->has_events && p->asked_early) { /* once: its third signal would end it at once */
    p->asked_early = false;
    if (p->stop != STOP_NONE) kill(p->pid, SIGUSR1);
  }
  if (!has_ended) return;
  if (p->rank_0_ended <= 0) p->rank_0_ended = now;
  if (now - p->rank_0_ended <= (has_failed ? patience : patience_when_finished)) return;
  p->is_launcher_killed = true;
  process_kill(p);
}

void process_kill(const process *p) {
  kill(p->pid, SIGKILL);
}

/* ---- the end ---- */

bool process_has_ended(const process *p, int *wait_status, struct rusage *used) {
  pid_t ended = wait4(p->pid, wait_status, WNOHANG, used);
  if (ended == p->pid) return true;
  if (ended == 0 || errno != ECHILD) return false;
  *wait_status = W_EXITCODE(0, 0); /* lost: the end that the trainer recorded decides */
  *used = (struct rusage){0};
  return true;
}

static bool was_memory(const process *p) {
  return (p->cgroup && limits_count_kills_in(p->cgroup) > p->cgroup_kills_before) ||
         limits_count_kills() > p->kills_before;
}

static bool was_asked(const process *p) {
  return p->stop == STOP_ASKED || p->stop == STOP_PAUSED || p->stop == STOP_TURN;
}

static void judge_signal(const process *p, const run_cell *cell, int number, uint64_t peak_bytes,
                         verdict *v) {
  char size[TEXT_NUMBER_SIZE];
  int64_t limit = cell->limits.memory_bytes;
  bool is_ours = was_asked(p);
  if (is_ours) strcpy(v->status, "interrupted");
  if (!is_ours && number == SIGKILL && p->stop == STOP_NONE && was_memory(p)) {
    strcpy(v->kind, "memory");
    strbuf_format(&v->message, "killed because memory ran out, at %s",
                  text_bytes(peak_bytes, size));
    if (limit > 0)
      strbuf_format(&v->message, " (its limit was %s)", text_bytes((uint64_t)limit, size));
    return;
  }
  strcpy(v->kind, is_ours ? "stopped" : number == SIGKILL ? "killed" : "crash");
  strbuf_format(&v->message, "killed by signal %d (%s)", number, strsignal(number));
  if (limit > 0 && !is_ours && number != SIGKILL)
    strbuf_format(&v->message, "; its memory was limited to %s", text_bytes((uint64_t)limit, size));
}

static void judge_exit(const process *p, const run_cell *cell, int wait_status, uint64_t peak_bytes,
                       const char *tail, verdict *v) {
  int code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
  strcpy(v->status, "failed");
  if (WIFSIGNALED(wait_status)) {
    judge_signal(p, cell, WTERMSIG(wait_status), peak_bytes, v);
  } else if (code == EXIT_INTERRUPTED) {
    strcpy(v->status, "interrupted");
  } else if (p->ranks > 1 && was_asked(p)) { /* in their first moments the signal ends them */
    strcpy(v->status, "interrupted");
    strcpy(v->kind, "stopped");
    strbuf_append(&v->message, "stopped before it had begun to train");
  } else if (code == 0) {
    strcpy(v->kind, "protocol");
    strbuf_append(&v->message, "exited with status 0 but wrote no end event");
  } else {
    strcpy(v->kind, code == 2 ? "input" : code == COMMAND_NOT_FOUND ? "start" : "other");
    if (*tail)
      strbuf_append(&v->message, text_last_lines(tail, 1));
    else
      strbuf_format(&v->message, "exited with status %d", code);
  }
}

/* A process stopped for its time limit has failed, even if it exited cleanly. */
static void judge_time(const run_cell *cell, bool has_checkpoint, verdict *v) {
  char limit[TEXT_NUMBER_SIZE];
  strcpy(v->status, "failed");
  strcpy(v->kind, "timeout");
  strbuf_clear(&v->message);
  strbuf_format(&v->message, "ran longer than its time limit of %s%s",
                text_duration(cell->limits.time_seconds, limit),
                has_checkpoint ? "; a retry resumes from its checkpoint" : "");
}

/* To the trainer a file that is not there is like any file that cannot be read, 'io'. One that was
 * missing before the first step is named wrongly, and stays missing: no retry helps. After that it
 * was there once, and may come back with its file system. */
static void judge_missing_file(bool has_checkpoint, verdict *v) {
  bool had_begun = v->step > 0 || has_checkpoint;
  if (strcmp(v->status, "failed") != 0 || strcmp(v->kind, "io") != 0 || had_begun) return;
  if (strcasestr(strbuf_string(&v->message), "no such file")) strcpy(v->kind, "input");
}

static void reword_end(verdict *v) {
  strbuf message = {0};
  store_reword_end(strbuf_string(&v->message), &message);
  strbuf_free(&v->message);
  v->message = message;
}

static err set_state(run_cell *cell, const verdict *v) {
  cell->state = strcmp(v->status, "finished") == 0      ? CELL_FINISHED
                : strcmp(v->status, "interrupted") == 0 ? CELL_INTERRUPTED
                                                        : CELL_FAILED;
  free(cell->reason);
  cell->reason = NULL;
  if (cell->state == CELL_FINISHED) return NULL;
  cell->reason = mem_copy_string(v->message.length ? strbuf_string(&v->message) : v->kind);
  return cell->reason ? NULL : mem_error(0, "a message");
}

static void release(process *p) {
  close(p->lock_fd);
  slots_give(p->slots, p->place);
  if (p->cgroup) limits_remove_cgroup(p->cgroup);
  free(p->cgroup);
  p->cgroup = NULL;
}

/* Why several ranks ended: what one of them wrote says more than the launcher's exit status, and
 * than an end event of a rank that only saw its calls fail. */
static void judge_ranks(const run_options *options, const run_cell *cell, const process *p,
                        verdict *v) {
  char *folder = directory_path(options->results, cell->directory, NULL);
  bool is_told = strcmp(v->kind, "memory") == 0 || strcmp(v->kind, "nan") == 0;
  bool is_open = strcmp(v->status, "failed") == 0 && !is_told && !was_asked(p);
  if (folder && is_open) ranks_explain(folder, p->attempt, p->log_start, p->ranks, v);
  if (folder && is_open && strcmp(v->kind, "rank") == 0 && was_memory(p))
    strcpy(v->kind, "memory"); /* fewer ranks would need more each */
  free(folder);
}

/* The signal that ended a launcher which did not end with its ranks says nothing about these. */
static int status_of(const run_options *options, const run_cell *cell, const process *p,
                     int wait_status) {
  bool is_ours = p->is_launcher_killed && WIFSIGNALED(wait_status);
  char *folder = is_ours ? directory_path(options->results, cell->directory, NULL) : NULL;
  int status = folder ? ranks_wait_status(folder, p->attempt) : wait_status;
  free(folder);
  return status;
}

/* The tail of log.txt and the last lines of the other ranks' logs. */
static char *gather_tails(const run_options *options, const run_cell *cell, const process *p) {
  strbuf all = {0};
  char *tail = directory_log_tail(options->results, cell->directory);
  if (p->ranks < 2 || !tail) return tail;
  char *folder = directory_path(options->results, cell->directory, NULL);
  strbuf_append(&all, tail);
  if (folder) ranks_add_tails(folder, p->attempt, p->ranks, &all);
  free(folder);
  if (!all.length) return tail;
  free(tail);
  return strbuf_take(&all);
}

static double cpu_seconds_of(const struct rusage *used) {
  return (double)(used->ru_utime.tv_sec + used->ru_stime.tv_sec) +
         1e-6 * (double)(used->ru_utime.tv_usec + used->ru_stime.tv_usec);
}

err process_finish(const run_options *options, store *s, run_cell *cell, process *p,
                   int wait_status, const struct rusage *used, char kind[64]) {
  verdict v = {0};
  uint64_t peak_bytes = (uint64_t)used->ru_maxrss * 1024;
  char *tail = gather_tails(options, cell, p);
  wait_status = status_of(options, cell, p, wait_status);
  bool ended_well = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0;
  bool has_checkpoint = directory_has_checkpoint(options->results, cell->directory);
  err error = tail ? NULL : mem_error(0, "a log");
  if (!error) error = directory_read_end(options->results, cell->directory, p->events_start, &v);
  bool is_doubtful =
      strcmp(v.status, "finished") == 0 && !ended_well; /* died after its end event */
  if (!error && (!*v.status || is_doubtful)) {
    strbuf_clear(&v.message);
    *v.kind = '\0';
    judge_exit(p, cell, wait_status, peak_bytes, tail, &v);
  }
  if (p->ranks > 1 && !error) judge_ranks(options, cell, p, &v);
  judge_missing_file(has_checkpoint, &v);
  reword_end(&v);
  if (p->stop == STOP_TIME && strcmp(v.status, "finished") != 0)
    judge_time(cell, has_checkpoint, &v);
  attempt_end end = {.status = v.status,
                     .kind = v.kind,
                     .message = strbuf_string(&v.message),
                     .log_tail = strcmp(v.status, "finished") == 0 || !tail ? "" : tail,
                     .ranks = p->ranks,
                     .cpu_seconds = p->ranks > 1 ? (double)NAN : cpu_seconds_of(used),
                     .exit_code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1,
                     .signal_number = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0};
  if (!error) error = directory_mend_lines(options->results, cell->directory, "attempts.jsonl");
  if (!error) error = directory_record_end(options->results, cell->directory, p->attempt, &end);
  if (!error && s) error = store_ingest(s, options->results, cell->directory, &cell->run_id);
  if (!error) error = set_state(cell, &v);
  memcpy(kind, v.kind, sizeof v.kind);
  release(p);
  free(tail);
  strbuf_free(&v.message);
  return error;
}
