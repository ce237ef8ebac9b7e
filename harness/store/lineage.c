#include "store/lineage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/facts.h"
#include "store/rows.h"

/* The finished, unarchived runs of a cell by priority, with the loss of the last step. */
static const char runs_sql[] =
    "SELECT run.id, (SELECT loss FROM step WHERE run_id = run.id ORDER BY step DESC LIMIT 1)"
    " FROM run JOIN v_run_place AS place ON place.run_id = run.id"
    " WHERE place.cell_id = ? AND status = 'finished' AND NOT archived ORDER BY place";

/* The runs of the parent's cell that run ?1 may have started from, the likeliest first: it was
 * started from the newest that had finished and was not archived then, by the machine that has it.
 * Times say nothing where the parent's loss is known (?3): clocks may have been set back.
 * The path of the weights names the run where that had been merged before. */
static const char origins_sql[] =
    "WITH child AS (SELECT run.started, coalesce(environment.host, '') AS host,"
    "  CASE WHEN json_valid(own_settings) THEN json_extract(own_settings, '$.init_from') END AS "
    "init"
    "  FROM run LEFT JOIN environment ON environment.id = environment_id WHERE run.id = ?1)"
    " SELECT run.id, archived, child.host <> '' AND coalesce(environment.host, '') = child.host,"
    "  directory LIKE '%.merged-%' AND coalesce(instr(init, '/' || directory || '/'), 0) > 0,"
    "  (SELECT loss FROM step WHERE run_id = run.id ORDER BY step DESC LIMIT 1),"
    "  EXISTS (SELECT 1 FROM warning WHERE run_id = run.id AND kind = 'no_end')"
    " FROM child JOIN run LEFT JOIN environment ON environment.id = run.environment_id"
    " WHERE run.cell_id = ?2 AND status = 'finished' AND (?3 OR (run.started <= child.started"
    "  AND NOT (archived AND archived_at <> '' AND archived_at < child.started)))"
    " ORDER BY 4 DESC, archived AND archived_at = '', 3 DESC, run.started DESC, directory DESC";

/* A run that may be a result. */
typedef struct {
  int64_t id, origin;
  double loss, origin_loss; /* NaN: not recorded */
  bool is_origin_archived, is_unsure;
  size_t tunings; /* finished runs that come from it, one per cell, those from these included */
} candidate;

typedef struct {
  candidate *items;
  size_t count;
  ptrdiff_t shown; /* -1: none */
} candidates;

/* ---- reading ---- */

static bool is_same_loss(double a, double b) {
  return a >= b && a <= b; /* bit for bit; false for NaN */
}

static err find_origin(store *s, const char *parent_id, candidate *c) {
  sqlite3_stmt *rows;
  bool more, is_certain = false;
  double kept;
  /* as its first process recorded it, or when that run was removed; NaN: neither */
  err error = store_find_number(s, c->id, "origin_loss", &kept);
  c->origin_loss = kept;
  if (!error)
    error = sql_query(s, &rows, origins_sql, "iti", c->id, parent_id, (int64_t)!isnan(kept));
  while (!error && !(error = sql_next(s, rows, &more)) && more) {
    double loss = sql_real(rows, 4);
    const bool is_cut = sqlite3_column_int(rows, 5) != 0; /* its last loss is not known */
    if (!isnan(kept) && !is_cut && !is_same_loss(loss, kept)) continue;
    if (c->origin) {
      c->is_unsure = c->is_unsure || !(is_certain || is_same_loss(loss, c->origin_loss));
      continue;
    }
    c->origin = sqlite3_column_int64(rows, 0);
    c->is_origin_archived = sqlite3_column_int(rows, 1) != 0;
    is_certain = sqlite3_column_int(rows, 2) || sqlite3_column_int(rows, 3);
    c->origin_loss = loss;
  }
  return error;
}

static err take_candidate(sqlite3_stmt *row, void *item) {
  candidate *c = item;
  c->id = sqlite3_column_int64(row, 0);
  c->loss = sql_real(row, 1);
  return NULL;
}

static const rows_kind candidate_kind = {sizeof(candidate), take_candidate, NULL, "a cell's runs"};

static err load_candidates(store *s, const store_kin *cells, size_t cell, candidates *all) {
  sqlite3_stmt *rows;
  void *items = NULL;
  candidates *own = &all[cell];
  own->shown = -1;
  err error = sql_query(s, &rows, runs_sql, "t", cells[cell].cell_id);
  if (!error) error = rows_collect(s, rows, &candidate_kind, &items, &own->count);
  own->items = items;
  for (size_t i = 0; i < own->count && !error && cells[cell].parent >= 0; i++)
    error = find_origin(s, cells[cells[cell].parent].cell_id, &own->items[i]);
  return error;
}

/* ---- choosing ---- */

static bool comes_from(const candidate *c, const candidate *parent) {
  return c->origin == parent->id || is_same_loss(c->origin_loss, parent->loss);
}

/* Of the runs that come from `parent` (NULL: any) the one with the most tunings; -1: none. */
static ptrdiff_t best_of(const candidates *own, const candidate *parent) {
  ptrdiff_t best = -1;
  for (size_t i = 0; i < own->count; i++) {
    if (parent && !comes_from(&own->items[i], parent)) continue;
    if (best < 0 || own->items[i].tunings > own->items[best].tunings) best = (ptrdiff_t)i;
  }
  return best;
}

