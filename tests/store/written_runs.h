/* Event streams written by hand, for the tests of what run-level numbers are made from, and reading
 * of these numbers. */
#ifndef TESTS_STORE_WRITTEN_RUNS_H
#define TESTS_STORE_WRITTEN_RUNS_H

#include <math.h>

#include "base/text.h"
#include "store/store.h"
#include "support/test.h"

#define assert_near(value, wanted)                                                                 \
  do {                                                                                             \
    double got_ = (value), wanted_ = (wanted);                                                     \
    if (!(fabs(got_ - wanted_) <= 1e-9 * fabs(wanted_) + 1e-12))                                   \
      fail_msg("%s is %.12g, not %.12g", #value, got_, wanted_);                                   \
  } while (0)

double real(store *s, const char *sql);
double summary(store *s, const char *name);
void write_file(const char *path, const strbuf *text);
/* attempts.jsonl of three processes, started at seconds 0, 100 and 200 of a minute's count. */
void write_attempts(int count);
/* The same while the last of them runs. */
void write_running_attempts(int count);
void add_start(strbuf *text, int minute, int first_step, int64_t total_steps);
void add_step(strbuf *text, int minute, int64_t step, int steps, double seconds);
void add_memory(strbuf *text, int minute, int64_t peak);
void add_checkpoint(strbuf *text, int64_t step);
void add_end(strbuf *text, int minute, const char *status);
/* Killed after step 5 with a checkpoint of step 3; stopped after 9; one step was left. */
void write_interrupted_run(strbuf *text);

#endif
