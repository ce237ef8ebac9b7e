/* Opening the database of a results folder. One that lies in the folder belongs to it, wherever the
 * folder is moved. One that is given apart (--db, FLIPBENCH_DB) would show the runs of one folder
 * for another, and take them for done there: so the folder has an id in a file, and the database
 * records the id. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "store/results_folder.h"
#include "store/runs.h"

enum { ID_LENGTH = 16 }; /* hexadecimal digits */

static const char id_file[] = ".flipbench-id";

static bool are_same_file(const char *a, const char *b) {
  struct stat x, y;
  return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* The folder of the database; the caller frees. */
static char *home_of(const cli_place *place) {
  char *copy = mem_copy_string(place->path), *home = NULL;
  if (copy) home = mem_copy_string(dirname(copy));
  free(copy);
  return home;
}

/* "" when the folder has none, or one that is still being written. */
static err read_id(const char *results, char id[ID_LENGTH + 1]) {
  char *path = fs_join(results, id_file);
  if (!path) return mem_error(0, "a path");
  FILE *file = fopen(path, "re");
  size_t length = file ? fread(id, 1, ID_LENGTH, file) : 0;
  if (file) fclose(file);
  free(path);
  id[length == ID_LENGTH ? ID_LENGTH : 0] = '\0';
  if (strspn(id, "0123456789abcdef") != strlen(id)) *id = '\0';
  return NULL;
}

/* Of several processes that do so at once one makes the id of all. A folder that cannot be written
 * gets none. */
static err make_id(const char *results, char id[ID_LENGTH + 1]) {
  char *path = fs_join(results, id_file);
  uint64_t number;
  char text[ID_LENGTH + 2];
  if (!path) return mem_error(0, "a path");
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  err error = NULL;
  if (fd >= 0) {
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
      number = (uint64_t)getpid() << 32 ^ (uint64_t)time(NULL);
    snprintf(text, sizeof text, "%016llx\n", (unsigned long long)number);
    error = fs_write_all(fd, text, sizeof text - 1, path);
    close(fd);
  }
  free(path);
  return error ? error : read_id(results, id);
}

/* Is the folder of a recorded run below `results`? *count: the recorded runs. */
static err has_runs_of(store *s, const char *results, size_t *count, bool *has_one) {
  store_run_line *runs;
  *has_one = false;
  err error = store_list_runs(s, &(store_run_filter){0}, &runs, count);
  if (error) return error;
  for (size_t i = 0; i < *count && !error && !*has_one; i++) {
    char *path = fs_join(results, runs[i].directory);
    if (path)
      *has_one = fs_is_folder(path);
    else
      error = mem_error(0, "a path");
    free(path);
  }
  store_free_run_lines(runs, *count);
  return error;
}

/* A database that names no folder yet: it has no runs, or is that of the folder where they are. */
static err find_unnamed(store *s, const cli_place *place, store_results_folder *named,
                        bool *is_own) {
  char *home = home_of(place);
  size_t count;
  bool is_there;
  if (!home) return mem_error(0, "a path");
  err error = has_runs_of(s, home, &count, &is_there);
  if (!error && is_there) {
    free(named->path);
    named->path = home;
    *is_own = false;
    return NULL;
  }
  free(home);
  if (!error) error = has_runs_of(s, place->results, &count, &is_there);
  *is_own = is_there || !count;
  return error;
}

static err refuse(const cli_place *place, const store_results_folder *named) {
  if (!*named->path)
    return err_new(ERR_INPUT,
                   "%s: the folders of the runs that it records are not in the results folder %s; "
                   "give their folder with --results, or another database with --db (or "
                   "FLIPBENCH_DB)",
                   place->path, place->results);
  return err_new(ERR_INPUT,
                 "%s: records the runs of the results folder %s, not of %s; give that folder with "
                 "--results, or another database with --db (or FLIPBENCH_DB). If these are the "
                 "same runs, remove the database: 'flipbench db rebuild' makes it from the folder",
                 place->path, named->path, place->results);
}

/* An error when the database is of another results folder. `makes`: runs are written to this one.
 */
static err check(store *s, const cli_place *place, bool makes) {
  char *home = home_of(place), id[ID_LENGTH + 1];
  store_results_folder named = {0};
  bool is_own = true;
  err error = NULL;
  if (!home) FAIL(ERR_MEMORY, "out of memory: a path");
  if (are_same_file(home, place->results)) goto cleanup;
  if (!makes && !fs_is_folder(place->results)) goto cleanup; /* only the database is at hand */
  TRY(store_load_results_folder(s, &named));
  TRY(read_id(place->results, id));
  if (*named.id)
    is_own = strcmp(named.id, id) == 0;
  else if (makes)
    TRY(find_unnamed(s, place, &named, &is_own));
  if (!is_own) error = refuse(place, &named);
cleanup:
  free(home);
  store_free_results_folder(&named);
  return error;
}

/* After check: the folder gets an id, and the database the folder's id and its present path. */
static err bind(store *s, const cli_place *place) {
  char *home = home_of(place), id[ID_LENGTH + 1], real[PATH_MAX];
  store_results_folder named = {0};
  err error = NULL;
  if (!home) FAIL(ERR_MEMORY, "out of memory: a path");
  if (are_same_file(home, place->results)) goto cleanup;
  TRY(fs_make_folders(place->results));
  TRY(read_id(place->results, id));
  if (!*id) TRY(make_id(place->results, id));
  if (!*id || !realpath(place->results, real)) goto cleanup;
  TRY(store_load_results_folder(s, &named));
  if (strcmp(named.id, id) != 0 || strcmp(named.path, real) != 0)
    error = store_put_results_folder(s, id, real);
cleanup:
  free(home);
  store_free_results_folder(&named);
  return error;
}

static err give_or_close(err error, store **s) {
  if (!error) return NULL;
  store_close(*s);
  *s = NULL;
  return error;
}

err cli_open_place(const cli_place *place, store **s) {
  err error = store_open_existing(place->path, s);
  return error ? error : give_or_close(check(*s, place, false), s);
}

err cli_read_place(const cli_place *place, store **s) {
  err error = store_open_reading(place->path, s);
  return error ? error : give_or_close(check(*s, place, false), s);
}

err cli_check_place(const cli_place *place) {
  store *s = NULL;
  err error = fs_exists(place->path) ? cli_open_place(place, &s) : NULL;
  store_close(s);
  return error;
}

err cli_copy_place(const cli_place *place, store **s) {
  err error = store_open_copy(place->path, s);
  return error ? error : give_or_close(check(*s, place, true), s);
}

/* Whether the folder has experiments, and the database is missing or has nothing at all: it was
 * deleted, or lost with the machine's power, or a rebuild was killed while it exchanged the two. */
static err is_lost(const cli_place *place, bool *is) {
  struct stat status;
  char **names = NULL;
  size_t count = 0;
  *is = false;
  if (stat(place->path, &status) == 0 && status.st_size > 0) return NULL;
  err error = fs_is_folder(place->results) ? fs_list(place->results, &names, &count) : NULL;
  for (size_t i = 0; i < count && !error && !*is; i++) {
    strbuf path = {0};
    strbuf_format(&path, "%s/%s/experiment.json", place->results, names[i]);
    error = path.is_broken ? mem_error(0, "a path") : NULL;
    *is = !error && fs_exists(path.data);
    strbuf_free(&path);
  }
  fs_free_names(names, count);
  return error;
}

/* A new database would know only what this command asks for: the rest would be missing in reports,
 * and cells that other experiments have finished would be trained again. */
static err rebuild_lost(const cli_place *place) {
  bool is;
  size_t runs;
  err error = is_lost(place, &is);
  if (!error && is) error = run_rebuild(place->path, place->results, &runs);
  if (!error && is)
    log_warning("%s was missing: it is made again from the folders of %zu runs in %s", place->path,
                runs, place->results);
  return error;
}

err cli_make_place(const cli_place *place, store **s) {
  err error = rebuild_lost(place);
  if (!error) error = store_open(place->path, s);
  if (error) return error;
  error = check(*s, place, true);
  if (!error) error = bind(*s, place);
  return give_or_close(error, s);
}

err cli_rebuild_place(const cli_place *place, size_t *runs) {
  store *s = NULL;
  err error = NULL;
  /* a copy, as the old database is kept as it is; one that cannot be read is no reason to stop */
  err unreadable = store_open_copy(place->path, &s);
  if (unreadable && err_kind_of(unreadable) == ERR_MEMORY) return unreadable;
  if (!unreadable) error = check(s, place, true);
  err_free(unreadable);
  store_close(s);
  s = NULL;
  if (!error) error = run_rebuild(place->path, place->results, runs);
  if (!error) error = store_open_existing(place->path, &s);
  if (!error) error = bind(s, place);
  store_close(s);
  return error;
}
