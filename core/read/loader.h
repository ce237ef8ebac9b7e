/* The training loader: worker threads decode, crop and tokenize batches ahead of the trainer.
 *
 * Sample g of the run is at position g % N of epoch g / N, where N is dataset_epoch; an epoch's
 * order is a permutation that depends only on (seed, epoch). A sample's content depends on (seed,
 * g) and the data, never on the number of workers or on where the run was resumed. A sample that
 * cannot be decoded is replaced by the next of the permutation, or if that cannot be decoded either
 * by one drawn for g (permute_spare).
 *
 * A data set opened for the streaming order returns its samples in the order of stream.h instead:
 * sample g then depends on (seed, shards, buffer) and g, and each batch contains the position after
 * it. */
#ifndef FLIP_READ_LOADER_H
#define FLIP_READ_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"
#include "read/dataset.h"
#include "read/stream.h"
#include "text/tokenizer.h"
#include "image/augment.h"
#include "ops/ops.h"

typedef struct {
  const dataset *data;
  const tokenizer *words; /* NULL: only images; text_tokens 0 and no text mask */
  int64_t batch_size, image_size, text_length;
  int64_t total_samples; /* of the run, all ranks */
  int rank, ranks;       /* batches are part `rank` of `ranks` of the run's; 0 ranks: whole ones.
                          * Every rank of a stream draws the whole order and reads its own */
  int64_t mirrored;   /* not 0: the batch of all ranks is divided into groups of this many samples,
                       * in each of which sample i and sample i from its end are a pair; a rank's
                       * part is a range of the pairs, sample i and sample i from its end being one.
                       * Only for an even number and an even batch_size, not for a stream */
  int text_mask_mode; /* TEXT_MASK_* of config/settings.h */
  const char *text_mask_lexicon; /* for TEXT_MASK_SYNTAX: lexicon.h */
  bool text_mask_is_in_place;    /* a batch has the kept tokens' places in their captions */
  int64_t text_tokens;           /* kept of text_length (text_mask.h); equal to it without a mask */
  uint64_t seed;
  double crop_min, crop_max, ratio_min, ratio_max;
  bool flip, shuffle, resample;
  int workers, prefetch; /* threads; batches prepared ahead */
  size_t cache_bytes;    /* for decoded images, each decoded once while they fit; 0: none. A stream
                          * has none */
  int64_t buffer;        /* shuffle buffer of a stream, in samples */
  const int64_t *rows;   /* [row_count] rows that take part, an epoch each once; NULL: all of the
                          * data set's as dataset_epoch has them. Not for a stream */
  int64_t row_count;
  rand_augment augment; /* of the cropped image, after the mirroring; magnitude 0: none */
  ops *pins;            /* the backend that copies from the batches and pins them; or NULL */
} loader_config;

typedef struct {
  int64_t first_sample, count;
  const uint8_t *images;       /* [count, size, size, 3] */
  const int32_t *tokens;       /* [count, text_tokens] */
  const int32_t *token_places; /* [count, text_tokens] in their captions; NULL: their ranks */
  const int32_t *token_counts; /* [count] before the padding */
  const int64_t *rows;         /* [count] of the data set; of a stream shard << 32 | sample */
  stream_position after;       /* of a stream: the position after the batch of all ranks */
  const int64_t *numbers;      /* [count] the samples' numbers in the run */
} loader_batch;

typedef struct {
  int64_t decoded, cache_hits, skipped;
  /* of the batches given out: samples that are another's in place of one that cannot be decoded,
   * and those whose caption is the .txt because the JSON lacks the field that was named */
  int64_t replaced, fell_back;
} loader_stats;

typedef struct loader loader;

/* Whether decoded images of a data set of `count` rows are cached. */
bool loader_keeps_images(int64_t count);

/* Starts the workers at sample `first_sample` of the run, a multiple of the global batch; for a
 * stream, `from` is the position of that sample. The data set and the tokenizer must outlive the
 * loader. */
err loader_open(const loader_config *config, int64_t first_sample, const stream_position *from,
                loader **out) ERR_MUST_CHECK;
void loader_close(loader *l);

/* The next batch; valid until the next call. waited: seconds spent waiting for it. */
err loader_next(loader *l, loader_batch *batch, double *waited) ERR_MUST_CHECK;

/* By the caller of loader_next. */
loader_stats loader_get_stats(loader *l);
/* Appends the samples skipped since the last call, one line each, and problems of a stream's
 * shards; returns the number of lines. remarks: contents of a stream's finished epochs. */
size_t loader_take_warnings(loader *l, strbuf *lines, strbuf *remarks);

#endif
