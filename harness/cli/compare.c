#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "cli/cli.h"
#include "timing/timing.h"
#include "stats/ratio.h"
#include "store/samples.h"

static const char details[] =
    "BASE and NEW are two builds of flip, for example of two commits (git worktree makes the "
    "second\n"
    "checkout). Each round runs both, alternating which goes first, with the arguments after '--', "
    "by\n"
    "default 'bench step --json'; they must print JSON objects, one per line, that contain the "
    "number\n"
    "--metric. new/base is the geometric mean over the rounds (from eight rounds on, the highest "
    "and\n"
    "lowest fifth are trimmed) with a 98 % interval: comparing a program with itself shows a\n"
    "difference in two of a hundred cases. The output also gives the smallest difference "
    "detectable\n"
    "with 80 % power. Rounds without two positive numbers are left out and counted. Rounds during\n"
    "which other processes used more than a tenth of the CPUs are marked.\n"
    "\n"
    "Samples are kept in RESULTS/benchmarks for 'flipbench history' and 'regress', with the "
    "arguments,\n"
    "the builds and the machine. With BASE alone, samples are recorded and nothing is compared.\n"
    "\n"
    "examples:\n"
    "  flipbench compare ../before/build/bin/flip build/bin/flip --rounds 10\n"
    "  flipbench compare old/flip new/flip --metric flops_per_second -- bench ops --json\n"
    "  flipbench compare build/bin/flip          records samples of this commit\n"
    "\n"
    "exit status: 0 compared; 2 nothing to compare in some series, or usage error";

static const char *verdict_of(const stats_ratio_result *r) {
  if (r->rounds < RATIO_LEAST_ROUNDS) return "cannot tell";
  return r->low > 1 ? "more" : r->high < 1 ? "less" : "no difference found";
}

static void write_disturbance_json(const timing_disturbance *d, json_writer *w) {
  jsonw_integer(w, "runs", (int64_t)d->runs);
  jsonw_integer(w, "disturbed_runs", (int64_t)d->disturbed);
  jsonw_number(w, "other_cpus", d->other_cpus);
  jsonw_number(w, "stolen_share", d->stolen_share);
}

static void write_json(const timing_series *one, const stats_ratio_result *r,
                       const timing_result *result, strbuf *out) {
  json_writer w = jsonw_start(out);
  jsonw_object(&w, NULL);
  jsonw_string(&w, "series", one->name);
  jsonw_integer(&w, "rounds", (int64_t)r->rounds);
  jsonw_number(&w, "ratio", r->ratio);
  jsonw_number(&w, "low", r->low);
  jsonw_number(&w, "high", r->high);
  jsonw_number(&w, "confidence", RATIO_CONFIDENCE);
  jsonw_number(&w, "detectable", r->detectable);
  jsonw_string(&w, "verdict", verdict_of(r));
  jsonw_integer(&w, "left_out", (int64_t)r->left_out);
  jsonw_string(&w, "words", result->words);
  jsonw_array(&w, "builds");
  for (int side = 0; side < 2; side++) jsonw_string(&w, NULL, result->builds[side]);
  jsonw_end(&w);
  write_disturbance_json(&result->disturbance, &w);
  jsonw_end(&w);
  strbuf_append_char(out, '\n');
}

static void write_text(const timing_series *one, const stats_ratio_result *r, bool is_disturbed,
                       strbuf *out) {
  size_t all = r->rounds + r->left_out;
  if (r->rounds < RATIO_LEAST_ROUNDS) {
    strbuf_format(out,
                  "%-28s cannot tell: only %zu of %zu rounds gave two positive numbers, %d are "
                  "needed\n",
                  one->name, r->rounds, all, RATIO_LEAST_ROUNDS);
    return;
  }
  strbuf_format(out, "%-28s %.3f × [%.3f, %.3f]  %s; ±%.1f %% detectable%s", one->name, r->ratio,
                r->low, r->high, verdict_of(r), 100 * r->detectable, is_disturbed ? " †" : "");
  if (r->left_out)
    strbuf_format(out, "; %zu of %zu rounds left out: no positive number", r->left_out, all);
  strbuf_append_char(out, '\n');
}

static void write_head(const timing_result *result, const timing_options *how, strbuf *out) {
  strbuf_format(out, "%s, new/base, with %.0f %% intervals\n  args  %s\n", how->metric,
                100 * RATIO_CONFIDENCE, result->words);
  for (int side = 0; side < 2; side++)
    strbuf_format(out, "  %-5s %.60s%s%s\n", side ? "new" : "base", result->commits[side],
                  *result->builds[side] ? " · " : "", result->builds[side]);
}

/* The recorded samples of a program measured alone. */
static size_t count_kept(const timing_series *one, size_t rounds) {
  size_t kept = 0;
  for (size_t i = 0; i < rounds; i++) kept += isnan(one->base[i]) ? 0 : 1;
  return kept;
}

