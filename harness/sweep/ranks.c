#include "sweep/ranks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/shipped.h"

/* Time from a failure of one rank to SIGKILL for ranks that do not exit by themselves. A request to
 * stop uses SIGUSR1, which has no such limit. */
static const char kill_seconds[] = "3";

char *ranks_record_path(const char *folder, int64_t attempt, int64_t rank) {
  strbuf path = {0};
  strbuf_format(&path, "%s/ranks/attempt-%" PRId64 "-rank-%" PRId64 ".json", folder, attempt, rank);
  return strbuf_take(&path);
}

char *ranks_log_path(const char *folder, int64_t rank) {
  strbuf path = {0};
  if (rank)
    strbuf_format(&path, "%s/ranks/rank-%" PRId64 ".txt", folder, rank);
  else
    strbuf_format(&path, "%s/log.txt", folder);
  return strbuf_take(&path);
}

/* ---- starting ---- */

const char *const ranks_root_variables[2] = {"OMPI_ALLOW_RUN_AS_ROOT",
                                             "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"};

void ranks_allow_root(void) {
  for (int i = 0; i < 2 && geteuid() == 0; i++) setenv(ranks_root_variables[i], "1", 1);
}

void ranks_free_words(char **words) {
  for (char **at = words; at && *at; at++) free(*at);
  free(words);
}

static err add_number(spec_names *words, const char *option, int64_t value) {
  char text[24];
  snprintf(text, sizeof text, "%" PRId64, value);
  err error = option ? spec_names_add(words, option) : NULL;
  return error ? error : spec_names_add(words, text);
}

static err add_all(spec_names *words, const char *const *more, size_t count) {
  err error = NULL;
  for (size_t i = 0; i < count && !error; i++) error = spec_names_add(words, more[i]);
  return error;
}

/* Open MPI's mpirun. Binding is left to `flipbench rank`, which divides the cores of the cell's
 * slot; mpirun would number the machine's cores from 0. */
static err add_mpirun(const ranks_start *how, spec_names *words) {
  const char *const first[] = {"mpirun", "-q",    "--oversubscribe",           "--bind-to",
                               "none",   "--mca", "odls_base_sigkill_timeout", kill_seconds};
  char text[48];
  err error = NULL;
  TRY(add_all(words, first, sizeof first / sizeof *first));
  TRY(add_number(words, "-np", how->ranks));
  if (how->nodes > 1) {
    snprintf(text, sizeof text, "ppr:%" PRId64 ":node", how->ranks / how->nodes);
    TRY(spec_names_add(words, "--map-by"));
    TRY(spec_names_add(words, text));
    if (getenv("FLIP_PLUGINS")) TRY(add_all(words, (const char *const[]){"-x", "FLIP_PLUGINS"}, 2));
    for (size_t i = 0; how->environment && i < how->environment->count; i++) {
      TRY(spec_names_add(words, "-x"));
      TRY(spec_names_add(words, how->environment->items[i].key));
    }
  }
cleanup:
  return error;
}

/* A job step of all the ranks; Slurm binds them, and ends all when one has failed. */
static err add_srun(const ranks_start *how, spec_names *words) {
  char mpi[96];
  err error = NULL;
  snprintf(mpi, sizeof mpi, "--mpi=%s", how->mpi);
  const char *const first[] = {"srun", "--quiet", "--kill-on-bad-exit=1", mpi};
  TRY(add_all(words, first, sizeof first / sizeof *first));
  TRY(add_number(words, "--ntasks", how->ranks));
  TRY(add_number(words, "--nodes", how->nodes));
  if (how->nodes > 1) TRY(add_number(words, "--ntasks-per-node", how->ranks / how->nodes));
  if (how->cores) TRY(add_number(words, "--cpus-per-task", how->cores)); /* not inherited */
cleanup:
  return error;
}

static err add_rank(const ranks_start *how, spec_names *words) {
  char self[PATH_MAX];
  err error = NULL;
  if (!shipped_program(self)) FAIL(ERR_IO, "cannot determine this program's path");
  const char *const first[] = {self, "rank", "--folder", how->folder};
  TRY(add_all(words, first, sizeof first / sizeof *first));
  TRY(add_number(words, "--attempt", how->attempt));
  if (!how->mpi) TRY(spec_names_add(words, "--bind"));
  if (!how->mpi && how->cores) TRY(add_number(words, "--cores", how->cores));
  TRY(spec_names_add(words, "--"));
cleanup:
  return error;
}

err ranks_words(const ranks_start *how, char *const *trainer, char ***made) {
  spec_names words = {0};
  err error = NULL;
  *made = NULL;
  if (how->ranks > 1) {
    TRY(how->mpi ? add_srun(how, &words) : add_mpirun(how, &words));
    TRY(add_rank(how, &words));
  }
  for (; *trainer; trainer++) TRY(spec_names_add(&words, *trainer));
  char **grown = mem_resize(words.items, words.count + 1, sizeof *grown);
  if (!grown) FAIL(ERR_MEMORY, "out of memory: a command");
  grown[words.count] = NULL;
  *made = grown;
cleanup:
  if (error) spec_names_free(&words);
  return error;
}

