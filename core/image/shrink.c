#include "image/shrink.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>

#include "base/mem.h"
#include "image/png_memory.h"

static const int64_t most_interlaced_pixels = (int64_t)64 << 20;

typedef struct {
  FILE *file;
  png_structp codec;
  png_infop info;
  int32_t width, height, box; /* source size; source pixels per target pixel and side */
  int passes;
  uint8_t *row;   /* RGBA of one source row, or of the whole image when interlaced */
  uint32_t *sums; /* [target width, 4]: premultiplied colour and coverage */
  char message[128];
  image_png_memory memory;
} reader;

static void on_error(png_structp codec, png_const_charp message) {
  reader *r = png_get_error_ptr(codec);
  snprintf(r->message, sizeof r->message, "%s", message);
  longjmp(png_jmpbuf(codec), 1);
}

static void on_warning(png_structp codec, png_const_charp message) {
  (void)codec;
  (void)message;
}

/* Adds a source row to the sums of its boxes. */
static void add_row(const reader *r, const uint8_t *row, int32_t columns) {
  for (int32_t x = 0; x < columns; x++) {
    uint32_t *sum = r->sums + (size_t)x * 4;
    const uint8_t *p = row + (size_t)x * (size_t)r->box * 4;
    int32_t end = (x + 1) * r->box > r->width ? r->width - x * r->box : r->box;
    for (int32_t i = 0; i < end; i++, p += 4) {
      uint32_t alpha = p[3];
      for (int c = 0; c < 3; c++) sum[c] += (p[c] * alpha + 255u * (255u - alpha) + 127u) / 255u;
      sum[3]++;
    }
  }
}

static void end_box_row(const reader *r, int32_t columns, uint8_t *to) {
  for (int32_t x = 0; x < columns; x++) {
    uint32_t *sum = r->sums + (size_t)x * 4;
    for (int c = 0; c < 3; c++) *to++ = (uint8_t)((sum[c] + sum[3] / 2) / sum[3]);
    memset(sum, 0, 4 * sizeof *sum);
  }
}

/* Called with the error handler's setjmp target set by the caller. */
static err read_boxes(reader *r, int32_t longest, image *out) {
  png_read_info(r->codec, r->info);
  r->width = (int32_t)png_get_image_width(r->codec, r->info);
  r->height = (int32_t)png_get_image_height(r->codec, r->info);
  int64_t pixels = (int64_t)r->width * r->height;
  png_set_expand(r->codec);
  png_set_scale_16(r->codec);
  png_set_gray_to_rgb(r->codec);
  png_set_add_alpha(r->codec, 0xFF, PNG_FILLER_AFTER);
  r->passes = png_set_interlace_handling(r->codec);
  png_read_update_info(r->codec, r->info);
  if (r->passes > 1 && pixels > most_interlaced_pixels)
    return err_new(ERR_INPUT, "an interlaced PNG of %ld million pixels", (long)(pixels / 1000000));
  int32_t longer = r->width > r->height ? r->width : r->height;
  r->box = longer / (2 * longest) > 1 ? longer / (2 * longest) : 1;
  if (r->box > 2048) return err_new(ERR_INPUT, "a PNG of %d x %d pixels", r->width, r->height);
  int32_t columns = (r->width + r->box - 1) / r->box, rows = (r->height + r->box - 1) / r->box;
  err error = image_allocate(columns, rows, out);
  if (error) return error;
  size_t stride = (size_t)r->width * 4, held = r->passes > 1 ? (size_t)r->height : 1;
  r->row = mem_aligned(stride * held);
  r->sums = mem_zeroed((size_t)columns * 4, sizeof *r->sums);
  if (!r->row || !r->sums) return mem_error(stride * held, "rows of an image");
  for (int pass = 1; pass < r->passes; pass++)
    for (int32_t y = 0; y < r->height; y++)
      png_read_row(r->codec, r->row + (size_t)y * stride, NULL);
  for (int32_t y = 0; y < r->height; y++) {
    uint8_t *row = r->row + (r->passes > 1 ? (size_t)y * stride : 0);
    png_read_row(r->codec, row, NULL);
    add_row(r, row, columns);
    if ((y + 1) % r->box == 0 || y + 1 == r->height)
      end_box_row(r, columns, out->pixels + (size_t)(y / r->box) * (size_t)columns * 3);
  }
  return NULL;
}

