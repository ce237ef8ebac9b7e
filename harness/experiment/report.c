/* The `report` part of an experiment file: the contents of the table and what it is compared
 * with. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "experiment/reader.h"

static const char *const plot_names[] = {
    "accuracy_vs_time", "accuracy_vs_samples", "throughput",     "memory", "loss",
    "tradeoff_time",    "tradeoff_memory",     "tradeoff_energy"};
static const char *const default_columns[] = {"samples_per_second", "train_seconds", "peak_memory",
                                              "zero_shot_mean_per_class", "retrieval_i2t_r1"};
enum {
  PLOT_COUNT = sizeof plot_names / sizeof *plot_names,
  DEFAULT_PLOT_COUNT = 5, /* the default if the file names none */
  DEFAULT_COLUMN_COUNT = sizeof default_columns / sizeof *default_columns
};

const char *const *spec_plot_names(size_t *count) {
  *count = PLOT_COUNT;
  return plot_names;
}

static const yml_node *item_named(const yml_node *list, const char *name) {
  if (list->kind == YML_SEQUENCE)
    for (size_t i = 0; i < list->count; i++)
      if (list->items[i]->kind == YML_SCALAR && strcmp(list->items[i]->scalar, name) == 0)
        return list->items[i];
  return list;
}

static void check_columns(spec_reader *r, const yml_node *node, const spec_names *names) {
  size_t count;
  const char *const *known = columns_names(&count);
  for (size_t i = 0; i < names->count; i++) {
    const char *name = names->items[i];
    if (!columns_find(name) && !settings_find(name))
      yml_problem(&r->problems, item_named(node, name), known, count, "unknown column '%s'", name);
  }
}

static void refuse_repeated(spec_reader *r, const yml_node *node, const spec_names *names) {
  for (size_t i = 1; i < names->count; i++)
    for (size_t k = 0; k < i; k++)
      if (strcmp(names->items[i], names->items[k]) == 0)
        yml_problem(&r->problems, item_named(node, names->items[i]), NULL, 0,
                    "column '%s' is listed twice", names->items[i]);
}

/* "Y against X": any column against any column, axis or setting. */
static bool is_against(const spec_reader *r, const char *name) {
  static const char word[] = " against ";
  const char *at = strstr(name, word), *x = at ? at + strlen(word) : NULL;
  if (!at) return false;
  char *y = strndup(name, (size_t)(at - name));
  bool is_known =
      y && columns_find(y) && (columns_find(x) || settings_find(x) || spec_names_has(&r->axes, x));
  free(y);
  return is_known;
}

static void check_plots(spec_reader *r, const yml_node *node, const spec_names *names) {
  for (size_t i = 0; i < names->count; i++) {
    bool is_known = is_against(r, names->items[i]);
    for (size_t k = 0; k < PLOT_COUNT; k++)
      is_known = is_known || strcmp(names->items[i], plot_names[k]) == 0;
    if (!is_known)
      yml_problem(&r->problems, item_named(node, names->items[i]), plot_names, PLOT_COUNT,
                  strstr(names->items[i], " against ")
                      ? "plot '%s': write it as 'COLUMN against COLUMN', or against an axis"
                      : "unknown plot '%s'",
                  names->items[i]);
  }
}

/* Rows: axis keys. Cells with the same values are averaged, which is valid for seeds only. */
static err read_rows(spec_reader *r, const yml_node *report) {
  spec_names *rows = &r->e->report.rows;
  const yml_node *node = report ? yml_get(report, "rows") : NULL;
  err error = node ? spec_read_names(r, node, "rows", rows) : NULL;
  for (size_t i = 0; i < rows->count; i++)
    if (!spec_names_has(&r->axes, rows->items[i]) && !settings_find(rows->items[i]))
      yml_problem(
          &r->problems, item_named(node, rows->items[i]), (const char *const *)r->axes.items,
          r->axes.count,
          "rows: '%s' is not an axis (one whose items are maps is, if they have a 'label:')",
          rows->items[i]);
  if (rows->count || error) return error;
  for (size_t i = 0; i < r->axes.count && !error; i++)
    if (strcmp(r->axes.items[i], "seed") != 0) error = spec_names_add(rows, r->axes.items[i]);
  return error;
}

