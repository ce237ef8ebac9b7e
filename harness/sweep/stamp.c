#include "sweep/stamp.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/shipped.h"
#include "config/yaml.h"
#include "read/shard_expand.h"
#include "read/source.h"
#include "store/runs.h"

typedef struct {
  hash_state *state;
  bool is_whole; /* every file was found */
} stamping;

/* For a folder, its own modification time counts. */
static void add_file(stamping *g, const char *path) {
  struct stat status;
  if (stat(path, &status) != 0) {
    g->is_whole = false;
    return;
  }
  int64_t facts[] = {(int64_t)status.st_size, (int64_t)status.st_mtim.tv_sec,
                     (int64_t)status.st_mtim.tv_nsec};
  hash_add(g->state, path, strlen(path) + 1);
  hash_add(g->state, facts, sizeof facts);
}

static err add_shipped(stamping *g, const char *path) {
  if (!*path) return NULL;
  char *found = shipped_or_given(path);
  if (!found) return mem_error(strlen(path), "a path");
  add_file(g, found);
  free(found);
  return NULL;
}

/* location: a pattern, or @LIST, of which the list is a file too. */
static err add_shards(stamping *g, char *location) {
  char **paths = NULL;
  size_t count = 0;
  if (*location == '@') add_file(g, location + 1);
  err error = shard_expand(&location, 1, &paths, &count);
  for (size_t i = 0; i < count; i++) add_file(g, paths[i]);
  if (paths) fs_free_names(paths, count);
  return error;
}

/* The files that a source names; of a list the images are not looked at. */
static err add_source(stamping *g, const char *name) {
  source_request r = {0};
  const source_format *format;
  char *copy = NULL;
  err error = NULL;
  TRY(source_take_apart(name, &r, &format, &copy));
  const char *names = source_option(&r, "names");
  if (format->open == source_open_pipe)
    g->is_whole = false; /* whatever its command prints */
  else if (format->open == source_open_scenes)
    hash_add(g->state, name, strlen(name) + 1); /* no files: drawn from the name */
  else if (format->open == source_open_shards)
    TRY(add_shards(g, r.location));
  else
    add_file(g, r.location);
  if (names) add_file(g, names);
cleanup:
  free(copy);
  return error;
}

static err add_images(stamping *g, const yml_node *images) {
  err error = NULL;
  if (!yml_is_null(images) && images->kind == YML_SCALAR) return add_source(g, images->scalar);
  if (yml_is_null(images) || images->kind != YML_SEQUENCE) return NULL;
  for (size_t i = 0; i < images->count && !error; i++)
    if (images->items[i]->kind == YML_SCALAR) error = add_source(g, images->items[i]->scalar);
  return error;
}

/* The labelled set of a classifier: its file, its classes, its images. */
static err add_set(stamping *g, const char *name) {
  yml_document *document = NULL;
  char *found = shipped_or_given(name);
  err error = NULL;
  if (!found) FAIL(ERR_MEMORY, "out of memory: a path");
  add_file(g, found);
  TRY(yml_load(found, &document));
  const yml_node *root = yml_root(document), *classes = yml_get(root, "class_file");
  if (!yml_is_null(classes) && classes->kind == YML_SCALAR) add_file(g, classes->scalar);
  TRY(add_images(g, yml_get(root, "images")));
cleanup:
  yml_free(document);
  free(found);
  return error;
}

static bool is_classifier(const settings *s) {
  return s->classification_classes > 0;
}

static bool has_lexicon(const settings *s) {
  return !is_classifier(s) && s->text_mask_mode == TEXT_MASK_SYNTAX;
}

static err add_all(stamping *g, const settings *s) {
  err error = NULL;
  if (is_classifier(s)) return add_set(g, s->classification_train);
  TRY(add_shipped(g, s->text_vocabulary));
  for (size_t i = 0; i < s->data_train.count; i++) TRY(add_source(g, s->data_train.items[i]));
  if (has_lexicon(s)) add_file(g, s->text_mask_lexicon);
  if (!s->data_train.count) g->is_whole = false;
cleanup:
  return error;
}