static void close_reader(reader *r) {
  png_destroy_read_struct(&r->codec, &r->info, NULL);
  if (r->file) fclose(r->file);
  free(r->row);
  free(r->sums);
}

err shrink_png(const char *path, int32_t longest, image *out) {
  reader r = {.file = fopen(path, "rbe")};
  image boxes = {0};
  err error = NULL;
  if (!r.file) return err_errno(errno, "cannot open");
  r.codec = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &r, on_error, on_warning, &r.memory,
                                     image_png_allocate, image_png_release);
  if (r.codec) r.info = png_create_info_struct(r.codec);
  if (!r.info) {
    error = mem_error(0, "a PNG decoder");
  } else if (setjmp(png_jmpbuf(r.codec))) {
    error = image_png_error(&r.memory, r.message);
  } else {
    png_init_io(r.codec, r.file);
    png_set_user_limits(r.codec, 1u << 20, 1u << 20);
    error = read_boxes(&r, longest, &boxes);
  }
  close_reader(&r);
  if (!error) error = shrink_fit(&boxes, longest, out);
  image_free(&boxes);
  return error;
}

err shrink_stretch(const image *from, int32_t width, int32_t height, image *out) {
  err error = image_allocate(width, height, out);
  if (error) return error;
  image_resizing how = {.box = {0, 0, from->width, from->height},
                        .width = width,
                        .height = height,
                        .columns = width,
                        .rows = height};
  error = image_resize(from, &how, out->pixels);
  if (error) image_free(out);
  return error;
}

err shrink_fit(const image *from, int32_t longest, image *out) {
  int32_t longer = from->width > from->height ? from->width : from->height;
  int64_t side = longer > longest ? longest : longer;
  int32_t width = (int32_t)((from->width * side + longer / 2) / longer);
  int32_t height = (int32_t)((from->height * side + longer / 2) / longer);
  return shrink_stretch(from, width ? width : 1, height ? height : 1, out);
}

err shrink_encode_jpeg(const image *from, uint8_t **bytes, size_t *size) {
  struct jpeg_compress_struct codec;
  struct jpeg_error_mgr failure; /* libjpeg exits on errors; when compressing to memory, running out
                                  * of memory is the only one */
  unsigned char *buffer = NULL;
  unsigned long length = 0;
  codec.err = jpeg_std_error(&failure);
  jpeg_create_compress(&codec);
  jpeg_mem_dest(&codec, &buffer, &length);
  codec.image_width = (JDIMENSION)from->width;
  codec.image_height = (JDIMENSION)from->height;
  codec.input_components = 3;
  codec.in_color_space = JCS_RGB;
  jpeg_set_defaults(&codec);
  jpeg_set_quality(&codec, 95, TRUE);
  codec.comp_info[0].h_samp_factor = codec.comp_info[0].v_samp_factor = 1;
  codec.optimize_coding = TRUE;
  jpeg_start_compress(&codec, TRUE);
  while (codec.next_scanline < codec.image_height) {
    JSAMPROW row = from->pixels + (size_t)codec.next_scanline * (size_t)from->width * 3;
    jpeg_write_scanlines(&codec, &row, 1);
  }
  jpeg_finish_compress(&codec);
  jpeg_destroy_compress(&codec);
  *bytes = buffer;
  *size = length;
  return buffer ? NULL : mem_error(length, "a JPEG image");
}

err shrink_encode_png(const image *from, uint8_t **bytes, size_t *size) {
  png_image png = {.version = PNG_IMAGE_VERSION,
                   .width = (png_uint_32)from->width,
                   .height = (png_uint_32)from->height,
                   .format = PNG_FORMAT_RGB};
  png_alloc_size_t length = PNG_IMAGE_PNG_SIZE_MAX(png);
  uint8_t *buffer = mem_zeroed(length, 1);
  if (!buffer) return mem_error(length, "a PNG image");
  if (!png_image_write_to_memory(&png, buffer, &length, 0, from->pixels, 0, NULL)) {
    free(buffer);
    return err_new(ERR_INTERNAL, "encoding a PNG: %s", png.message);
  }
  *bytes = buffer;
  *size = length;
  return NULL;
}