/* The row values of a cell as one text, so that rows are found by sorting. */
typedef struct {
  char *row;
  size_t cell;
} placed;

static int compare_placed(const void *a, const void *b) {
  const placed *x = a, *y = b;
  int order = strcmp(x->row, y->row);
  return order ? order : (x->cell > y->cell) - (x->cell < y->cell);
}

static err place_cells(const spec_experiment *e, placed *cells, size_t *count) {
  strbuf scratch = {0};
  err error = NULL;
  *count = 0;
  for (size_t i = 0; i < e->cell_count && !error; i++) {
    strbuf row = {0};
    if (e->cells[i].tuning) continue;
    for (size_t k = 0; k < e->report.rows.count; k++) {
      const char *value = spec_cell_value(&e->cells[i], e->report.rows.items[k], &scratch);
      strbuf_format(&row, "%s\n", value ? value : "");
    }
    if (!e->report.rows.count) strbuf_append_char(&row, '\n');
    cells[*count] = (placed){strbuf_take(&row), i};
    if (!cells[(*count)++].row) error = mem_error(0, "the experiment");
  }
  strbuf_free(&scratch);
  return error;
}

/* The axis, other than the seed, in which two cells of a row differ; NULL: none. */
static const char *find_averaged(const spec_reader *r, size_t a, size_t b) {
  const spec_experiment *e = r->e;
  const char *found = NULL;
  strbuf one = {0}, other = {0};
  for (size_t k = 0; k < r->axes.count && !found; k++) {
    const char *key = r->axes.items[k];
    if (strcmp(key, "seed") == 0) continue;
    const char *x = spec_cell_value(&e->cells[a], key, &one);
    const char *y = spec_cell_value(&e->cells[b], key, &other);
    if (!x || !y ? x != y : strcmp(x, y) != 0) found = key;
  }
  strbuf_free(&one);
  strbuf_free(&other);
  return found;
}

/* The setting that can change a result, other than the seed and the weights that they start from,
 * in which two cells differ; NULL: none. */
static const char *find_other_setting(const spec_cell *a, const spec_cell *b) {
  size_t count;
  const setting *rows = settings_table(&count);
  const char *found = NULL;
  strbuf one = {0}, other = {0};
  for (size_t i = 0; i < count && !found; i++) {
    bool is_own = strcmp(rows[i].key, "seed") == 0 || strcmp(rows[i].key, "init_from") == 0;
    if (!rows[i].is_identity || is_own) continue;
    strbuf_clear(&one);
    strbuf_clear(&other);
    setting_format(&rows[i], &a->settings, &one);
    setting_format(&rows[i], &b->settings, &other);
    if (strcmp(strbuf_string(&one), strbuf_string(&other)) != 0) found = rows[i].key;
  }
  strbuf_free(&one);
  strbuf_free(&other);
  return found;
}

/* Tunings of a row's cells are averaged as these are. like: of each matrix cell the first of its
 * row; filled here for tunings: that of the same use which starts from the cell like their parent,
 * or the first such. */
static err check_tunings(spec_reader *r, size_t *like) {
  const spec_experiment *e = r->e;
  const yml_node *node = yml_get(r->root, "tuning");
  size_t(*child)[SPEC_USES] = mem_zeroed(e->cell_count, sizeof *child); /* index; 0: none */
  if (!child) return mem_error(e->cell_count * sizeof *child, "the experiment");
  for (size_t i = 0; i < e->cell_count; i++)
    if (e->cells[i].tuning) child[e->cells[i].parent][spec_use_of(&e->cells[i])] = i;
  for (size_t i = 0; i < e->cell_count; i++) {
    const spec_cell *cell = &e->cells[i];
    if (!cell->tuning) continue;
    size_t *other = &child[like[cell->parent]][spec_use_of(cell)];
    if (!*other) *other = i; /* the row's first cell has none */
    like[i] = *other;
    const char *differs = find_other_setting(&e->cells[*other], cell);
    if (!differs) continue;
    yml_problem(
        &r->problems, node ? node : r->root, NULL, 0,
        "'%s' and '%s' differ in %s: tunings of cells that form a row would be averaged; put "
        "one of them into an experiment of its own (the cells that both have are trained "
        "once)",
        e->cells[*other].label, cell->label, differs);
    break;
  }
  free(child);
  return NULL;
}

