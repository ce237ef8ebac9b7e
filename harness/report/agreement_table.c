#include "report/agreement_table.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "report/write.h"

enum { CELL_NAME, CELL_FIRST, CELL_AGAIN, CELL_CHANGE, CELL_VERDICT, CELL_COUNT };

typedef struct {
  strbuf cells[CELL_COUNT];
} line;

typedef struct {
  line *items;
  size_t count;
} lines;

/* "−2.2 %"; "0"; empty when there is no relative difference. */
static void write_change(double a, double b, strbuf *out) {
  if (isnan(a) || isnan(b)) return;
  if (a == b)
    strbuf_append(out, "0");
  else if (a != 0)
    strbuf_format(out, "%s%.3g %%", b < a ? "−" : "+", 100 * fabs(b / a - 1));
}

static void write_name(const report_table *t, size_t row, const report_column *c, strbuf *out) {
  for (size_t k = 0; k < t->key_count; k++)
    strbuf_format(out, "%s%s %s", k ? ", " : "", t->key_headings[k], t->rows[row].keys[k]);
  strbuf_format(out, "%s%s%s%s%s", t->rows[row].has_other_inputs ? " ‡" : "",
                t->key_count ? " · " : "", c->heading, *c->unit ? ", " : "", c->unit);
}

static line *add_line(lines *all) {
  line *grown = mem_resize(all->items, all->count + 1, sizeof *grown);
  if (!grown) return NULL;
  all->items = grown;
  grown[all->count] = (line){0};
  return &grown[all->count++];
}

static err add_number(lines *all, const report_table *first, size_t row, const report_row *y,
                      size_t index, agreement_count *count) {
  static const char *const verdicts[] = {[AGREEMENT_SAME] = "equal",
                                         [AGREEMENT_PRINTED] = "equal as printed",
                                         [AGREEMENT_WITHIN] = "intervals overlap",
                                         [AGREEMENT_DIFFERS] = "DIFFERS",
                                         [AGREEMENT_MISSING] = "MISSING",
                                         [AGREEMENT_MACHINE] = "depends on the machine"};
  const report_column *c = &first->columns[index];
  const report_row *x = &first->rows[row];
  const report_value *a = &x->values[index], *b = agreement_value(y, index);
  agreement kind = agreement_judge(c, x, y, index);
  agreement_add(kind, count);
  if (kind == AGREEMENT_NONE) return NULL;
  line *l = add_line(all);
  if (!l) return mem_error(sizeof *l, "a table");
  write_name(first, row, c, &l->cells[CELL_NAME]);
  report_format_value(c, a, &l->cells[CELL_FIRST]);
  report_format_value(c, b, &l->cells[CELL_AGAIN]);
  write_change(a->value, b->value, &l->cells[CELL_CHANGE]);
  strbuf_append(&l->cells[CELL_VERDICT], verdicts[kind]);
  return NULL;
}

static void write_padded(const strbuf *cell, size_t width, bool is_right, strbuf *out) {
  size_t columns = text_columns(strbuf_string(cell)),
         spaces = width > columns ? width - columns : 0;
  for (size_t i = 0; is_right && i < spaces; i++) strbuf_append_char(out, ' ');
  strbuf_append(out, strbuf_string(cell));
  for (size_t i = 0; !is_right && i < spaces; i++) strbuf_append_char(out, ' ');
}

static void write_lines(const lines *all, strbuf *out) {
  size_t widths[CELL_COUNT] = {0};
  for (size_t i = 0; i < all->count; i++)
    for (int c = 0; c < CELL_VERDICT; c++) {
      size_t columns = text_columns(strbuf_string(&all->items[i].cells[c]));
      if (columns > widths[c]) widths[c] = columns;
    }
  for (size_t i = 0; i < all->count; i++) {
    for (int c = 0; c < CELL_COUNT; c++) {
      strbuf_append(out, c ? "  " : "");
      write_padded(&all->items[i].cells[c], widths[c], c != CELL_NAME && c != CELL_VERDICT, out);
    }
    while (out->length && out->data[out->length - 1] == ' ') out->data[--out->length] = '\0';
    strbuf_append_char(out, '\n');
  }
}

err agreement_write_table(const report_table *first, const report_table *again, strbuf *out,
                          agreement_count *count) {
  static const char *const headings[CELL_COUNT] = {"", "recorded", "here", "difference", ""};
  lines all = {0};
  line *head = add_line(&all);
  err error = head ? NULL : mem_error(sizeof *head, "a table");
  for (int c = 0; head && c < CELL_COUNT; c++) strbuf_append(&head->cells[c], headings[c]);
  *count = (agreement_count){0};
  for (size_t r = 0; r < first->row_count && !error; r++) {
    const report_row *row = agreement_find_row(first, r, again);
    for (size_t c = 0; c < first->column_count && c < again->column_count && !error; c++)
      error = add_number(&all, first, r, row, c, count);
  }
  if (!error) write_lines(&all, out);
  for (size_t i = 0; i < all.count; i++)
    for (int c = 0; c < CELL_COUNT; c++) strbuf_free(&all.items[i].cells[c]);
  free(all.items);
  return error;
}
