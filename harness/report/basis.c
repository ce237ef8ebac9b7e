/* What the numbers of a table are based on: seeds, images, what intervals cover, memory. */
#include <math.h>
#include <string.h>

#include "report/findings.h"
#include "report/measure.h"

typedef struct {
  size_t least, most; /* over the table's values; least > most: none */
} span;

static void count_in(span *s, size_t value) {
  if (value < s->least) s->least = value;
  if (value > s->most) s->most = value;
}

/* Columns of accuracies by how their set is chosen. */
typedef enum { ON_MAIN_SET, ON_SHIFTED_SET, ON_NAMED_SET, SET_CHOICES } set_choice;

static bool is_on(const column *c, set_choice choice) {
  set_choice own = c && c->set                      ? ON_NAMED_SET
                   : c && c->kind == COLUMN_SHIFTED ? ON_SHIFTED_SET
                                                    : ON_MAIN_SET;
  return c && measure_is_accuracy(c) && own == choice;
}

/* The sets that a column's numbers are of, each once. */
static void name_sets(const report_data *d, const report_table *t, set_choice choice, strbuf *out) {
  for (size_t c = 0; c < t->column_count; c++) {
    const column *known = t->columns[c].known;
    if (!is_on(known, choice)) continue;
    for (size_t i = 0; i < d->e->cell_count; i++) {
      const data_evaluation *e = d->e->cells[i].tuning ? NULL : data_find_evaluation(d, i, known);
      if (!e || !data_has_result(d, i, known)) continue;
      strbuf quoted = {0};
      strbuf_format(&quoted, " '%s'", e->set);
      bool is_new = !out->length || !strstr(strbuf_string(out), strbuf_string(&quoted));
      if (is_new) strbuf_format(out, "%s%s", out->length ? "," : "", strbuf_string(&quoted));
      strbuf_free(&quoted);
    }
  }
}

/* "2,000 evaluation images of 'scenes'", in the columns of one kind. */
static void describe_items(const report_data *d, const report_table *t, set_choice choice,
                           strbuf *out) {
  static const char *const starts[SET_CHOICES] = {[ON_MAIN_SET] = ", ",
                                                  [ON_SHIFTED_SET] = "; shifted columns: ",
                                                  [ON_NAMED_SET] = "; columns that name a set: "};
  span items = {SIZE_MAX, 0};
  bool has_captions = false;
  char number[TEXT_NUMBER_SIZE];
  strbuf names = {0};
  for (size_t c = 0; c < t->column_count; c++) {
    const column *known = t->columns[c].known;
    if (!is_on(known, choice)) continue;
    for (size_t r = 0; r < t->row_count; r++) {
      const report_value *v = &t->rows[r].values[c];
      if (isnan(v->value) || !v->seeds) continue;
      has_captions = has_captions || strcmp(measure_items(known), "captions") == 0;
      count_in(&items, v->items);
    }
  }
  name_sets(d, t, choice, &names);
  bool has_any = items.most || names.length;
  if (has_any) strbuf_append(out, starts[choice]);
  if (items.most)
    strbuf_format(out, "%s%s evaluation images%s", items.least < items.most ? "up to " : "",
                  findings_group(items.most, false, number), has_captions ? " or captions" : "");
  if (names.length) strbuf_format(out, "%s%s", items.most ? " of" : "", strbuf_string(&names));
  strbuf_free(&names);
}

/* What the intervals of accuracies and of other numbers cover, if several seeds were run. */
static void describe_coverage(const report_table *t, strbuf *out) {
  bool has_accuracy = false, has_other = false;
  for (size_t c = 0; c < t->column_count; c++) {
    const column *known = t->columns[c].known;
    if (!known || !t->columns[c].has_interval) continue;
    has_accuracy = has_accuracy || measure_is_accuracy(known);
    has_other = has_other || !measure_is_accuracy(known);
  }
  strbuf_append(out, has_accuracy && has_other ? ": accuracies over other seeds and images, other "
                                                 "numbers over other seeds"
                     : has_accuracy            ? " over other seeds and images"
                                               : " over other seeds");
}

static bool is_peak(const column *c) {
  if (c && c->kind == COLUMN_RATIO) return is_peak(columns_find(c->argument));
  return c && c->kind == COLUMN_SUMMARY && strcmp(c->argument, "peak_bytes") == 0;
}

/* " · memory: the process's peak, 284 MiB of it …": on a CPU, where that is more than a tenth of a
 * row's, since it hides what rows differ in. */
