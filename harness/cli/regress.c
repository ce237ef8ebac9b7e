/* flipbench regress: a verdict on every series of flipbench history. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/history.h"
#include "experiment/columns.h"
#include "report/history.h"
#include "timing/bisect.h"
#include "timing/builds.h"
#include "timing/failures.h"

enum { EXIT_REGRESSION = 1, EXIT_UNSURE = 2, EXIT_USAGE = 3 };

static const char details[] =
    "Checks every series of 'flipbench history'. A regression is\n"
    "  - a newest level worse than the best earlier one (or than the level of --against) by "
    "--least\n"
    "    percent or more, in one step or in several; or\n"
    "  - a slope within the newest level that adds up to as much.\n"
    "'fine' means that a change of --least is ruled out with 95 % confidence, wherever in the\n"
    "newest level it might have begun but in its newest two commits; from which loss on these\n"
    "would have been seen is told. Everything else is 'cannot tell': fewer than six commits,\n"
    "noise that would hide such a change, one or two worse commits at the end (three make a\n"
    "level), a change where commits, or those of the newest level, were measured alone within\n"
    "hours, which may be the machine's drift, a series without the commit of --against, or\n"
    "without a number at the newest commits, which may have failed to build, or been built by\n"
    "the same command with other flags.\n"
    "Every commit measured in a series counts, by its date, also those of other branches and of\n"
    "rewritten history: measure branches into folders of their own (--results).\n"
    "\n"
    "Less is better where --metric is a time, a size, an energy or a loss (step_seconds,\n"
    "peak_bytes, joules_per_sample), more where it is a rate or an accuracy\n"
    "(samples_per_second, top1); a column of reports is judged as there. --lower-is-better and\n"
    "--higher-is-better override this, and are required where the name says neither.\n"
    "\n"
    "examples:\n"
    "  flipbench regress\n"
    "  flipbench regress --metric step_seconds --least 3\n"
    "  flipbench regress --against 1a2b3c4        accept the level of that commit\n"
    "\n"
    "exit status: 0 fine; 1 regression; 2 cannot tell; 3 usage error, or no samples of that\n"
    "metric";

typedef struct {
  history_words words;
  double least_percent;
  bool is_lower_better; /* as given, until `decide_direction` has looked at the metric */
  bool is_higher_better;
  const char *against;
  char resolved[44];   /* of --against, where it is a name that git knows */
  strbuf git_problem;  /* why git could not be asked for it */
  size_t series_count; /* of those judged */
  size_t all_count;    /* with those that --only leaves out */
} regress_words;

/* After the last commit of a series. */
typedef struct {
  size_t count;
  const char *build; /* theirs, if they were built otherwise; else NULL */
} unmeasured_commits;

static bool find_last(const sample_series *series, const char *commit, size_t *at) {
  size_t length = strlen(commit);
  for (size_t i = series->count; i-- > 0;)
    if (strncmp(series->points[i].commit, commit, length) == 0) {
      *at = i;
      return true;
    }
  return false;
}

/* The point of --against in a series: the commit's own, or, where there is none, that of a build
 * with uncommitted changes. ERR_INPUT is left to the caller: other series may have it. */
static bool find_reference(const sample_series *series, const char *commit, size_t *at) {
  size_t length = strlen(commit);
  for (size_t i = series->count; i-- > 0;)
    if (strncmp(series->points[i].commit, commit, length) == 0 &&
        !strchr(series->points[i].label, '+')) {
      *at = i;
      return true;
    }
  return find_last(series, commit, at);
}

static void write_evidence(const sample_series *series, const series_levels *l, strbuf *out) {
  size_t disturbed = 0;
  for (size_t i = 0; i < series->count; i++) disturbed += series->points[i].disturbed > 0;
  strbuf_format(out, "%s", series->machine);
  if (*series->words) strbuf_format(out, "; %s", series->words);
  if (*series->build) strbuf_format(out, "; %s", series->build);
  if (l->aside)
    strbuf_format(out, "; %zu %s excluded", l->aside,
                  text_plural((int64_t)l->aside, "outlier", "outliers"));
  if (disturbed) strbuf_format(out, "; † %zu disturbed", disturbed);
  if (series->left_out) strbuf_append(out, "; ");
  history_write_left_out(series, out);
}

