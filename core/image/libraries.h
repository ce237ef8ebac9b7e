/* The image libraries that this program was built with: their versions can change pixels. */
#ifndef FLIP_IMAGE_LIBRARIES_H
#define FLIP_IMAGE_LIBRARIES_H

#include "base/json.h"

/* Adds "libjpeg", "libpng", "libwebp" to the open object. */
void data_write_libraries(json_writer *w);

#endif
