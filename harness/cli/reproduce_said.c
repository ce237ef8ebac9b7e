#include "cli/reproduce_said.h"

#include <stdlib.h>
#include <string.h>

#include "experiment/spec.h"
#include "store/environments.h"

static int compare_names(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static void name_program(const store_environment *e, strbuf *out) {
  strbuf_format(out, "commit %.10s", e->commit);
  if (*e->dirty) strbuf_format(out, " with changes %s", e->dirty);
}

static void name_machine(const store_environment *e, strbuf *out) {
  strbuf_append(out, e->cpu);
  if (*e->device_name && strcmp(e->device_name, e->cpu) != 0)
    strbuf_format(out, " · %s", e->device_name);
  strbuf_format(out, " · %s · %lld %s", e->precision, (long long)e->threads,
                text_plural(e->threads, "thread", "threads"));
}

/* Distinct programs or machines, sorted, separated by "; ". */
static err join(const store_environment *all, size_t count, bool is_of_machine, strbuf *out) {
  spec_names names = {0};
  err error = NULL;
  for (size_t i = 0; i < count && !error; i++) {
    strbuf text = {0};
    if (is_of_machine && *all[i].cpu) name_machine(&all[i], &text);
    if (!is_of_machine && *all[i].commit) name_program(&all[i], &text);
    if (text.length) error = spec_names_add(&names, strbuf_string(&text));
    strbuf_free(&text);
  }
  if (names.count) qsort(names.items, names.count, sizeof *names.items, compare_names);
  for (size_t i = 0; i < names.count; i++)
    if (!i || strcmp(names.items[i], names.items[i - 1]) != 0)
      strbuf_format(out, "%s%s", i ? "; " : "", names.items[i]);
  spec_names_free(&names);
  return error;
}

err said_read_origin(store *s, const char *experiment, said_origin *o) {
  store_environment *all;
  size_t count;
  *o = (said_origin){0};
  err error = store_list_environments(s, experiment, &all, &count);
  if (!error) error = join(all, count, false, &o->programs);
  if (!error) error = join(all, count, true, &o->machines);
  store_free_environments(all, count);
  return error;
}

void said_free_origin(said_origin *o) {
  strbuf_free(&o->programs);
  strbuf_free(&o->machines);
}

static bool is_same(const strbuf *a, const strbuf *b) {
  return strcmp(strbuf_string(a), strbuf_string(b)) == 0;
}

static void compare_one(const char *what, const strbuf *first, const strbuf *again, strbuf *out) {
  if (is_same(first, again))
    strbuf_format(out, "%s: same, %s\n", what, strbuf_string(first));
  else
    strbuf_format(out, "%s: different. recorded: %s; here: %s\n", what, strbuf_string(first),
                  strbuf_string(again));
}

void said_compare_origins(const said_origin *first, const said_origin *again, strbuf *out) {
  compare_one("program", &first->programs, &again->programs, out);
  compare_one("machine", &first->machines, &again->machines, out);
}

static size_t count_agreeing(const agreement_count *n) {
  return n->same + n->printed + n->within;
}

static size_t count_judged(const agreement_count *n) {
  return count_agreeing(n) + n->differing + n->missing;
}

bool said_is_reproduced(const said_basis *b) {
  size_t judged = count_judged(b->numbers);
  return judged && count_agreeing(b->numbers) == judged && b->has_all_cells;
}

/* Rows of which nothing, or not every seed, was there to be compared with. */
static void say_gaps(const report_table *record, strbuf *out) {
  size_t empty = 0, partial = 0;
  for (size_t r = 0; r < record->row_count; r++) {
    const report_row *row = &record->rows[r];
    empty += !row->finished;
    partial += row->finished && row->finished < row->cells;
  }
  if (empty)
    strbuf_format(out, "; %zu of %zu recorded rows had no result", empty, record->row_count);
  if (partial)
    strbuf_format(out, "; %zu of %zu recorded rows had no result of some seeds", partial,
                  record->row_count);
}

void said_verdict(const said_basis *b, strbuf *out) {
  const agreement_count *n = b->numbers;
  const localise_match *data = b->data;
  size_t judged = count_judged(n);
  strbuf_format(out,
                "%zu of %zu numbers agree with the bundle: %zu equal, %zu as printed, %zu "
                "within the intervals over seeds",
                count_agreeing(n), judged, n->same, n->printed, n->within);
  if (n->machine)
    strbuf_format(out, "; %zu of speed, time and memory depend on the machine and are not judged",
                  n->machine);
  strbuf_format(out, "\nverdict: %s, on %s, with %s program, on %s machine",
                said_is_reproduced(b) ? "reproduced"
                : judged              ? "NOT reproduced"
                                      : "no number could be judged",
                data->different || data->absent ? "DIFFERENT data"
                : data->same && !data->unknown  ? "the same data"
                                                : "data that could be compared only in part",
                is_same(&b->first->programs, &b->again->programs) ? "the same" : "a different",
                is_same(&b->first->machines, &b->again->machines) ? "the same kind of"
                                                                  : "a different");
  if (n->differing)
    strbuf_format(out, "; %zu %s", n->differing,
                  text_plural((int64_t)n->differing, "number differs", "numbers differ"));
  if (n->missing)
    strbuf_format(out, "; %zu %s missing", n->missing,
                  text_plural((int64_t)n->missing, "is", "are"));
  if (!b->has_all_cells) strbuf_append(out, "; not every cell finished");
  say_gaps(b->record, out);
  if (!judged && n->machine)
    strbuf_append(out, "; the recorded numbers are all of speed, time and memory");
  strbuf_append_char(out, '\n');
}