static void write_worse(const sample_series *series, const series_levels *l,
                        const series_verdict *v, strbuf *out) {
  const char *since = series->points[v->since].label;
  strbuf_format(out, "regression   %s: ", series->series);
  if (v->reason == VERDICT_BY_TREND)
    strbuf_format(out, "%+.1f %% gradually since %s (", 100 * v->change, since);
  else if (v->steps > 1)
    strbuf_format(out, "%+.1f %% in %zu steps since %s, against the level that ends with %s (",
                  100 * v->change, v->steps, since, series->points[v->since - 1].label);
  else
    strbuf_format(out, "%+.1f %% since %s (", 100 * v->change, since);
  history_write_p(v->p, out);
  strbuf_append(out, "; ");
  write_evidence(series, l, out);
  strbuf_append(out, ")\n");
}

static void write_unsure(const sample_series *series, const series_levels *l,
                         const series_verdict *v, const verdict_options *how, strbuf *out) {
  size_t newest = series->count - v->since;
  strbuf_format(out, "cannot tell  %s: ", series->series);
  if (v->reason == VERDICT_BY_COUNT)
    strbuf_format(out, "%zu %s, at least %d are needed", series->count - l->aside,
                  text_plural((int64_t)(series->count - l->aside), "commit", "commits"),
                  LEVELS_LEAST_POINTS);
  else if (v->reason == VERDICT_BY_NEWEST)
    strbuf_format(out, "the newest %s %+.1f %%; measure more commits (%d make a level)",
                  newest == 1 ? "commit is off by" : "two commits are off by", 100 * v->change,
                  LEVELS_LEAST_SEGMENT);
  else
    strbuf_format(
        out,
        "noise hides a change of %.1f %%: up to %.1f %% is possible; measure more commits "
        "or rounds, or use --least %.1f",
        100 * how->least, 100 * v->bound, ceil(1000 * v->bound + 1e-9) / 10);
  strbuf_append(out, " (");
  write_evidence(series, l, out);
  strbuf_append(out, ")\n");
}

/* Worse, unless it is the machine that became slower while the commits were measured. */
static void write_drift(const sample_series *series, const series_levels *l,
                        const series_verdict *v, strbuf *out) {
  strbuf_format(
      out,
      "cannot tell  %s: %+.1f %% since %s, but %zu of %zu commits were measured alone, all or "
      "the newest level one after another, and the "
      "machine's drift looks the same: 'flipbench history --measure' measures in turns (",
      series->series, 100 * v->change, series->points[v->since].label, series->alone,
      series->count);
  write_evidence(series, l, out);
  strbuf_append(out, ")\n");
}

static bool is_sibling(const sample_series *a, const sample_series *b) {
  return strcmp(a->machine, b->machine) == 0 && strcmp(a->words, b->words) == 0;
}

/* Points of a series after a commit, in the order of store_read_samples. */
static size_t count_after(const sample_series *series, const sample_point *last) {
  const double half_second = 0.5 / 86400; /* days are not exact */
  size_t later = 0;
  for (size_t i = 0; i < series->count; i++) {
    const sample_point *p = &series->points[i];
    double since = p->committed - last->committed;
    bool is_of_second = fabs(since) <= half_second;
    later += is_of_second ? p->measured > last->measured : since > 0;
  }
  return later;
}

/* Commits after the last point of this series at which the same command measured another row, no
 * number, or a program that it built with other flags: the level of the series is not that of
 * today. */
static err count_unmeasured(const sample_series *series, const sample_series *all, size_t count,
                            const char *results, unmeasured_commits *found) {
  size_t at;
  bool is_of_command;
  *found = (unmeasured_commits){0};
  if (!series->count) return NULL;
  const sample_point *last = &series->points[series->count - 1];
  for (size_t i = 0; i < count; i++) {
    size_t later = 0;
    const char *build = all[i].build;
    if (!is_sibling(series, &all[i])) continue;
    if (strcmp(series->build, build) != 0) {
      later = count_after(&all[i], last);
      if (later <= found->count) continue;
      err error =
          builds_have_one_command(results, series->machine, series->build, build, &is_of_command);
      if (error) return error;
      if (is_of_command) *found = (unmeasured_commits){later, build};
    } else if (find_last(&all[i], last->commit, &at)) {
      later = all[i].count - 1 - at + all[i].empty_newest;
      if (later > found->count) *found = (unmeasured_commits){later, NULL};
    }
  }
  return NULL;
}

