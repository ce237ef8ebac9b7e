/* flipbench history and regress: one series of medians a commit, its levels, and a verdict. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "stats/changes.h"
#include "stats/summary.h"
#include "store/samples.h"

enum {
  LEAST_SEGMENT = 3,
  PERMUTATIONS = 199,
  EXIT_REGRESSION = 1,
  EXIT_UNSURE = 2,
  EXIT_USAGE = 3
};

static const char history_details[] =
    "Samples come from 'flipbench compare'. A point is the median of a commit's samples on one\n"
    "machine. Changes are found by E-divisive with a permutation test (p at most --level): where\n"
    "the distribution before and after differ, not where one point sticks out.\n"
    "\n"
    "examples:\n"
    "  flipbench history\n"
    "  flipbench history --metric samples_per_second --level 0.01";

static const char regress_details[] =
    "Looks at every series of 'flipbench history'. A regression is a change to a worse level, by\n"
    "at least --least, whose new level is the newest one. A series cannot tell when it has fewer\n"
    "than six commits, or when its noise would hide such a change.\n"
    "\n"
    "examples:\n"
    "  flipbench regress\n"
    "  flipbench regress --metric step_seconds --lower-is-better --least 3\n"
    "\n"
    "exit status: 0 fine; 1 regression; 2 cannot tell; 3 wrong usage";

typedef struct {
  cli_place place;
  const char *metric;
  double level, least_percent;
  bool is_lower_better;
} history_words;

/* Medians of the levels that the changes part a series into. */
typedef struct {
  change_point *points;
  size_t count;
  double *values;
} levels;

static void free_levels(levels *l) {
  free(l->points);
  free(l->values);
}

static err find_levels(const sample_series *series, const history_words *words, levels *l) {
  const change_options how = {LEAST_SEGMENT, PERMUTATIONS, words->level, 0};
  *l = (levels){.values = mem_zeroed(series->count, sizeof(double))};
  if (!l->values) return mem_error(series->count * sizeof(double), "a series");
  for (size_t i = 0; i < series->count; i++) l->values[i] = series->points[i].value;
  return stats_changes(l->values, series->count, &how, &l->points, &l->count);
}

/* The median of level k: from change k - 1 to change k. */
static err level_of(const levels *l, size_t total, size_t k, double *median) {
  size_t first = k ? l->points[k - 1].at : 0, last = k < l->count ? l->points[k].at : total;
  return stats_median(l->values + first, last - first, median);
}

static err write_history(const sample_series *series, const history_words *words, strbuf *out) {
  levels l;
  size_t next = 0;
  err error = find_levels(series, words, &l);
  strbuf_format(out, "%s %s · %s\n", series->series, series->metric, series->machine);
  for (size_t i = 0; i < series->count && !error; i++) {
    const sample_point *p = &series->points[i];
    bool is_change = next < l.count && l.points[next].at == i;
    if (is_change) {
      double before = NAN, after = NAN;
      error = level_of(&l, series->count, next, &before);
      if (!error) error = level_of(&l, series->count, next + 1, &after);
      strbuf_format(out, "  ── changed by %+.1f %% (p = %.3f)\n", 100 * (after / before - 1),
                    l.points[next++].p);
    }
    strbuf_format(out, "  %-11s %-10s %12.6g  %zu sample%s\n", p->commit, p->day, p->value,
                  p->samples, p->samples == 1 ? "" : "s");
  }
  free_levels(&l);
  return error;
}

/* Half the 95 % interval of one point's distance from its level, as a share of it. */
static err noise_of(const levels *l, size_t total, double newest, double *share) {
  size_t first = l->count ? l->points[l->count - 1].at : 0;
  double deviation = stats_deviation(l->values + first, total - first);
  *share = 1.96 * deviation / newest / sqrt((double)(total - first));
  return NULL;
}

/* 0, EXIT_REGRESSION or EXIT_UNSURE for one series, with its sentence. */
static err judge(const sample_series *series, const history_words *words, strbuf *out,
                 int *verdict) {
  levels l;
  double newest, before = NAN, noise;
  *verdict = 0;
  if (series->count < 2 * LEAST_SEGMENT) {
    *verdict = EXIT_UNSURE;
    strbuf_format(out, "cannot tell  %s: %zu commits, at least %d are needed (%s)\n",
                  series->series, series->count, 2 * LEAST_SEGMENT, series->machine);
    return NULL;
  }
  err error = find_levels(series, words, &l);
  if (!error) error = level_of(&l, series->count, l.count, &newest);
  if (!error && l.count) error = level_of(&l, series->count, l.count - 1, &before);
  if (!error) error = noise_of(&l, series->count, newest, &noise);
  if (error) goto cleanup;
  double change = 100 * (newest / before - 1), worse = words->is_lower_better ? change : -change;
  if (l.count && worse >= words->least_percent) {
    *verdict = EXIT_REGRESSION;
    strbuf_format(out, "regression   %s: %+.1f %% since %s (p = %.3f; %s)\n", series->series,
                  change, series->points[l.points[l.count - 1].at].commit, l.points[l.count - 1].p,
                  series->machine);
  } else if (100 * noise > words->least_percent) {
    *verdict = EXIT_UNSURE;
    strbuf_format(out, "cannot tell  %s: noise of ±%.1f %% hides a change of %.1f %% (%s)\n",
                  series->series, 100 * noise, words->least_percent, series->machine);
  } else {
    strbuf_format(out, "fine         %s: %zu commits, ±%.1f %% (%s)\n", series->series,
                  series->count, 100 * noise, series->machine);
  }
cleanup:
  free_levels(&l);
  return error;
}

