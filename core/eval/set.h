/* An evaluation set in memory. Internal to core/eval/. */
#ifndef FLIP_EVAL_SET_H
#define FLIP_EVAL_SET_H

#include "base/hash.h"
#include "comm/comm.h"
#include "read/dataset.h"
#include "image/corrupt.h"
#include "image/image.h"
#include "eval/eval.h"

enum { LABEL_UNREADABLE = -2 }; /* the row has already been reported */

struct eval_set {
  char *name;
  const tokenizer *words;
  dataset *data;
  image_preparation preparation;
  int64_t text_length;
  bool has_zeroshot, has_retrieval, has_labels;
  bool is_multilabel; /* several labels per image: `truths` instead of one class per row */
  eval_metric metric; /* the set's own */
  int64_t rows;       /* samples of the set */
  int32_t *labels;    /* [rows] class of each, below 0: none (left out of zero-shot); multilabel: 0
                         where its labels are known */
  int8_t *truths;     /* [rows, class_count] multilabel: 1 has it, -1 does not, 0 ignored */
  struct multilabel_index *index; /* multilabel, only while opening */
  char **classes;                 /* [class_count] names used in prompts; two may be equal */
  char **class_labels; /* [class_count] their labels, as in the data: these identify classes */
  int64_t class_count;
  char **templates;
  size_t template_count;
  int64_t text_count, text_capacity;      /* captions of all rows, in the order of the rows */
  int32_t *owners;                        /* [text_count] the row of each */
  int32_t *ids, *id_counts;               /* [text_count, text_length] */
  int32_t *prompt_ids, *prompt_id_counts; /* [class_count * template_count, …] */
  bool *is_bad;                           /* [rows] cannot be read or decoded */
  bool *lacks_text;                       /* [rows] has no caption, for retrieval */
  uint8_t *pixels; /* [rows, size, size, 3] once decoded; NULL: too large, decoded on each use */
  bool is_decoded; /* rows [decoded.first, …) were tried */
  comm_slice decoded;
  bool has_told_classes;       /* missing classes of the training set were reported */
  bool has_told_copies;        /* equal images were reported */
  image_corruption corruption; /* of the prepared pixels */
  char fingerprint[HASH_SIZE];
  char texts_hash[HASH_SIZE]; /* of the captions; "": the data's fingerprint covers them */
  strbuf warnings;
  size_t warnings_told; /* bytes of them that eval_set_new_warnings has returned */
};

/* Appends a line to the warnings. */
void eval_set_warn(eval_set *set, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Rows [first, first + count) as model input; a row that cannot be decoded becomes grey, is marked
 * bad and reported in the warnings. */
err eval_set_decode(eval_set *set, int64_t first, int64_t count, uint8_t *pixels) ERR_MUST_CHECK;
/* The same, augmented as in MAE's linear probing: drawn from (seed, epoch, row). */
err eval_set_decode_augmented(eval_set *set, int64_t first, int64_t count, uint64_t seed,
                              int64_t epoch, uint8_t *pixels) ERR_MUST_CHECK;

#endif
