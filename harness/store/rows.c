#include "store/rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static char **member(void *item, size_t offset) {
  return (char **)(void *)((char *)item + offset);
}

err rows_copy_texts(sqlite3_stmt *row, int first, const rows_texts *texts, void *item) {
  for (size_t i = 0; i < texts->count; i++) {
    char *copy = mem_copy_string(sql_text(row, first + (int)i));
    if (!copy) return mem_error(0, "a row of the database");
    *member(item, texts->offsets[i]) = copy;
  }
  return NULL;
}

err rows_empty_texts(const rows_texts *texts, void *item) {
  for (size_t i = 0; i < texts->count; i++) {
    char *copy = mem_copy_string("");
    if (!copy) return mem_error(0, "a row of the database");
    *member(item, texts->offsets[i]) = copy;
  }
  return NULL;
}

void rows_free_texts(const rows_texts *texts, void *item) {
  for (size_t i = 0; i < texts->count; i++) {
    char **text = member(item, texts->offsets[i]);
    free(*text);
    *text = NULL;
  }
}

void rows_free(const rows_kind *kind, void *items, size_t count) {
  for (size_t i = 0; kind->drop && i < count; i++) kind->drop((char *)items + i * kind->bytes);
  free(items);
}

/* The next item, zeroed, in an array that doubles. */
static err add_item(const rows_kind *kind, char **items, size_t *count, size_t *room, void **item) {
  if (*count == *room) {
    size_t wanted = *room ? 2 * *room : 16;
    char *grown = mem_resize(*items, wanted, kind->bytes);
    if (!grown) return mem_error(wanted * kind->bytes, kind->what);
    *items = grown;
    *room = wanted;
  }
  *item = *items + (*count)++ * kind->bytes;
  memset(*item, 0, kind->bytes);
  return NULL;
}

err rows_collect(store *s, sqlite3_stmt *rows, const rows_kind *kind, void **items, size_t *count) {
  char *all = NULL;
  size_t used = 0, room = 0;
  bool more;
  err error = NULL;
  *items = NULL;
  *count = 0;
  while (!(error = sql_next(s, rows, &more)) && more) {
    void *item = NULL;
    error = add_item(kind, &all, &used, &room, &item);
    if (!error) error = kind->take(rows, item);
    if (!error) continue;
    sql_stop(rows);
    break;
  }
  if (error) {
    rows_free(kind, all, used);
    return error;
  }
  *items = all;
  *count = used;
  return NULL;
}

err rows_first(store *s, sqlite3_stmt *rows, const rows_kind *kind, void *item, bool *has_row) {
  err error = sql_next(s, rows, has_row);
  if (error || !*has_row) return error;
  memset(item, 0, kind->bytes);
  error = kind->take(rows, item);
  if (error && kind->drop) kind->drop(item);
  sql_stop(rows);
  return error;
}

/* ---- names ---- */

static err take_name(sqlite3_stmt *row, void *item) {
  *(char **)item = mem_copy_string(sql_text(row, 0));
  return *(char **)item ? NULL : mem_error(0, "a name");
}

static void drop_name(void *item) {
  free(*(char **)item);
}

static const rows_kind name_kind = {sizeof(char *), take_name, drop_name, "a list of names"};

err rows_collect_names(store *s, sqlite3_stmt *rows, store_names *names) {
  void *items;
  err error = rows_collect(s, rows, &name_kind, &items, &names->count);
  names->items = items;
  return error;
}

void store_free_names(store_names *names) {
  rows_free(&name_kind, names->items, names->count);
  *names = (store_names){0};
}
