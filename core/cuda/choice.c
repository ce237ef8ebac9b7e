/* One line per choice, `KEY VALUE` in hexadecimal. Unknown lines are skipped: a damaged file costs
 * time but never fails a run. */
#include "cuda/choice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"

typedef struct {
  choice_key key;
  choice_value value;
  bool is_ours; /* made by this process, not read */
} choice;

struct choice_store {
  char *path; /* NULL: not persistent */
  choice *items;
  size_t count, capacity;
  bool is_changed;
  double saved; /* when the file was last written, by clock_seconds */
};

#define SAVE_EVERY 1.0 /* seconds */

static choice *find(const choice_store *store, const choice_key *key) {
  for (size_t i = 0; i < store->count; i++)
    if (memcmp(&store->items[i].key, key, sizeof *key) == 0) return &store->items[i];
  return NULL;
}

static void add(choice_store *store, const choice *item) {
  if (store->count == store->capacity) {
    size_t capacity = store->capacity ? 2 * store->capacity : 64;
    choice *larger = mem_resize(store->items, capacity, sizeof *larger);
    if (!larger) return; /* then it is chosen again next time */
    store->items = larger;
    store->capacity = capacity;
  }
  store->items[store->count++] = *item;
}

static void write_hex(strbuf *out, const void *data, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) strbuf_format(out, "%02x", ((const uint8_t *)data)[i]);
}

/* Reads a blank, if `has_blank`, and `bytes` bytes; NULL for anything else. */
static const char *read_hex(const char *text, bool has_blank, void *data, size_t bytes) {
  if (!text || (has_blank && *text++ != ' ')) return NULL;
  for (size_t i = 0; i < bytes; i++) {
    unsigned int value;
    if (sscanf(text + 2 * i, "%2x", &value) != 1) return NULL;
    ((uint8_t *)data)[i] = (uint8_t)value;
  }
  return text + 2 * bytes;
}

static void read_file(choice_store *store) {
  char *text = NULL;
  size_t length = 0;
  err error = fs_read(store->path, &text, &length);
  if (error) {
    err_free(error);
    return;
  }
  char *rest = NULL;
  for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
    choice item = {.is_ours = false};
    const char *at = read_hex(line, false, &item.key, sizeof item.key);
    at = read_hex(at, true, &item.value, sizeof item.value);
    if (at && *at == '\0' && !find(store, &item.key)) add(store, &item);
  }
  free(text);
}

/* $XDG_CACHE_HOME/flip, or ~/.cache/flip; NULL if neither is set. */
static char *cache_folder(void) {
  const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  if (cache && *cache) return fs_join(cache, "flip");
  return home && *home ? fs_join(home, ".cache/flip") : NULL;
}

err choice_store_open(const char *name, choice_store **out) {
  choice_store *store = mem_zeroed(1, sizeof *store);
  if (!store) return mem_error(sizeof *store, "choices made by timing");
  char *folder = cache_folder();
  if (folder) {
    err error = fs_make_folders(folder);
    if (!error) store->path = fs_join(folder, name);
    err_free(error);
  }
  free(folder);
  if (store->path) read_file(store);
  *out = store;
  return NULL;
}

static void keep_ours(choice_store *store) {
  size_t kept = 0;
  for (size_t i = 0; i < store->count; i++)
    if (store->items[i].is_ours) store->items[kept++] = store->items[i];
  store->count = kept;
}

static void save(choice_store *store) {
  strbuf out = {0};
  if (!store->path || !store->is_changed) return;
  keep_ours(store);
  read_file(store); /* entries that other processes added or replaced in the meantime; ours come
                     * first and take precedence */
  for (size_t i = 0; i < store->count; i++) {
    const choice *item = &store->items[i];
    write_hex(&out, &item->key, sizeof item->key);
    strbuf_append(&out, " ");
    write_hex(&out, &item->value, sizeof item->value);
    strbuf_append(&out, "\n");
  }
  if (!out.is_broken) err_free(fs_write_atomic(store->path, strbuf_string(&out), out.length));
  strbuf_free(&out);
  store->is_changed = false;
  store->saved = clock_seconds();
}

void choice_store_close(choice_store *store) {
  if (!store) return;
  save(store);
  free(store->path);
  free(store->items);
  free(store);
}

bool choice_store_find(const choice_store *store, const choice_key *key, choice_value *value) {
  const choice *item = find(store, key);
  if (item) *value = item->value;
  return item != NULL;
}

void choice_store_add(choice_store *store, const choice_key *key, const choice_value *value) {
  const choice item = {*key, *value, true};
  choice *stale = find(store, key);
  if (stale)
    *stale = item;
  else
    add(store, &item);
  store->is_changed = true;
  if (clock_seconds() - store->saved >= SAVE_EVERY) save(store);
}

bool choice_store_is_lasting(const choice_store *store) {
  return store->path != NULL;
}
