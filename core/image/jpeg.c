#include <setjmp.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

#include "base/mem.h"
#include "image/image.h"

typedef struct {
  struct jpeg_error_mgr base;
  jmp_buf escape;
  char message[JMSG_LENGTH_MAX];
} jpeg_failure;

/* Short memory says nothing about the image. */
static err failure_of(const jpeg_failure *f, err_kind kind, const char *what) {
  if (f->base.msg_code == JERR_OUT_OF_MEMORY) return mem_error(0, "a JPEG image");
  return err_new(kind, "%s: %s", what, f->message);
}

static void on_error(j_common_ptr codec) {
  jpeg_failure *failure = (jpeg_failure *)(void *)codec->err;
  codec->err->format_message(codec, failure->message);
  longjmp(failure->escape, 1);
}

/* libjpeg warns about damaged data and continues with grey; such an image is rejected. Extra bytes
 * between the segments of a complete image are accepted, as are headers whose unusual values it
 * does not use: version numbers, Adobe's transform, the coefficients of a baseline scan. */
static void on_message(j_common_ptr codec, int level) {
  int code = codec->err->msg_code;
  bool is_harmless = code == JWRN_EXTRANEOUS_DATA || code == JWRN_JFIF_MAJOR ||
                     code == JWRN_ADOBE_XFORM || code == JWRN_NOT_SEQUENTIAL;
  if (level < 0 && !is_harmless) on_error(codec);
}

/* CMYK to RGB as in Pillow, r = c k / 255: every CMYK image is treated as inverted, as Adobe writes
 * it, with or without Adobe's marker. */
static void cmyk_to_rgb(const uint8_t *cmyk, uint8_t *rgb, int width) {
  for (int i = 0; i < width; i++)
    for (int c = 0; c < 3; c++) {
      int product = cmyk[4 * i + c] * cmyk[4 * i + 3] + 128;
      rgb[3 * i + c] = (uint8_t)((product + (product >> 8)) >> 8);
    }
}

static void choose_scale(struct jpeg_decompress_struct *codec, int32_t least_side) {
  unsigned shorter =
      codec->image_width < codec->image_height ? codec->image_width : codec->image_height;
  codec->scale_num = codec->scale_denom = 8;
  for (unsigned eighths = 1; least_side > 0 && eighths < 8; eighths *= 2)
    if (shorter * eighths / 8 >= (unsigned)least_side) {
      codec->scale_num = eighths;
      break;
    }
}

err image_decode_jpeg(const void *bytes, size_t size, int32_t least_side, image *out) {
  struct jpeg_decompress_struct codec;
  jpeg_failure failure;
  uint8_t *volatile row = NULL;
  codec.err = jpeg_std_error(&failure.base);
  failure.base.error_exit = on_error;
  failure.base.emit_message = on_message;
  if (setjmp(failure.escape)) {
    jpeg_destroy_decompress(&codec);
    free(row);
    image_free(out);
    return failure_of(&failure, ERR_INPUT, "damaged JPEG image");
  }
  jpeg_create_decompress(&codec);
  jpeg_mem_src(&codec, bytes, (unsigned long)size);
  jpeg_read_header(&codec, TRUE);
  bool is_cmyk = codec.num_components == 4;
  codec.out_color_space = is_cmyk ? JCS_CMYK : JCS_RGB;
  choose_scale(&codec, least_side);
  /* a progressive image's coefficients are kept, whatever the scale */
  err error = jpeg_has_multiple_scans(&codec)
                  ? image_check_size(codec.image_width, codec.image_height)
                  : NULL;
  if (!error) {
    jpeg_start_decompress(&codec);
    error = image_allocate(codec.output_width, codec.output_height, out);
  }
  size_t stride = (size_t)codec.output_width * 3;
  if (!error && is_cmyk) {
    row = mem_aligned((size_t)codec.output_width * 4);
    if (!row) error = mem_error((size_t)codec.output_width * 4, "a CMYK row");
  }
  while (!error && codec.output_scanline < codec.output_height) {
    uint8_t *target = out->pixels + stride * codec.output_scanline, *line = is_cmyk ? row : target;
    jpeg_read_scanlines(&codec, &line, 1);
    if (is_cmyk) cmyk_to_rgb(row, target, out->width);
  }
  if (!error) jpeg_finish_decompress(&codec);
  jpeg_destroy_decompress(&codec);
  free(row);
  if (error) image_free(out);
  return error;
}

err image_encode_jpeg(const image *from, int quality, uint8_t **bytes, size_t *size) {
  struct jpeg_compress_struct codec;
  jpeg_failure failure;
  unsigned char *file = NULL; /* libjpeg's malloc */
  unsigned long length = 0;
  codec.err = jpeg_std_error(&failure.base);
  failure.base.error_exit = on_error;
  failure.base.emit_message = on_message;
  if (setjmp(failure.escape)) {
    jpeg_destroy_compress(&codec);
    return failure_of(&failure, ERR_INTERNAL, "writing a JPEG image");
  }
  jpeg_create_compress(&codec);
  jpeg_mem_dest(&codec, &file, &length);
  codec.image_width = (JDIMENSION)from->width;
  codec.image_height = (JDIMENSION)from->height;
  codec.input_components = 3;
  codec.in_color_space = JCS_RGB;
  jpeg_set_defaults(&codec);
  jpeg_set_quality(&codec, quality, TRUE);
  jpeg_start_compress(&codec, TRUE);
  while (codec.next_scanline < codec.image_height) {
    JSAMPROW line = from->pixels + (size_t)codec.next_scanline * (size_t)from->width * 3;
    jpeg_write_scanlines(&codec, &line, 1);
  }
  jpeg_finish_compress(&codec);
  jpeg_destroy_compress(&codec);
  *bytes = file;
  *size = length;
  return NULL;
}
