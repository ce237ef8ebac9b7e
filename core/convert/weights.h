/* A model's weights on the host, from any supported program: our own checkpoints, transformers'
 * CLIPModel, open_clip's CLIP, and single towers from transformers' BertModel and ViTModel.
 *
 * Anything that a foreign configuration requires and our model does not support, and vice versa, is
 * an error that names it: a file that loads gives the same numbers (tests/parity). */
#ifndef FLIP_CONVERT_WEIGHTS_H
#define FLIP_CONVERT_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "config/settings.h"
#include "model/clip.h"
#include "model/params.h"
#include "train/safetensors.h"
#include "train/words.h"

typedef enum {
  WEIGHTS_FLIP,
  WEIGHTS_HF,        /* transformers' CLIPModel: model.safetensors, config.json */
  WEIGHTS_OPEN_CLIP, /* open_clip_model.safetensors, open_clip_config.json */
  WEIGHTS_BERT,      /* transformers' BertModel: a text tower */
  WEIGHTS_VIT        /* transformers' ViTModel: an image tower */
} weights_format;

/* Which token a model pools as the end of text: a token id, or one of these. */
enum { END_IS_ANY = 0, END_IS_LARGEST = -1 };

enum { WEIGHTS_FAULT = 640 };
typedef enum {
  WEIGHTS_IMAGE_TOWER = 1,
  WEIGHTS_IMAGE_PROJECTION = 2,
  WEIGHTS_TEXT_TOWER = 4,
  WEIGHTS_TEXT_PROJECTION = 8,
  WEIGHTS_TEMPERATURE = 16
} weights_part;

typedef struct {
  weights_format format; /* of the first file read */
  settings s;
  int64_t vocabulary;  /* rows of the word embeddings */
  words_record words;  /* that they stand for, as far as a checkpoint records it */
  bool is_of_run;      /* flip trained it: logit_scale was used within its bounds */
  bool is_padded;      /* there may be more of them than tokens: foreign tables are padded */
  int64_t end_of_text; /* required of the tokenizer if the end of text is pooled; END_IS_ANY: a
                        * model that was trained here */
  int precision;       /* that of `sets`, or what a checkpoint was trained in, or PRECISION_FP32 */
  unsigned drawn;      /* weights_part: parts that no file contains, initialised from s.seed */
  char
      words_fault[WEIGHTS_FAULT]; /* "", or why its texts are other tokens here; weights_check_words
                                   */
  strbuf remarks; /* one per line: what `sets` change of how the weights were trained to be used,
                   * which of two files was read, what weights_save removed */
  param_table table;
  float *values; /* [table.total], tensors at their offsets */
} weights;

/* ERR_UNSUPPORTED where the model's own program would make other tokens of a text than we do, by
 * what the files say of its tokenizer, unless `sets` named another vocabulary. */
err weights_check_words(const weights *w) ERR_MUST_CHECK;
/* The parts in `drawn`: "text tower, image projection". */
void weights_name_parts(unsigned drawn, strbuf *out);

/* `paths`: one whole model, or an image tower and a text tower in any order; parts that no file
 * contains (a missing tower, projections, the temperature) are initialised from s.seed. A path is a
 * folder (a model's, or a run's, whose newest checkpoint is used) or a .safetensors file next to
 * its configuration. `sets`: KEY=VALUE changes of settings; ERR_INPUT for one that determines what
 * the weights compute and that the files give another value (config/weights_of.h). Tensors may be
 * fp32, fp16 or bf16; every one must be known, present and of the right shape; image positions are
 * resized when image.size was set to another value, and the first text positions are taken when
 * text.length was (open_clip's image positions are resized in any case, as there). */
err weights_load(const char *const *paths, size_t count, const char *const *sets, size_t set_count,
                 weights *w) ERR_MUST_CHECK;
void weights_free(weights *w);

/* May a vocabulary of `entries` be the model's? Foreign tables are padded with rows of no token. */
bool weights_hold_words(const weights *w, int64_t entries);

/* flip: `path` is the file; hf, open_clip: a folder, created if needed. ERR_UNSUPPORTED names the
 * setting that the format cannot express; ERR_INPUT, the weights of another format in the folder.
 * Files of an earlier model of this format are replaced or removed, the latter with a remark. */
err weights_save(const char *path, weights_format format, weights *w) ERR_MUST_CHECK;

/* What a saved file leaves different from `w` although it holds the same weights, one per line: the
 * libraries that read it have their own ways of cropping images and of cleaning texts. */
void weights_describe_changes(weights_format format, const weights *w, strbuf *remarks);

/* The master weights for a model of this shape. */
err weights_into(const weights *w, clip_model *model) ERR_MUST_CHECK;

/* Reads the tensors of an open file, with the names of `format`, into `values` [table->total];
 * is_found [table->count] marks those that were present. */
err weights_read_tensors(const safetensors_file *file, weights_format format,
                         const param_table *table, float *values, bool *is_found) ERR_MUST_CHECK;
/* Detects the format from a file's tensor names. */
err weights_detect(const safetensors_file *file, weights_format *format) ERR_MUST_CHECK;
/* Applies settings and vocabulary from the text of a configuration file (config.json,
 * open_clip_config.json) to `s`; `preprocessor`: preprocessor_config.json or NULL. */
err weights_read_config(weights_format format, const char *json, const char *preprocessor,
                        settings *s, int64_t *vocabulary) ERR_MUST_CHECK;

#endif
