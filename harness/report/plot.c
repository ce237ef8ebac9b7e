#include "report/plot.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "report/drawing.h"
#include "report/measure.h"

/* ---- list of figures ---- */

static const plot_figure names[] = {
    {"accuracy_vs_time", "accuracy against training time, with the iso-accuracy speed-up"},
    {"accuracy_vs_samples", "accuracy at equal samples seen: what masking costs"},
    {"throughput", "samples per second, next to what the FLOPs alone would allow"},
    {"memory", "peak memory, next to the reduction in FLOPs"},
    {"loss", "training loss by samples seen"},
    {"tradeoff_time", "final accuracy against training time, one point per row"},
    {"tradeoff_memory", "final accuracy against peak memory"},
    {"tradeoff_energy", "final accuracy against energy per sample, where the device reports it"}};

static err draw_tradeoff_time(drawing *g) {
  return drawing_against(g, g->d->e->report.iso, "steady_seconds");
}

static err draw_tradeoff_memory(drawing *g) {
  return drawing_against(g, g->d->e->report.iso, "peak_memory");
}

static err draw_tradeoff_energy(drawing *g) {
  return drawing_against(g, g->d->e->report.iso, "energy_per_sample");
}

static const struct {
  err (*draw)(drawing *);
  const char *template_name;
} drawers[] = {{drawing_accuracy_vs_time, "accuracy_vs_time"},
               {drawing_accuracy_vs_samples, "accuracy_vs_samples"},
               {drawing_throughput, "throughput"},
               {drawing_memory, "memory"},
               {drawing_loss, "loss"},
               {draw_tradeoff_time, "against"},
               {draw_tradeoff_memory, "against"},
               {draw_tradeoff_energy, "against"}};
enum { FIGURE_COUNT = sizeof names / sizeof *names };
_Static_assert(FIGURE_COUNT == sizeof drawers / sizeof *drawers, "a drawer for each figure");

const plot_figure *plot_figures(size_t *count) {
  *count = FIGURE_COUNT;
  return names;
}

/* "Y against X": the column, and the start of X; NULL: not of that form. */
static const column *parse_against(const char *name, const char **x) {
  static const char word[] = " against ";
  const char *at = strstr(name, word);
  if (!at) return NULL;
  char *first = strndup(name, (size_t)(at - name));
  const column *y = first ? columns_find(first) : NULL;
  free(first);
  *x = at + strlen(word);
  return y;
}

bool plot_is_known(const char *name) {
  const char *x;
  for (size_t i = 0; i < FIGURE_COUNT; i++)
    if (strcmp(names[i].name, name) == 0) return true;
  return parse_against(name, &x) != NULL;
}

static bool is_axis(const spec_experiment *e, const char *name) {
  for (size_t i = 0; i < e->cell_count; i++)
    if (spec_pairs_get(&e->cells[i].axes, name)) return true;
  return false;
}

