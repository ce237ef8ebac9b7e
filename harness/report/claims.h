/* The claims of an experiment file, judged by the intervals of the report. */
#ifndef FLIPBENCH_REPORT_CLAIMS_H
#define FLIPBENCH_REPORT_CLAIMS_H

#include "base/json.h"
#include "experiment/spec.h"
#include "store/store.h"

typedef enum {
  CLAIM_HOLDS,
  CLAIM_FAILS,
  CLAIM_UNSURE,
  CLAIM_NOT_RUN,
  CLAIM_NOT_JUDGED, /* in this profile */
  CLAIM_VERDICTS
} claim_verdict;

/* What an interval says of a relation: it holds, or fails, only where the whole interval does. A
 * NaN interval tells nothing. */
claim_verdict claims_judge(const spec_claim *claim, double low, double high);

/* A line for each claim, with value, interval, n and verdict, and a line of counts; nothing for a
 * file without claims. */
err claims_write(const spec_experiment *e, store *s, strbuf *out) ERR_MUST_CHECK;
/* The same for a page: the keys "claims", an array, and "claim_counts". */
err claims_write_json(const spec_experiment *e, store *s, json_writer *w) ERR_MUST_CHECK;

#endif
