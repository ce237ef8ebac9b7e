#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "timing/bisect.h"
#include "timing/timing.h"
#include "stats/ratio.h"
#include "store/samples.h"

static const char details[] =
    "Binary search over the commits between GOOD and BAD. Each tested commit is checked out and\n"
    "built in RESULTS/builds and measured in alternation with GOOD (see 'flipbench compare'), "
    "using\n"
    "the arguments after '--', by default 'bench step --json'. A commit counts as BAD when its "
    "whole\n"
    "interval lies on BAD's side of the midpoint between the two, and as GOOD when it lies on the\n"
    "other side; if the interval contains the midpoint, the rounds are doubled, at most twice.\n"
    "Commits that do not build, or that stay undecided, are skipped. BAD may be slower or faster.\n"
    "\n"
    "examples:\n"
    "  flipbench bisect GOOD HEAD\n"
    "  flipbench bisect HEAD~20 HEAD --rounds 6 -- bench step -s mask_ratio=0.5 --json\n"
    "  flipbench bisect main~50 main --metric mfu --build 'make -j flip' --program flip\n"
    "\n"
    "exit status: 0 found; 3 undecided, or more than one commit left; 2 usage error";
enum { EXIT_UNSURE = 3, MOST_DOUBLINGS = 2 };

/* How a commit compares with GOOD. */
typedef struct {
  bool is_tried, is_built;
  bisect_verdict verdict;
  stats_ratio_result ratio;
} finding;

typedef struct {
  bisect_builds builds;
  timing_options how;
  const char *series; /* the series compared; NULL: the one that differs most */
  char *series_found; /* owned */
  bool keeps_builds;
  bisect_commit *commits;
  size_t count;
  finding *findings;
  char *good_program;
  double limit; /* between good and bad, as a ratio to good */
  int step, steps;
} search;

static err no_series(const search *s, const timing_result *result, size_t named) {
  strbuf names = {0};
  for (size_t i = 0; i < result->count; i++)
    strbuf_format(&names, "%s%s", i ? ", " : "", result->series[i].name);
  err error = named || !s->series
                  ? err_new(ERR_INPUT,
                            "%s of %s: fewer than %d rounds gave two positive numbers; nothing to "
                            "compare",
                            s->how.metric, s->series ? s->series : strbuf_string(&names),
                            RATIO_LEAST_ROUNDS)
                  : err_new(ERR_INPUT, "--series: no series '%s'; available: %s", s->series,
                            strbuf_string(&names));
  strbuf_free(&names);
  return error;
}

/* The series to compare: the one named, else the one that differs most. */
static err pick_series(const search *s, const timing_result *result, size_t rounds,
                       stats_ratio_result *picked, const char **name) {
  double most = -1;
  size_t named = 0;
  *name = NULL;
  *picked = (stats_ratio_result){NAN, NAN, NAN, NAN, 0, 0};
  for (size_t i = 0; i < result->count; i++) {
    const timing_series *one = &result->series[i];
    stats_ratio_result r;
    if (s->series && strcmp(one->name, s->series) != 0) continue;
    err error = stats_ratio(one->base, one->other, rounds, &r);
    if (error) return error;
    named++;
    if (r.left_out)
      log_warning("%s: %zu of %zu rounds left out: no positive number", one->name, r.left_out,
                  rounds);
    if (r.rounds < RATIO_LEAST_ROUNDS) continue;
    bool differs = r.low > 1 || r.high < 1;
    double size = fabs(log(r.ratio)) + (differs ? 1e6 : 0);
    if (size <= most) continue;
    most = size;
    *picked = r;
    *name = one->name;
  }
  return *name ? NULL : no_series(s, result, named);
}

static err measure(search *s, const char *program, size_t rounds, stats_ratio_result *r,
                   char **series) {
  timing_options how = s->how;
  timing_result result;
  const char *name = NULL;
  how.base = s->good_program;
  how.other = program;
  how.rounds = rounds;
  how.repository = s->builds.repository;
  err error = timing_measure(&how, NULL, &result);
  if (error) return error;
  error = pick_series(s, &result, rounds, r, &name);
  if (!error && series && !(*series = mem_copy_string(name))) error = mem_error(0, "a name");
  timing_free(&result);
  return error;
}

static void tell(const search *s, size_t at, const char *verdict) {
  const finding *f = &s->findings[at];
  const bisect_commit *c = &s->commits[at];
  log_info("%.10s  %s × %.3f [%.3f, %.3f]  %s  %s", c->id, s->how.metric, f->ratio.ratio,
           f->ratio.low, f->ratio.high, verdict, c->subject);
}

