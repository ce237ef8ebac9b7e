#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>
#include <zlib.h>

#include "base/mem.h"
#include "base/text.h"
#include "image/image.h"
#include "image/png_memory.h"

/* The chunks passed to libpng, and the number of rows it has decoded from them. */
typedef struct {
  strbuf chunks;
  size_t at;
  int64_t rows;
  bool has_wrong_sum;
  image_png_memory memory;
  char message[128];
} png_source;

png_voidp image_png_allocate(png_structp codec, png_alloc_size_t bytes) {
  image_png_memory *memory = png_get_mem_ptr(codec);
  void *block = mem_plain(bytes);
  memory->is_short = memory->is_short || !block;
  return block;
}

void image_png_release(png_structp codec, png_voidp block) {
  (void)codec;
  free(block);
}

err image_png_error(const image_png_memory *memory, const char *message) {
  return memory->is_short ? mem_error(0, "a PNG image")
                          : err_new(ERR_INPUT, "damaged PNG image: %s", message);
}

static void on_error(png_structp codec, png_const_charp message) {
  png_source *source = png_get_error_ptr(codec);
  snprintf(source->message, sizeof source->message, "%s", message);
  longjmp(png_jmpbuf(codec), 1);
}

/* Unusual colour profiles and the like are ignored: the pixels are good. A wrong checksum over all
 * pixels is the only reason for which Pillow rejects decoded data. */
static void on_warning(png_structp codec, png_const_charp message) {
  png_source *source = png_get_error_ptr(codec);
  if (strstr(message, "incorrect data check")) source->has_wrong_sum = true;
}

static void read_bytes(png_structp codec, png_bytep to, size_t count) {
  png_source *source = png_get_io_ptr(codec);
  if (count > source->chunks.length - source->at) png_error(codec, "the data ends early");
  memcpy(to, source->chunks.data + source->at, count);
  source->at += count;
}

static void count_row(png_structp codec, png_row_infop info, png_bytep row) {
  png_source *source = png_get_error_ptr(codec);
  (void)info;
  (void)row;
  source->rows++;
}

/* Rows of all passes of an image. */
static int64_t whole_rows(png_structp codec, png_infop info) {
  static const struct {
    int64_t left, top, columns, rows;
  } adam7[] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
               {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};
  int64_t width = png_get_image_width(codec, info), height = png_get_image_height(codec, info);
  if (png_get_interlace_type(codec, info) == PNG_INTERLACE_NONE) return height;
  int64_t rows = 0;
  for (size_t i = 0; i < sizeof adam7 / sizeof *adam7; i++)
    if (adam7[i].left < width && adam7[i].top < height)
      rows += (height - adam7[i].top + adam7[i].rows - 1) / adam7[i].rows;
  return rows;
}

/* Pillow clips 16-bit grey at 255, so nearly all of it is white. Models trained with Pillow have
 * seen it that way. */
static bool is_wide_grey(png_structp codec, png_infop info) {
  return png_get_color_type(codec, info) == PNG_COLOR_TYPE_GRAY &&
         png_get_bit_depth(codec, info) == 16;
}

/* In place, from the end of the row: two bytes become three. */
static void cut_wide_grey(uint8_t *row, int32_t width) {
  for (int32_t x = width - 1; x >= 0; x--) {
    uint8_t value = row[2 * x] ? 255 : row[2 * x + 1];
    row[3 * x] = row[3 * x + 1] = row[3 * x + 2] = value;
  }
}

/* Everything else becomes 8-bit RGB: palettes and low bit depths expanded, 16 bits reduced to the
 * high byte, alpha dropped. */
static void ask_for_rgb(png_structp codec, png_infop info) {
  png_set_expand(codec);
  png_set_strip_16(codec);
  png_set_gray_to_rgb(codec);
  png_set_strip_alpha(codec);
  png_set_interlace_handling(codec);
  png_read_update_info(codec, info);
}