static err read_series(history_words *words, store **s, sample_series **series, size_t *count) {
  err error = cli_find_place(&words->place);
  if (!error) error = store_open(words->place.path, s);
  if (!error) error = store_ingest_samples(*s, words->place.results);
  if (!error) error = store_read_samples(*s, words->metric, series, count);
  if (!error && !*count)
    error = err_new(ERR_INPUT,
                    "no samples of '%s' in %s/benchmarks; 'flipbench compare build/bin/flip' "
                    "measures some",
                    words->metric, words->place.results);
  return error;
}

#define HISTORY_OPTIONS(words)                                                                     \
  {                                                                                                \
      "metric", 'm', OPTION_STRING, &(words).metric, "NAME", "the number [samples_per_second]",    \
      false},                                                                                      \
  {                                                                                                \
    "level", 0, OPTION_NUMBER, &(words).level, "P", "of the permutation test [0.01]", false        \
  }

static err check_words(const history_words *words, const option_list *rest) {
  if (rest->count) return err_new(ERR_INPUT, "unexpected word '%s'", rest->items[0]);
  if (!(words->level >= 1.0 / (PERMUTATIONS + 1) && words->level < 1))
    return err_new(ERR_INPUT, "--level: %g is not between %g and 1", words->level,
                   1.0 / (PERMUTATIONS + 1));
  return NULL;
}

int cli_history(int argc, char **argv) {
  history_words words = {{.results = "results"}, "samples_per_second", 0.01, 2, false};
  bool is_help_wanted = false;
  option options[] = {HISTORY_OPTIONS(words), CLI_PLACE_OPTIONS(words.place), {0}};
  command c = {"flipbench history", "measurements over commits, and where they changed",
               "[OPTIONS]", options, history_details};
  option_list rest = {0};
  sample_series *series = NULL;
  size_t count = 0;
  store *s = NULL;
  strbuf out = {0};
  err error = NULL;
  TRY(options_parse(&c, argc, argv, &rest, &is_help_wanted));
  if (is_help_wanted) goto cleanup;
  TRY(check_words(&words, &rest));
  TRY(read_series(&words, &s, &series, &count));
  for (size_t i = 0; i < count; i++) TRY(write_history(&series[i], &words, &out));
  TRY(cli_print(&out));
cleanup:
  store_free_samples(series, count);
  store_close(s);
  strbuf_free(&out);
  free(words.place.path);
  options_free_list(&rest);
  options_free(options);
  return options_exit_status(error);
}

int cli_regress(int argc, char **argv) {
  history_words words = {{.results = "results"}, "samples_per_second", 0.01, 2, false};
  bool is_help_wanted = false;
  option options[] = {
      HISTORY_OPTIONS(words),
      {"least", 0, OPTION_NUMBER, &words.least_percent, "PERCENT", "changes that count [2]", false},
      {"lower-is-better", 0, OPTION_FLAG, &words.is_lower_better, NULL, "times, not rates", false},
      CLI_PLACE_OPTIONS(words.place),
      {0}};
  command c = {"flipbench regress", "did it become slower", "[OPTIONS]", options, regress_details};
  option_list rest = {0};
  sample_series *series = NULL;
  size_t count = 0, found[3] = {0};
  store *s = NULL;
  strbuf out = {0};
  err error = NULL;
  TRY(options_parse(&c, argc, argv, &rest, &is_help_wanted));
  if (is_help_wanted) goto cleanup;
  TRY(check_words(&words, &rest));
  TRY(read_series(&words, &s, &series, &count));
  for (size_t i = 0; i < count; i++) {
    int verdict;
    TRY(judge(&series[i], &words, &out, &verdict));
    found[verdict]++;
  }
  TRY(cli_print(&out));
cleanup:
  store_free_samples(series, count);
  store_close(s);
  strbuf_free(&out);
  free(words.place.path);
  options_free_list(&rest);
  options_free(options);
  if (error) {
    bool is_usage = err_kind_of(error) == ERR_INPUT;
    int status = options_exit_status(error);
    return is_usage ? EXIT_USAGE : status == 1 ? EXIT_UNSURE : status;
  }
  return found[EXIT_REGRESSION] ? EXIT_REGRESSION : found[EXIT_UNSURE] ? EXIT_UNSURE : 0;
}