static void write_unmeasured(const sample_series *series, const unmeasured_commits *unmeasured,
                             strbuf *out) {
  strbuf_format(out, "cannot tell  %s: %s at the newest ", series->series,
                series->empty_newest ? "no number" : "not measured");
  if (unmeasured->count > 1) strbuf_format(out, "%zu ", unmeasured->count);
  strbuf_append(out, text_plural((int64_t)unmeasured->count, "commit", "commits"));
  if (unmeasured->build)
    strbuf_format(out, ", which were built otherwise: %s instead of %s", unmeasured->build,
                  *series->build ? series->build : "(not recorded)");
  strbuf_format(out, " (%s is its last", series->points[series->count - 1].label);
  if (series->left_out) strbuf_append(out, "; ");
  history_write_left_out(series, out);
  strbuf_append(out, ")\n");
}

static void write_failed(const sample_series *series, size_t failed, strbuf *out) {
  strbuf_format(out, "cannot tell  %s: the newest ", series->series);
  if (failed > 1) strbuf_format(out, "%zu ", failed);
  strbuf_format(out,
                "%s could not be built or measured (RESULTS/benchmarks/failures.jsonl says why; %s "
                "is its last)\n",
                text_plural((int64_t)failed, "commit", "commits"),
                series->points[series->count - 1].label);
}

/* A sentence about one series of `all`, which contains those left out by --only too: they tell
 * which commits were measured. */
static err judge(const sample_series *series, const sample_series *all, const regress_words *words,
                 strbuf *out, verdict_kind *kind) {
  series_levels l;
  verdict_options how = {.least = words->least_percent / 100,
                         .level = words->words.level / (double)words->series_count,
                         .is_lower_better = words->is_lower_better};
  how.has_reference = words->against && find_reference(series, words->against, &how.reference);
  if (words->against && !how.has_reference) {
    *kind = VERDICT_UNSURE;
    strbuf_format(out, "cannot tell  %s: commit %s was not measured in it\n", series->series,
                  words->against);
    return NULL;
  }
  unmeasured_commits unmeasured;
  err error =
      count_unmeasured(series, all, words->all_count, words->words.place.results, &unmeasured);
  if (error) return error;
  if (unmeasured.count) {
    *kind = VERDICT_UNSURE;
    write_unmeasured(series, &unmeasured, out);
    return NULL;
  }
  size_t failed;
  error = failures_count_newer(words->words.place.results, series, &failed);
  if (!error) error = history_levels(series, how.level, &l);
  if (error) return error;
  series_verdict v = levels_judge(&l, &how);
  *kind = v.kind;
  if (v.kind == VERDICT_WORSE && history_may_drift(series, &l, v.reference)) {
    *kind = VERDICT_UNSURE;
    write_drift(series, &l, &v, out);
  } else if (v.kind == VERDICT_WORSE) {
    write_worse(series, &l, &v, out);
  } else if (failed) { /* what was lost until then is told first */
    *kind = VERDICT_UNSURE;
    write_failed(series, failed, out);
  } else if (v.kind == VERDICT_UNSURE) {
    write_unsure(series, &l, &v, &how, out);
  } else {
    strbuf_format(out, "fine         %s: %zu commits, no more than %.1f %% %s is possible",
                  series->series, series->count, fmax(0, 100 * v.bound),
                  words->is_lower_better ? "more" : "less");
    if (!isnan(v.unseen))
      strbuf_format(out, "; since the newest two, seen from %.1f %% on", 100 * v.unseen);
    strbuf_append(out, " (");
    write_evidence(series, &l, out);
    strbuf_append(out, ")\n");
  }
  levels_free(&l);
  return NULL;
}

static err check(const regress_words *words, const option_list *rest) {
  err error = history_check(&words->words, rest);
  if (error) return error;
  if (!(words->least_percent > 0 && words->least_percent < 100))
    return err_new(ERR_INPUT, "--least: %g %% is not between 0 and 100", words->least_percent);
  return NULL;
}

static err decide_direction(regress_words *words) {
  if (words->is_lower_better && words->is_higher_better)
    return err_new(ERR_INPUT, "--lower-is-better and --higher-is-better exclude each other");
  if (words->is_lower_better || words->is_higher_better) return NULL;
  const column_better better = columns_better(words->words.metric);
  if (better == BETTER_NONE)
    return err_new(ERR_INPUT,
                   "--metric %s: its name does not say whether less or more is better; give "
                   "--lower-is-better or --higher-is-better",
                   words->words.metric);
  words->is_lower_better = better == BETTER_LOWER;
  return NULL;
}

