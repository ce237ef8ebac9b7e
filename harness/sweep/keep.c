/* User operations on single runs: notes, tags, archive, remove. All are written to the run's folder
 * (attempts.jsonl), so that a rebuilt database has them too. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "sweep/directory.h"
#include "sweep/run.h"
#include "store/lineage.h"
#include "store/runs.h"

/* A recorded run. */
typedef struct {
  int64_t id;
  char *directory, *path;
  bool is_archived, is_there; /* its folder is */
} kept_run;

static void free_kept(kept_run *run) {
  free(run->directory);
  free(run->path);
}

static err find_kept(store *s, const char *results, int64_t run_id, kept_run *run) {
  store_run recorded;
  *run = (kept_run){.id = run_id};
  err error = store_load_run(s, run_id, &recorded);
  if (error) return error;
  run->directory = recorded.directory;
  recorded.directory = NULL;
  run->is_archived = recorded.is_archived;
  store_free_run(&recorded);
  run->path = directory_path(results, run->directory, NULL);
  run->is_there = run->path && fs_is_folder(run->path);
  return run->path ? NULL : mem_error(0, "a path");
}

static err refuse_alive(const char *results, const kept_run *run, const char *what) {
  if (!run->is_there || !directory_is_held(results, run->directory)) return NULL;
  return err_new(ERR_INPUT, "run %lld is running: stop it before you %s it", (long long)run->id,
                 what);
}

/* ---- marks ---- */

/* Writes to the folder and then to the database, which must not be locked by another process: the
 * mark would be in the folder alone, after an error. False: the folder is gone, so the caller
 * changes only the database. */
static err mark(store *s, const char *results, const kept_run *run, const char *what,
                const char *text, bool *is_done) {
  int64_t run_id;
  *is_done = run->is_there;
  if (!run->is_there) return NULL;
  err error = store_begin(s);
  if (error) return error;
  error = directory_record_mark(results, run->directory, what, text);
  if (!error) error = store_ingest(s, results, run->directory, &run_id);
  return store_end(s, error);
}

err run_note(store *s, const char *results, int64_t run_id, const char *text) {
  kept_run run;
  bool is_done;
  err error = find_kept(s, results, run_id, &run);
  if (!error) error = mark(s, results, &run, "note", text, &is_done);
  if (!error && !is_done) error = store_note_run(s, run_id, text);
  free_kept(&run);
  return error;
}

err run_tag(store *s, const char *results, int64_t run_id, const char *name, bool is_wanted) {
  kept_run run;
  bool is_done;
  err error = find_kept(s, results, run_id, &run);
  if (!error) error = mark(s, results, &run, is_wanted ? "tag" : "untag", name, &is_done);
  if (!error && !is_done) error = store_tag_run(s, run_id, name, is_wanted);
  free_kept(&run);
  return error;
}

static err mark_archived(store *s, const char *results, const kept_run *run, bool is_archived) {
  bool is_done;
  err error = mark(s, results, run, is_archived ? "archive" : "restore", NULL, &is_done);
  return error || is_done ? error : store_archive_run(s, run->id, is_archived);
}

/* ---- archive and restore ---- */

/* In this order, being killed in between leaves a run recorded in a folder that is missing, which
 * run_archive finds under its new name. */
static err rename_folder(store *s, const char *results, const kept_run *run, const char *name) {
  char *to = name ? directory_path(results, name, NULL) : NULL;
  if (!to) return mem_error(0, "a path");
  err error = NULL;
  if (rename(run->path, to) != 0)
    error = err_errno(errno, "%s: cannot rename to %s", run->path, to);
  else
    error = store_move_run(s, run->id, name);
  free(to);
  return error;
}

