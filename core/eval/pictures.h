/* Images from shards or from folders of image files, in a fixed order: shards as given, files by
 * path. */
#ifndef FLIP_EVAL_PICTURES_H
#define FLIP_EVAL_PICTURES_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"
#include "image/image.h"
#include "model/clip.h"

typedef struct pictures pictures;

/* `places`: either all folders (searched recursively for .jpg .jpeg .png .webp), or all shard
 * patterns. */
err pictures_open(const char *const *places, size_t count, pictures **out) ERR_MUST_CHECK;
void pictures_close(pictures *p);
int64_t pictures_count(const pictures *p);
/* A file's path, or a sample's key. */
err pictures_name(const pictures *p, int64_t row, char **name) ERR_MUST_CHECK;
/* What was skipped at opening, one line each; "" for nothing. */
const char *pictures_warnings(const pictures *p);
/* The caption of a sample ("" when it has none). */
err pictures_caption(const pictures *p, int64_t row, char **caption) ERR_MUST_CHECK;
/* The encoded bytes; the caller frees. */
err pictures_bytes(const pictures *p, int64_t row, void **bytes, size_t *size) ERR_MUST_CHECK;

/* Embeddings [count, embed] of all images, prepared as in evaluation. An image that cannot be
 * decoded gives a row of NaN and a line in `warnings`; ERR_NUMERIC where the model's are not
 * finite. */
err pictures_embed(const pictures *p, const image_preparation *how, clip_model *model,
                   float *embeddings, strbuf *warnings) ERR_MUST_CHECK;

/* Prepares one encoded image as in evaluation. */
err pictures_prepare(const void *bytes, size_t size, const image_preparation *how,
                     uint8_t *pixels) ERR_MUST_CHECK;
/* The same, and encodes it; embedding [embed]. Errors name it. */
err pictures_embed_one(const char *name, const void *bytes, size_t size,
                       const image_preparation *how, clip_model *model,
                       float *embedding) ERR_MUST_CHECK;

#endif
