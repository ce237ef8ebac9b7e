/* Downscaling: PNG files read row by row, however large, and encoders for the results. */
#ifndef FLIP_IMAGE_SHRINK_H
#define FLIP_IMAGE_SHRINK_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "image/image.h"

/* Reads a PNG file, composites it on white, and shrinks it so that its longer side is at most
 * `longest` (never enlarges). Rows are box-averaged as they are read, to at least twice the target,
 * and image_resize does the rest, so that memory depends on the target, not on the file. An
 * interlaced file is held in memory, up to 64 million pixels; larger ones are rejected. */
err shrink_png(const char *path, int32_t longest, image *out) ERR_MUST_CHECK;

/* A stretched copy of width x height. */
err shrink_stretch(const image *from, int32_t width, int32_t height, image *out) ERR_MUST_CHECK;
/* Longer side at most `longest`; a copy when it already is. */
err shrink_fit(const image *from, int32_t longest, image *out) ERR_MUST_CHECK;

/* Encoded bytes, released with free. JPEG: quality 95, full colour resolution (line art). */
err shrink_encode_jpeg(const image *from, uint8_t **bytes, size_t *size) ERR_MUST_CHECK;
err shrink_encode_png(const image *from, uint8_t **bytes, size_t *size) ERR_MUST_CHECK;

#endif
