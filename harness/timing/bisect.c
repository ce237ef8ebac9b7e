#include "timing/bisect.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/command.h"
#include "timing/git.h"

/* line: "ID SECONDS SUBJECT". */
static err add_commit(bisect_commit **commits, size_t *count, const char *line) {
  bisect_commit *grown = mem_resize(*commits, *count + 1, sizeof *grown);
  if (!grown) return mem_error(sizeof *grown, "commits");
  *commits = grown;
  bisect_commit *one = &grown[(*count)++];
  size_t length = strcspn(line, " ");
  char *rest;
  *one = (bisect_commit){.seconds = strtoll(line + length, &rest, 10)};
  one->subject = mem_copy_string(rest + (*rest == ' '));
  snprintf(one->id, sizeof one->id, "%.*s", (int)(length < 40 ? length : 40), line);
  return one->subject ? NULL : mem_error(0, "commits");
}

static err add_lines(strbuf *lines, bisect_commit **commits, size_t *count) {
  err error = NULL;
  for (char *rest = lines->data, *line; !error && (line = strsep(&rest, "\n"));)
    if (*line) error = add_commit(commits, count, line);
  return error;
}

static err check_repository(const char *repository) {
  char *const words[] = {"git", "-C", (char *)repository, "rev-parse", "--git-dir", NULL};
  strbuf said = {0};
  int status;
  err error = command_read(&(command_call){.words = words}, true, &said, &status);
  int code = error ? 0 : command_exit_status(status);
  strbuf_free(&said);
  if (code == COMMAND_NOT_FOUND) return err_new(ERR_INPUT, "git: command not found");
  if (code)
    error = err_new(ERR_INPUT,
                    "%s is not in a git checkout, whose commits could be measured: name one with "
                    "--repository DIR",
                    strcmp(repository, ".") == 0 ? "this folder" : repository);
  return error;
}

static err check_commit(const char *repository, const char *name) {
  strbuf revision = {0}, said = {0};
  int status = 0;
  strbuf_format(&revision, "%s^{commit}", name);
  char *const words[] = {"git",      "-C",      (char *)repository, "rev-parse",
                         "--verify", "--quiet", revision.data,      NULL};
  err error = revision.is_broken
                  ? mem_error(0, "a commit's name")
                  : command_read(&(command_call){.words = words}, true, &said, &status);
  if (!error && command_exit_status(status))
    error = err_new(ERR_INPUT, "'%s' is no commit of %s", name,
                    strcmp(repository, ".") == 0 ? "the checkout in this folder" : repository);
  strbuf_free(&revision);
  strbuf_free(&said);
  return error;
}

/* Only what git prints on stdout is the id: with GIT_TRACE, for example, it prints more on stderr.
 */
err bisect_find_commit(const char *name, char id[44], strbuf *problem) {
  enum { UNKNOWN_NAME = 1 };
  strbuf revision = {0}, said = {0};
  int status = 0, null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
  *id = '\0';
  strbuf_format(&revision, "%s^{commit}", name);
  char *const words[] = {"git", "rev-parse", "--verify", "--quiet", revision.data, NULL};
  command_call call = {.words = words, .err = null_fd < 0 ? 0 : null_fd};
  err error = revision.is_broken ? mem_error(0, "a commit's name")
                                 : command_read(&call, false, &said, &status);
  int code = error ? 0 : command_exit_status(status);
  if (!error && code == 0)
    snprintf(id, 44, "%.*s", (int)strcspn(strbuf_string(&said), "\n"), strbuf_string(&said));
  else if (code == COMMAND_NOT_FOUND)
    strbuf_append(problem, "git: command not found");
  else if (code && code != UNKNOWN_NAME)
    strbuf_format(problem, "git rev-parse exited with status %d; is this folder in a checkout?",
                  code);
  if (null_fd >= 0) close(null_fd);
  strbuf_free(&revision);
  strbuf_free(&said);
  return error;
}

