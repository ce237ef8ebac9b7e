/* An evaluation set in memory. For the files of core/eval/ only. */
#ifndef FLIP_EVAL_SET_H
#define FLIP_EVAL_SET_H

#include "base/hash.h"
#include "data/dataset.h"
#include "eval/eval.h"

struct eval_set {
  char *name;
  const tokenizer *words;
  dataset *data;
  int64_t image_size, text_length;
  bool has_zeroshot, has_retrieval, has_labels;
  int64_t rows;    /* samples of the set */
  int32_t *labels; /* [rows] class of each, -1: none (left out of zero-shot) */
  char **classes;  /* [class_count] names as they stand in prompts */
  int64_t class_count;
  char **templates;
  size_t template_count;
  int64_t text_count, text_capacity;      /* captions of all rows, in the order of the rows */
  int32_t *owners;                        /* [text_count] the row of each */
  int32_t *ids, *id_counts;               /* [text_count, text_length] */
  int32_t *prompt_ids, *prompt_id_counts; /* [class_count * template_count, …] */
  bool *is_bad;                           /* [rows] could not be decoded */
  uint8_t *pixels; /* [rows, size, size, 3] once decoded; NULL: too large, decoded each time */
  bool is_decoded;
  char fingerprint[HASH_SIZE];
  strbuf warnings;
};

/* Rows [first, first + count) as model input; a row that cannot be decoded becomes grey, is marked
 * bad and named in the warnings. */
err eval_set_decode(eval_set *set, int64_t first, int64_t count, uint8_t *pixels) ERR_MUST_CHECK;

#endif
