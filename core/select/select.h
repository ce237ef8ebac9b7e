/* Selects samples of a data set and writes them as new shards: `flip data filter` and `flip data
 * balance`.
 *
 * Both write OUT/kept-00000.tar, … (images unchanged; keys are new; the old ones are in the JSON as
 * "origin"), OUT/left_out.tsv (origin, reason, detail: one line per sample) and OUT/report.json
 * (the rules and the number of samples that each removed). The shards are written to OUT/unfinished
 * and replace those of an earlier selection when all are there. The same input and rules give the
 * same bytes. */
#ifndef FLIP_SELECT_SELECT_H
#define FLIP_SELECT_SELECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"
#include "read/dataset.h"

typedef struct {
  const char *out;
  int64_t shard_size; /* samples per shard */
  bool has_progress;
} select_output;

typedef struct {
  int64_t samples, kept, left_out, shards;
  strbuf report; /* JSON, as in report.json; the caller frees */
} select_result;

/* A limit of 0 is none. */
typedef struct {
  int64_t min_words, max_words, min_characters, max_characters; /* of the caption */
  double min_letters; /* fraction of the caption's characters, not counting white space, that are
                       * letters */
  int64_t min_side, max_side; /* of the image in pixels: the shorter; the longer */
  double max_aspect;          /* longer over shorter side */
  int duplicates; /* maximum bits in which the perceptual hash of a copy may differ; negative: no
                   * check */
  /* Score of each sample under a model, [samples] (NaN: none); NULL: no check. model: its name, for
   * the report. */
  const float *scores;
  double min_score;
  const char *model;
} filter_rules;

/* Keeps the samples that pass all rules; of copies, the first. A sample that cannot be read is
 * removed. Images are decoded only for duplicate detection, and where a score is missing; of others
 * only the header is read. */
err select_filter(const dataset *data, const filter_rules *rules, const select_output *output,
                  select_result *result) ERR_MUST_CHECK;

typedef struct {
  int64_t per_term;  /* maximum samples per term */
  const char *terms; /* a file with one term per line; NULL: every word of the captions */
  uint64_t seed;
} balance_rules;

/* Each sample is counted under the rarest term of its caption; a term keeps `per_term` samples,
 * drawn by the seed. Samples without a term are removed. The idea is MetaCLIP's (Xu et al. 2023):
 * truncate the head of the distribution, keep the tail; here no term exceeds its limit. */
err select_balance(const dataset *data, const balance_rules *rules, const select_output *output,
                   select_result *result) ERR_MUST_CHECK;

#endif