static uint32_t big_endian(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

enum {
  SIGNATURE = 8,
  HEAD = 8,
  AROUND = 12
}; /* a chunk: length and type, followed by the data and the checksum */

static void append_chunk(strbuf *out, const uint8_t *chunk, uint32_t length) {
  const uint8_t size[4] = {(uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8),
                           (uint8_t)length};
  strbuf_append_bytes(out, size, 4);
  strbuf_append_bytes(out, chunk + 4, length + 4);
  strbuf_append_bytes(out, "\0\0\0\0", 4); /* libpng is configured to ignore checksums */
}

/* The image data's chunks from `at` on: as far as they are contiguous, the last one truncated at
 * the end of the file. */
static void take_data(const uint8_t *bytes, size_t size, size_t at, strbuf *out) {
  while (size - at >= HEAD && memcmp(bytes + at + 4, "IDAT", 4) == 0) {
    size_t length = big_endian(bytes + at), left = size - at - HEAD;
    append_chunk(out, bytes + at, (uint32_t)(length < left ? length : left));
    if (length + 4 > left) break;
    at += AROUND + length;
  }
  append_chunk(out, (const uint8_t *)"\0\0\0\0IEND", 0);
}

/* Selects the parts of a file that Pillow decodes. Pillow checks the checksums of the chunks before
 * the image data, and none after; it skips unknown chunks, even critical ones, and needs no end
 * chunk. */
static err take_chunks(const uint8_t *bytes, size_t size, strbuf *out) {
  static const char *const used[] = {"IHDR", "PLTE", "tRNS"};
  strbuf_append_bytes(out, bytes, SIGNATURE);
  for (size_t at = SIGNATURE; size - at >= HEAD;) {
    size_t length = big_endian(bytes + at);
    const uint8_t *type = bytes + at + 4;
    if (memcmp(type, "IDAT", 4) == 0) {
      take_data(bytes, size, at, out);
      return out->is_broken ? mem_error(size, "a PNG image") : NULL;
    }
    if (size - at < AROUND || length > size - at - AROUND) break;
    uint32_t sum = (uint32_t)crc32(0, type, (uInt)(length + 4));
    if (sum != big_endian(type + 4 + length))
      return err_new(ERR_INPUT, "damaged PNG image: the checksum of its %.4s chunk is wrong",
                     (const char *)type);
    for (size_t i = 0; i < sizeof used / sizeof *used; i++)
      if (memcmp(type, used[i], 4) == 0) append_chunk(out, bytes + at, (uint32_t)length);
    at += AROUND + length;
  }
  return err_new(ERR_INPUT, "damaged PNG image: the data is truncated");
}

/* Chunks that do not affect pixels are ignored. */
static void be_lenient(png_structp codec) {
  png_set_crc_action(codec, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);
  png_set_keep_unknown_chunks(codec, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
  png_set_user_limits(codec, 1u << 20, 1u << 20);
  png_set_read_user_transform_fn(codec, count_row);
}

err image_decode_png(const void *bytes, size_t size, image *out) {
  png_source source = {0};
  png_bytep *volatile rows = NULL;
  png_infop info = NULL;
  png_structp codec = NULL;
  volatile bool is_cut = false;
  volatile int64_t wanted_rows = -1;
  err error = take_chunks(bytes, size, &source.chunks);
  if (error) goto cleanup;
  codec = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &source, on_error, on_warning,
                                   &source.memory, image_png_allocate, image_png_release);
  if (codec) info = png_create_info_struct(codec);
  if (!info) {
    error = mem_error(0, "a PNG decoder");
    goto cleanup;
  }
  if (setjmp(png_jmpbuf(codec))) {
    if (source.rows == wanted_rows) goto decoded; /* the damage is after the last pixel */
    error = image_png_error(&source.memory, source.message);
    goto cleanup;
  }
  png_set_read_fn(codec, &source, read_bytes);
  be_lenient(codec);
  png_read_info(codec, info);
  TRY(image_allocate(png_get_image_width(codec, info), png_get_image_height(codec, info), out));
  is_cut = is_wide_grey(codec, info);
  if (is_cut)
    png_set_interlace_handling(codec);
  else
    ask_for_rgb(codec, info);
  rows = mem_zeroed((size_t)out->height, sizeof *rows);
  if (!rows) {
    error = mem_error((size_t)out->height * sizeof *rows, "a PNG image");
    goto cleanup;
  }
  if (png_get_rowbytes(codec, info) != (size_t)out->width * (is_cut ? 2 : 3))
    FAIL(ERR_INPUT, "a PNG image of an unknown type");
  for (int32_t y = 0; y < out->height; y++)
    rows[y] = out->pixels + (size_t)y * (size_t)out->width * 3;
  wanted_rows = whole_rows(codec, info);
  png_read_image(codec, rows);
decoded:
  if (source.has_wrong_sum)
    FAIL(ERR_INPUT, "damaged PNG image: the sum over its data (Adler-32) is wrong");
  for (int32_t y = 0; y < out->height && is_cut; y++) cut_wide_grey(rows[y], out->width);
cleanup:
  if (codec) png_destroy_read_struct(&codec, &info, NULL);
  strbuf_free(&source.chunks);
  free((void *)rows);
  if (error) image_free(out);
  return error;
}
