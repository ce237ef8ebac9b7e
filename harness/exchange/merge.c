/* Merges results of several machines into one folder. Run directories are copied and then read, so
 * that a merged database equals a rebuilt one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "exchange/story.h"
#include "sweep/directory.h"
#include "sweep/run.h"
#include "store/samples.h"

enum { MOST_NAMES = 1000 };

typedef struct {
  store *s;
  const char *results, *from;
  bool with_checkpoints;
  run_merged *count;
  char **ours; /* the folders of our experiment before the merge */
  size_t our_count;
} merge;

static err copy_bytes(int in, const char *from, fs_writer *to) {
  enum { BLOCK = 1 << 18 };
  char *block = mem_zeroed(BLOCK, 1);
  if (!block) return mem_error(BLOCK, to->path);
  err error = NULL;
  for (ssize_t got; !error && (got = read(in, block, BLOCK)) != 0;)
    error =
        got < 0 ? err_errno(errno, "%s: cannot read", from) : fs_writer_add(to, block, (size_t)got);
  free(block);
  return error;
}

/* Atomic: the whole file or nothing. */
static err copy_file(const char *from, const char *to) {
  fs_writer w = {0};
  int in = open(from, O_RDONLY | O_CLOEXEC);
  if (in < 0) return err_errno(errno, "%s: cannot open", from);
  err error = fs_writer_open(&w, to);
  if (!error) error = copy_bytes(in, from, &w);
  if (!error) error = fs_writer_commit(&w);
  fs_writer_close(&w);
  close(in);
  return error;
}

/* Not part of a record: locks, and what is still being written. */
static bool is_passing(const char *name) {
  return name[0] == '.' || strcmp(name, "lock") == 0 || fs_is_temporary(name);
}

/* The files of a folder but `except` (may be NULL); only_missing: and but those that are there. */
static err copy_folder(const char *from, const char *to, const char *except, bool only_missing) {
  char **names = NULL;
  size_t count = 0;
  err error = fs_make_folders(to);
  if (!error) error = fs_list(from, &names, &count);
  for (size_t i = 0; i < count && !error; i++) {
    if (is_passing(names[i]) || (except && strcmp(names[i], except) == 0)) continue;
    char *source = fs_join(from, names[i]), *target = fs_join(to, names[i]);
    if (!source || !target)
      error = mem_error(0, "a path");
    else if (!fs_is_folder(source) && !(only_missing && fs_exists(target)))
      error = copy_file(source, target);
    free(source);
    free(target);
  }
  fs_free_names(names, count);
  return error;
}

/* Looks for the run among our runs of its cell: it may have been renamed, here or there, since it
 * was merged. *name is empty when it is new. */
static err find_run(const merge *m, const char *experiment, const char *folder,
                    const run_story *theirs, strbuf *name, run_story *ours) {
  size_t length = directory_length_of_cell(folder);
  err error = NULL;
  for (size_t i = 0; i < m->our_count && !error && !name->length; i++) {
    const char *candidate = m->ours[i];
    if (*candidate == '.') continue; /* it is being removed */
    if (strncmp(candidate, folder, length) != 0 || directory_length_of_cell(candidate) != length)
      continue;
    strbuf_format(name, "%s/%s", experiment, candidate);
    error = story_read(m->results, strbuf_string(name), ours);
    if (!error && story_is_same_run(ours, theirs)) break;
    strbuf_clear(name);
    story_free(ours);
  }
  return error;
}

/* A new run keeps its name, or is NAME.merged-N if another run of the same cell has it. */
static err find_free_name(const merge *m, const char *directory, strbuf *name) {
  for (int n = 0; n < MOST_NAMES; n++) {
    strbuf_clear(name);
    strbuf_append(name, directory);
    if (n) strbuf_format(name, ".merged-%d", n);
    char *path = directory_path(m->results, strbuf_string(name), "attempts.jsonl");
    bool is_free = path && !fs_exists(path);
    if (!path) return mem_error(0, "a path");
    free(path);
    if (is_free) return NULL;
  }
  return err_new(ERR_INPUT, "%s: too many runs of one cell", directory);
}

/* The weights of a run that is here already, which an earlier merge left there, or was copying when
 * it was interrupted: every file is whole. */
static err copy_missing_weights(const merge *m, const char *directory, const char *name) {
  char *from = directory_path(m->from, directory, "checkpoints");
  char *to = directory_path(m->results, name, "checkpoints");
  err error = from && to ? NULL : mem_error(0, "a path");
  if (!error && m->with_checkpoints && fs_is_folder(from))
    error = copy_folder(from, to, NULL, true);
  free(from);
  free(to);
  return error;
}

static err copy_run_files(const merge *m, const char *directory, const char *name) {
  char *from = directory_path(m->from, directory, NULL);
  char *to = directory_path(m->results, name, NULL), *weights = NULL, *ours = NULL;
  err error = NULL;
  if (!from || !to) FAIL(ERR_MEMORY, "out of memory: a path");
  weights = fs_join(from, "checkpoints");
  ours = fs_join(to, "checkpoints");
  if (!weights || !ours) FAIL(ERR_MEMORY, "out of memory: a path");
  if (m->with_checkpoints && fs_is_folder(weights)) TRY(copy_folder(weights, ours, NULL, false));
  TRY(copy_folder(from, to, "attempts.jsonl", false));
cleanup:
  free(from);
  free(to);
  free(weights);
  free(ours);
  return error;
}