static bool mixes_tunings(const column *c) {
  return c && (c->kind == COLUMN_FINAL || c->kind == COLUMN_ISO);
}

/* A column that shows tuned runs where there are any, and else those of the matrix; NULL: none. */
static const column *find_final(const spec_experiment *e) {
  for (size_t i = 0; i < e->report.columns.count; i++)
    if (mixes_tunings(columns_find(e->report.columns.items[i])))
      return columns_find(e->report.columns.items[i]);
  return NULL;
}

/* Such a column would average tuned and untuned seeds of a row. like: as check_tunings filled it.
 */
static err check_tuned_seeds(spec_reader *r, const size_t *like) {
  const spec_experiment *e = r->e;
  const column *of = find_final(e);
  const yml_node *node = yml_get(r->root, "tuning");
  bool *is_continued = of ? mem_zeroed(e->cell_count, sizeof *is_continued) : NULL;
  if (!of) return NULL;
  if (!is_continued) return mem_error(e->cell_count, "the experiment");
  for (size_t i = 0; i < e->cell_count; i++)
    if (e->cells[i].tuning && spec_use_of(&e->cells[i]) == SPEC_CONTINUES)
      is_continued[e->cells[i].parent] = true;
  for (size_t i = 0; i < e->cell_count; i++) {
    if (is_continued[i] == is_continued[like[i]]) continue;
    const spec_cell *tuned = &e->cells[is_continued[i] ? i : like[i]];
    const spec_cell *other = &e->cells[is_continued[i] ? like[i] : i];
    yml_problem(&r->problems, node ? node : r->root, NULL, 0,
                "'%s' is tuned and '%s' is not: %s would average tuned and untuned runs of one "
                "row; tune every seed of it, or none",
                tuned->label, other->label, of->name);
    break;
  }
  free(is_continued);
  return NULL;
}

/* Every cell of a row is compared with the row's first. */
static err check_rows(spec_reader *r, const yml_node *node) {
  const char *averaged = NULL;
  size_t count = 0, first = 0;
  placed *cells = mem_zeroed(r->e->cell_count, sizeof *cells);
  size_t *like = mem_zeroed(r->e->cell_count, sizeof *like);
  err error = cells && like ? place_cells(r->e, cells, &count)
                            : mem_error(r->e->cell_count * sizeof *cells, "the experiment");
  if (!error) qsort(cells, count, sizeof *cells, compare_placed);
  for (size_t i = 0; i < count && !error && !averaged; i++) {
    if (strcmp(cells[i].row, cells[first].row) != 0) first = i;
    if (i != first) averaged = find_averaged(r, cells[first].cell, cells[i].cell);
    like[cells[i].cell] = cells[first].cell;
  }
  if (!error && !averaged && !r->problems.count) error = check_tunings(r, like);
  if (!error && !averaged && !r->problems.count) error = check_tuned_seeds(r, like);
  free(like);
  if (averaged)
    yml_problem(&r->problems, node, NULL, 0,
                "rows leave out '%s': cells that differ in it would be averaged into one row",
                averaged);
  for (size_t i = 0; i < count; i++) free(cells[i].row);
  free(cells);
  return error;
}

void spec_refuse_seed(spec_reader *r, const yml_node *key, const char *what) {
  const spec_experiment *e = r->e;
  bool is_averaged = false;
  if (strcmp(key->scalar, "seed") != 0 || spec_names_has(&e->report.rows, "seed")) return;
  for (size_t i = 1; i < e->cell_count && spec_names_has(&r->axes, "seed"); i++)
    is_averaged = is_averaged || e->cells[i].settings.seed != e->cells[0].settings.seed;
  if (is_averaged)
    yml_problem(&r->problems, key, NULL, 0,
                "%s: the seeds of a row are averaged: leave seed out, or add it to rows", what);
}

static err read_pair(spec_reader *r, const yml_node *key, const yml_node *item, spec_pairs *pairs) {
  char *value = NULL;
  err error = spec_canonical(r, key->scalar, item, &value);
  if (!error) error = spec_pairs_add(pairs, key->scalar, value, false);
  free(value);
  return error;
}

