/* The format and size of an image from its first bytes, without decoding it. */
#ifndef FLIP_IMAGE_IMAGE_HEADER_H
#define FLIP_IMAGE_IMAGE_HEADER_H

#include <stddef.h>
#include <stdint.h>

typedef enum { IMAGE_UNKNOWN, IMAGE_JPEG, IMAGE_PNG, IMAGE_WEBP, IMAGE_PIXMAP } image_format;

/* width and height are 0 where the header cannot be read. A pixmap (PPM) is what sources of drawn
 * or unpacked pixels pass on; files are of the other formats. */
typedef struct {
  image_format format;
  int64_t width, height;
} image_header;

/* The offset of a pixmap's first pixel; 0 where it is none of 8 bits. */
size_t image_pixmap_start(const void *bytes, size_t size, int64_t *width, int64_t *height);
image_header image_read_header(const void *bytes, size_t size);

#endif