/* A directory counts as a run once it contains attempts.jsonl, which is copied last: a killed merge
 * leaves no partial runs. */
static err add_run(const merge *m, const char *directory, const char *name) {
  char *from = directory_path(m->from, directory, "attempts.jsonl");
  char *to = directory_path(m->results, name, "attempts.jsonl");
  int64_t run_id;
  err error = from && to ? copy_run_files(m, directory, name) : mem_error(0, "a path");
  if (!error) error = copy_file(from, to);
  if (!error) error = store_ingest(m->s, m->results, name, &run_id);
  if (!error) m->count->merged++;
  free(from);
  free(to);
  return error;
}

/* At the end of our attempts.jsonl, as `flipbench runs` marks a run: what the database has read
 * stays where it was, and a sweep may go on writing. */
static err append_lines(const merge *m, const char *name, const strbuf *lines) {
  char *path = directory_path(m->results, name, "attempts.jsonl");
  int fd = -1;
  err error = NULL;
  if (!path || lines->is_broken) FAIL(ERR_MEMORY, "out of memory: the record of %s", name);
  TRY(directory_mend_lines(m->results, name, "attempts.jsonl"));
  fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd < 0) FAIL(ERR_IO, "%s: cannot open", path);
  error = fs_write_all(fd, lines->data, lines->length, path);
  if (close(fd) != 0 && !error) error = err_errno(errno, "%s: cannot close", path);
cleanup:
  free(path);
  return error;
}

/* A run of both. Its further processes are taken, unless it was archived here, which merging does
 * not undo; of notes and tags the later ones hold; and it is archived if all of what is here was
 * archived there, after the last archiving or restoring here: of a run that went on here, an
 * archived beginning says nothing. */
static err update_run(const merge *m, const char *directory, const char *name,
                      const run_story *ours, const run_story *theirs) {
  strbuf lines = {0};
  const char *our_time, *their_time;
  int64_t run_id;
  const bool is_archived = story_is_archived(ours, &our_time);
  const bool is_newer = !is_archived && theirs->processes > ours->processes;
  err error = NULL;
  TRY(is_newer ? copy_run_files(m, directory, name) : copy_missing_weights(m, directory, name));
  story_add_missing(ours, theirs, is_newer, &lines);
  if (lines.length || lines.is_broken) {
    TRY(append_lines(m, name, &lines));
    TRY(store_ingest(m->s, m->results, name, &run_id));
  }
  if (story_is_archived(theirs, &their_time) && !is_archived && strcmp(their_time, our_time) > 0 &&
      theirs->processes >= ours->processes && !directory_is_held(m->results, name)) {
    TRY(store_ingest(m->s, m->results, name, &run_id));
    if (run_id) TRY(run_archive(m->s, m->results, run_id));
    m->count->archived += run_id != 0;
  }
  *(is_newer ? &m->count->merged : &m->count->known) += 1;
cleanup:
  strbuf_free(&lines);
  return error;
}

static err merge_run(const merge *m, const char *experiment, const char *folder) {
  run_story theirs = {0}, ours = {0};
  strbuf name = {0};
  char *directory = fs_join(experiment, folder);
  err error = directory ? story_read(m->from, directory, &theirs) : mem_error(0, "a path");
  if (!error && theirs.is_unreadable)
    log_warning("%s/%s/attempts.jsonl: no start of a process can be read: the run is left out",
                m->from, directory);
  if (error || !theirs.processes) goto cleanup; /* not a run's directory */
  if (!theirs.is_closed) { /* closed here, it would be another run than the one continued there */
    bool is_elsewhere, is_alive = directory_is_alive(m->from, directory, &is_elsewhere);
    *(is_alive ? &m->count->running : &m->count->abandoned) += 1;
    goto cleanup;
  }
  TRY(find_run(m, experiment, folder, &theirs, &name, &ours));
  if (name.length) {
    error = update_run(m, directory, strbuf_string(&name), &ours, &theirs);
    goto cleanup;
  }
  TRY(find_free_name(m, directory, &name));
  error = add_run(m, directory, strbuf_string(&name));
cleanup:
  free(directory);
  story_free(&theirs);
  story_free(&ours);
  strbuf_free(&name);
  return error;
}

