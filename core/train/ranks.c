#include "train/ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

typedef struct {
  int has_failed, kind;
  char message[1000];
} report;

static err gather(comm *c, const void *own, size_t bytes, void **all) {
  *all = mem_zeroed((size_t)c->size, bytes);
  err error = *all ? c->call->gather_bytes(c, own, bytes, *all)
                   : mem_error((size_t)c->size * bytes, "messages of the ranks");
  if (error) {
    free(*all);
    *all = NULL;
  }
  return error;
}

err ranks_agree(comm *c, err own) {
  if (!c) return own;
  report mine = {.has_failed = own != NULL, .kind = own ? (int)err_kind_of(own) : 0};
  if (own) snprintf(mine.message, sizeof mine.message, "%s", err_message(own));
  void *all;
  err error = gather(c, &mine, sizeof mine, &all);
  if (error) {
    err_free(own);
    return error;
  }
  const report *reports = all;
  int first = 0;
  while (first < c->size && !reports[first].has_failed) first++;
  if (first < c->size) {
    if (!own)
      own = err_new((err_kind)reports[first].kind, "rank %d: %s", first, reports[first].message);
  }
  free(all);
  return own;
}

err ranks_share_place(comm *c, bool *is_stop_wanted, double *unsaved_seconds, int64_t *text_bytes) {
  if (!c) return NULL;
  const struct place {
    double unsaved_seconds;
    int64_t is_stop_wanted, text_bytes;
  } mine = {*unsaved_seconds, *is_stop_wanted, *text_bytes};
  void *all;
  err error = gather(c, &mine, sizeof mine, &all);
  if (error) return error;
  const struct place *places = all;
  *unsaved_seconds = places[0].unsaved_seconds;
  for (int r = 0; r < c->size; r++) {
    *is_stop_wanted = *is_stop_wanted || places[r].is_stop_wanted;
    if (places[r].text_bytes > *text_bytes) *text_bytes = places[r].text_bytes;
  }
  free(all);
  return NULL;
}

static void add_lines(const char *text, int rank, strbuf *out) {
  while (*text) {
    int length = (int)strcspn(text, "\n");
    strbuf_format(out, "rank %d: %.*s\n", rank, length, text);
    text += length + (text[length] == '\n');
  }
}

err ranks_collect_lines(comm *c, int64_t longest, strbuf *lines) {
  if (!c || longest == 0) return NULL;
  size_t bytes = (size_t)longest + 1;
  char *mine = mem_zeroed(1, bytes);
  if (!mine) return mem_error(bytes, "messages of the ranks");
  memcpy(mine, strbuf_string(lines), lines->length);
  void *all;
  err error = gather(c, mine, bytes, &all);
  free(mine);
  if (error) return error;
  strbuf_clear(lines);
  for (int r = 0; r < c->size; r++) add_lines((char *)all + (size_t)r * bytes, r, lines);
  free(all);
  return NULL;
}

err ranks_take_number(comm *c, int *value) {
  return c ? c->call->broadcast(c, value, sizeof *value) : NULL;
}