/* Children come after their parents. */
static void count_tunings(const store_kin *cells, size_t count, candidates *all) {
  for (size_t i = count; i-- > 0;) {
    candidates *parent = cells[i].parent < 0 ? NULL : &all[cells[i].parent];
    for (size_t k = 0; parent && k < parent->count; k++) {
      ptrdiff_t best = best_of(&all[i], &parent->items[k]);
      if (best >= 0) parent->items[k].tunings += 1 + all[i].items[best].tunings;
    }
  }
}

static void leave_out(const candidate *c, const candidates *parent, store_result *result) {
  result->left_out = c->id;
  result->origin = c->origin;
  for (size_t i = 0; i < parent->count; i++)
    result->is_of_other = result->is_of_other || parent->items[i].id == c->origin;
}

/* A run whose parent's cell has no result is one while that parent is not archived: it may have
 * been brought here without it. */
static void choose(const store_kin *cells, size_t cell, candidates *all, store_result *results) {
  candidates *own = &all[cell];
  const ptrdiff_t at = cells[cell].parent;
  const candidates *parent = at < 0 ? NULL : &all[at];
  const candidate *from = parent && parent->shown >= 0 ? &parent->items[parent->shown] : NULL;
  if (!own->count) return;
  own->shown = best_of(own, from);
  const candidate *c = &own->items[own->shown < 0 ? 0 : own->shown];
  bool is_orphan = parent && !from && (c->is_origin_archived || results[at].left_out);
  if (own->shown < 0 || is_orphan) {
    own->shown = -1;
    leave_out(c, parent, &results[cell]);
    return;
  }
  results[cell] = (store_result){.run_id = c->id, .origin = c->origin, .is_unsure = c->is_unsure};
}

/* The run of a cell of which none has finished. */
static err find_unfinished(store *s, const char *cell_id, store_result *result) {
  return sql_integer(s, 0, &result->run_id,
                     "SELECT run_id FROM v_run_place WHERE cell_id = ? AND is_result", "t",
                     cell_id);
}

err store_find_results(store *s, const store_kin *cells, size_t count, store_result *results) {
  candidates *all = mem_zeroed(count, sizeof *all);
  if (!all) return mem_error(count * sizeof *all, "the results");
  err error = NULL;
  for (size_t i = 0; i < count; i++) results[i] = (store_result){0};
  for (size_t i = 0; i < count && !error; i++) error = load_candidates(s, cells, i, all);
  if (!error) count_tunings(cells, count, all);
  for (size_t i = 0; i < count && !error; i++) {
    choose(cells, i, all, results);
    if (!all[i].count) error = find_unfinished(s, cells[i].cell_id, &results[i]);
  }
  for (size_t i = 0; i < count; i++) free(all[i].items);
  free(all);
  return error;
}

/* ---- before a run is removed ---- */

/* Runs of the cells that start from the cell of run ?1. */
static const char children_sql[] =
    "SELECT child.id, NULL FROM run JOIN cell ON cell.parent = run.cell_id"
    " JOIN run AS child ON child.cell_id = cell.id WHERE run.id = ?1 ORDER BY child.id";

err store_list_started_from(store *s, int64_t run_id, int64_t **runs, size_t *count, double *loss) {
  sqlite3_stmt *rows;
  void *items = NULL;
  size_t children = 0;
  store_run parent = {0};
  *runs = NULL;
  *count = 0;
  *loss = NAN;
  err error = NULL;
  TRY(store_load_run(s, run_id, &parent));
  TRY(sql_query(s, &rows, children_sql, "i", run_id));
  TRY(rows_collect(s, rows, &candidate_kind, &items, &children));
  *runs = mem_zeroed(children + 1, sizeof **runs);
  if (!*runs) FAIL(ERR_MEMORY, "out of memory: a cell's runs");
  for (size_t i = 0; i < children; i++) {
    candidate *c = (candidate *)items + i;
    TRY(find_origin(s, parent.cell_id, c));
    if (c->origin != run_id || isnan(c->origin_loss)) continue;
    *loss = c->origin_loss;
    (*runs)[(*count)++] = c->id;
  }
cleanup:
  free(items);
  store_free_run(&parent);
  if (!error) return NULL;
  free(*runs);
  *runs = NULL;
  *count = 0;
  return error;
}

/* ---- records ---- */

static void explain(const store_result *result, strbuf *out) {
  if (result->is_of_other)
    strbuf_format(out,
                  "its run %lld started from run %lld of its parent, of which another is shown; "
                  "'flipbench runs archive %lld' and 'flipbench run' train it again",
                  (long long)result->left_out, (long long)result->origin,
                  (long long)result->left_out);
  else
    strbuf_append(out, "its run started from an earlier run of its parent, which was archived or "
                       "trained again; 'flipbench run' repeats it");
}

err store_load_result(store *s, const store_result *result, store_run *run) {
  if (result->run_id) return store_load_run(s, result->run_id, run);
  err error = store_empty_run(run);
  if (error || !result->left_out) return error;
  strbuf why = {0};
  explain(result, &why);
  free(run->message);
  run->message = strbuf_take(&why);
  if (run->message) return NULL;
  store_free_run(run);
  return mem_error(0, "a run's record");
}
