#include "train/ranks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

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
  return c ? comm_agree(c, own) : own;
}

err ranks_load_open(ranks_load *load, comm *c) {
  size_t size = (size_t)comm_size(c);
  load->now = mem_zeroed(size, sizeof *load->now);
  load->at_row = mem_zeroed(size, sizeof *load->at_row);
  return load->now && load->at_row ? NULL : mem_error(size * sizeof *load->now, "ranks' times");
}

void ranks_load_close(ranks_load *load) {
  free(load->now);
  free(load->at_row);
  *load = (ranks_load){0};
}

err ranks_share_place(comm *c, ranks_place *place, ranks_load *load) {
  if (!c) return NULL;
  void *all;
  err error = gather(c, place, sizeof *place, &all);
  if (error) return error;
  const ranks_place *places = all;
  place->are_rows_due = places[0].are_rows_due;
  place->unsaved_seconds = places[0].unsaved_seconds;
  place->replaced = place->fell_back = 0;
  for (int r = 0; r < c->size; r++) {
    place->is_stop_wanted = place->is_stop_wanted || places[r].is_stop_wanted;
    if (places[r].text_bytes > place->text_bytes) place->text_bytes = places[r].text_bytes;
    place->replaced += places[r].replaced;
    place->fell_back += places[r].fell_back;
    load->now[r] = places[r].busy_seconds;
  }
  free(all);
  return NULL;
}

/* before: NULL: the beginning. */
static ranks_spread spread_since(comm *c, const double *now, const double *before) {
  ranks_spread s = {0, NAN};
  double slowest = -1, fastest = INFINITY;
  for (int r = 0; r < comm_size(c) && c; r++) {
    double seconds = now[r] - (before ? before[r] : 0);
    if (seconds > slowest) {
      slowest = seconds;
      s.slowest = r;
    }
    fastest = fmin(fastest, seconds);
  }
  if (fastest > 0 && isfinite(fastest)) s.spread = slowest / fastest;
  return s;
}

ranks_spread ranks_spread_of_row(comm *c, ranks_load *load) {
  ranks_spread s = spread_since(c, load->now, load->at_row);
  for (int r = 0; r < comm_size(c); r++) load->at_row[r] = load->now[r];
  return s;
}

ranks_spread ranks_spread_of_all(comm *c, const ranks_load *load) {
  return spread_since(c, load->now, NULL);
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

err ranks_most(comm *c, int64_t *value) {
  if (!c) return NULL;
  void *all;
  err error = gather(c, value, sizeof *value, &all);
  if (error) return error;
  for (int r = 0; r < c->size; r++)
    if (((int64_t *)all)[r] > *value) *value = ((int64_t *)all)[r];
  free(all);
  return NULL;
}

err ranks_take_number(comm *c, int *value) {
  return c ? c->call->broadcast(c, value, sizeof *value) : NULL;
}