static err judge(void *context, size_t at, bisect_verdict *verdict) {
  search *s = context;
  finding *f = &s->findings[at];
  char *program = NULL;
  log_info("step %d of about %d: %.10s %s", ++s->step, s->steps, s->commits[at].id,
           s->commits[at].subject);
  *verdict = BISECT_SKIPPED;
  f->is_tried = true;
  f->verdict = BISECT_SKIPPED;
  err error = bisect_build(&s->builds, s->commits[at].id, &program);
  if (error &&
      err_kind_of(error) == ERR_INPUT) { /* a commit that does not build cannot be judged */
    log_warning("%.10s is skipped: %s", s->commits[at].id, err_message(error));
    err_free(error);
    return NULL;
  }
  f->is_built = !error;
  size_t rounds = s->how.rounds;
  for (int doubling = 0; !error && *verdict == BISECT_SKIPPED && doubling <= MOST_DOUBLINGS;
       doubling++, rounds *= 2) {
    error = measure(s, program, rounds, &f->ratio, NULL);
    bool is_more = s->limit > 1;
    if (!error && (is_more ? f->ratio.low > s->limit : f->ratio.high < s->limit))
      *verdict = BISECT_BAD;
    else if (!error && (is_more ? f->ratio.high < s->limit : f->ratio.low > s->limit))
      *verdict = BISECT_GOOD;
  }
  if (error && err_kind_of(error) == ERR_INPUT) { /* it crashes, or prints nothing usable */
    log_warning("%.10s is skipped: %s", s->commits[at].id, err_message(error));
    err_free(error);
    free(program);
    f->is_built = false;
    *verdict = BISECT_SKIPPED;
    return NULL;
  }
  f->verdict = *verdict;
  if (!error)
    tell(s, at, *verdict == BISECT_BAD ? "BAD" : *verdict == BISECT_GOOD ? "GOOD" : "undecided");
  free(program);
  return error;
}

/* Measures both ends. *is_different is false when no difference was found. */
static err measure_ends(search *s, bool *is_different) {
  size_t last = s->count - 1;
  finding *f = &s->findings[last];
  char *program = NULL;
  log_info("building GOOD %.10s and BAD %.10s", s->commits[0].id, s->commits[last].id);
  err error = bisect_build(&s->builds, s->commits[0].id, &s->good_program);
  if (!error) error = bisect_build(&s->builds, s->commits[last].id, &program);
  if (!error) error = measure(s, program, 2 * s->how.rounds, &f->ratio, &s->series_found);
  free(program);
  if (error) return error;
  f->is_tried = f->is_built = true;
  f->verdict = BISECT_BAD;
  s->series = s->series_found;
  s->limit = sqrt(f->ratio.ratio);
  *is_different = f->ratio.low > 1 || f->ratio.high < 1;
  log_info("%s of %s: BAD is × %.3f [%.3f, %.3f] of GOOD", s->how.metric, s->series, f->ratio.ratio,
           f->ratio.low, f->ratio.high);
  return NULL;
}

static const char *verdict_name(const finding *f) {
  return f->verdict == BISECT_BAD ? "bad" : f->verdict == BISECT_GOOD ? "good" : "skipped";
}

static void write_json(const search *s, size_t good, size_t bad, bool is_different, strbuf *out) {
  json_writer w = jsonw_start(out);
  jsonw_object(&w, NULL);
  jsonw_string(&w, "metric", s->how.metric);
  jsonw_string(&w, "series", s->series);
  if (is_different && bad == good + 1) jsonw_string(&w, "first_bad", s->commits[bad].id);
  jsonw_string(&w, "good", s->commits[good].id);
  jsonw_string(&w, "bad", s->commits[bad].id);
  jsonw_array(&w, "tried");
  for (size_t i = 0; i < s->count; i++) {
    const finding *f = &s->findings[i];
    if (!f->is_tried) continue;
    jsonw_object(&w, NULL);
    jsonw_string(&w, "commit", s->commits[i].id);
    jsonw_string(&w, "subject", s->commits[i].subject);
    jsonw_string(&w, "verdict", verdict_name(f));
    if (f->is_built) {
      jsonw_number(&w, "ratio", f->ratio.ratio);
      jsonw_number(&w, "low", f->ratio.low);
      jsonw_number(&w, "high", f->ratio.high);
    }
    jsonw_end(&w);
  }
  jsonw_end(&w);
  jsonw_end(&w);
  strbuf_append_char(out, '\n');
}

