#include "image/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

#include "base/mem.h"
#include "image/image_header.h"

static const int64_t most_pixel_bytes = (int64_t)1 << 30;

err image_check_size(int64_t width, int64_t height) {
  if (width > 0 && height > 0 && width <= most_pixel_bytes / 3 / height) return NULL;
  return err_new(ERR_INPUT, "an image of %ld x %ld pixels is not accepted", (long)width,
                 (long)height);
}

err image_allocate(int64_t width, int64_t height, image *out) {
  err error = image_check_size(width, height);
  if (error) return error;
  uint8_t *pixels = mem_aligned((size_t)(width * height * 3));
  if (!pixels) return mem_error((size_t)(width * height * 3), "an image");
  *out = (image){(int32_t)width, (int32_t)height, pixels};
  return NULL;
}

void image_free(image *i) {
  free(i->pixels);
  *i = (image){0};
}

/* What the decoder of animations failed of, which it does not tell: of the file, if that cannot be
 * taken apart or there is room for what the decoder keeps. */
static err animation_failure(const WebPData *data, const image *canvas) {
  WebPDemuxer *parts = WebPDemux(data);
  WebPDemuxDelete(parts);
  void *room = parts ? mem_zeroed((size_t)canvas->width * (size_t)canvas->height, 3 * 4) : NULL;
  err error = parts && !room ? mem_error(0, "a WebP animation")
                             : err_new(ERR_INPUT, "damaged WebP animation");
  free(room);
  return error;
}

/* The first frame of an animation. */
static err decode_animation(const void *bytes, size_t size, image *out) {
  const WebPData data = {bytes, size};
  uint8_t *frame; /* RGBA, the decoder's */
  int when;
  WebPAnimDecoder *decoder = WebPAnimDecoderNew(&data, NULL);
  if (!decoder || !WebPAnimDecoderGetNext(decoder, &frame, &when)) {
    WebPAnimDecoderDelete(decoder);
    return animation_failure(&data, out);
  }
  size_t pixels = (size_t)out->width * (size_t)out->height;
  for (size_t i = 0; i < pixels; i++) memcpy(out->pixels + 3 * i, frame + 4 * i, 3);
  WebPAnimDecoderDelete(decoder);
  return NULL;
}

static err decode_webp(const void *bytes, size_t size, image *out) {
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(bytes, size, &features) != VP8_STATUS_OK)
    return err_new(ERR_INPUT, "not a readable WebP image");
  int width = features.width, height = features.height;
  err error = image_allocate(width, height, out);
  if (error) return error;
  if (features.has_animation) {
    error = decode_animation(bytes, size, out);
    if (error) image_free(out);
    return error;
  }
  size_t stride = (size_t)width * 3;
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config)) {
    image_free(out);
    return err_new(ERR_INTERNAL, "libwebp is of another version than its headers");
  }
  config.output = (WebPDecBuffer){.colorspace = MODE_RGB,
                                  .is_external_memory = 1,
                                  .u.RGBA = {out->pixels, (int)stride, stride * (size_t)height}};
  VP8StatusCode status = WebPDecode(bytes, size, &config);
  if (status == VP8_STATUS_OK) return NULL;
  image_free(out);
  return status == VP8_STATUS_OUT_OF_MEMORY ? mem_error(0, "a WebP image")
                                            : err_new(ERR_INPUT, "damaged WebP image");
}

/* A binary portable pixmap (PPM) of 8 bits. */
static err decode_pixmap(const void *bytes, size_t size, image *out) {
  int64_t width, height;
  size_t start = image_pixmap_start(bytes, size, &width, &height);
  if (!start) return err_new(ERR_INPUT, "not a readable pixmap of 8 bits");
  err error = image_allocate((int32_t)width, (int32_t)height, out);
  if (error) return error;
  size_t pixels = (size_t)width * (size_t)height * 3;
  if (size < start + pixels) {
    image_free(out);
    return err_new(ERR_INPUT, "damaged pixmap: the data is truncated");
  }
  memcpy(out->pixels, (const char *)bytes + start, pixels);
  return NULL;
}

err image_decode(const void *bytes, size_t size, int32_t least_side, image *out) {
  const unsigned char *b = bytes;
  *out = (image){0};
  if (size >= 3 && b[0] == 0xFF && b[1] == 0xD8 && b[2] == 0xFF)
    return image_decode_jpeg(bytes, size, least_side, out);
  if (size >= 8 && memcmp(b, "\x89PNG\r\n\x1a\n", 8) == 0)
    return image_decode_png(bytes, size, out);
  if (size >= 12 && memcmp(b, "RIFF", 4) == 0 && memcmp(b + 8, "WEBP", 4) == 0)
    return decode_webp(bytes, size, out);
  if (size >= 3 && b[0] == 'P' && b[1] == '6' && b[2] == '\n')
    return decode_pixmap(bytes, size, out);
  if (size == 0) return err_new(ERR_INPUT, "empty image");
  return err_new(ERR_INPUT, "not a JPEG, PNG or WebP image");
}
