/* Text masking in training: which tokens of a caption enter the text tower.
 *
 * Kept tokens are packed to the front in order, so that the tower really encodes fewer tokens. A
 * kept token's position is its rank among the kept ones, as in CLIPA and open_clip, or with
 * text_mask_positions: original its place in the caption, as FLIP's tower masks after it has added
 * the positions. Special tokens (start, end of text) are always kept. */
#ifndef FLIP_READ_TEXT_MASK_H
#define FLIP_READ_TEXT_MASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "read/dataset.h"
#include "text/lexicon.h"
#include "text/tokenizer.h"

enum { TEXT_MASK_LONGEST = 4096 }; /* maximum tokens of a caption: the limit of text.length */

typedef struct {
  int mode;       /* TEXT_MASK_* of config/settings.h */
  int64_t length; /* tokens of a caption with its padding */
  int64_t kept;   /* how many of these are kept: at least one besides the special tokens */
  int64_t ends;   /* special tokens on each side: 0 or 1 */
  int32_t padding;
  const double *weights;  /* [vocabulary], mode frequency: see text_mask_weigh */
  const tokenizer *words; /* mode syntax: the tokens' spelling, and the classes of words */
  const lexicon *classes;
} text_mask;

/* False for none and truncate, which are implemented by the tokenizer's truncation to `kept`. */
bool text_mask_is_drawn(const text_mask *m);

/* ids [length], of which `count` are the caption's and the rest padding, to out [kept], and their
 * places in `ids` to places [kept], ascending; *out_count: kept tokens before the padding. Depends
 * on (seed, sample) and the tokens alone.
 *   random       uniform over all places but the special tokens', padding included (FLIP)
 *   block        consecutive words from a uniform start; a caption that fits stays whole (CLIPA)
 *   prioritized  padding goes first, then words, uniformly (FLIP; CLIPA calls it random)
 *   frequency    padding goes first, then words; kept without replacement by weight
 *   syntax       padding goes first; nouns stay before adjectives, verbs and the rest, within a
 *                class the earlier; all tokens of a word are of its class (CLIPA). Nothing is
 * drawn. Its working memory is a word's: when even that fails, tokens count as others */
void text_mask_draw(const text_mask *m, uint64_t seed, int64_t sample, const int32_t *ids,
                    int32_t count, int32_t *out, int32_t *places, int32_t *out_count);

/* Weights [vocabulary] for mode frequency, freed by the caller: proportional to 1 /
 * sqrt(occurrences of a token), as the keep probabilities of word2vec's subsampling, which CLIPF
 * adopts. Counted over all captions or, beyond 100,000, over that many evenly spaced ones. */
err text_mask_weigh(const dataset *data, const tokenizer *words, double **weights) ERR_MUST_CHECK;

#endif
