#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "cli/cli.h"
#include "run/timing.h"
#include "stats/ratio.h"
#include "store/samples.h"

static const char details[] =
    "BASE and NEW are two builds of flip, of two commits say (git worktree makes the second\n"
    "checkout). Each round runs both, in turn first, with the words after '--', by default 'bench\n"
    "step --json'; they must print JSON objects, one a line, with the number --metric. The ratio\n"
    "new/base is of the medians, its interval a bootstrap over rounds; beside it stands the\n"
    "difference that so many rounds would find in four of five cases. Samples are kept in\n"
    "RESULTS/benchmarks for 'flipbench history' and 'regress'. With BASE alone they are only "
    "kept.\n"
    "\n"
    "examples:\n"
    "  flipbench compare ../before/build/bin/flip build/bin/flip --rounds 10\n"
    "  flipbench compare old/flip new/flip --metric gflops -- bench ops --json\n"
    "  flipbench compare build/bin/flip          keeps samples of this commit";

static void write_series(const timing_series *one, const stats_ratio_result *r, bool is_json,
                         strbuf *out) {
  if (is_json) {
    json_writer w = jsonw_start(out);
    jsonw_object(&w, NULL);
    jsonw_string(&w, "series", one->name);
    jsonw_integer(&w, "rounds", (int64_t)one->base_count);
    jsonw_number(&w, "ratio", r->ratio);
    jsonw_number(&w, "low", r->low);
    jsonw_number(&w, "high", r->high);
    jsonw_number(&w, "detectable", r->detectable);
    jsonw_end(&w);
    strbuf_append_char(out, '\n');
    return;
  }
  const char *verdict = r->low > 1 ? "more" : r->high < 1 ? "less" : "no difference found";
  strbuf_format(out, "%-28s %.3f × [%.3f, %.3f]  %s; ±%.1f %% would be found\n", one->name,
                r->ratio, r->low, r->high, verdict, 100 * r->detectable);
}

static err report_result(const timing_result *result, const timing_options *how, bool is_json) {
  strbuf out = {0};
  err error = NULL;
  if (!is_json && how->other)
    strbuf_format(&out, "%s, new over base\n  base %.60s\n  new  %.60s\n", how->metric,
                  result->commits[0], result->commits[1]);
  for (size_t i = 0; i < result->count && !error; i++) {
    const timing_series *one = &result->series[i];
    stats_ratio_result r;
    if (!how->other) {
      if (!is_json) strbuf_format(&out, "%s: %zu samples kept\n", one->name, one->base_count);
      continue;
    }
    size_t rounds = one->base_count < one->other_count ? one->base_count : one->other_count;
    error = stats_ratio(one->base, one->other, rounds, &r);
    if (!error) write_series(one, &r, is_json, &out);
  }
  if (!error) error = cli_print(&out);
  strbuf_free(&out);
  return error;
}

int cli_compare(int argc, char **argv) {
  cli_place place = {.results = "results"};
  timing_options how = {.metric = "samples_per_second"};
  int64_t rounds = 8;
  bool is_json = false, is_help_wanted = false;
  option options[] = {
      {"rounds", 'n', OPTION_INTEGER, &rounds, "N", "rounds, both programs in each [8]", false},
      {"metric", 'm', OPTION_STRING, &how.metric, "NAME", "the number [samples_per_second]", false},
      {"json", 0, OPTION_FLAG, &is_json, NULL, "print JSON for scripts", false},
      CLI_PLACE_OPTIONS(place),
      {0}};
  command c = {"flipbench compare", "two builds measured in turn",
               "BASE [NEW] [OPTIONS] [-- WORDS…]", options, details};
  option_list rest = {0}, words;
  int own = cli_split_words(argc, argv, &words);
  timing_result result = {0};
  store *s = NULL;
  err error = NULL;
  TRY(options_parse(&c, own, argv, &rest, &is_help_wanted));
  if (is_help_wanted) goto cleanup;
  if (rest.count < 1 || rest.count > 2)
    FAIL(ERR_INPUT, "one or two programs are wanted (see --help)");
  if (rounds < 3 || rounds > 1000)
    FAIL(ERR_INPUT, "--rounds: %lld is not between 3 and 1000", (long long)rounds);
  TRY(cli_find_place(&place));
  how.base = rest.items[0];
  how.other = rest.count == 2 ? rest.items[1] : NULL;
  how.words = &words;
  how.results = place.results;
  how.rounds = (size_t)rounds;
  TRY(timing_measure(&how, &result));
  TRY(store_open(place.path, &s));
  TRY(store_ingest_samples(s, place.results));
  TRY(report_result(&result, &how, is_json));
cleanup:
  store_close(s);
  timing_free(&result);
  free(place.path);
  options_free_list(&rest);
  options_free(options);
  return options_exit_status(error);
}