err run_archive(store *s, const char *results, int64_t run_id) {
  kept_run run;
  char *name = NULL;
  err error = NULL;
  TRY(find_kept(s, results, run_id, &run));
  bool is_away = run.directory[directory_find_ending(run.directory, ".archived-")] != '\0';
  if (run.is_archived && is_away) goto cleanup;
  TRY(refuse_alive(results, &run, "archive"));
  if (!run.is_archived) TRY(mark_archived(s, results, &run, true));
  if (is_away) goto cleanup;
  TRY(directory_find_name(s, results, run.directory, ".archived-", run.is_there, &name));
  if (run.is_there)
    error = rename_folder(s, results, &run, name);
  else /* so that the cell's next run is not taken for this one */
    error = store_move_run(s, run.id, name);
cleanup:
  free(name);
  free_kept(&run);
  return error;
}

err run_restore(store *s, const char *results, int64_t run_id) {
  kept_run run;
  store_run other = {0};
  char *name = NULL, *path = NULL;
  err error = NULL;
  TRY(find_kept(s, results, run_id, &run));
  if (!run.is_archived) goto cleanup;
  TRY(mark_archived(s, results, &run, false));
  name = mem_copy_string(run.directory);
  if (!name) FAIL(ERR_MEMORY, "out of memory: a path");
  const size_t own = directory_find_ending(name, ".archived-");
  if (!run.is_there || !name[own]) goto cleanup;
  name[own] = '\0';
  path = directory_path(results, name, NULL);
  if (!path) FAIL(ERR_MEMORY, "out of memory: a path");
  /* another run may have taken its name: then it keeps this one */
  TRY(store_find_run_in(s, name, &other));
  if (!other.run_id && !fs_exists(path)) error = rename_folder(s, results, &run, name);
  store_free_run(&other);
cleanup:
  free(name);
  free(path);
  free_kept(&run);
  return error;
}

/* What was started from it would not be known to come from another run with the same weights. */
static err keep_origin(store *s, const char *results, const kept_run *run) {
  int64_t *children;
  size_t count;
  double loss;
  char text[32];
  err error = store_list_started_from(s, run->id, &children, &count, &loss);
  snprintf(text, sizeof text, "%.17g", loss);
  for (size_t i = 0; i < count && !error; i++) {
    kept_run child;
    bool is_done;
    error = find_kept(s, results, children[i], &child);
    if (!error) error = mark(s, results, &child, "origin", text, &is_done);
    free_kept(&child);
  }
  free(children);
  return error;
}

/* Where the folder of a run is while it is removed: beside it, under a name that no reader of
 * folders looks at. */
static char *removal_path(const char *results, const char *directory) {
  strbuf name = {0};
  const char *own = fs_name(directory);
  strbuf_format(&name, "%.*s.removing-%s", (int)(own - directory), directory, own);
  char *path = name.is_broken ? NULL : directory_path(results, name.data, NULL);
  strbuf_free(&name);
  return path;
}

static err remove_all(const char *path) {
  directory_remove(path);
  if (!fs_exists(path)) return NULL;
  return err_new(ERR_IO, "%s: cannot be removed completely; check its permissions", path);
}

err run_end_removal(const char *results, const char *directory, bool *is_gone) {
  char *path = removal_path(results, directory);
  if (!path) return mem_error(0, "a path");
  *is_gone = fs_is_folder(path);
  err error = *is_gone ? remove_all(path) : NULL;
  free(path);
  return error;
}

/* In one step the folder is no run's any more, so that being killed leaves no part of a run. */
err run_remove(store *s, const char *results, int64_t run_id) {
  kept_run run;
  bool is_left;
  char *away = NULL;
  err error = NULL;
  TRY(find_kept(s, results, run_id, &run));
  TRY(refuse_alive(results, &run, "remove"));
  TRY(keep_origin(s, results, &run));
  away = removal_path(results, run.directory);
  if (!away) FAIL(ERR_MEMORY, "out of memory: a path");
  TRY(run_end_removal(results, run.directory, &is_left)); /* of an earlier run of that name */
  if (run.is_there && rename(run.path, away) != 0)
    FAIL(ERR_IO, "%s: cannot be removed: %s", run.path, strerror(errno));
  TRY(store_forget_run(s, run_id));
  if (run.is_there) error = remove_all(away);
cleanup:
  free(away);
  free_kept(&run);
  return error;
}