static void write_kept_json(const timing_series *one, size_t rounds, const timing_result *result,
                            strbuf *out) {
  json_writer w = jsonw_start(out);
  jsonw_object(&w, NULL);
  jsonw_string(&w, "series", one->name);
  jsonw_integer(&w, "samples", (int64_t)count_kept(one, rounds));
  jsonw_integer(&w, "left_out", (int64_t)one->base_left_out);
  jsonw_string(&w, "words", result->words);
  jsonw_array(&w, "builds");
  jsonw_string(&w, NULL, result->builds[0]);
  jsonw_end(&w);
  write_disturbance_json(&result->disturbance, &w);
  jsonw_end(&w);
  strbuf_append_char(out, '\n');
}

static void write_kept(const timing_series *one, size_t rounds, strbuf *out) {
  size_t good = count_kept(one, rounds);
  strbuf_format(out, "%s: %zu %s recorded", one->name, good,
                text_plural((int64_t)good, "sample", "samples"));
  if (one->base_left_out)
    strbuf_format(out, ", %zu left out: no positive number", one->base_left_out);
  strbuf_append_char(out, '\n');
}

/* *is_compared false: some series could not be compared. */
static err report_result(const timing_result *result, const timing_options *how, bool is_json,
                         bool *is_compared) {
  strbuf out = {0};
  size_t kept = 0;
  bool is_disturbed = result->disturbance.disturbed > 0;
  err error = NULL;
  *is_compared = true;
  if (!is_json && how->other) write_head(result, how, &out);
  for (size_t i = 0; i < result->count && !error; i++) {
    const timing_series *one = &result->series[i];
    stats_ratio_result r;
    if (!how->other) {
      kept += count_kept(one, how->rounds);
      if (is_json)
        write_kept_json(one, how->rounds, result, &out);
      else
        write_kept(one, how->rounds, &out);
      continue;
    }
    error = stats_ratio(one->base, one->other, how->rounds, &r);
    if (!error && is_json) write_json(one, &r, result, &out);
    if (!error && !is_json) write_text(one, &r, is_disturbed, &out);
    if (r.rounds < RATIO_LEAST_ROUNDS) *is_compared = false;
  }
  if (!how->other && !kept) *is_compared = false;
  if (!is_json && how->other && is_disturbed) {
    strbuf_append(&out, "† ");
    timing_describe_disturbance(&result->disturbance, &out);
    strbuf_append(&out, "; this widens the intervals: repeat on an idle machine\n");
  }
  if (!error) error = cli_print(&out);
  strbuf_free(&out);
  return error;
}

static err check_rounds(int64_t rounds, bool is_comparison) {
  int64_t least = is_comparison ? RATIO_LEAST_ROUNDS : 1;
  if (rounds >= least && rounds <= 1000) return NULL;
  if (is_comparison && rounds > 0 && rounds < least)
    return err_new(ERR_INPUT,
                   "--rounds: %lld rounds cannot separate a difference from noise; at least %d are "
                   "needed, 8 are usual",
                   (long long)rounds, RATIO_LEAST_ROUNDS);
  return err_new(ERR_INPUT, "--rounds: %lld is not between %lld and 1000", (long long)rounds,
                 (long long)least);
}

int cli_compare(int argc, char **argv) {
  cli_place place = {.results = "results"};
  timing_options how = {.metric = "samples_per_second"};
  int64_t rounds = 8;
  bool is_json = false, is_help_wanted = false, is_compared = true;
  option options[] = {
      {"rounds", 'n', OPTION_INTEGER, &rounds, "N", "rounds; each runs both programs [8]", false},
      {"metric", 'm', OPTION_STRING, &how.metric, "NAME",
       "the number compared [samples_per_second]", false},
      {"json", 0, OPTION_FLAG, &is_json, NULL, "print JSON for scripts", false},
      CLI_PLACE_OPTIONS(place),
      {0}};
  command c = {"flipbench compare", "measure two builds in alternation",
               "BASE [NEW] [OPTIONS] [-- ARGS…]", options, details};
  option_list rest = {0}, words;
  int own = cli_split_words(argc, argv, &words);
  timing_result result = {0};
  store *s = NULL;
  err error = NULL;
  TRY(options_parse(&c, own, argv, &rest, &is_help_wanted));
  if (is_help_wanted) goto cleanup;
  if (rest.count < 1 || rest.count > 2)
    FAIL(ERR_INPUT, "expected one or two programs (see --help)");
  TRY(check_rounds(rounds, rest.count == 2));
  TRY(cli_find_place(&place));
  TRY(cli_check_place(&place));
  how.base = rest.items[0];
  how.other = rest.count == 2 ? rest.items[1] : NULL;
  how.words = &words;
  how.results = place.results;
  how.rounds = (size_t)rounds;
  TRY(timing_measure(&how, NULL, &result));
  TRY(cli_make_place(&place, &s));
  TRY(store_ingest_samples(s, place.results));
  TRY(report_result(&result, &how, is_json, &is_compared));
  if (!is_compared)
    FAIL(ERR_INPUT, "some series have too few positive numbers '%s'; nothing to compare",
         how.metric);
cleanup:
  store_close(s);
  timing_free(&result);
  free(place.path);
  options_free_list(&rest);
  options_free(options);
  return options_exit_status(error);
}
