/* A trained model with its settings and tokenizer, opened from any path that flip convert reads. */
#ifndef FLIP_CLI_TRAINED_H
#define FLIP_CLI_TRAINED_H

#include "base/hash.h"
#include "base/options.h"
#include "text/plain_text.h"
#include "text/tokenizer.h"
#include "convert/weights.h"
#include "ops/ops.h"

typedef struct {
  settings s;
  bool has_settings;
  tokenizer *words; /* NULL if texts are not needed */
  ops *o;
  clip_model *model;
  strbuf remarks;         /* of weights_load: trained_open gives them, except with is_eval,
                           * which may be several ranks' */
  char digest[HASH_SIZE]; /* of program, settings and weights */
  bool is_eval;  /* set before opening: eval.mask_ratio, eval.views and eval.probe_features apply;
                  * else whole images are encoded, to embeddings */
  bool is_probe; /* set before opening: no texts, and with eval.probe_features: encoder no
                  * projection is used */
  int64_t pixel_views; /* set before opening: the model is for clip_pixel_gradient with this many
                        * images */
} trained;

/* sets: KEY=VALUE changes. needs_texts: opens the tokenizer and checks that it is the one that the
 * model was trained with. Initialise with {0} (except pixel_views); trained_close also works after
 * a failure. */
err trained_open(const char *path, const option_list *sets, bool needs_texts,
                 trained *t) ERR_MUST_CHECK;
/* The remarks, as warnings. */
void trained_say_remarks(const trained *t);
void trained_close(trained *t);

/* The lines of a file, one text each, including blank ones; an empty file is an error. */
err trained_read_lines(const char *path, text_lines *lines) ERR_MUST_CHECK;

/* Unit-length embeddings [count, embed] of the texts of a file, or of the option `name`;
 * ERR_NUMERIC where they are not finite. */
err trained_embed_texts(trained *t, const char *name, char *const *texts, size_t count,
                        float *embeddings) ERR_MUST_CHECK;

#endif
