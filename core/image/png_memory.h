/* The memory that libpng takes: it reports a lack of it like damage to a file. */
#ifndef FLIP_IMAGE_PNG_MEMORY_H
#define FLIP_IMAGE_PNG_MEMORY_H

#include <stdbool.h>

#include <png.h>

#include "base/err.h"

/* The mem_ptr of png_create_read_struct_2. */
typedef struct {
  bool is_short; /* an allocation failed */
} image_png_memory;

png_voidp image_png_allocate(png_structp codec, png_alloc_size_t bytes);
void image_png_release(png_structp codec, png_voidp block);

/* After libpng gave up with `message`: ERR_MEMORY, or ERR_INPUT for a damaged file. */
err image_png_error(const image_png_memory *memory, const char *message);

#endif
