#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "base/mem.h"
#include "data/image.h"

typedef struct {
  const uint8_t *at;
  size_t left;
  char message[128];
} png_source;

static void on_error(png_structp codec, png_const_charp message) {
  png_source *source = png_get_error_ptr(codec);
  snprintf(source->message, sizeof source->message, "%s", message);
  longjmp(png_jmpbuf(codec), 1);
}

static void on_warning(png_structp codec, png_const_charp message) {
  (void)codec;
  (void)message; /* odd colour profiles and the like: the pixels are good */
}

static void read_bytes(png_structp codec, png_bytep to, size_t count) {
  png_source *source = png_get_io_ptr(codec);
  if (count > source->left) png_error(codec, "the data ends early");
  memcpy(to, source->at, count);
  source->at += count;
  source->left -= count;
}

/* Pillow takes 16-bit grey for numbers and cuts them at 255: nearly all of it is white. Models that
 * were trained through Pillow have seen it so. */
static bool is_wide_grey(png_structp codec, png_infop info) {
  return png_get_color_type(codec, info) == PNG_COLOR_TYPE_GRAY &&
         png_get_bit_depth(codec, info) == 16;
}

/* In place, from the row's end: two bytes become three. */
static void cut_wide_grey(uint8_t *row, int32_t width) {
  for (int32_t x = width - 1; x >= 0; x--) {
    uint8_t value = row[2 * x] ? 255 : row[2 * x + 1];
    row[3 * x] = row[3 * x + 1] = row[3 * x + 2] = value;
  }
}

/* Everything else becomes 8-bit RGB: palettes and small depths expanded, 16 bits cut to the high
 * byte, alpha dropped. */
static void ask_for_rgb(png_structp codec, png_infop info) {
  png_set_expand(codec);
  png_set_strip_16(codec);
  png_set_gray_to_rgb(codec);
  png_set_strip_alpha(codec);
  png_set_interlace_handling(codec);
  png_read_update_info(codec, info);
}

err image_decode_png(const void *bytes, size_t size, image *out) {
  png_source source = {.at = bytes, .left = size};
  png_bytep *volatile rows = NULL;
  png_infop info = NULL;
  volatile bool is_cut = false;
  png_structp codec = png_create_read_struct(PNG_LIBPNG_VER_STRING, &source, on_error, on_warning);
  if (codec) info = png_create_info_struct(codec);
  if (!info) {
    png_destroy_read_struct(&codec, NULL, NULL);
    return mem_error(0, "a PNG decoder");
  }
  err error = NULL;
  if (setjmp(png_jmpbuf(codec))) {
    error = err_new(ERR_INPUT, "damaged PNG image: %s", source.message);
    goto cleanup;
  }
  png_set_read_fn(codec, &source, read_bytes);
  png_set_user_limits(codec, 1u << 20, 1u << 20);
  png_read_info(codec, info);
  TRY(image_allocate(png_get_image_width(codec, info), png_get_image_height(codec, info), out));
  is_cut = is_wide_grey(codec, info);
  if (is_cut)
    png_set_interlace_handling(codec);
  else
    ask_for_rgb(codec, info);
  rows = mem_zeroed((size_t)out->height, sizeof *rows);
  if (!rows || png_get_rowbytes(codec, info) != (size_t)out->width * (is_cut ? 2 : 3))
    FAIL(ERR_INPUT, "a PNG image of an unknown kind");
  for (int32_t y = 0; y < out->height; y++)
    rows[y] = out->pixels + (size_t)y * (size_t)out->width * 3;
  png_read_image(codec, rows);
  for (int32_t y = 0; y < out->height && is_cut; y++) cut_wide_grey(rows[y], out->width);
cleanup:
  png_destroy_read_struct(&codec, &info, NULL);
  free((void *)rows);
  if (error) image_free(out);
  return error;
}
