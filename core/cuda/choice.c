/* One line per choice, `KEY VALUE` in hexadecimal. Unknown lines are skipped: a damaged file costs
 * time but never fails a run. The file is replaced by renaming, so that readers need no lock. Who
 * makes a choice holds a lock on a second file, NAME.lock, until the choice is in the first; the
 * system releases it when a process dies. */
#include "cuda/choice.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

enum {
  RETRY_MS = 20,
  SILENT_SECONDS = 5,
  PATIENCE_SECONDS = 600 /* for the others' choices: one of them may have been stopped (SIGSTOP) */
};

typedef struct {
  choice_key key;
  choice_value value;
  bool is_ours; /* made by this process, not read */
} choice;

/* Found by hashing: a machine may collect tens of thousands, as every batch size has its own. */
typedef struct {
  choice *items;
  uint32_t *places; /* [2 * capacity]: 1 + the index of an item, or 0 */
  size_t count, capacity;
} choice_list;

struct choice_store {
  char *path, *lock_path; /* NULL: not persistent */
  bool is_lasting;        /* what is added can be written */
  bool has_waited;        /* in vain: this process does not wait again */
  bool (*is_stop_wanted)(void);
  int lock; /* the lock's file, while this process waits or chooses; else -1 */
  choice_list known;
};

/* The place of the key's index, or of 0 if it is not there; the capacity is not 0. */
static uint32_t *place_of(const choice_list *list, const choice_key *key) {
  const size_t places = 2 * list->capacity;
  uint64_t hash = 0;
  for (int i = 0; i < CHOICE_KEY_PARTS; i++)
    hash = (hash ^ (uint64_t)key->part[i]) * UINT64_C(0x9E3779B97F4A7C15);
  size_t at = (size_t)(hash >> 32) % places;
  while (list->places[at] && memcmp(&list->items[list->places[at] - 1].key, key, sizeof *key) != 0)
    at = (at + 1) % places;
  return &list->places[at];
}

static choice *find(const choice_list *list, const choice_key *key) {
  uint32_t index = list->capacity ? *place_of(list, key) : 0;
  return index ? &list->items[index - 1] : NULL;
}

static void free_list(choice_list *list) {
  free(list->items);
  free(list->places);
}

static bool grow(choice_list *list) {
  choice_list larger = {.count = list->count, .capacity = list->capacity ? 2 * list->capacity : 64};
  larger.places = mem_zeroed(2 * larger.capacity, sizeof *larger.places);
  larger.items =
      larger.places ? mem_resize(list->items, larger.capacity, sizeof *larger.items) : NULL;
  if (!larger.items) {
    free(larger.places);
    return false;
  }
  for (size_t i = 0; i < larger.count; i++)
    *place_of(&larger, &larger.items[i].key) = (uint32_t)i + 1;
  free(list->places);
  *list = larger;
  return true;
}

/* Replaces or adds. False when out of memory: then it is chosen again next time. */
static bool set(choice_list *list, const choice *item) {
  choice *earlier = find(list, &item->key);
  if (earlier) {
    *earlier = *item;
    return true;
  }
  if (list->count == list->capacity && !grow(list)) return false;
  list->items[list->count++] = *item;
  *place_of(list, &item->key) = (uint32_t)list->count;
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

/* The folder may be there and belong to another user, or be mounted read-only. */
static bool can_write(const choice_store *store) {
  if (!store->path || !store->lock_path) return false;
  char *folder = mem_copy_string(store->path);
  int fd = open(store->lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  bool is_refused = fd < 0 && (errno == EACCES || errno == EPERM || errno == EROFS);
  bool is_one =
      folder && !is_refused && faccessat(AT_FDCWD, dirname(folder), W_OK, AT_EACCESS) == 0;
  if (fd >= 0) close(fd);
  free(folder);
  return is_one;
}

err choice_store_open(const char *name, bool (*is_stop_wanted)(void), choice_store **out) {
  choice_store *store = mem_zeroed(1, sizeof *store);
  if (!store) return mem_error(sizeof *store, "choices made by timing");
  store->lock = -1;
  store->is_stop_wanted = is_stop_wanted;
  char *folder = cache_folder();
  if (folder) {
    err error = fs_make_folders(folder);
    if (!error) store->path = fs_join(folder, name);
    err_free(error);
  }
  free(folder);
  if (store->path) store->lock_path = path_of_lock(store->path);
  if (store->path) read_file(store->path, &store->known);
  store->is_lasting = can_write(store);
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
  free_list(&store->known);
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
  free_list(&file);
  return is_found;
}

bool choice_store_claim(choice_store *store, const choice_key *key) {
  if (!store->is_lasting) return true;
  const double begun = clock_seconds();
  for (bool is_said = false;;) {
    bool may_choose = try_lock(store);
    if (look_again(store, key)) { /* looked at with the lock held, or the choice was missed */
      choice_store_release(store);
      return false;
    }
    bool is_stopped = store->is_stop_wanted && store->is_stop_wanted();
    if (may_choose || store->has_waited || is_stopped) return true;
    const double waited = clock_seconds() - begun;
    if (waited >= SILENT_SECONDS && !is_said) {
      log_warning(
          "waiting for another process that chooses algorithms by timing (it has locked %s)",
          store->lock_path);
      is_said = true;
    }
    store->has_waited = waited >= PATIENCE_SECONDS;
    if (!store->has_waited) usleep(RETRY_MS * 1000);
  }
}

/* The file as it is now, with the new choice, and with our earlier ones if another process has
 * overwritten them for lack of locks. */
static void save(choice_store *store, const choice *added) {
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
  err error = out.is_broken ? mem_error(out.length, store->path)
                            : fs_write_atomic(store->path, strbuf_string(&out), out.length);
  if (error) log_warning("algorithms chosen by timing are not kept: %s", err_message(error));
  store->is_lasting = !error;
  err_free(error);
  strbuf_free(&out);
  free_list(&file);
}

void choice_store_add(choice_store *store, const choice_key *key, const choice_value *value) {
  const choice item = {*key, *value, true};
  (void)set(&store->known, &item);
  if (store->is_lasting) save(store, &item);
  choice_store_release(store);
}

bool choice_store_is_lasting(const choice_store *store) {
  return store->is_lasting;
}
