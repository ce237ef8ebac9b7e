/* Ranks: the processes that train a cell together. Their number is set by `requires` for all cells,
 * or by the matrix for each; the matrix's is part of a cell's identity. */
#include <inttypes.h>
#include <string.h>

#include "experiment/reader.h"

bool spec_is_ranks_key(const char *key) {
  return strcmp(key, "ranks") == 0 || strcmp(key, "nodes") == 0;
}

/* "ranks=2" and "ranks=4" are different cells, since their speeds are compared. */
err spec_make_id(spec_cell *cell) {
  err error = settings_fingerprint(&cell->settings, cell->id);
  if (error || !cell->ranks.is_axis || cell->tuning)
    return error; /* a tuning cell: through its parent */
  strbuf text = {0};
  strbuf_format(&text, "%s\nranks=%" PRId64 "\nnodes=%" PRId64 "\n", cell->id, cell->ranks.ranks,
                cell->ranks.nodes);
  if (text.is_broken) error = err_new(ERR_MEMORY, "out of memory: the experiment");
  if (!error) hash_bytes(strbuf_string(&text), text.length, cell->id);
  strbuf_free(&text);
  return error;
}

int64_t spec_nodes_of(const spec_cell *cell, int64_t ranks) {
  int64_t nodes = cell->ranks.nodes < ranks ? cell->ranks.nodes : ranks;
  while (nodes > 1 && ranks % nodes) nodes--;
  return nodes > 0 ? nodes : 1;
}

int64_t spec_fewer_ranks(const spec_cell *cell, const spec_limits *limits, int64_t ranks) {
  int64_t most = ranks / spec_nodes_of(cell, ranks); /* that a machine is known to have room for */
  if (limits->fewest_ranks < 1 || cell->ranks.is_axis) return 0;
  for (int64_t fewer = ranks - 1; fewer >= limits->fewest_ranks; fewer--)
    if (settings_suit_ranks(&cell->settings, fewer) && fewer / spec_nodes_of(cell, fewer) <= most)
      return fewer;
  return 0;
}

/* Describes a problem of a cell's ranks in a sentence; false: none. */
static bool describe_problem(const spec_cell *cell, strbuf *out) {
  const spec_ranks *own = &cell->ranks;
  if (own->ranks % own->nodes)
    strbuf_format(out,
                  "%" PRId64 " rank%s cannot be divided evenly among %" PRId64
                  " nodes: choose a multiple of %" PRId64,
                  own->ranks, own->ranks == 1 ? "" : "s", own->nodes, own->nodes);
  else if (cell->settings.batch_size % own->ranks)
    strbuf_format(out,
                  "batch_size: %" PRId64 " is not divisible by %" PRId64
                  " ranks; choose a multiple of %" PRId64 ", or another number of ranks",
                  cell->settings.batch_size, own->ranks, own->ranks);
  else if (!settings_suit_ranks(&cell->settings, own->ranks))
    strbuf_format(out,
                  "batch_size: %" PRId64 " is not divisible by %" PRId64
                  "; mixup and CutMix mix pairs of images, and each of the %" PRId64
                  " ranks has whole pairs: choose a multiple of %" PRId64
                  ", another number of ranks, or set both to 0",
                  cell->settings.batch_size, 2 * own->ranks, own->ranks, 2 * own->ranks);
  else if (cell->limits.fewest_ranks > own->ranks)
    strbuf_format(out, "limits.fewest_ranks: %" PRId64 " is more than the cell's %" PRId64 " ranks",
                  cell->limits.fewest_ranks, own->ranks);
  else if (cell->limits.fewest_ranks > 0 && own->is_axis)
    strbuf_append(out, "limits.fewest_ranks: not allowed with an axis of ranks or nodes, where a "
                       "cell is named by its number of ranks and is not retried on fewer");
  return out->length > 0;
}

err spec_read_ranks(spec_reader *r) {
  const spec_requires *needs = &r->e->requires;
  const yml_node *where = yml_get(r->root, "requires");
  size_t before = r->problems.count;
  for (size_t i = 0; i < r->e->cell_count && r->problems.count == before; i++) {
    spec_cell *cell = &r->e->cells[i];
    strbuf problem = {0};
    if (!cell->ranks.ranks) cell->ranks.ranks = needs->ranks ? needs->ranks : 1;
    if (!cell->ranks.nodes) cell->ranks.nodes = needs->nodes ? needs->nodes : 1;
    if (describe_problem(cell, &problem))
      yml_problem(&r->problems, where ? where : r->root, NULL, 0, "cell %s: %s", cell->label,
                  strbuf_string(&problem));
    strbuf_free(&problem);
  }
  return NULL;
}
