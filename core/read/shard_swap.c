#include "read/shard_swap.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"

static const char *prefix_of(const shard_swap *s, int which) {
  return which < SHARD_SWAP_PREFIXES ? s->plan.prefixes[which] : NULL;
}

/* A shard of one of the prefixes, or the beginning of one. */
static bool is_ours(const shard_swap *s, const char *name) {
  for (int i = 0; prefix_of(s, i); i++) {
    size_t length = strlen(prefix_of(s, i));
    if (shard_writer_number(name, prefix_of(s, i)) >= 0) return true;
    if (strncmp(name, prefix_of(s, i), length) == 0 && name[length] == '-' && fs_is_temporary(name))
      return true;
  }
  return false;
}

static err remove_unfinished(const shard_swap *s, const char *folder) {
  char **names = NULL;
  size_t count = 0;
  if (!fs_is_folder(folder)) return NULL;
  err error = fs_list(folder, &names, &count);
  if (error) return error;
  for (size_t i = 0; i < count && !error; i++)
    if (!is_ours(s, names[i]))
      error = err_new(ERR_INPUT,
                      "%s/%s: is in the folder where shards are kept until all are there: move it, "
                      "or choose another --out",
                      folder, names[i]);
  for (size_t i = 0; i < count && !error; i++) {
    char *path = fs_join(folder, names[i]);
    if (!path)
      error = mem_error(0, "a path");
    else if (unlink(path) != 0)
      error = err_errno(errno, "%s: cannot remove", path);
    free(path);
  }
  fs_free_names(names, count);
  if (!error && rmdir(folder) != 0) error = err_errno(errno, "%s: cannot remove", folder);
  return error;
}

/* The folder's file of the record: OUT/.PREFIX.shards; NULL when out of memory. */
static char *record_path(const shard_swap *s, int which) {
  strbuf name = {0};
  strbuf_format(&name, ".%s.shards", prefix_of(s, which));
  char *path = name.is_broken ? NULL : fs_join(s->plan.out, strbuf_string(&name));
  strbuf_free(&name);
  return path;
}

/* "flip data scenes 4": the command, and how many shards from number 0 on are its own. */
static err read_record(shard_swap *s, int which) {
  size_t length = 0, maker = strlen(s->plan.maker);
  char *text = NULL, *path = record_path(s, which);
  err error = path ? NULL : mem_error(0, "a path");
  if (!error && fs_exists(path)) error = fs_read_regular(path, &text, &length);
  if (text && strncmp(text, s->plan.maker, maker) == 0 && text[maker] == ' ')
    s->recorded[which] = strtol(text + maker, NULL, 10);
  free(text);
  free(path);
  return error;
}

static err write_record(shard_swap *s, int which, int64_t shards) {
  strbuf text = {0};
  char *path = record_path(s, which);
  strbuf_format(&text, "%s %ld\n", s->plan.maker, (long)shards);
  err error = path && !text.is_broken ? fs_write_atomic(path, strbuf_string(&text), text.length)
                                      : mem_error(0, "a path");
  free(path);
  strbuf_free(&text);
  return error;
}

/* Shards that somebody else put here are not the maker's to replace. */
static err refuse_foreign(shard_swap *s) {
  char **names = NULL;
  size_t count = 0;
  err error = NULL;
  for (int which = 0; prefix_of(s, which) && !error; which++) error = read_record(s, which);
  if (!error) error = fs_list(s->plan.out, &names, &count);
  for (int which = 0; prefix_of(s, which); which++)
    for (size_t i = 0; i < count && !error; i++)
      if (shard_writer_number(names[i], prefix_of(s, which)) >= s->recorded[which])
        error = err_new(ERR_INPUT,
                        "%s/%s: is not recorded as written by '%s', which would replace or remove "
                        "it: move it, or choose another --out",
                        s->plan.out, names[i], s->plan.maker);
  if (names) fs_free_names(names, count);
  return error;
}

err shard_swap_open(const shard_swap_plan *plan, shard_swap *s) {
  *s = (shard_swap){.plan = *plan, .lock = -1};
  strbuf lock = {0}, unfinished = {0};
  err error = NULL;
  strbuf_format(&lock, "%s/.lock%s", plan->out, plan->suffix);
  strbuf_format(&unfinished, "%s/unfinished%s", plan->out, plan->suffix);
  if (lock.is_broken || unfinished.is_broken) FAIL(ERR_MEMORY, "out of memory: a path");
  TRY(fs_make_folders(plan->out));
  TRY(fs_lock(strbuf_string(&lock), plan->out, &s->lock));
  if (plan->maker) TRY(refuse_foreign(s));
  TRY(remove_unfinished(s, strbuf_string(&unfinished)));
  TRY(fs_make_folders(strbuf_string(&unfinished)));
  s->unfinished = strbuf_take(&unfinished);
cleanup:
  strbuf_free(&lock);
  strbuf_free(&unfinished);
  return error;
}

err shard_swap_writer(const shard_swap *s, int which, int64_t samples, shard_writer **out) {
  char *prefix = fs_join(s->unfinished, prefix_of(s, which));
  err error =
      prefix ? shard_writer_open(prefix, samples, out) : mem_error(strlen(s->unfinished), "a path");
  free(prefix);
  return error;
}

static err replace(const shard_swap *s, int which, int64_t shards) {
  char name[64], *prefix = fs_join(s->plan.out, prefix_of(s, which));
  err error = prefix ? shard_writer_remove_from(prefix, 0) : mem_error(0, "a path");
  free(prefix);
  for (int64_t i = 0; i < shards && !error; i++) {
    snprintf(name, sizeof name, "%s-%05ld.tar", prefix_of(s, which), (long)i);
    char *from = fs_join(s->unfinished, name), *to = fs_join(s->plan.out, name);
    if (!from || !to)
      error = mem_error(0, "a path");
    else if (rename(from, to) != 0)
      error = err_errno(errno, "%s: cannot rename to %s", from, to);
    free(from);
    free(to);
  }
  return error;
}

/* The record covers the shards of both sets while they change places, so that the command may be
 * repeated after any interruption. */
err shard_swap_replace(shard_swap *s, const int64_t *shards) {
  err error = NULL;
  for (int i = 0; prefix_of(s, i) && s->plan.maker && !error; i++)
    error = write_record(s, i, shards[i] > s->recorded[i] ? shards[i] : s->recorded[i]);
  for (int i = 0; prefix_of(s, i) && !error; i++) error = replace(s, i, shards[i]);
  for (int i = 0; prefix_of(s, i) && s->plan.maker && !error; i++)
    error = write_record(s, i, shards[i]);
  return error ? error : remove_unfinished(s, s->unfinished);
}

void shard_swap_close(shard_swap *s) {
  if (s->unfinished) err_free(remove_unfinished(s, s->unfinished));
  free(s->unfinished);
  s->unfinished = NULL;
  if (s->lock > 0) close(s->lock); /* 0: never opened */
  s->lock = 0;
}