err plot_check_axis(const spec_experiment *e, const char *name) {
  const char *x;
  if (!parse_against(name, &x) || columns_find(x) || settings_find(x) || is_axis(e, x)) return NULL;
  size_t column_count, key_count, count = 0;
  const char *const *column_names = columns_names(&column_count);
  const char *const *keys = settings_keys(&key_count);
  const spec_pairs none = {0}, *axes = e->cell_count ? &e->cells[0].axes : &none;
  const char **all = mem_zeroed(column_count + key_count + axes->count + 1, sizeof *all);
  if (!all) return mem_error(0, "the figures");
  for (size_t i = 0; i < axes->count; i++) all[count++] = axes->items[i].key;
  for (size_t i = 0; i < key_count; i++) all[count++] = keys[i];
  for (size_t i = 0; i < column_count; i++) all[count++] = column_names[i];
  const char *nearest = text_nearest(x, all, count);
  err error =
      err_new(ERR_INPUT, "figure '%s': '%s' is neither a column, a setting nor an axis%s%s%s", name,
              x, nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
  free(all);
  return error;
}

/* ---- drawing ---- */

static bool has_times(const char *name) {
  const char *x;
  const column *y = parse_against(name, &x), *of_x = y ? columns_find(x) : NULL;
  if (y) return measure_is_timed(y) || (of_x && measure_is_timed(of_x));
  return strcmp(name, "throughput") == 0 || strstr(name, "time");
}

/* Rows in one figure whose times do not belong together. */
static void name_incomparable_times(const report_data *d, strbuf *out) {
  for (size_t i = 0; i < DATA_TIME_INPUTS; i++)
    if (d->is_mixed[data_time_inputs[i]])
      strbuf_format(out, "times not comparable: runs differ in their %s · ",
                    store_input_name(data_time_inputs[i]));
}

/* Do two groups differ from the newest run in the same inputs? The source line names these once. */
static bool is_named_before(const report_data *d, size_t group) {
  for (size_t i = 0; i < group; i++)
    if (strcmp(d->group_names[i], d->group_names[group]) == 0) return true;
  return false;
}

/* "‡ other training data and evaluation sets": as the table's note. */
static void name_other_inputs(const report_data *d, strbuf *out) {
  for (size_t i = 0; i < d->group_count; i++)
    if (!is_named_before(d, i)) strbuf_format(out, "‡ other %s · ", d->group_names[i]);
}

static void count_lost(const report_data *d, strbuf *out) {
  size_t lost = 0;
  for (size_t i = 0; i < d->e->cell_count; i++) lost += d->cells[i].lost != NULL;
  if (lost)
    strbuf_format(out, "%zu run%s lost events, maybe of the last evaluation · ", lost,
                  lost > 1 ? "s" : "");
}

/* What is not drawn is said in a column of a paper, too. */
static void set_note(drawing *g) {
  strbuf note = {0}, keys = {0};
  drawing_name_keys(g, &keys);
  const strbuf *parts[] = {&g->f.limit, &g->f.left_out, &keys};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (parts[i]->length) strbuf_format(&note, "%s%s", note.length ? " · " : "", parts[i]->data);
  if (g->f.is_column && note.length) figure_set_note(&g->f, strbuf_string(&note));
  strbuf_free(&keys);
  strbuf_free(&note);
}

/* Below the title: the experiment and the number of seeds; below the figure: provenance and the
 * disturbed runs. */
static void set_frame(drawing *g, const char *name) {
  strbuf subtitle = {0}, source = {0};
  const report_table *t = g->t;
  size_t least = SIZE_MAX, most = 0;
  for (size_t r = 0; r < t->row_count; r++) {
    if (!t->rows[r].finished) continue;
    if (t->rows[r].finished < least) least = t->rows[r].finished;
    if (t->rows[r].finished > most) most = t->rows[r].finished;
  }
  if (g->f.limit.length) strbuf_format(&subtitle, "%s · ", g->f.limit.data);
  drawing_name_keys(g, &subtitle);
  if (g->is_brief) strbuf_append(&subtitle, " · ");
  strbuf_append(&subtitle, t->title);
  if (most == 1)
    strbuf_append(&subtitle, " · one seed");
  else if (most && least == most)
    strbuf_format(&subtitle, " · %zu seeds", most);
  else if (most)
    strbuf_format(&subtitle, " · %zu to %zu seeds", least, most);
  bool is_disturbed = false;
  for (size_t r = 0; r < t->row_count; r++) is_disturbed = is_disturbed || t->rows[r].disturbed;
  if (is_disturbed) strbuf_append(&source, "† disturbed by other work · ");
  name_other_inputs(g->d, &source);
  count_lost(g->d, &source);
  if (has_times(name)) name_incomparable_times(g->d, &source);
  if (g->f.left_out.length) strbuf_format(&source, "%s · ", g->f.left_out.data);
  strbuf_append(&source, g->d->e->name);
  if (t->notes.provenance) strbuf_format(&source, " · %s", t->notes.provenance);
  figure_set_subtitle(&g->f, strbuf_string(&subtitle));
  set_note(g);
  figure_set_source(&g->f, strbuf_string(&source));
  strbuf_free(&subtitle);
  strbuf_free(&source);
}

/* Without what a file name, or a line of a script that names it, may not hold. */
static char *file_name(const char *name) {
  char *made = mem_copy_string(name);
  for (char *at = made; at && *at; at++)
    if ((unsigned char)*at <= ' ' || *at == 0x7F || *at == '/') *at = '_';
  return made;
}

static err add_result(plot_results *results, const char *name, plot_result **made) {
  plot_result *grown = mem_resize(results->items, results->count + 1, sizeof *grown);
  if (!grown) return mem_error(sizeof *grown, "the figures");
  results->items = grown;
  *made = &grown[results->count];
  **made = (plot_result){.name = file_name(name)};
  if (!(*made)->name) return mem_error(0, "the figures");
  results->count++;
  return NULL;
}

static err draw_into(drawing *g, const char *name, const plot_options *options, const char *file) {
  const char *x, *template_name = "against";
  const column *y = parse_against(name, &x);
  err error = NULL;
  if (y) {
    error = drawing_against(g, y, x);
  } else {
    for (size_t i = 0; i < FIGURE_COUNT && !error; i++)
      if (strcmp(names[i].name, name) == 0) {
        template_name = drawers[i].template_name;
        error = drawers[i].draw(g);
      }
  }
  if (error || !g->f.has_data) return error;
  set_frame(g, name);
  return figure_draw(&g->f, file, options->folder, options->formats, template_name,
                     options->template_path);
}

static err draw_one(report_data *d, const report_table *t, const plot_options *options,
                    const char *name, plot_results *results) {
  drawing g = {.d = d, .t = t, .f = {.is_column = options->is_column}};
  plot_result *result = NULL;
  err error = add_result(results, name, &result);
  if (error || !result) return error;
  drawing_shorten_names(&g);
  err failure = draw_into(&g, name, options, result->name);
  if (failure) {
    result->why = mem_copy_string(err_message(failure));
    result->has_failed = true;
  } else if (!g.f.has_data) {
    result->why = mem_copy_string(g.f.left_out.length ? g.f.left_out.data
                                                      : "no finished run has recorded its values");
  }
  bool is_lost = (failure || !g.f.has_data) && !result->why;
  err_free(failure);
  figure_free(&g.f);
  return is_lost ? mem_error(0, "the figures") : NULL;
}

void plot_free(plot_results *results) {
  for (size_t i = 0; i < results->count; i++) {
    free(results->items[i].name);
    free(results->items[i].why);
  }
  free(results->items);
  *results = (plot_results){0};
}

static err draw_all(const spec_experiment *e, store *s, const plot_options *options,
                    plot_results *results) {
  report_data d = {0};
  report_table *t = NULL;
  err error = NULL;
  TRY(data_load(e, s, &d));
  TRY(report_build(e, s, &t));
  if (options->figure) TRY(draw_one(&d, t, options, options->figure, results));
  for (size_t i = 0; !options->figure && i < e->report.plots.count; i++)
    TRY(draw_one(&d, t, options, e->report.plots.items[i], results));
cleanup:
  report_free(t);
  data_free(&d);
  return error;
}

/* The table and the data that a figure is drawn from are those of one moment. */
err plot_all(const spec_experiment *e, store *s, const plot_options *options,
             plot_results *results) {
  err error = fs_make_folders(options->folder);
  if (!error) error = store_begin_reading(s);
  return error ? error : store_end(s, draw_all(e, s, options, results));
}
