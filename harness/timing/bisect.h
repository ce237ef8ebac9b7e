/* Finds the commit that changed a measurement: the commits of a range, their builds, and the
 * search. */
#ifndef FLIPBENCH_TIMING_BISECT_H
#define FLIPBENCH_TIMING_BISECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

typedef struct {
  char id[44], *subject;
  int64_t seconds; /* of its committer's date */
} bisect_commit;

/* The commits from `good` to `bad`, inclusive, oldest first, along first parents. ERR_INPUT when
 * git does not know them or `good` is not an ancestor. Free with bisect_free_commits. */
err bisect_list_commits(const char *repository, const char *good, const char *bad,
                        bisect_commit **commits, size_t *count) ERR_MUST_CHECK;
/* The full id of a commit that git knows by `name` (HEAD~1, a tag) in this folder's checkout; "":
 * none, and then why git could not be asked is appended to `problem`. */
err bisect_find_commit(const char *name, char id[44], strbuf *problem) ERR_MUST_CHECK;
void bisect_free_commits(bisect_commit *commits, size_t count);

/* How to build a commit. */
typedef struct {
  const char *repository, *folder; /* of git; where the checkouts go, each in FOLDER/COMMIT */
  const char *build;               /* a shell command line, run in the checkout */
  const char *program;             /* the resulting program, relative to the checkout */
  const char *logs;                /* where the logs go; NULL: FOLDER */
  const volatile bool *stop;       /* ends a build when it becomes true; may be NULL */
} bisect_builds;

/* Builds the commit's program and returns its absolute path, which the caller frees. An existing
 * build by the same command line is reused; FOLDER/COMMIT.command has it. ERR_INPUT when the build
 * fails, naming its log, LOGS/COMMIT.log. */
err bisect_build(const bisect_builds *builds, const char *commit, char **program) ERR_MUST_CHECK;
/* Removes the commit's checkout, if there is one. */
void bisect_remove_build(const bisect_builds *builds, const char *commit);

typedef enum { BISECT_GOOD, BISECT_BAD, BISECT_SKIPPED } bisect_verdict;
typedef err (*bisect_judge)(void *context, size_t commit, bisect_verdict *verdict);

/* Commit 0 is good, the last one bad. *good and *bad: the newest known good commit before the
 * oldest known bad one; those in between were skipped because they could not be judged. An error of
 * `judge` ends the search; *good and *bad contain the result so far. */
err bisect_search(size_t count, bisect_judge judge, void *context, size_t *good,
                  size_t *bad) ERR_MUST_CHECK;
/* Number of judgements that such a search needs when nothing is skipped. */
int bisect_steps(size_t count);

#endif
