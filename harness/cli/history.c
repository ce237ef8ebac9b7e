/* flipbench history: a series of medians, one per commit, and its levels. */
#include "cli/history.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const char details[] =
    "Samples come from --measure and 'flipbench compare'. A point is the median of a commit's "
    "samples,\n"
    "without the machine's drift where they were measured in turns with another commit's: then "
    "they "
    "are\n"
    "ratios, times the other's level. What was measured alone contains drift (‡). A series\n"
    "holds the samples measured with the same arguments, the same compiler and flags, on the same\n"
    "machine; different series are never compared. Changes are found by circular binary "
    "segmentation:\n"
    "where the means before and after differ by more than noise explains, not at single outliers. "
    "A\n"
    "point far from its neighbours on both sides is excluded as an outlier and marked.\n"
    "\n"
    "--measure builds and measures a range of commits (both ends included, along first parents) "
    "in\n"
    "separate checkouts, newest first, each in turns with one and the same commit, the reference: "
    "that of\n"
    "earlier measurements, or the newest. Commits that already have enough rounds are not measured "
    "again,\n"
    "so the command can be interrupted and repeated. Commits that do not build are recorded in\n"
    "RESULTS/benchmarks/failures.jsonl and skipped. Checkouts of a killed call are removed by the "
    "next "
    "one.\n"
    "\n"
    "examples:\n"
    "  flipbench history\n"
    "  flipbench history --measure GOOD..HEAD --budget 2h\n"
    "  flipbench history --format html            RESULTS/benchmarks/history.html\n"
    "  flipbench history --metric samples_per_second --only mask_ratio=0.5";

err history_check(const history_words *words, const option_list *rest) {
  if (rest->count) return err_new(ERR_INPUT, "unexpected argument '%s'", rest->items[0]);
  if (!(words->level > 0 && words->level < 1))
    return err_new(ERR_INPUT, "--level: %g is not between 0 and 1", words->level);
  return NULL;
}

err history_open(history_words *words, store **s) {
  err error = cli_find_place(&words->place);
  return error ? error : cli_make_place(&words->place, s);
}

err history_read(const history_words *words, store *s, sample_series **series, size_t *count,
                 size_t *all) {
  err error = store_ingest_samples(s, words->place.results);
  if (!error) error = store_read_samples(s, words->metric, series, all);
  if (!error && !*all)
    error = err_new(ERR_INPUT,
                    "no samples of '%s' in %s/benchmarks; 'flipbench compare build/bin/flip' "
                    "measures some",
                    words->metric, words->place.results);
  if (error) return error;
  *count = words->only ? store_select_samples(words->only, *series, *all) : *all;
  return *count ? NULL : err_new(ERR_INPUT, "--only: no series contains '%s'", words->only);
}

err history_levels(const sample_series *series, double level, series_levels *l) {
  double *values = mem_zeroed(series->count + 1, sizeof *values);
  *l = (series_levels){0};
  if (!values) return mem_error(series->count * sizeof *values, "a series");
  for (size_t i = 0; i < series->count; i++) values[i] = series->points[i].value;
  err error = levels_find(values, series->count, level, l);
  free(values);
  return error;
}

void history_write_head(const sample_series *series, strbuf *out) {
  strbuf_format(out, "%s %s · %s\n", series->series, series->metric, series->machine);
  strbuf_format(out, "  args   %s\n", *series->words ? series->words : "(not recorded)");
  strbuf_format(out, "  build  %s\n", *series->build ? series->build : "(not recorded)");
}

void history_write_p(double p, strbuf *out) {
  if (p < 0.001)
    strbuf_append(out, "p < 0.001");
  else
    strbuf_format(out, "p = %.3f", p);
}

void history_write_left_out(const sample_series *series, strbuf *out) {
  if (!series->left_out) return;
  strbuf_format(out, "%zu sample%s left out: no positive number", series->left_out,
                series->left_out == 1 ? "" : "s");
  if (series->empty_commits)
    strbuf_format(out, "; %zu commit%s no other", series->empty_commits,
                  series->empty_commits == 1 ? " has" : "s have");
}

static err write_history(const sample_series *series, double level, strbuf *out) {
  series_levels l;
  size_t next = 1;
  err error = history_levels(series, level, &l);
  if (error) return error;
  history_write_head(series, out);
  for (size_t i = 0; i < series->count; i++) {
    const sample_point *p = &series->points[i];
    if (next < l.level_count && l.levels[next].first == i) {
      strbuf_format(out, "  ── changed by %+.1f %% (",
                    100 * (l.levels[next].mean / l.levels[next - 1].mean - 1));
      history_write_p(l.levels[next].p, out);
      strbuf_append(out, ")\n");
      next++;
    }
    strbuf_format(
        out, "  %-11s %-10s %12.6g  %zu sample%s%s%s%s\n", p->label, p->day, p->value, p->samples,
        p->samples == 1 ? "" : "s", p->is_alone ? " ‡" : "", p->disturbed ? " †" : "",
        !l.is_aside[i]                     ? ""
        : i == 0 || i + 1 == series->count ? " differs from its neighbours: left out of the levels"
                                           : " outlier: excluded");
  }
  if (series->left_out) {
    strbuf_append(out, "  ");
    history_write_left_out(series, out);
    strbuf_append(out, "\n");
  }
  levels_free(&l);
  return NULL;
}