/* The first row key, other than `but` (may be NULL), in which two cells differ; NULL: none. */
static const char *find_row_difference(const spec_experiment *e, const char *but, size_t a,
                                       size_t b) {
  const spec_names *rows = &e->report.rows;
  const char *found = NULL;
  strbuf one = {0}, other = {0};
  for (size_t k = 0; k < rows->count && !found; k++) {
    if (but && strcmp(rows->items[k], but) == 0) continue;
    const char *x = spec_cell_value(&e->cells[a], rows->items[k], &one);
    const char *y = spec_cell_value(&e->cells[b], rows->items[k], &other);
    if (!x || !y ? x != y : strcmp(x, y) != 0) found = rows->items[k];
  }
  strbuf_free(&one);
  strbuf_free(&other);
  return found;
}

/* The first row whose cells `where` matches; the number of cells if there is none. *other: a cell
 * of a second such row, *key the row key, other than `but`, in which it differs, NULL: there is
 * no second. */
static size_t find_row(const spec_experiment *e, const spec_pairs *where, const char *but,
                       size_t *other, const char **key) {
  size_t first = e->cell_count;
  *key = NULL;
  for (size_t i = 0; i < e->cell_count && !*key; i++) {
    if (e->cells[i].tuning || !spec_cell_matches(&e->cells[i], where)) continue;
    if (first == e->cell_count) first = i;
    *key = find_row_difference(e, but, first, i);
    *other = i;
  }
  return first;
}

/* The baseline must be a single row: with several, the comparison would be arbitrary. */
static void find_baseline_row(spec_reader *r, const yml_node *node) {
  const spec_experiment *e = r->e;
  const char *key;
  size_t other, first = find_row(e, &e->report.baseline, NULL, &other, &key);
  if (key) {
    strbuf one = {0};
    const char *value = spec_cell_value(&e->cells[first], key, &one);
    yml_problem(&r->problems, node, NULL, 0,
                "baseline matches more than one row ('%s' and '%s'): name %s in it too, as in "
                "'%s: %s'",
                e->cells[first].label, e->cells[other].label, key, key, value ? value : "");
    strbuf_free(&one);
  } else if (first == e->cell_count && e->cell_count) {
    yml_problem(&r->problems, node, NULL, 0, "baseline matches no cell of the matrix");
  }
}

static err read_baseline(spec_reader *r, const yml_node *node) {
  spec_report *report = &r->e->report;
  if (yml_is_null(node)) return NULL;
  if (node->kind != YML_MAP) {
    yml_problem(&r->problems, node, NULL, 0, "baseline takes a map of axis values");
    return NULL;
  }
  yml_node *flat;
  err error = nodes_flatten(&r->pool, node, &flat);
  size_t before = r->problems.count;
  for (size_t i = 0; !error && i < flat->count; i++) {
    if (!spec_names_has(&r->axes, flat->keys[i]->scalar) && !settings_find(flat->keys[i]->scalar))
      yml_problem(&r->problems, flat->keys[i], (const char *const *)r->axes.items, r->axes.count,
                  "baseline: '%s' is not an axis", flat->keys[i]->scalar);
    else
      error = read_pair(r, flat->keys[i], flat->items[i], &report->baseline);
    spec_refuse_seed(r, flat->keys[i], "baseline");
  }
  if (error || r->problems.count > before) return error;
  find_baseline_row(r, node);
  return NULL;
}

static err add_reference(spec_reader *r, const spec_pairs *where, const column *c, double value,
                         bool is_verified, const yml_node *source) {
  spec_report *report = &r->e->report;
  spec_reference *grown =
      mem_resize(report->references, report->reference_count + 1, sizeof *grown);
  if (!grown) return mem_error(sizeof *grown, "the experiment");
  report->references = grown;
  spec_reference *made = &grown[report->reference_count++];
  *made = (spec_reference){.column = c, .value = value, .is_verified = is_verified};
  err error = NULL;
  for (size_t i = 0; i < where->count && !error; i++)
    error = spec_pairs_add(&made->where, where->items[i].key, where->items[i].value, false);
  if (!error && !yml_is_null(source) && source->kind == YML_SCALAR) {
    made->source = mem_copy_string(source->scalar);
    if (!made->source) error = mem_error(0, "the experiment");
  }
  return error;
}

