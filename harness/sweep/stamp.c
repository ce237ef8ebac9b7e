#include "sweep/stamp.h"

#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/runs.h"

/* False when a file does not exist. For a folder, its own modification time counts. */
static bool add_file(const char *path, hash_state *state) {
  struct stat status;
  if (stat(path, &status) != 0) return false;
  int64_t facts[] = {(int64_t)status.st_size, (int64_t)status.st_mtim.tv_sec,
                     (int64_t)status.st_mtim.tv_nsec};
  hash_add(state, path, strlen(path) + 1);
  hash_add(state, facts, sizeof facts);
  return true;
}

static bool add_pattern(const char *pattern, hash_state *state) {
  glob_t found;
  if (!*pattern) return true;
  if (glob(pattern, GLOB_BRACE, NULL, &found) != 0) return false;
  bool are_there = found.gl_pathc > 0;
  for (size_t i = 0; i < found.gl_pathc; i++)
    are_there = add_file(found.gl_pathv[i], state) && are_there;
  globfree(&found);
  return are_there;
}

char *stamp_make(const settings *s) {
  char digest[HASH_SIZE], host[HOST_NAME_MAX + 1] = "";
  strbuf text = {0};
  hash_state *state = hash_begin();
  if (!state) return NULL;
  bool is_whole = add_pattern(s->text_vocabulary, state) && s->data_train.count > 0;
  for (size_t i = 0; i < s->data_train.count; i++)
    is_whole = add_pattern(s->data_train.items[i], state) && is_whole;
  hash_finish(state, digest);
  gethostname(host, sizeof host - 1);
  if (is_whole) strbuf_format(&text, "%s %s", host, digest);
  return text.length ? strbuf_take(&text) : mem_copy_string("");
}

/* Cells of an experiment usually use the same files: caches the last stamp and its files. */
typedef struct {
  const settings *of;
  char *text;
} last_stamp;

static bool names_same(const settings *a, const settings *b) {
  bool is_same = strcmp(a->text_vocabulary, b->text_vocabulary) == 0 &&
                 a->data_train.count == b->data_train.count;
  for (size_t i = 0; is_same && i < a->data_train.count; i++)
    is_same = strcmp(a->data_train.items[i], b->data_train.items[i]) == 0;
  return is_same;
}

static err refresh(const settings *s, last_stamp *last) {
  if (last->of && names_same(last->of, s)) return NULL;
  free(last->text);
  last->of = s;
  last->text = stamp_make(s);
  return last->text ? NULL : mem_error(0, "the data's stamp");
}

static err compare(store *s, run_cell *c, last_stamp *last) {
  store_run run;
  err error = store_load_run(s, c->run_id, &run);
  if (error) return error;
  const char *then = run.data_stamp;
  size_t host = strcspn(then, " ");
  if (*then) error = refresh(&c->cell->settings, last);
  if (!error && *then && *last->text)
    c->has_changed_files =
        strncmp(then, last->text, host + 1) == 0 && strcmp(then, last->text) != 0;
  store_free_run(&run);
  return error;
}

err stamps_compare(store *s, run_sweep *sweep) {
  last_stamp last = {0};
  err error = NULL;
  for (size_t i = 0; i < sweep->count && !error; i++)
    if (sweep->cells[i].state == CELL_FINISHED) error = compare(s, &sweep->cells[i], &last);
  free(last.text);
  return error;
}
