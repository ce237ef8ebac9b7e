/* Which image libraries this program was built with: their versions can change pixels. */
#ifndef FLIP_IMAGE_LIBRARIES_H
#define FLIP_IMAGE_LIBRARIES_H

#include "base/json.h"

/* Adds "libjpeg", "libpng", "libwebp" to the object that is open. */
void data_write_libraries(json_writer *w);

#endif