static bool is_note(const char *key) {
  return strcmp(key, "verified") == 0 || strcmp(key, "source") == 0;
}

/* ranks, nodes and samples are columns too; as an axis they say which row. */
static bool is_column_axis(const spec_reader *r, const char *key) {
  return columns_find(key) && spec_names_has(&r->axes, key);
}

/* A published value belongs to one row, or to one of each seed: the first of its cells, or the
 * number of cells if there is no such row. A profile's row may be missing here, and so may one that
 * an exclude or a change from the command line takes away. */
static size_t find_reference_row(spec_reader *r, const yml_node *entry, const spec_pairs *where) {
  const spec_experiment *e = r->e;
  const spec_options *options = r->options;
  bool is_whole = !e->profiles.count && !options->set_cell_count && !yml_get(r->root, "exclude");
  const char *key;
  size_t other, first = find_row(e, where, "seed", &other, &key);
  if (first == e->cell_count && is_whole && e->cell_count)
    yml_problem(&r->problems, entry, NULL, 0, "reference matches no row of the table");
  if (!key) return first;
  yml_problem(&r->problems, entry, NULL, 0,
              "reference matches more than one row ('%s' and '%s'): name %s in it too",
              e->cells[first].label, e->cells[other].label, key);
  return e->cell_count;
}

/* A row may be one of each seed, whose other references name a seed: all cells are compared. */
static void refuse_second_reference(spec_reader *r, const yml_node *entry, const spec_pairs *where,
                                    const column *c) {
  const spec_experiment *e = r->e;
  for (size_t k = 0; k < e->report.reference_count; k++) {
    const spec_reference *before = &e->report.references[k];
    for (size_t i = 0; before->column == c && i < e->cell_count; i++) {
      const spec_cell *cell = &e->cells[i];
      if (cell->tuning || !spec_cell_matches(cell, where) ||
          !spec_cell_matches(cell, &before->where))
        continue;
      yml_problem(&r->problems, entry, NULL, 0, "a second reference for %s of '%s'", c->name,
                  cell->label);
      break;
    }
  }
}

/* One reference entry: axis values select the row, column names give the numbers. */
static err read_reference(spec_reader *r, const yml_node *entry) {
  yml_node *flat;
  spec_pairs where = {0};
  bool is_verified = true;
  err error = nodes_flatten(&r->pool, entry, &flat);
  if (error) return error;
  const yml_node *verified = yml_get(flat, "verified"), *source = yml_get(flat, "source");
  if (verified && (verified->kind != YML_SCALAR || !yml_as_bool(verified->scalar, &is_verified)))
    yml_problem(&r->problems, verified, NULL, 0, "verified takes true or false");
  size_t column_count, before = r->problems.count;
  const char *const *names = columns_names(&column_count);
  for (size_t i = 0; i < flat->count; i++) {
    const char *key = flat->keys[i]->scalar;
    bool is_axis = spec_names_has(&r->axes, key) || settings_find(key);
    if (is_note(key)) continue;
    if (is_axis && (!columns_find(key) || is_column_axis(r, key))) {
      TRY(read_pair(r, flat->keys[i], flat->items[i], &where));
      spec_refuse_seed(r, flat->keys[i], "reference");
    } else if (!columns_find(key)) {
      yml_problem(&r->problems, flat->keys[i], names, column_count,
                  "reference: '%s' is neither an axis nor a column", key);
    }
  }
  size_t row =
      r->problems.count == before ? find_reference_row(r, entry, &where) : r->e->cell_count;
  for (size_t i = 0; i < flat->count; i++) {
    const column *c = columns_find(flat->keys[i]->scalar);
    double value;
    if (!c || is_column_axis(r, flat->keys[i]->scalar)) continue;
    if (flat->items[i]->kind != YML_SCALAR || !yml_as_real(flat->items[i]->scalar, &value)) {
      yml_problem(&r->problems, flat->items[i], NULL, 0, "%s takes a number", c->name);
      continue;
    }
    if (row < r->e->cell_count) refuse_second_reference(r, entry, &where, c);
    TRY(add_reference(r, &where, c, value, is_verified, source));
  }
cleanup:
  spec_pairs_free(&where);
  return error;
}