err bisect_list_commits(const char *repository, const char *good, const char *bad,
                        bisect_commit **commits, size_t *count) {
  strbuf range = {0}, lines = {0}, later = {0};
  *commits = NULL;
  *count = 0;
  strbuf_format(&range, "%s..%s", good, bad);
  char *const first[] = {GIT_PRINTING, "-C", (char *)repository,
                         "log",        "-1", "--format=%H %ct %s",
                         (char *)good, "--", NULL};
  char *const ancestor[] = {"git",           "-C",         (char *)repository, "merge-base",
                            "--is-ancestor", (char *)good, (char *)bad,        NULL};
  char *const others[] = {GIT_PRINTING,
                          "-C",
                          (char *)repository,
                          "log",
                          "--reverse",
                          "--first-parent",
                          "--format=%H %ct %s",
                          range.data,
                          "--",
                          NULL};
  err error = NULL;
  TRY(check_repository(repository));
  TRY(check_commit(repository, good));
  TRY(check_commit(repository, bad));
  TRY(command_capture(first, &lines));
  error = command_capture(ancestor, &lines);
  if (error) {
    err_free(error);
    FAIL(ERR_INPUT, "%s is not an ancestor of %s", good, bad);
  }
  TRY(add_lines(&lines, commits, count));
  TRY(command_capture(others, &later));
  TRY(add_lines(&later, commits, count));
  if (*count < 2) FAIL(ERR_INPUT, "%s and %s are the same commit", good, bad);
cleanup:
  strbuf_free(&range);
  strbuf_free(&lines);
  strbuf_free(&later);
  if (error) {
    bisect_free_commits(*commits, *count);
    *commits = NULL;
    *count = 0;
  }
  return error;
}

void bisect_free_commits(bisect_commit *commits, size_t count) {
  for (size_t i = 0; i < count; i++) free(commits[i].subject);
  free(commits);
}

/* Is the folder a checkout of the commit? Not if the repository that made it is gone: git, and so
 * the program's --version, would know no commit, or that of a repository around it. */
static bool is_checkout_of(const char *folder, const char *commit) {
  char *const words[] = {"git", "-C", (char *)folder, "rev-parse", "--show-prefix", "HEAD", NULL};
  strbuf said = {0}, wanted = {0};
  err error = command_capture_quietly(words, &said);
  strbuf_format(&wanted, "\n%s\n", commit); /* the empty line: it is the checkout's own folder */
  bool is_same = !error && !wanted.is_broken && strcmp(strbuf_string(&said), wanted.data) == 0;
  err_free(error);
  strbuf_free(&said);
  strbuf_free(&wanted);
  return is_same;
}

/* Creates the commit's checkout in its folder, unless it exists. */
static err check_out(const bisect_builds *builds, const char *commit, const char *folder) {
  strbuf said = {0};
  char *const prune[] = {"git", "-C", (char *)builds->repository, "worktree", "prune", NULL};
  char *const add[] = {"git",      "-C",           (char *)builds->repository,
                       "worktree", "add",          "--quiet",
                       "--detach", (char *)folder, (char *)commit,
                       NULL};
  char *const remove[] = {"rm", "-rf", "--", (char *)folder, NULL};
  err error = fs_make_folders(builds->folder);
  if (!error && !is_checkout_of(folder, commit)) {
    error = fs_exists(folder) ? command_capture(remove, &said) : NULL;
    if (!error) error = command_capture(prune, &said);
    if (!error) error = command_capture(add, &said);
  }
  strbuf_free(&said);
  return error;
}

/* FOLDER/COMMIT.command holds the command line that built the checkout next to it. */
static void name_command(const char *folder, strbuf *path) {
  strbuf_format(path, "%s.command", folder);
}

/* Was the checkout built by the same command line, to its end? */
static err was_built(const bisect_builds *builds, const char *folder, const char *program,
                     bool *is_same) {
  strbuf path = {0};
  char *text = NULL;
  size_t length;
  name_command(folder, &path);
  err error = NULL;
  *is_same = access(program, X_OK) == 0 && fs_exists(strbuf_string(&path));
  if (*is_same) error = fs_read(strbuf_string(&path), &text, &length);
  if (*is_same && !error) *is_same = strcmp(text, builds->build) == 0;
  free(text);
  strbuf_free(&path);
  return error;
}

