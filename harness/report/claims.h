/* The claims of an experiment file, judged by the confidence intervals in the report. */
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

/* A claim and its verdict. A claim against every other row keeps the comparison that is worst for
 * it. */
typedef struct {
  const spec_claim *claim;
  claim_verdict verdict;
  double value, low, high, published; /* NaN: none; high may be infinite */
  bool is_unverified;                 /* a published number that `published` is made of */
  size_t seeds, items, disturbed;
  const char *over; /* what the interval covers: "seeds and paired images"; NULL: no interval */
  size_t seeds_needed, items_needed; /* for an undecided claim: either would suffice; 0: not
                                      * known */
  const char *why; /* why there is no value although no cell is missing; NULL: there is one */
  char *missing;   /* the cells without a result, or with one of other inputs; "": none */
  char *quantity;  /* what is measured: "zero-shot top-1 (%) of mask 50 % minus that of mask 0 %";
                      "":  a row does not exist. Both owned */
  bool is_of_time; /* a time, speed or speed-up, which other load on the machine changes */
} claim_result;

typedef struct {
  claim_result *items;
  size_t count, counts[CLAIM_VERDICTS];
} claim_results;

/* What an interval says about a relation: it holds, or fails, only if the whole interval does. A
 * NaN interval decides nothing. */
claim_verdict claims_judge(const spec_claim *claim, double low, double high);

/* Judges every claim of the file; the results point into `e`. Free with claims_free. */
err claims_judge_all(const spec_experiment *e, store *s, claim_results *all) ERR_MUST_CHECK;
void claims_free(claim_results *all);

/* ---- as text (claims_text.c) ---- */

/* "holds", "does not hold", … */
const char *claims_verdict_name(claim_verdict verdict);
/* "2 hold, 1 does not hold, …". */
void claims_write_counts(const size_t counts[CLAIM_VERDICTS], strbuf *out);
/* A value of the claim, with a sign if it is a difference. */
void claims_write_number(const spec_claim *c, double value, strbuf *out);
/* The published value, "~" before it if it is not verified; empty when there is none. */
void claims_write_published(const claim_result *j, strbuf *out);
/* "+1.2 (95 % interval +0.3 to +2.1)"; empty when there is no value. */
void claims_write_measured(const claim_result *j, strbuf *out);
/* What it is based on: "3 seeds, 809 images †"; empty when there is no value. */
void claims_write_basis(const claim_result *j, strbuf *out);
/* What is missing, or how much data a verdict would need; empty for a decided claim. */
void claims_write_note(const claim_result *j, strbuf *out);

/* One line per claim, with value, interval, n and verdict, and a line of counts. Nothing is written
 * for a file without claims. */
err claims_write(const spec_experiment *e, store *s, bool is_markdown, strbuf *out) ERR_MUST_CHECK;
/* The keys "claims", an array, and "claim_counts". */
err claims_write_json(const spec_experiment *e, store *s, json_writer *w) ERR_MUST_CHECK;
/* One record per claim, with a header. */
err claims_write_csv(const spec_experiment *e, store *s, strbuf *out) ERR_MUST_CHECK;
/* A table for LaTeX's booktabs. */
err claims_write_latex(const spec_experiment *e, store *s, strbuf *out) ERR_MUST_CHECK;

#endif
