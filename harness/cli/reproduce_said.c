#include "cli/reproduce_said.h"

#include <string.h>

#include "store/sql.h"

static err read_list(store *s, const char *sql, const char *experiment, strbuf *out) {
  sqlite3_stmt *rows;
  bool more;
  err error = sql_query(s, &rows, sql, "t", experiment);
  while (!error && !(error = sql_next(s, rows, &more)) && more)
    strbuf_format(out, "%s%s", out->length ? "; " : "", sql_text(rows, 0));
  return error;
}

err said_read_origin(store *s, const char *experiment, said_origin *o) {
  *o = (said_origin){0};
  err error = read_list(s,
                        "SELECT DISTINCT 'commit ' || substr(commit_id, 1, 10) ||"
                        " iif(dirty = '', '', ' with changes ' || dirty)"
                        " FROM v_provenance WHERE experiment = ? AND commit_id <> '' ORDER BY 1",
                        experiment, &o->programs);
  if (!error)
    error = read_list(s,
                      "SELECT DISTINCT cpu || iif(device_name IN ('', cpu), '', ' · ' ||"
                      " device_name) || ' · ' || precision || ' · ' || threads || ' threads'"
                      " FROM v_provenance WHERE experiment = ? AND cpu <> '' ORDER BY 1",
                      experiment, &o->machines);
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
    strbuf_format(out, "%s: the same, %s\n", what, strbuf_string(first));
  else
    strbuf_format(out, "%s: another. recorded: %s; here: %s\n", what, strbuf_string(first),
                  strbuf_string(again));
}

void said_compare_origins(const said_origin *first, const said_origin *again, strbuf *out) {
  compare_one("program", &first->programs, &again->programs, out);
  compare_one("machine", &first->machines, &again->machines, out);
}

void said_verdict(const agreement_count *n, const localise_match *data, bool has_all_cells,
                  const said_origin *first, const said_origin *again, strbuf *out) {
  size_t agreeing = n->same + n->printed + n->within, judged = agreeing + n->differing + n->missing;
  bool is_reproduced = judged && agreeing == judged && has_all_cells;
  strbuf_format(out,
                "%zu of %zu numbers agree with the bundle: %zu equal, %zu as printed, %zu "
                "within the intervals over seeds",
                agreeing, judged, n->same, n->printed, n->within);
  if (n->machine)
    strbuf_format(out, "; %zu of speed, time and memory are the machine's own and not judged",
                  n->machine);
  strbuf_format(out, "\nverdict: %s, on %s, with %s program, on %s machine",
                is_reproduced ? "reproduced"
                : judged      ? "NOT reproduced"
                              : "no number could be judged",
                data->different || data->absent ? "OTHER data"
                : data->same && !data->unknown  ? "the same data"
                                                : "data that could not all be compared",
                is_same(&first->programs, &again->programs) ? "the same" : "another",
                is_same(&first->machines, &again->machines) ? "the same kind of" : "another");
  if (n->differing) strbuf_format(out, "; %zu numbers differ", n->differing);
  if (n->missing) strbuf_format(out, "; %zu are missing", n->missing);
  if (!has_all_cells) strbuf_append(out, "; not every cell finished");
  strbuf_append_char(out, '\n');
}