/* What another command line left there could pass for this one's: its files are removed first. */
static err build(const bisect_builds *builds, const char *folder, const char *program,
                 const char *log) {
  char *const clean[] = {"git", "-C", (char *)folder, "clean", "-ffdxq", NULL};
  strbuf said = {0}, path = {0};
  name_command(folder, &path);
  unlink(strbuf_string(&path));
  err error = access(program, X_OK) == 0 ? command_capture(clean, &said) : NULL;
  if (!error) error = command_run_logged(builds->build, folder, log, builds->stop);
  if (!error && access(program, X_OK) != 0)
    error = err_new(ERR_INPUT, "'%s' did not build %s", builds->build, builds->program);
  if (!error) error = fs_write_atomic(strbuf_string(&path), builds->build, strlen(builds->build));
  strbuf_free(&said);
  strbuf_free(&path);
  return error;
}

err bisect_build(const bisect_builds *builds, const char *commit, char **program) {
  char root[PATH_MAX];
  strbuf log = {0};
  char *folder = NULL;
  bool is_built;
  err error = fs_make_folders(builds->folder);
  if (!error && builds->logs) error = fs_make_folders(builds->logs);
  *program = NULL;
  if (!error && !realpath(builds->folder, root))
    error = err_new(ERR_INPUT, "%s: no such folder", builds->folder);
  if (error) return error;
  folder = fs_join(root, commit);
  if (!folder || !(*program = fs_join(folder, builds->program)))
    FAIL(ERR_MEMORY, "out of memory: a build");
  strbuf_format(&log, "%s/%s.log", builds->logs ? builds->logs : root, commit);
  TRY(check_out(builds, commit, folder));
  TRY(was_built(builds, folder, *program, &is_built));
  if (!is_built) TRY(build(builds, folder, *program, strbuf_string(&log)));
cleanup:
  strbuf_free(&log);
  free(folder);
  if (error) {
    free(*program);
    *program = NULL;
  }
  return error;
}

void bisect_remove_build(const bisect_builds *builds, const char *commit) {
  char root[PATH_MAX];
  strbuf said = {0}, command = {0};
  char *folder = realpath(builds->folder, root) ? fs_join(root, commit) : NULL;
  if (folder) name_command(folder, &command);
  if (command.length) unlink(command.data);
  if (folder && fs_is_folder(folder)) {
    char *const words[] = {
        "git", "-C", (char *)builds->repository, "worktree", "remove", "--force", folder, NULL};
    err_free(command_capture(words, &said));
  }
  strbuf_free(&said);
  strbuf_free(&command);
  free(folder);
}

/* The commit between `low` and `high` that is closest to the middle and not skipped; 0: none. */
static size_t middle(const bool *is_skipped, size_t low, size_t high) {
  size_t best = 0, half = low + (high - low) / 2, least = high;
  for (size_t i = low + 1; i < high; i++) {
    size_t distance = i < half ? half - i : i - half;
    if (is_skipped[i] || distance >= least) continue;
    least = distance;
    best = i;
  }
  return best;
}

err bisect_search(size_t count, bisect_judge judge, void *context, size_t *good, size_t *bad) {
  bool *is_skipped = mem_zeroed(count, sizeof *is_skipped);
  err error = is_skipped ? NULL : mem_error(count, "a search");
  *good = 0;
  *bad = count - 1;
  for (size_t at; !error && (at = middle(is_skipped, *good, *bad)) != 0;) {
    bisect_verdict verdict = BISECT_SKIPPED;
    error = judge(context, at, &verdict);
    if (error) break;
    if (verdict == BISECT_GOOD)
      *good = at;
    else if (verdict == BISECT_BAD)
      *bad = at;
    else
      is_skipped[at] = true;
  }
  free(is_skipped);
  return error;
}

int bisect_steps(size_t count) {
  int steps = 0;
  for (size_t between = count - 1; between > 1; between = (between + 1) / 2) steps++;
  return steps;
}
