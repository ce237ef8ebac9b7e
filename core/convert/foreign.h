/* Other programs' configuration files. Internal to core/convert/. */
#ifndef FLIP_CONVERT_FOREIGN_H
#define FLIP_CONVERT_FOREIGN_H

#include <jansson.h>

#include "base/json.h"
#include "convert/weights.h"

/* The allowed keys of a JSON object, one per row: the target of its value, or the only value that
 * our model supports. A row with neither does not affect what a model computes. */
typedef struct {
  const char *key;
  int64_t *whole;    /* target of an integer */
  double *real;      /* of a number */
  int *pick;         /* of a string, through `names` */
  const char *names; /* "a|b=c|d": the strings of the pick, in its order, = between synonyms */
  const char *only;  /* the only JSON text accepted, besides null */
} json_field;

/* refuses_unknown: a key without a row is an error. `where` is the object's name in messages. */
err foreign_read(const json_t *object, const char *where, const json_field *fields, size_t count,
                 bool refuses_unknown) ERR_MUST_CHECK;

err foreign_read_hf(const json_t *root, settings *s, int64_t *vocabulary) ERR_MUST_CHECK;
/* The token id that transformers pools: END_IS_LARGEST for the largest id of a text. */
err foreign_read_end_of_text(const json_t *root, int64_t *end) ERR_MUST_CHECK;
/* The same for open_clip, whose argmax pools the largest. */
err foreign_read_eos_id(const json_t *root, int64_t *end) ERR_MUST_CHECK;
/* open_clip's hf_tokenizer_name, with which it cleans texts in another way and leaves them to
 * transformers; "": none. */
const char *foreign_other_tokenizer(const json_t *root);
err foreign_read_bert(const json_t *root, settings *s, int64_t *vocabulary) ERR_MUST_CHECK;
err foreign_read_vit(const json_t *root, settings *s) ERR_MUST_CHECK;
err foreign_read_open_clip(const json_t *root, settings *s, int64_t *vocabulary) ERR_MUST_CHECK;
/* How transformers prepares images (the text of preprocessor_config.json, or of the
 * processor_config.json that contains it), for a model of s->image_size; its defaults without such
 * a file. */
err foreign_read_preprocessor(const json_t *root, bool is_vit, settings *s) ERR_MUST_CHECK;
void foreign_default_preprocessor(bool is_vit, settings *s);
/* The same for open_clip's preprocess_cfg, which may be missing. */
err foreign_read_preprocess_cfg(const json_t *root, settings *s) ERR_MUST_CHECK;
/* Pixel mean and deviation of `object` under these keys, if present. */
err foreign_read_normalization(const json_t *object, const char *mean_key,
                               const char *deviation_key, settings *s) ERR_MUST_CHECK;
void foreign_write_normalization(json_writer *w, const char *mean_key, const char *deviation_key,
                                 const settings *s);

/* end_of_text: the token that is pooled, when the model pools one. */
void foreign_write_hf(const settings *s, int64_t vocabulary, int64_t end_of_text, strbuf *out);
void foreign_write_hf_preprocessor(const settings *s, strbuf *out);
void foreign_write_open_clip(const settings *s, int64_t vocabulary, int64_t end_of_text,
                             strbuf *out);
/* NULL, or which of the settings a format cannot express. */
err foreign_check(weights_format format, const settings *s) ERR_MUST_CHECK;

#endif