/* Ours is kept when both have the experiment: their cells are added through their runs. */
static err merge_experiment(merge *m, const char *name) {
  char *theirs = directory_path(m->from, name, "experiment.json"), *text = NULL;
  char *ours = directory_path(m->results, name, "experiment.json");
  char *folder = directory_path(m->results, name, NULL), *their_folder = NULL, **runs = NULL;
  size_t length = 0, count = 0;
  err error = NULL;
  if (!theirs || !ours || !folder) FAIL(ERR_MEMORY, "out of memory: a path");
  if (!fs_exists(theirs)) goto cleanup;
  m->count->experiments++;
  TRY(fs_make_folders(folder));
  if (!fs_exists(ours)) {
    TRY(fs_read(theirs, &text, &length));
    TRY(err_context(store_put_experiment(m->s, text, length), "%s", theirs));
    TRY(fs_write_atomic(ours, text, length));
  }
  their_folder = directory_path(m->from, name, NULL);
  if (!their_folder) FAIL(ERR_MEMORY, "out of memory: a path");
  TRY(fs_list(folder, &m->ours, &m->our_count));
  TRY(fs_list(their_folder, &runs, &count));
  for (size_t i = 0; i < count; i++)
    if (*runs[i] != '.') TRY(merge_run(m, name, runs[i])); /* else it is being removed */
cleanup:
  fs_free_names(runs, count);
  fs_free_names(m->ours, m->our_count);
  m->ours = NULL;
  m->our_count = 0;
  free(theirs);
  free(ours);
  free(folder);
  free(their_folder);
  free(text);
  return error;
}

/* ---- timings of `flipbench compare`: one file per session ---- */

static bool begins_with(const char *text, size_t length, const char *start, size_t start_length) {
  return length >= start_length && memcmp(text, start, start_length) == 0;
}

/* The name of a session in our results: its own, or NAME.merged-N.jsonl if another session has it.
 * Lines are only appended, so of two with a common beginning the longer one is newer. */
static err find_session(const merge *m, const char *name, const char *text, size_t length,
                        strbuf *path, bool *is_known) {
  for (int n = 0; n < MOST_NAMES; n++) {
    char *ours = NULL;
    size_t ours_length = 0;
    strbuf_clear(path);
    const char *end = strrchr(name, '.'); /* sessions are files that end in .jsonl */
    int stem = (int)(end ? (size_t)(end - name) : strlen(name));
    strbuf_format(path, "%s/benchmarks/%.*s", m->results, stem, name);
    if (n) strbuf_format(path, ".merged-%d", n);
    if (end) strbuf_append(path, end);
    *is_known = false;
    if (!fs_exists(strbuf_string(path))) return NULL;
    err error = fs_read(strbuf_string(path), &ours, &ours_length);
    if (error) return error;
    *is_known = begins_with(ours, ours_length, text, length);
    bool is_older = begins_with(text, length, ours, ours_length);
    free(ours);
    if (*is_known || is_older) return NULL;
  }
  return err_new(ERR_INPUT, "%s: too many sessions of one name", name);
}

static err merge_session(const merge *m, const char *name) {
  strbuf from = {0}, to = {0};
  char *text = NULL;
  size_t length = 0;
  bool is_known;
  err error = NULL;
  strbuf_format(&from, "%s/benchmarks/%s", m->from, name);
  if (fs_is_folder(strbuf_string(&from))) goto cleanup;
  TRY(fs_read(strbuf_string(&from), &text, &length));
  TRY(find_session(m, name, text, length, &to, &is_known));
  if (is_known) goto cleanup;
  TRY(fs_write_atomic(strbuf_string(&to), text, length));
  m->count->sessions++;
cleanup:
  strbuf_free(&from);
  strbuf_free(&to);
  free(text);
  return error;
}

static err merge_sessions(const merge *m) {
  char *theirs = fs_join(m->from, "benchmarks"), *ours = fs_join(m->results, "benchmarks");
  char **names = NULL;
  size_t count = 0;
  err error = theirs && ours ? NULL : mem_error(0, "a path");
  if (!error && fs_is_folder(theirs)) error = fs_list(theirs, &names, &count);
  if (!error && count) error = fs_make_folders(ours);
  for (size_t i = 0; i < count && !error; i++) /* pages and figures are drawn, not merged */
    if (text_ends_with(names[i], ".jsonl")) error = merge_session(m, names[i]);
  if (!error && count) error = store_ingest_samples(m->s, m->results);
  fs_free_names(names, count);
  free(theirs);
  free(ours);
  return error;
}

err run_merge(store *s, const char *results, const char *from, bool with_checkpoints,
              run_merged *count) {
  struct stat a, b;
  merge m = {.s = s,
             .results = results,
             .from = from,
             .with_checkpoints = with_checkpoints,
             .count = count};
  char **names = NULL;
  size_t name_count = 0;
  if (!fs_is_folder(from)) return err_new(ERR_INPUT, "%s: no such results folder", from);
  if (stat(results, &a) == 0 && stat(from, &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev)
    return err_new(ERR_INPUT,
                   "%s is the destination results folder itself; name the other machine's", from);
  err error = fs_list(from, &names, &name_count);
  for (size_t i = 0; i < name_count && !error; i++) error = merge_experiment(&m, names[i]);
  fs_free_names(names, name_count);
  if (!error) error = merge_sessions(&m);
  if (!error && !count->experiments && !count->sessions)
    error =
        err_new(ERR_INPUT,
                "%s contains no experiment (NAME/experiment.json): is it a results folder?", from);
  return error;
}