static err read_references(spec_reader *r, const yml_node *node) {
  if (yml_is_null(node)) return NULL;
  if (node->kind != YML_SEQUENCE) {
    yml_problem(&r->problems, node, NULL, 0, "reference takes a list of maps");
    return NULL;
  }
  err error = NULL;
  for (size_t i = 0; i < node->count && !error; i++)
    if (node->items[i]->kind == YML_MAP)
      error = read_reference(r, node->items[i]);
    else
      yml_problem(&r->problems, node->items[i], NULL, 0, "reference takes a list of maps");
  return error;
}

/* A linear probe is fitted once, after training. */
static bool is_curve_column(const column *c) {
  return c && (c->kind == COLUMN_EVAL || c->kind == COLUMN_CHANCE) && !column_is_of_probe(c);
}

/* The metric of the curves: as given, else the first evaluation column, else zero-shot top-1. */
static void read_iso(spec_reader *r, const yml_node *node) {
  spec_report *report = &r->e->report;
  if (!yml_is_null(node)) {
    size_t count;
    const char *const *names = columns_names(&count);
    report->iso = node->kind == YML_SCALAR ? columns_find(node->scalar) : NULL;
    if (!report->iso)
      yml_problem(&r->problems, node, names, count, "iso takes the name of a column");
    else if (!is_curve_column(report->iso))
      yml_problem(&r->problems, node, NULL, 0, "iso: '%s' is not measured during training",
                  node->scalar);
    return;
  }
  for (size_t i = 0; i < report->columns.count && !report->iso; i++)
    if (is_curve_column(columns_find(report->columns.items[i])))
      report->iso = columns_find(report->columns.items[i]);
  if (!report->iso) report->iso = columns_find("zero_shot_top1");
}

static err read_set(spec_reader *r, const yml_node *node, const char *key, char **name) {
  if (yml_is_null(node)) return NULL;
  if (node->kind != YML_SCALAR) {
    yml_problem(&r->problems, node, NULL, 0, "%s takes the name of one evaluation set", key);
    return NULL;
  }
  *name = mem_copy_string(node->scalar);
  return *name ? NULL : mem_error(0, "the experiment");
}

err spec_read_report(spec_reader *r) {
  err error = NULL;
  spec_report *report = &r->e->report;
  const yml_node *node = yml_get(r->root, "report"), *none = NULL;
  size_t before = r->problems.count;
  if (yml_is_null(node)) node = NULL;
  if (node && node->kind != YML_MAP) {
    yml_problem(&r->problems, node, NULL, 0, "report takes a map");
    node = NULL;
  }
#define PART(key) (node ? yml_get(node, key) : none)
  if (node) spec_check_group(r, node, "report", FORMAT_REPORT);
  TRY(read_rows(r, node));
  if (PART("columns")) {
    TRY(spec_read_names(r, PART("columns"), "columns", &report->columns));
    check_columns(r, PART("columns"), &report->columns);
    refuse_repeated(r, PART("columns"), &report->columns);
  }
  for (size_t i = 0;
       report->columns.count < DEFAULT_COLUMN_COUNT && !PART("columns") && i < DEFAULT_COLUMN_COUNT;
       i++)
    TRY(spec_names_add(&report->columns, default_columns[i]));
  if (PART("plots")) {
    TRY(spec_read_names(r, PART("plots"), "plots", &report->plots));
    check_plots(r, PART("plots"), &report->plots);
  }
  for (size_t i = 0; !PART("plots") && i < DEFAULT_PLOT_COUNT; i++)
    TRY(spec_names_add(&report->plots, plot_names[i]));
  TRY(read_baseline(r, PART("baseline")));
  TRY(read_references(r, PART("reference")));
  TRY(read_set(r, PART("main_set"), "main_set", &report->main_set));
  TRY(read_set(r, PART("shifted_set"), "shifted_set", &report->shifted_set));
  read_iso(r, PART("iso"));
#undef PART
  if (r->problems.count == before) {
    const yml_node *rows = node ? yml_get(node, "rows") : NULL;
    error = check_rows(r, rows ? rows : node ? node : r->root);
  }
cleanup:
  return error;
}
