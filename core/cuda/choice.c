/* One line per choice, `KEY VALUE` in hexadecimal. Unknown lines are skipped: a damaged file costs
 * time but never fails a run. The file is replaced by renaming, so that readers need no lock. Who
 * makes a choice holds a lock on a second file, NAME.lock, until the choice is in the first; the
 * system releases it when a process dies. */
#include "cuda/choice.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"

enum {
  RETRY_MS = 20,
  PATIENCE_SECONDS = 600 /* for the others' choices: one of them may have been stopped (SIGSTOP) */
};

typedef struct {
  choice_key key;
  choice_value value;
  bool is_ours; /* made by this process, not read */
} choice;

typedef struct {
  choice *items;
  size_t count, capacity;
} choice_list;

struct choice_store {
  char *path, *lock_path; /* NULL: not persistent */
  int lock;               /* the lock's file, while this process waits or chooses; else -1 */
  choice_list known;
};

static choice *find(const choice_list *list, const choice_key *key) {
  for (size_t i = 0; i < list->count; i++)
    if (memcmp(&list->items[i].key, key, sizeof *key) == 0) return &list->items[i];
  return NULL;
}

/* Replaces or adds. False when out of memory: then it is chosen again next time. */
static bool set(choice_list *list, const choice *item) {
  choice *earlier = find(list, &item->key);
  if (earlier) {
    *earlier = *item;
    return true;
  }
  if (list->count == list->capacity) {
    size_t capacity = list->capacity ? 2 * list->capacity : 64;
    choice *larger = mem_resize(list->items, capacity, sizeof *larger);
    if (!larger) return false;
    list->items = larger;
    list->capacity = capacity;
  }
  list->items[list->count++] = *item;
  return true;
}

static void write_hex(strbuf *out, const void *data, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) strbuf_format(out, "%02x", ((const uint8_t *)data)[i]);
}

/* -1: not a digit. */
static int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads a blank, if `has_blank`, and `bytes` bytes; NULL for anything else. */
static const char *read_hex(const char *text, bool has_blank, void *data, size_t bytes) {
  if (!text || (has_blank && *text++ != ' ')) return NULL;
  for (size_t i = 0; i < bytes; i++, text += 2) {
    int high = digit(text[0]), low = high < 0 ? -1 : digit(text[1]);
    if (low < 0) return NULL;
    ((uint8_t *)data)[i] = (uint8_t)(16 * high + low);
  }
  return text;
}

static void read_file(const char *path, choice_list *list) {
  char *text = NULL;
  size_t length = 0;
  err error = fs_read(path, &text, &length);
  if (error) {
    err_free(error);
    return;
  }
  char *rest = NULL;
  for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
    choice item = {.is_ours = false};
    const char *at = read_hex(line, false, &item.key, sizeof item.key);
    at = read_hex(at, true, &item.value, sizeof item.value);
    if (at && *at == '\0' && !find(list, &item.key)) (void)set(list, &item);
  }
  free(text);
}

/* $XDG_CACHE_HOME/flip, or ~/.cache/flip; NULL if neither is set. */
static char *cache_folder(void) {
  const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  if (cache && *cache) return fs_join(cache, "flip");
  return home && *home ? fs_join(home, ".cache/flip") : NULL;
}

static char *path_of_lock(const char *path) {
  strbuf lock = {0};
  strbuf_format(&lock, "%s.lock", path);
  return strbuf_take(&lock);
}

err choice_store_open(const char *name, choice_store **out) {
  choice_store *store = mem_zeroed(1, sizeof *store);
  if (!store) return mem_error(sizeof *store, "choices made by timing");
  store->lock = -1;
  char *folder = cache_folder();
  if (folder) {
    err error = fs_make_folders(folder);
    if (!error) store->path = fs_join(folder, name);
    err_free(error);
  }
  free(folder);
  if (store->path) store->lock_path = path_of_lock(store->path);
  if (store->path) read_file(store->path, &store->known);
  *out = store;
  return NULL;
}

void choice_store_release(choice_store *store) {
  if (store->lock < 0) return;
  (void)flock(store->lock, LOCK_UN); /* a process that was just forked has the file open, too */
  close(store->lock);
  store->lock = -1;
}

void choice_store_close(choice_store *store) {
  if (!store) return;
  choice_store_release(store);
  free(store->path);
  free(store->lock_path);
  free(store->known.items);
  free(store);
}

bool choice_store_find(const choice_store *store, const choice_key *key, choice_value *value) {
  const choice *item = find(&store->known, key);
  if (item) *value = item->value;
  return item != NULL;
}

/* False: another process holds the lock. True also where there are no locks, as on some network
 * file systems: there every process chooses for itself. */
static bool try_lock(choice_store *store) {
  if (store->lock < 0 && store->lock_path)
    store->lock = open(store->lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  return store->lock < 0 || flock(store->lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

/* Takes over what other processes have chosen since; true if that includes another value for `key`
 * than the known one, which could not be used. Other known values stay: this run has used them. */
static bool look_again(choice_store *store, const choice_key *key) {
  choice_list file = {0};
  bool is_found = false;
  read_file(store->path, &file);
  for (size_t i = 0; i < file.count; i++) {
    const choice *item = &file.items[i], *known = find(&store->known, &item->key);
    bool is_wanted = memcmp(&item->key, key, sizeof *key) == 0;
    bool is_new = !known || memcmp(&known->value, &item->value, sizeof item->value) != 0;
    if (known && !(is_wanted && is_new)) continue;
    bool is_set = set(&store->known, item);
    is_found = is_found || (is_wanted && is_set);
  }
  free(file.items);
  return is_found;
}

bool choice_store_claim(choice_store *store, const choice_key *key) {
  if (!store->path) return true;
  const double deadline = clock_seconds() + PATIENCE_SECONDS;
  for (;;) {
    bool may_choose = try_lock(store);
    if (look_again(store, key)) { /* looked at with the lock held, or the choice was missed */
      choice_store_release(store);
      return false;
    }
    if (may_choose || clock_seconds() >= deadline) return true;
    usleep(RETRY_MS * 1000);
  }
}

/* The file as it is now, with the new choice, and with our earlier ones if another process has
 * overwritten them for lack of locks. */
static void save(const choice_store *store, const choice *added) {
  choice_list file = {0};
  strbuf out = {0};
  read_file(store->path, &file);
  (void)set(&file, added);
  for (size_t i = 0; i < store->known.count; i++) {
    const choice *item = &store->known.items[i];
    if (item->is_ours && !find(&file, &item->key)) (void)set(&file, item);
  }
  for (size_t i = 0; i < file.count; i++) {
    write_hex(&out, &file.items[i].key, sizeof file.items[i].key);
    strbuf_append(&out, " ");
    write_hex(&out, &file.items[i].value, sizeof file.items[i].value);
    strbuf_append(&out, "\n");
  }
  if (!out.is_broken) err_free(fs_write_atomic(store->path, strbuf_string(&out), out.length));
  strbuf_free(&out);
  free(file.items);
}

void choice_store_add(choice_store *store, const choice_key *key, const choice_value *value) {
  const choice item = {*key, *value, true};
  (void)set(&store->known, &item);
  if (store->path) save(store, &item);
  choice_store_release(store);
}

bool choice_store_is_lasting(const choice_store *store) {
  return store->path != NULL;
}
