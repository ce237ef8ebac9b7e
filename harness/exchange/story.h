/* What attempts.jsonl says of a run: its processes, by which runs are compared, and what users
 * marked it with (`flipbench runs`). */
#ifndef FLIPBENCH_EXCHANGE_STORY_H
#define FLIPBENCH_EXCHANGE_STORY_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/err.h"
#include "base/text.h"

typedef struct {
  const char *text; /* within the story's text, without its line end */
  size_t length;
  json_t *object;  /* owned */
  bool is_process; /* the start or the end of one; else a mark */
} story_line;

/* Lines that cannot be read are left out. */
typedef struct {
  char *text;
  story_line *lines;
  size_t count, processes; /* processes: lines that are of one; 0: no run, or none with a start */
  bool is_unreadable;      /* there is a file, but no line of it is the start of a process */
  /* The last process that was started has ended. An earlier one may have no recorded end: its
   * flipbench was killed, and the trainer survived it. */
  bool is_closed;
} run_story;

/* RESULTS/DIRECTORY/attempts.jsonl; a missing file is a story without lines. Free with
 * story_free. */
err story_read(const char *results, const char *directory, run_story *story) ERR_MUST_CHECK;
void story_free(run_story *story);

/* A run that went on has all the processes that it had before, so of two directories with the same
 * run one's processes are the beginning of the other's. Two that went on from a copied run are two
 * runs. Marks do not count. */
bool story_is_same_run(const run_story *a, const run_story *b);

/* Archived, by the last such mark; *time (may be NULL): of that mark, "" if there is none. */
bool story_is_archived(const run_story *story, const char **time);

/* Appends the lines of `theirs` that `ours`, the same run, lacks: with `takes_processes` those of
 * its further processes, and its notes and tags that are later than ours of the same subject (the
 * note; each tag). Archiving and restoring are not among them. */
void story_add_missing(const run_story *ours, const run_story *theirs, bool takes_processes,
                       strbuf *lines);

#endif
