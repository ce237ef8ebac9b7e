/* Shared by 'flipbench history' and 'flipbench regress': the selected samples, and their levels. */
#ifndef FLIPBENCH_CLI_HISTORY_H
#define FLIPBENCH_CLI_HISTORY_H

#include "cli/cli.h"
#include "timing/range.h"
#include "stats/levels.h"
#include "store/samples.h"

typedef struct {
  cli_place place;
  const char *metric;
  const char *only; /* series whose heading contains this text; NULL: all */
  double level;
} history_words;

#define HISTORY_OPTIONS(words)                                                                     \
  {"metric",      'm',                                                                             \
   OPTION_STRING, &(words).metric,                                                                 \
   "NAME",        "the number compared [samples_per_second]",                                      \
   false},                                                                                         \
      {"only",        0,      OPTION_STRING,                                                       \
       &(words).only, "TEXT", "only series whose name, machine, arguments or build contain TEXT",  \
       false},                                                                                     \
  {                                                                                                \
    "level", 0, OPTION_NUMBER, &(words).level, "P",                                                \
        "false-alarm probability over all series [0.03]", false                                    \
  }

err history_check(const history_words *words, const option_list *rest) ERR_MUST_CHECK;
/* The database of `words->place`. */
err history_open(history_words *words, store **s) ERR_MUST_CHECK;
/* The `count` requested series and behind them those that --only leaves out, `all` together;
 * ERR_INPUT when none is requested. */
err history_read(const history_words *words, store *s, sample_series **series, size_t *count,
                 size_t *all) ERR_MUST_CHECK;
/* Levels of one series; `share`: of the false-alarm probability, 1 / number of series. */
err history_levels(const sample_series *series, double level, series_levels *l) ERR_MUST_CHECK;
/* The identity of the series, and the number of omitted samples. */
void history_write_head(const sample_series *series, strbuf *out);
/* "p = 0.012", "p < 0.001" */
void history_write_p(double p, strbuf *out);
void history_write_left_out(const sample_series *series, strbuf *out);

/* The options of --measure. */
typedef struct {
  const char *range; /* "A..B"; NULL: nothing is measured */
  const char *budget;
  int64_t rounds;
  range_options options;
} history_measuring;
/* Builds and measures the commits of the range with the arguments of `program`. ERR_INTERRUPTED
 * when a signal requested a stop; finished measurements are recorded. */
err history_measure(history_measuring *m, const history_words *words, const option_list *program,
                    store *s) ERR_MUST_CHECK;

/* How the history is drawn. */
typedef struct {
  const char *format; /* "text", "html", or of "svg,png,pdf" */
  const char *out;    /* the page, or the folder of the figures; NULL: in RESULTS/benchmarks */
  bool is_column;
} history_drawing;
err history_check_format(const char *format) ERR_MUST_CHECK;
/* Draws all series; `said`: the files, one per line. */
err history_draw_all(const history_words *words, const history_drawing *how,
                     const sample_series *series, size_t count, strbuf *said) ERR_MUST_CHECK;

#endif
