/* flipbench history --measure: builds and measures a range of commits before they are shown. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/history.h"

static volatile bool is_stopping; /* set by a signal */

static void stop(int number) {
  (void)number;
  is_stopping = true;
}

/* "A..B" into its ends; B may be left out: HEAD. */
static err split_range(const char *text, char **first, const char **last) {
  const char *dots = strstr(text, "..");
  if (!dots || dots == text || strncmp(dots, "...", 3) == 0)
    return err_new(ERR_INPUT, "--measure: '%s' is not a range of commits such as GOOD..HEAD", text);
  *last = dots[2] ? dots + 2 : "HEAD";
  *first = mem_copy_string(text);
  if (!*first) return mem_error(0, "a range");
  (*first)[dots - text] = '\0';
  return NULL;
}

static void tell(const range_result *r) {
  strbuf line = {0};
  strbuf_format(&line, "%zu commit%s: %zu measured now, %zu measured before", r->commits,
                r->commits == 1 ? "" : "s", r->measured, r->known);
  if (r->failed)
    strbuf_format(&line,
                  ", %zu skipped (RESULTS/benchmarks/failures.jsonl says why; "
                  "--again retries them)",
                  r->failed);
  if (r->left) strbuf_format(&line, ", %zu left: run the same command to continue", r->left);
  log_info("%s", strbuf_string(&line));
  strbuf_free(&line);
}

err history_measure(history_measuring *m, const history_words *words, const option_list *program,
                    store *s) {
  range_result result;
  char *first = NULL;
  err error = NULL;
  if (m->rounds < 1 || m->rounds > 1000)
    return err_new(ERR_INPUT, "--rounds: %lld is not between 1 and 1000", (long long)m->rounds);
  if (m->budget && !text_parse_duration(m->budget, &m->options.budget_seconds))
    return err_new(ERR_INPUT, "--budget: '%s' is not a duration such as 30m or 1h30m", m->budget);
  TRY(split_range(m->range, &first, &m->options.last));
  m->options.first = first;
  m->options.how = (timing_options){.words = program,
                                    .metric = words->metric,
                                    .results = words->place.results,
                                    .rounds = (size_t)m->rounds};
  m->options.stop = &is_stopping;
  interrupt_catch(stop);
  TRY(store_ingest_samples(s, words->place.results));
  error = range_measure(&m->options, s, &result);
  if (result.commits) tell(&result);
cleanup:
  free(first);
  return error;
}
