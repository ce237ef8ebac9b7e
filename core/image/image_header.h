/* The format and size of an image from its first bytes, without decoding it. */
#ifndef FLIP_IMAGE_IMAGE_HEADER_H
#define FLIP_IMAGE_IMAGE_HEADER_H

#include <stddef.h>
#include <stdint.h>

typedef enum { IMAGE_UNKNOWN, IMAGE_JPEG, IMAGE_PNG, IMAGE_WEBP } image_format;

/* width and height are 0 where the header cannot be read. */
typedef struct {
  image_format format;
  int64_t width, height;
} image_header;

image_header image_read_header(const void *bytes, size_t size);

#endif
