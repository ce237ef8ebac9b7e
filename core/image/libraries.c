#include "image/libraries.h"

#include <stdio.h>

#include <jpeglib.h>
#include <png.h>
#include <webp/decode.h>

#define TEXT_OF(x) #x
#define VERSION_TEXT(x) TEXT_OF(x)

void data_write_libraries(json_writer *w) {
  char text[32];
  unsigned webp = (unsigned)WebPGetDecoderVersion();
  jsonw_string(w, "libjpeg", "turbo " VERSION_TEXT(LIBJPEG_TURBO_VERSION));
  jsonw_string(w, "libpng", png_get_libpng_ver(NULL));
  snprintf(text, sizeof text, "%u.%u.%u", webp >> 16 & 255, webp >> 8 & 255, webp & 255);
  jsonw_string(w, "libwebp", text);
}
