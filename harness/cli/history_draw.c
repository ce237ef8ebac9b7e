/* flipbench history --format html|svg|png|pdf: the measurements as figures and as a page. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "cli/history.h"
#include "report/history.h"

static bool is_format(const char *text) {
  static const char *const known[] = {"svg", "png", "pdf"};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcmp(text, known[i]) == 0) return true;
  return false;
}

err history_check_format(const char *format) {
  char copy[64], *rest = copy, *one;
  if (strcmp(format, "text") == 0 || strcmp(format, "html") == 0) return NULL;
  snprintf(copy, sizeof copy, "%s", format);
  while ((one = strsep(&rest, ","))) {
    if (strcmp(one, "text") == 0 || strcmp(one, "html") == 0)
      return err_new(ERR_INPUT, "--format: '%s' cannot be combined with other formats", one);
    if (!is_format(one))
      return err_new(ERR_INPUT, "--format: '%s' is not one of text, html, svg, png, pdf", one);
  }
  return NULL;
}

static err write_page(const history_view *v, const char *results, const char *plots,
                      const char *path, strbuf *said) {
  strbuf page = {0}, failures = {0};
  char *text = NULL;
  size_t length;
  err error = NULL;
  strbuf_format(&failures, "%s/benchmarks/failures.jsonl", results);
  if (fs_exists(strbuf_string(&failures))) TRY(fs_read(strbuf_string(&failures), &text, &length));
  TRY(history_page(v, plots, text, &page));
  if (page.is_broken) FAIL(ERR_MEMORY, "out of memory: a page");
  TRY(fs_write_atomic(path, page.data, page.length));
  strbuf_format(said, "%s\n", path);
cleanup:
  free(text);
  strbuf_free(&page);
  strbuf_free(&failures);
  return error;
}

static err find_all_levels(const sample_series *series, size_t count, double level,
                           series_levels **levels) {
  err error = NULL;
  *levels = mem_zeroed(count, sizeof **levels);
  if (!*levels) return mem_error(count * sizeof **levels, "a history");
  for (size_t i = 0; i < count && !error; i++)
    error = history_levels(&series[i], level / (double)count, &(*levels)[i]);
  return error;
}

/* "a\nb\n" and "svg,png" become "FOLDER/a.svg\nFOLDER/a.png\n…". */
static void list_files(char *drawn, const char *folder, const char *formats, strbuf *said) {
  for (char *rest = drawn, *name; (name = strsep(&rest, "\n"));) {
    char copy[64], *left = copy, *format;
    snprintf(copy, sizeof copy, "%s", formats);
    while (*name && (format = strsep(&left, ",")))
      strbuf_format(said, "%s/%s.%s\n", folder, name, format);
  }
}

err history_draw_all(const history_words *words, const history_drawing *how,
                     const sample_series *series, size_t count, strbuf *said) {
  bool is_page = strcmp(how->format, "html") == 0;
  strbuf drawn = {0}, plots = {0}, page = {0};
  series_levels *levels = NULL;
  err error = NULL;
  TRY(find_all_levels(series, count, words->level, &levels));
  const history_view view = {series, levels, count, words->metric};
  if (is_page || !how->out)
    strbuf_format(&plots, "%s/benchmarks/plots", words->place.results);
  else
    strbuf_append(&plots, how->out);
  TRY(history_draw(&view, strbuf_string(&plots), is_page ? "svg" : how->format,
                   !is_page && how->is_column, &drawn));
  strbuf_format(&page, "%s/benchmarks/history.html", words->place.results);
  if (is_page)
    TRY(write_page(&view, words->place.results, strbuf_string(&plots),
                   how->out ? how->out : strbuf_string(&page), said));
  else if (drawn.data)
    list_files(drawn.data, strbuf_string(&plots), how->format, said);
cleanup:
  for (size_t i = 0; levels && i < count; i++) levels_free(&levels[i]);
  free(levels);
  strbuf_free(&drawn);
  strbuf_free(&plots);
  strbuf_free(&page);
  return error;
}
