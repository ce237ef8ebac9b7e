#include "report/difference.h"

#include "base/json.h"
#include "store/facts.h"

static const char *const parts[STORE_PARTS] = {"settings", "code", "machine",
                                               "data",     "run",  "evaluation"};

static void value_text(const store_value *value, strbuf *out) {
  strbuf_clear(out);
  switch (value->kind) {
  case STORE_NOTHING:
    strbuf_append(out, "–");
    break;
  case STORE_REAL:
    strbuf_format(out, "%.6g", value->real);
    break;
  default:
    strbuf_append(out, *value->text ? value->text : "''");
  }
}

/* "×1.07", for numbers that are results. */
static void ratio_text(const store_difference *x, strbuf *out) {
  double a = x->first.real, b = x->second.real;
  bool are_numbers = x->first.kind == STORE_REAL && x->second.kind == STORE_REAL;
  if (are_numbers && a > 0 && b > 0) strbuf_format(out, "  ×%.4g", b / a);
}

static void write_line(const store_difference *x, strbuf *out) {
  strbuf a = {0}, b = {0};
  value_text(&x->first, &a);
  value_text(&x->second, &b);
  bool is_long = a.length > 32 || b.length > 48;
  if (is_long)
    strbuf_format(out, "  %s\n    - %s\n    + %s\n", x->name, strbuf_string(&a), strbuf_string(&b));
  else
    strbuf_format(out, "  %-40s %14s  %s", x->name, strbuf_string(&a), strbuf_string(&b));
  if (!is_long && x->part >= STORE_PART_RUN) ratio_text(x, out);
  if (!is_long) strbuf_append_char(out, '\n');
  strbuf_free(&a);
  strbuf_free(&b);
}

err difference_text(store *s, int64_t run_a, int64_t run_b, strbuf *out, size_t *count) {
  store_difference *all;
  err error = store_compare_runs(s, run_a, run_b, &all, count);
  for (size_t i = 0; i < *count; i++) {
    if (!i || all[i].part != all[i - 1].part)
      strbuf_format(out, "%s%s\n", i ? "\n" : "", parts[all[i].part]);
    write_line(&all[i], out);
  }
  store_free_differences(all, *count);
  return error;
}

static void json_value(json_writer *w, const char *key, const store_value *value) {
  switch (value->kind) {
  case STORE_NOTHING:
    jsonw_null(w, key);
    break;
  case STORE_INTEGER:
    jsonw_integer(w, key, value->integer);
    break;
  case STORE_REAL:
    jsonw_number(w, key, value->real);
    break;
  default:
    jsonw_string(w, key, value->text);
  }
}

err difference_json(store *s, int64_t run_a, int64_t run_b, strbuf *out, size_t *count) {
  store_difference *all;
  json_writer w = jsonw_start(out);
  err error = store_compare_runs(s, run_a, run_b, &all, count);
  jsonw_array(&w, NULL);
  for (size_t i = 0; i < *count; i++) {
    jsonw_object(&w, NULL);
    jsonw_string(&w, "part", parts[all[i].part]);
    jsonw_string(&w, "name", all[i].name);
    json_value(&w, "first", &all[i].first);
    json_value(&w, "second", &all[i].second);
    jsonw_end(&w);
  }
  jsonw_end(&w);
  strbuf_append_char(out, '\n');
  store_free_differences(all, *count);
  return error;
}