static void write_text(const search *s, size_t good, size_t bad, bool is_different, strbuf *out) {
  const stats_ratio_result *whole = &s->findings[s->count - 1].ratio;
  if (!is_different) {
    strbuf_format(
        out,
        "no difference found between GOOD and BAD: %s of %s × %.3f [%.3f, %.3f]; ±%.1f %% is "
        "detectable\n",
        s->how.metric, s->series, whole->ratio, whole->low, whole->high, 100 * whole->detectable);
  } else if (bad == good + 1) {
    const finding *f = &s->findings[bad], *before = &s->findings[good];
    strbuf_format(out, "%s %s\n%s of %s: × %.3f [%.3f, %.3f] against GOOD", s->commits[bad].id,
                  s->commits[bad].subject, s->how.metric, s->series, f->ratio.ratio, f->ratio.low,
                  f->ratio.high);
    if (good && before->is_built) /* a loss in many small steps has a part there already */
      strbuf_format(out, "; the commit before it × %.3f [%.3f, %.3f]", before->ratio.ratio,
                    before->ratio.low, before->ratio.high);
    if (bad < s->count - 1)
      strbuf_format(out, "; BAD × %.3f [%.3f, %.3f]", whole->ratio, whole->low, whole->high);
    strbuf_append_char(out, '\n');
  } else {
    strbuf_append(out, "one of these commits (the measurements do not distinguish them):\n");
    for (size_t i = good + 1; i <= bad; i++)
      strbuf_format(out, "  %.10s %s\n", s->commits[i].id, s->commits[i].subject);
  }
}

static err find(search *s, bool is_json, bool *is_found) {
  size_t good = 0, bad = s->count - 1;
  bool is_different = false;
  strbuf out = {0};
  err error = measure_ends(s, &is_different);
  s->steps = bisect_steps(s->count);
  if (!error && is_different) error = bisect_search(s->count, judge, s, &good, &bad);
  *is_found = is_different && bad == good + 1;
  if (!error) {
    (is_json ? write_json : write_text)(s, good, bad, is_different, &out);
    error = cli_print(&out);
  }
  strbuf_free(&out);
  for (size_t i = 0; !s->keeps_builds && i < s->count; i++) {
    bool is_end = i == 0 || i + 1 == s->count; /* tried in any case, also if it failed */
    if (is_end || s->findings[i].is_tried) bisect_remove_build(&s->builds, s->commits[i].id);
  }
  return error;
}

static int end(search *s, err error, bool is_found) {
  bool has_ended_well = !error;
  int status = options_exit_status(error);
  bisect_free_commits(s->commits, s->count);
  free(s->findings);
  free(s->good_program);
  free(s->series_found);
  return has_ended_well && !is_found ? EXIT_UNSURE : status;
}

int cli_bisect(int argc, char **argv) {
  cli_place place = {.results = "results"};
  search s = {.builds = CLI_BUILD_DEFAULTS, .how = {.metric = "samples_per_second"}};
  int64_t rounds = 6;
  bool is_json = false, is_help_wanted = false, is_found = true;
  option options[] = {
      {"rounds", 'n', OPTION_INTEGER, &rounds, "N", "rounds; each runs both programs [6]", false},
      {"metric", 'm', OPTION_STRING, &s.how.metric, "NAME",
       "the number compared [samples_per_second]", false},
      {"series", 0, OPTION_STRING, &s.series, "NAME",
       "the series, as named by compare [the one that differs most]", false},
      CLI_BUILD_OPTIONS(s.builds),
      {"keep", 0, OPTION_FLAG, &s.keeps_builds, NULL, "leave the checkouts in RESULTS/builds",
       false},
      {"json", 0, OPTION_FLAG, &is_json, NULL, "print JSON for scripts", false},
      CLI_PLACE_OPTIONS(place),
      {0}};
  command c = {"flipbench bisect", "find the commit that changed a measurement",
               "GOOD BAD [OPTIONS] [-- ARGS…]", options, details};
  option_list rest = {0}, words;
  int own = cli_split_words(argc, argv, &words);
  char *folder = NULL;
  store *record = NULL;
  err error = NULL;
  TRY(options_parse(&c, own, argv, &rest, &is_help_wanted));
  if (is_help_wanted) goto cleanup;
  if (rest.count != 2) FAIL(ERR_INPUT, "expected two commits, GOOD and BAD (see --help)");
  if (rounds < RATIO_LEAST_ROUNDS || rounds > 1000)
    FAIL(ERR_INPUT, "--rounds: %lld is not between %d and 1000", (long long)rounds,
         RATIO_LEAST_ROUNDS);
  TRY(cli_find_place(&place));
  TRY(cli_check_place(&place));
  if (!(folder = fs_join(place.results, "builds"))) FAIL(ERR_MEMORY, "out of memory: a path");
  s.builds.folder = folder;
  s.how.words = &words;
  s.how.results = place.results;
  s.how.rounds = (size_t)rounds;
  TRY(bisect_list_commits(s.builds.repository, rest.items[0], rest.items[1], &s.commits, &s.count));
  s.findings = mem_zeroed(s.count, sizeof *s.findings);
  if (!s.findings) FAIL(ERR_MEMORY, "out of memory: %zu commits", s.count);
  TRY(find(&s, is_json, &is_found));
  TRY(cli_make_place(&place, &record));
  TRY(store_ingest_samples(record, place.results));
cleanup:
  store_close(record);
  free(folder);
  free(place.path);
  options_free_list(&rest);
  options_free(options);
  return end(&s, error, is_found);
}
