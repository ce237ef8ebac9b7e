#include "image/image_header.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <webp/decode.h>

static int64_t big_endian(const unsigned char *b, int bytes) {
  int64_t value = 0;
  for (int i = 0; i < bytes; i++) value = value << 8 | b[i];
  return value;
}

/* SOF0 to SOF15 except DHT, JPG and DAC, which lie between. */
static bool is_frame(unsigned char marker) {
  return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

/* Skips from segment to segment until the frame header: FF SOFn length(2) bits height(2)
 * width(2) */
static void read_jpeg(const unsigned char *b, size_t size, image_header *h) {
  for (size_t at = 2; at + 9 <= size;) {
    if (b[at] != 0xFF) return;
    unsigned char marker = b[at + 1];
    if (marker == 0xFF) { /* fill byte */
      at++;
      continue;
    }
    if (is_frame(marker)) {
      h->height = big_endian(b + at + 5, 2);
      h->width = big_endian(b + at + 7, 2);
      return;
    }
    if (marker == 0xD9 || marker == 0xDA) return; /* the end, or data before any frame */
    bool is_bare = marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8);
    at += is_bare ? 2 : 2 + (size_t)big_endian(b + at + 2, 2);
  }
}

size_t image_pixmap_start(const void *bytes, size_t size, int64_t *width, int64_t *height) {
  int across, down, most, start = 0;
  char header[64];
  size_t length = size < sizeof header - 1 ? size : sizeof header - 1;
  if (length < 3 || memcmp(bytes, "P6\n", 3) != 0) return 0;
  memcpy(header, bytes, length);
  header[length] = '\0';
  if (sscanf(header, "P6 %9d %9d %9d%n", &across, &down, &most, &start) != 3 || most != 255)
    return 0;
  *width = across;
  *height = down;
  return (size_t)start + 1; /* one white space */
}

image_header image_read_header(const void *bytes, size_t size) {
  const unsigned char *b = bytes;
  image_header h = {0};
  if (size >= 3 && b[0] == 0xFF && b[1] == 0xD8 && b[2] == 0xFF) {
    h.format = IMAGE_JPEG;
    read_jpeg(b, size, &h);
  } else if (size >= 8 && memcmp(b, "\x89PNG\r\n\x1a\n", 8) == 0) {
    h.format = IMAGE_PNG;
    if (size >= 24 && memcmp(b + 12, "IHDR", 4) == 0) {
      h.width = big_endian(b + 16, 4);
      h.height = big_endian(b + 20, 4);
    }
  } else if (size >= 12 && memcmp(b, "RIFF", 4) == 0 && memcmp(b + 8, "WEBP", 4) == 0) {
    int width, height;
    h.format = IMAGE_WEBP;
    if (WebPGetInfo(b, size, &width, &height)) {
      h.width = width;
      h.height = height;
    }
  } else if (image_pixmap_start(b, size, &h.width, &h.height)) {
    h.format = IMAGE_PIXMAP;
  }
  return h;
}