static bool is_in_any(const sample_series *series, size_t count, const char *commit) {
  bool is_found = false;
  size_t at;
  for (size_t i = 0; i < count && !is_found; i++)
    is_found = find_reference(&series[i], commit, &at);
  return is_found;
}

/* HEAD~1 is a commit too, in a checkout. */
static err resolve_reference(regress_words *words, const sample_series *series, size_t count) {
  if (!words->against || is_in_any(series, count, words->against)) return NULL;
  err error = bisect_find_commit(words->against, words->resolved, &words->git_problem);
  if (error || !*words->resolved) return error;
  if (!is_in_any(series, count, words->resolved))
    return err_new(ERR_INPUT, "--against: no series contains commit %s (%.10s)", words->against,
                   words->resolved);
  words->against = words->resolved;
  return NULL;
}

static err check_reference(const regress_words *words, const sample_series *series, size_t count) {
  const char *found = NULL;
  if (!words->against) return NULL;
  size_t length = strlen(words->against);
  if (length < 4)
    return err_new(ERR_INPUT, "--against: '%s' is too short; give at least 4 digits of a commit",
                   words->against);
  for (size_t i = 0; i < count; i++)
    for (size_t k = 0; k < series[i].count; k++) {
      const char *commit = series[i].points[k].commit;
      if (strncmp(commit, words->against, length) != 0) continue;
      if (found && strcmp(found, commit) != 0)
        return err_new(ERR_INPUT,
                       "--against: %s is the beginning of several commits (%.10s, %.10s)",
                       words->against, found, commit);
      found = commit;
    }
  if (found) return NULL;
  return err_new(ERR_INPUT, "--against: no series contains commit %s (a prefix is enough)%s%s",
                 words->against, words->git_problem.length ? "; " : "",
                 strbuf_string(&words->git_problem));
}

int cli_regress(int argc, char **argv) {
  regress_words words = {.words = {{.results = "results"}, "samples_per_second", NULL, 0.03},
                         .least_percent = 2};
  bool is_help_wanted = false;
  option options[] = {
      HISTORY_OPTIONS(words.words),
      {"least", 0, OPTION_NUMBER, &words.least_percent, "PERCENT",
       "smallest change that counts [2]", false},
      {"against", 0, OPTION_STRING, &words.against, "COMMIT",
       "compare with the level of this commit: its id, or a name that git knows here [the best "
       "earlier level]",
       false},
      {"lower-is-better", 0, OPTION_FLAG, &words.is_lower_better, NULL,
       "less of the metric is better [as its name says]", false},
      {"higher-is-better", 0, OPTION_FLAG, &words.is_higher_better, NULL,
       "more of the metric is better [as its name says]", false},
      CLI_PLACE_OPTIONS(words.words.place),
      {0}};
  command c = {"flipbench regress", "check for performance regressions", "[OPTIONS]", options,
               details};
  option_list rest = {0};
  sample_series *series = NULL;
  size_t count = 0, found[3] = {0};
  store *s = NULL;
  strbuf out = {0};
  err error = NULL;
  TRY(options_parse(&c, argc, argv, &rest, &is_help_wanted));
  if (is_help_wanted) goto cleanup;
  TRY(check(&words, &rest));
  TRY(history_open(&words.words, &s));
  TRY(history_read(&words.words, s, &series, &words.series_count, &words.all_count));
  TRY(decide_direction(&words));
  count = words.series_count;
  TRY(resolve_reference(&words, series, count));
  TRY(check_reference(&words, series, count));
  for (size_t i = 0; i < count; i++) {
    verdict_kind kind;
    TRY(judge(&series[i], series, &words, &out, &kind));
    found[kind]++;
  }
  TRY(cli_print(&out));
cleanup:
  store_free_samples(series, words.all_count);
  store_close(s);
  strbuf_free(&out);
  strbuf_free(&words.git_problem);
  free(words.words.place.path);
  options_free_list(&rest);
  options_free(options);
  bool is_usage = error && err_kind_of(error) == ERR_INPUT;
  int status = options_exit_status(error);
  if (status) return is_usage ? EXIT_USAGE : status == 1 ? EXIT_UNSURE : status;
  return found[VERDICT_WORSE] ? EXIT_REGRESSION : found[VERDICT_UNSURE] ? EXIT_UNSURE : 0;
}