static void write_notes(const sample_series *series, size_t count, strbuf *out) {
  size_t disturbed = 0, alone = 0;
  for (size_t i = 0; i < count; i++) {
    alone += series[i].alone;
    for (size_t k = 0; k < series[i].count; k++) disturbed += series[i].points[k].disturbed > 0;
  }
  if (alone)
    strbuf_format(out,
                  "‡ %zu of these points %s not measured in turns with the others: the "
                  "machine's drift, often several percent within minutes, is in %s "
                  "(flipbench history --measure measures in turns)\n",
                  alone, text_plural((int64_t)alone, "was", "were"),
                  text_plural((int64_t)alone, "its value", "their differences"));
  if (disturbed)
    strbuf_format(out,
                  "† other processes disturbed the machine while %zu of these points %s measured\n",
                  disturbed, text_plural((int64_t)disturbed, "was", "were"));
}

static err write_all(const sample_series *series, size_t count, double level, strbuf *out) {
  err error = NULL;
  for (size_t i = 0; i < count && !error; i++)
    error = write_history(&series[i], level / (double)count, out);
  write_notes(series, count, out);
  return error;
}

static bool has_number(const sample_series *series, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (series[i].count) return true;
  return false;
}

int cli_history(int argc, char **argv) {
  history_words words = {{.results = "results"}, "samples_per_second", NULL, 0.03};
  history_measuring measuring = {.rounds = 8, .options = {.builds = CLI_BUILD_DEFAULTS}};
  history_drawing drawing = {"text", NULL, false};
  const char *builds = NULL, *size = "wide";
  bool is_help_wanted = false, is_progress_wanted = true;
  option options[] = {
      HISTORY_OPTIONS(words),
      {"format", 'f', OPTION_STRING, &drawing.format, "LIST",
       "text, html, or of svg, png, pdf [text]", false},
      {"out", 'o', OPTION_STRING, &drawing.out, "PATH",
       "page, or folder of the figures [in RESULTS/benchmarks]", false},
      {"size", 0, OPTION_STRING, &size, "SIZE", "size of figures: wide or column [wide]", false},
      {"measure", 0, OPTION_STRING, &measuring.range, "A..B",
       "first build and measure these commits, newest first, with the arguments after '--'", false},
      {"rounds", 'n', OPTION_INTEGER, &measuring.rounds, "N", "rounds per commit [8]", false},
      {"budget", 0, OPTION_STRING, &measuring.budget, "TIME",
       "start no commit that would exceed this time: 30m, 2h [none]", false},
      {"again", 0, OPTION_FLAG, &measuring.options.builds_again, NULL,
       "also try commits that failed before", false},
      CLI_BUILD_OPTIONS(measuring.options.builds),
      {"builds", 0, OPTION_STRING, &builds, "DIR", "keep the checkouts here [a temporary folder]",
       false},
      {"progress", 0, OPTION_FLAG, &is_progress_wanted, NULL, "show progress [on]", false},
      CLI_PLACE_OPTIONS(words.place),
      {0}};
  command c = {"flipbench history", "show measurements over commits and where they changed",
               "[OPTIONS] [-- ARGS…]", options, details};
  option_list rest = {0}, program;
  int own = cli_split_words(argc, argv, &program);
  sample_series *series = NULL;
  size_t count = 0, all = 0;
  store *s = NULL;
  strbuf out = {0};
  err error = NULL;
  TRY(options_parse(&c, own, argv, &rest, &is_help_wanted));
  if (is_help_wanted) goto cleanup;
  TRY(history_check(&words, &rest));
  TRY(history_check_format(drawing.format));
  if (own != argc && !measuring.range)
    FAIL(ERR_INPUT, "the arguments after '--' are those of --measure A..B; --only TEXT shows the "
                    "series that contain a text");
  if (drawing.out && strcmp(drawing.format, "text") == 0)
    FAIL(ERR_INPUT, "--out is the place of a page or of figures: give --format html, svg, png or "
                    "pdf too");
  drawing.is_column = strcmp(size, "column") == 0;
  if (!drawing.is_column && strcmp(size, "wide") != 0)
    FAIL(ERR_INPUT, "--size: '%s' is not wide or column", size);
  TRY(history_open(&words, &s));
  measuring.options.builds.folder = builds;
  measuring.options.shows_progress = is_progress_wanted;
  if (measuring.range) TRY(history_measure(&measuring, &words, &program, s));
  TRY(history_read(&words, s, &series, &count, &all));
  if (strcmp(drawing.format, "text") == 0)
    TRY(write_all(series, count, words.level, &out));
  else if (has_number(series, count))
    TRY(history_draw_all(&words, &drawing, series, count, &out));
  TRY(cli_print(&out));
  if (!has_number(series, count))
    FAIL(ERR_INPUT, "no sample of '%s' is a positive number; nothing to compare", words.metric);
cleanup:
  store_free_samples(series, all);
  store_close(s);
  strbuf_free(&out);
  free(words.place.path);
  options_free_list(&rest);
  options_free(options);
  return options_exit_status(error);
}