/* What the digest is of, where that is not the data and the vocabulary alone: stamps of different
 * kinds of files, such as those that earlier versions made, are not compared. */
static const char *kind_of(const settings *s) {
  return is_classifier(s) ? "set:" : has_lexicon(s) ? "lexicon:" : "";
}

char *stamp_make(const settings *s) {
  char digest[HASH_SIZE], host[HOST_NAME_MAX + 1] = "";
  strbuf text = {0};
  stamping g = {hash_begin(), true};
  if (!g.state) return NULL;
  err error = add_all(&g, s);
  hash_finish(g.state, digest);
  bool is_memory = error && err_kind_of(error) == ERR_MEMORY, is_whole = g.is_whole && !error;
  err_free(error); /* the trainer gives it */
  if (is_memory) return NULL;
  gethostname(host, sizeof host - 1);
  if (is_whole) strbuf_format(&text, "%s %s%s", host, kind_of(s), digest);
  return text.length ? strbuf_take(&text) : mem_copy_string("");
}

static bool names_same(const settings *a, const settings *b) {
  bool is_same = is_classifier(a) == is_classifier(b) && has_lexicon(a) == has_lexicon(b) &&
                 strcmp(a->classification_train, b->classification_train) == 0 &&
                 strcmp(a->text_mask_lexicon, b->text_mask_lexicon) == 0 &&
                 strcmp(a->text_vocabulary, b->text_vocabulary) == 0 &&
                 a->data_train.count == b->data_train.count;
  for (size_t i = 0; is_same && i < a->data_train.count; i++)
    is_same = strcmp(a->data_train.items[i], b->data_train.items[i]) == 0;
  return is_same;
}

err stamps_find(stamps *made, const settings *s, const char **text) {
  for (size_t i = made->count; i-- > 0;)
    if (names_same(made->items[i].of, s)) {
      *text = made->items[i].text;
      return NULL;
    }
  made_stamp *grown = mem_resize(made->items, made->count + 1, sizeof *grown);
  if (!grown) return mem_error(sizeof *grown, "the data's stamp");
  made->items = grown;
  made_stamp *last = &made->items[made->count];
  *last = (made_stamp){s, stamp_make(s)};
  if (!last->text) return mem_error(0, "the data's stamp");
  made->count++;
  *text = last->text;
  return NULL;
}

void stamps_free(stamps *made) {
  for (size_t i = 0; i < made->count; i++) free(made->items[i].text);
  free(made->items);
  *made = (stamps){0};
}

/* Host and kind: what comes before the digest. */
static size_t basis_length(const char *stamp) {
  size_t host = strcspn(stamp, " ");
  const char *kind = strchr(stamp + host, ':');
  return kind ? (size_t)(kind - stamp) + 1 : host;
}

static bool is_comparable(const char *then, const char *now) {
  size_t length = basis_length(then);
  return *then && *now && length == basis_length(now) && strncmp(then, now, length) == 0;
}

static err compare(store *s, run_cell *c, stamps *made) {
  store_run run;
  const char *now = "";
  err error = store_load_run(s, c->run_id, &run);
  if (error) return error;
  const char *then = run.data_stamp;
  c->has_unknown_files = true;
  if (*then) error = stamps_find(made, &c->cell->settings, &now);
  if (!error && *then && is_comparable(then, now)) {
    c->has_unknown_files = false;
    c->has_changed_files = strcmp(then, now) != 0;
  }
  store_free_run(&run);
  return error;
}

err stamps_compare(store *s, run_sweep *sweep) {
  stamps made = {0};
  err error = NULL;
  for (size_t i = 0; i < sweep->count && !error; i++)
    if (sweep->cells[i].state == CELL_FINISHED) error = compare(s, &sweep->cells[i], &made);
  stamps_free(&made);
  return error;
}