static void describe_memory(const report_data *d, const report_table *t, strbuf *out) {
  enum { MIB = 1 << 20 };
  double least = INFINITY, most = 0;
  bool is_shown = false, is_much = false;
  for (size_t c = 0; c < t->column_count; c++) is_shown = is_shown || is_peak(t->columns[c].known);
  for (size_t i = 0; i < d->e->cell_count && is_shown; i++) {
    const data_cell *own = &d->cells[i];
    double peak = data_number_of(own, "peak_bytes");
    double beside = peak - data_number_of(own, "planned_bytes");
    if (own->cell->tuning || !own->is_finished || !(beside > 0)) continue;
    if (strcmp(own->environment.device, "cpu") != 0) continue;
    is_much = is_much || beside > 0.1 * peak;
    least = fmin(least, round(beside / MIB));
    most = fmax(most, round(beside / MIB));
  }
  if (!is_much) return;
  strbuf_append(out, " · memory: the process's peak, ");
  if (least < most) strbuf_format(out, "%.0f to ", least);
  strbuf_format(out,
                "%.0f MiB of it in addition to what training plans (decoded images, "
                "evaluation sets, libraries)",
                most);
}

static err describe_basis(const report_data *d, report_table *t) {
  span seeds = {SIZE_MAX, 0};
  bool has_time = false;
  strbuf text = {0};
  for (size_t c = 0; c < t->column_count; c++) {
    const column *known = t->columns[c].known;
    if (!known) continue;
    has_time = has_time || measure_is_of_time(known);
    for (size_t r = 0; r < t->row_count; r++) {
      const report_value *v = &t->rows[r].values[c];
      if (isnan(v->value) || !v->seeds) continue;
      count_in(&seeds, v->seeds);
    }
  }
  if (seeds.least > seeds.most) return NULL;
  if (seeds.most == 1)
    strbuf_append(&text, "one seed");
  else if (seeds.least == seeds.most)
    strbuf_format(&text, "%zu seeds", seeds.most);
  else
    strbuf_format(&text, "%zu to %zu seeds", seeds.least, seeds.most);
  for (set_choice choice = ON_MAIN_SET; choice < SET_CHOICES; choice++)
    describe_items(d, t, choice, &text);
  bool has_interval = false;
  for (size_t c = 0; c < t->column_count; c++)
    has_interval = has_interval || t->columns[c].has_interval;
  if (has_interval) strbuf_append(&text, " · 95 % intervals");
  if (has_interval && seeds.most == 1)
    strbuf_append(&text, " cover these runs only: the spread over seeds is not included");
  else if (has_interval)
    describe_coverage(t, &text);
  else
    strbuf_append(&text, " · no intervals");
  if (has_time)
    strbuf_append(&text, " · speeds and times at the steady pace (median undisturbed step)");
  describe_memory(d, t, &text);
  return findings_keep(&text, &t->notes.basis);
}

/* Whether the metric is not computed from hits; its interval over images is then the recorded one.
 */
static bool is_recorded(const column *c) {
  static const char *const metrics[] = {"zeroshot.roc_auc", "zeroshot.map_11point"};
  for (size_t i = 0; c && i < sizeof metrics / sizeof *metrics; i++)
    if (strcmp(c->argument, metrics[i]) == 0) return true;
  return false;
}

/* "; differences are paired by image"; nothing where there are none. */
static void name_recorded_pairing(size_t paired, size_t unpaired, strbuf *out) {
  if (paired || unpaired)
    strbuf_format(out, "; %sdifferences are %spaired by image", paired && unpaired ? "some " : "",
                  unpaired ? "not " : "");
  if (unpaired) strbuf_append(out, ": the runs recorded no values on resampled images");
}

/* "ROC AUC: 95 % interval over images as recorded by each run (bootstrap), …". */
static err describe_recorded(report_table *t) {
  strbuf text = {0};
  size_t seeds = 0, paired = 0, unpaired = 0;
  for (size_t c = 0; c < t->column_count; c++) {
    bool is_shown = false;
    for (size_t r = 0; r < t->row_count && is_recorded(t->columns[c].known); r++) {
      const report_value *v = &t->rows[r].values[c];
      if (!v->over || !strstr(v->over, "images")) continue;
      is_shown = true;
      if (v->seeds > seeds) seeds = v->seeds;
      const char *over = v->difference.over;
      bool is_unpaired = over && strstr(over, "unpaired");
      unpaired += is_unpaired;
      paired += over && !is_unpaired && strstr(over, "paired");
    }
    if (is_shown) strbuf_format(&text, "%s%s", text.length ? ", " : "", t->columns[c].heading);
  }
  if (text.length)
    strbuf_format(&text, ": 95 %% intervals over images by each run's bootstrap%s",
                  seeds > 1 ? ", widened by the spread over seeds" : "");
  if (text.length) name_recorded_pairing(paired, unpaired, &text);
  return findings_keep(&text, &t->notes.recorded);
}

err findings_write_basis(const report_data *d, report_table *t) {
  err error = describe_basis(d, t);
  return error ? error : describe_recorded(t);
}