/* Is there such a program in PATH? */
static bool is_installed(const char *name) {
  char *paths = mem_copy_string(getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin");
  bool is_there = false;
  for (char *rest = paths, *folder; !is_there && rest && (folder = strsep(&rest, ":"));) {
    char *path = fs_join(*folder ? folder : ".", name);
    is_there = path && access(path, X_OK) == 0;
    free(path);
  }
  free(paths);
  return is_there;
}

/* Does Open MPI's own variable name hosts for mpirun? */
static bool has_hosts(const spec_experiment *e) {
  static const char name[] = "OMPI_MCA_orte_default_hostfile";
  return getenv(name) || spec_pairs_get(&e->environment, name);
}

err ranks_check_machine(const spec_experiment *e, const run_sweep *sweep) {
  for (size_t i = 0; i < sweep->count; i++) {
    const run_cell *c = &sweep->cells[i];
    if (c->state != CELL_WAITING || c->ranks < 2) continue;
    if (!is_installed("mpirun"))
      return err_new(ERR_INPUT,
                     "%s: its %" PRId64 " ranks are started by mpirun, which is not installed "
                     "(apt install openmpi-bin); or set ranks: 1",
                     c->cell->label, c->ranks);
    if (spec_nodes_of(c->cell, c->ranks) > 1 && !has_hosts(e))
      return err_new(ERR_INPUT,
                     "%s: requires %" PRId64 " nodes, and 'flipbench run' uses this machine: "
                     "submit it ('flipbench submit --slurm'), name the machines in a host file "
                     "(OMPI_MCA_orte_default_hostfile=FILE), or set nodes: 1",
                     c->cell->label, spec_nodes_of(c->cell, c->ranks));
  }
  return NULL;
}

/* ---- records ---- */

static json_t *read_record(const char *folder, int64_t attempt, int64_t rank) {
  char *path = ranks_record_path(folder, attempt, rank);
  json_t *record = path ? json_load_file(path, 0, NULL) : NULL;
  free(path);
  return record;
}

bool ranks_have_ended(const char *folder, int64_t attempt, bool *failed) {
  json_t *record = read_record(folder, attempt, 0);
  const json_t *code = json_object_get(record, "exit_code");
  bool has_ended = code != NULL;
  *failed = json_integer_value(code) != 0;
  json_decref(record);
  return has_ended;
}

/* Numbers of the ranks with a record of the attempt; the caller frees. */
static int64_t *list_records(const char *folder, int64_t attempt, size_t *count) {
  char *path = fs_join(folder, "ranks"), **names = NULL;
  size_t total = 0;
  *count = 0;
  if (path && fs_is_folder(path)) err_free(fs_list(path, &names, &total));
  int64_t *ranks = mem_zeroed(total + 1, sizeof *ranks);
  for (size_t i = 0; ranks && i < total; i++) {
    int64_t number, rank;
    if (sscanf(names[i], "attempt-%" SCNd64 "-rank-%" SCNd64 ".json", &number, &rank) == 2 &&
        number == attempt && !fs_is_temporary(names[i]))
      ranks[(*count)++] = rank;
  }
  fs_free_names(names, total);
  free(path);
  return ranks;
}

static int compare_ranks(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

int ranks_wait_status(const char *folder, int64_t attempt) {
  json_t *records = ranks_read_records(folder, attempt);
  size_t i;
  json_t *record;
  int status = 0;
  json_array_foreach(records, i, record) {
    int code = (int)json_integer_value(json_object_get(record, "exit_code"));
    int number = (int)json_integer_value(json_object_get(record, "signal"));
    if (!status) status = W_EXITCODE(number ? 0 : code & 0xff, number & 0x7f);
  }
  json_decref(records);
  return status;
}

json_t *ranks_read_records(const char *folder, int64_t attempt) {
  size_t count;
  int64_t *ranks = list_records(folder, attempt, &count);
  json_t *all = count ? json_array() : NULL;
  if (ranks) qsort(ranks, count, sizeof *ranks, compare_ranks);
  for (size_t i = 0; all && i < count; i++) {
    json_t *record = read_record(folder, attempt, ranks[i]);
    if (record) json_array_append_new(all, record);
  }
  free(ranks);
  return all;
}

void ranks_remove_records(const char *folder, int64_t attempt) {
  size_t count;
  int64_t *ranks = list_records(folder, attempt, &count);
  for (size_t i = 0; i < count; i++) {
    char *path = ranks_record_path(folder, attempt, ranks[i]);
    if (path) unlink(path);
    free(path);
  }
  free(ranks);
}
