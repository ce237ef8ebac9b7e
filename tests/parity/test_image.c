/* Decoding and resizing against Pillow: fixtures/images.bin, made by make_image_fixture.py. */
#include "support/test.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <jpeglib.h>
#include <webp/encode.h>

#include "base/fs.h"
#include "base/mem.h"
#include "image/image.h"
#include "image/resize_passes.h"
#include "image/shrink.h"

typedef struct {
  int32_t name_length, bytes, width, height, box[4], out_width, out_height;
} case_header;

/* Largest difference to Pillow's pixels, and how many pixels differ at all. */
static int compare_case(const case_header *h, const char *name, const char *file,
                        const uint8_t *expected, int *different) {
  image picture;
  assert_ok(image_decode(file, (size_t)h->bytes, 0, &picture));
  assert_int_equal(picture.width, h->width);
  assert_int_equal(picture.height, h->height);
  image_resizing how = {
      .box = {h->box[0] / 256.0, h->box[1] / 256.0, h->box[2] / 256.0, h->box[3] / 256.0},
      .width = h->out_width,
      .height = h->out_height,
      .columns = h->out_width,
      .rows = h->out_height};
  int count = h->out_width * h->out_height * 3, most = 0;
  uint8_t *out = malloc((size_t)count);
  bool is_eval = h->box[2] == 0;
  assert_ok(is_eval ? image_eval_transform(&picture, h->out_width, out)
                    : image_resize(&picture, &how, out));
  for (int i = 0; i < count; i++) {
    int difference = abs(out[i] - expected[i]);
    if (difference > most) most = difference;
    *different += difference > 0;
  }
  if (most > 1)
    print_message("%s: %d of %d values differ, by up to %d\n", name, *different, count, most);
  free(out);
  image_free(&picture);
  return most;
}

static void every_kind_of_image_is_within_one_grey_level_of_pillow(void **state) {
  (void)state;
  char *data;
  size_t length, at = 0;
  int cases = 0, failed = 0, different = 0;
  assert_ok(fs_read(FLIP_SOURCE_DIR "/tests/parity/fixtures/images.bin", &data, &length));
  while (at < length) {
    case_header h;
    char name[64] = "";
    memcpy(&h, data + at, sizeof h);
    at += sizeof h;
    memcpy(name, data + at, (size_t)h.name_length);
    const char *file = data + at + h.name_length;
    const uint8_t *expected = (const uint8_t *)file + h.bytes;
    failed += compare_case(&h, name, file, expected, &different) > 1;
    at += (size_t)(h.name_length + h.bytes + h.out_width * h.out_height * 3);
    cases++;
  }
  assert_int_equal(cases, 39);
  assert_int_equal(failed, 0);
  free(data);
}

static void what_is_no_image_is_an_error_not_a_crash(void **state) {
  (void)state;
  image picture;
  char *data;
  size_t length;
  assert_fails_with(image_decode("hello world", 11, 0, &picture), "not a JPEG, PNG or WebP");
  assert_fails_with(image_decode("", 0, 0, &picture), "empty");
  assert_fails_with(image_decode("\xFF\xD8\xFF", 3, 0, &picture), "JPEG");
  /* every file of the fixture, cut anywhere and with a byte changed anywhere */
  assert_ok(fs_read(FLIP_SOURCE_DIR "/tests/parity/fixtures/images.bin", &data, &length));
  for (size_t at = 0; at < length;) {
    case_header h;
    memcpy(&h, data + at, sizeof h);
    char *file = data + at + sizeof h + h.name_length;
    for (int cut = 0; cut < h.bytes; cut += 1 + h.bytes / 40) {
      err cut_error = image_decode(file, (size_t)cut, 0, &picture);
      if (!cut_error) image_free(&picture);
      err_free(cut_error);
      char before = file[cut];
      file[cut] = (char)(before ^ 0x5A);
      err error = image_decode(file, (size_t)h.bytes, 0, &picture);
      if (!error) image_free(&picture);
      err_free(error);
      file[cut] = before;
    }
    at += sizeof h + (size_t)(h.name_length + h.bytes + h.out_width * h.out_height * 3);
  }
  free(data);
}

/* The headers of a JPEG, baseline (0xC0) or progressive (0xC2), of 65,500 x 65,500 pixels: it is
 * refused by them, a progressive one also where it would be decoded at an eighth of its size. (Here
 * its tables are missing.) */
static void a_jpeg_too_large_is_refused_by_its_header(void **state) {
  (void)state;
  uint8_t file[] = {0xFF, 0xD8, 0xFF, 0xC0, 0, 17, 8,    0xFF, 0xDC, 0xFF, 0xDC, 3,  1,
                    0x11, 0,    2,    0x11, 0, 3,  0x11, 0,    0xFF, 0xDA, 0,    12, 3,
                    1,    0,    2,    0,    3, 0,  0,    63,   0,    0xFF, 0xD9};
  for (int is_progressive = 0; is_progressive < 2; is_progressive++)
    for (int32_t side = 0; side <= 32; side += 32) {
      image picture;
      file[3] = is_progressive ? 0xC2 : 0xC0;
      assert_fails_with(image_decode(file, sizeof file, side, &picture),
                        is_progressive ? "an image of 65500 x 65500 pixels is not accepted"
                                       : "damaged JPEG image");
    }
}

/* The pixels of both files are the same. */
static void assert_same_picture(const char *one, size_t bytes, const char *other,
                                size_t other_bytes) {
  image a, b;
  assert_ok(image_decode(one, bytes, 0, &a));
  assert_ok(image_decode(other, other_bytes, 0, &b));
  assert_int_equal(a.width, b.width);
  assert_int_equal(a.height, b.height);
  assert_memory_equal(a.pixels, b.pixels, (size_t)a.width * (size_t)a.height * 3);
  image_free(&a);
  image_free(&b);
}

/* libjpeg warns of these, and reads them right, as Pillow does: a baseline scan whose header names
 * other coefficients than 0 to 63, as some encoders write it, and Adobe's marker with a transform
 * that three components do not have. */
/* A progressive JPEG or a lossless WebP of one colour: decoding takes several times what the
 * picture does. */
static unsigned char *make_progressive(int side, unsigned long *size) {
  struct jpeg_compress_struct codec;
  struct jpeg_error_mgr failures;
  unsigned char *file = NULL, *row = calloc((size_t)side, 3);
  *size = 0;
  codec.err = jpeg_std_error(&failures);
  jpeg_create_compress(&codec);
  jpeg_mem_dest(&codec, &file, size);
  codec.image_width = codec.image_height = (JDIMENSION)side;
  codec.input_components = 3;
  codec.in_color_space = JCS_RGB;
  jpeg_set_defaults(&codec);
  jpeg_simple_progression(&codec);
  jpeg_start_compress(&codec, TRUE);
  while (codec.next_scanline < codec.image_height) jpeg_write_scanlines(&codec, &row, 1);
  jpeg_finish_compress(&codec);
  jpeg_destroy_compress(&codec);
  free(row);
  return file;
}

/* Of which kind decoding fails with only `room` bytes more than the process has now; -1: it does
 * not. */
static int fails_within(const void *file, size_t size, size_t room) {
  char *text;
  size_t length;
  image picture;
  struct rlimit before, tight;
  malloc_trim(0); /* what was freed is no room */
  assert_ok(fs_read("/proc/self/statm", &text, &length));
  getrlimit(RLIMIT_AS, &before);
  tight = before;
  tight.rlim_cur = strtoul(text, NULL, 10) * (rlim_t)sysconf(_SC_PAGESIZE) + room;
  free(text);
  setrlimit(RLIMIT_AS, &tight);
  err error = image_decode(file, size, 0, &picture);
  setrlimit(RLIMIT_AS, &before);
  if (!error) image_free(&picture);
  int kind = error ? (int)err_kind_of(error) : -1;
  err_free(error);
  return kind;
}

/* Training would replace the image, an evaluation leave it out, and verify call it damaged. */
static void short_memory_in_a_decoder_is_no_damage(void **state) {
  (void)state;
  enum { SIDE = 3000, MIB = 1 << 20 };
  unsigned long size;
  unsigned char *jpeg = make_progressive(SIDE, &size);
#ifndef __SANITIZE_ADDRESS__ /* whose allocator ends the process instead */
  assert_int_equal(fails_within(jpeg, size, 4 * MIB), ERR_MEMORY);
  assert_int_equal(fails_within(jpeg, size, 500 * MIB), -1);
  uint8_t *pixels = calloc((size_t)SIDE * SIDE, 3), *webp;
  for (size_t i = 0; i < (size_t)SIDE * SIDE * 3; i++) pixels[i] = (uint8_t)(i * i >> 7);
  size_t webp_size = WebPEncodeLosslessRGB(pixels, SIDE, SIDE, SIDE * 3, &webp);
  free(pixels);
  assert_int_equal(fails_within(webp, webp_size, 4 * MIB), ERR_MEMORY);  /* the picture */
  assert_int_equal(fails_within(webp, webp_size, 30 * MIB), ERR_MEMORY); /* the decoder's */
  assert_int_equal(fails_within(webp, webp_size, 500 * MIB), -1);
  WebPFree(webp);
#endif
  free(jpeg);

  image picture, again;
  uint8_t *png;
  size_t png_size;
  int failed = 0;
  assert_ok(image_allocate(40, 30, &picture));
  for (int i = 0; i < 40 * 30 * 3; i++) picture.pixels[i] = (uint8_t)(7 * i);
  assert_ok(shrink_encode_png(&picture, &png, &png_size));
  image_free(&picture);
  for (long n = 0;; n++) {
    mem_fail_once_after(n);
    err error = image_decode(png, png_size, 0, &again);
    mem_fail_after(-1);
    if (!error) {
      image_free(&again);
      if (n > failed + 20) break; /* some that libpng can do without */
      continue;
    }
    if (err_kind_of(error) != ERR_MEMORY) fail_msg("allocation %ld: %s", n, err_message(error));
    err_free(error);
    failed++;
  }
  assert_true(failed > 5); /* ours are four */
  free(png);
}

/* Their resized side does not fit 32 bits: it was cut off, and pixels beside the image were read.
 */
static void images_too_narrow_to_be_resized_are_refused(void **state) {
  (void)state;
  enum { LONG = 10000000, SIZE = 224 };
  image thin = {1, LONG, calloc(LONG, 3)}, flat = {LONG, 1, thin.pixels};
  uint8_t *out = calloc(SIZE * SIZE, 3);
  assert_fails_with(image_eval_transform(&thin, SIZE, out),
                    "an image of 1 x 10000000 pixels cannot be resized to 224: it would be 224 x "
                    "2240000000");
  assert_fails_with(image_eval_transform(&flat, SIZE, out), "2240000000 x 224");
  thin.height = 1000;
  assert_ok(image_eval_transform(&thin, SIZE, out));
  free(thin.pixels);
  free(out);
}

static void an_unusual_header_of_a_jpeg_is_no_damage(void **state) {
  (void)state;
  static const char adobe[] = "\xFF\xEE\0\16Adobe\0\144\0\0\0\0\2"; /* transform 2 */
  enum { START = 2, JFIF = 18, MARKER = sizeof adobe - 1, COEFFICIENTS = 11 };
  static const char scan[] = "\xFF\xDA\0\14\3";
  char *data, *at;
  size_t length;
  case_header h;
  assert_ok(fs_read(FLIP_SOURCE_DIR "/tests/parity/fixtures/images.bin", &data, &length));
  at = memmem(data, length, "jpeg 4:2:0", strlen("jpeg 4:2:0"));
  assert_non_null(at);
  memcpy(&h, at - sizeof h, sizeof h);
  const char *file = at + h.name_length;
  size_t bytes = (size_t)h.bytes;
  char *changed = malloc(bytes);
  memcpy(changed, file, bytes);
  char *header = memmem(changed, bytes, scan, sizeof scan - 1);
  assert_non_null(header);
  memset(header + COEFFICIENTS, 0, 3);
  assert_same_picture(file, bytes, changed, bytes);
  memcpy(changed + START, adobe, MARKER);
  memcpy(changed + START + MARKER, file + START + JFIF, bytes - START - JFIF);
  assert_same_picture(file, bytes, changed, bytes - JFIF + MARKER);
  free(changed);
  free(data);
}

/* Any size, any part, mirrored or not: what the fast passes read and make is what the plain ones
 * do.
 */
static void fast_and_portable_passes_give_the_same_bits(void **state) {
  (void)state;
  if (!resize_avx2_passes()) skip();
  for (uint64_t i = 0; i < 300; i++) {
    rng r = rng_at(4, RNG_TEST, 0, i);
    image picture;
    assert_ok(image_allocate(1 + rng_below(&r, 90), 1 + rng_below(&r, 90), &picture));
    bool is_hard = i % 2; /* all black and white: where sums run over */
    for (int p = 0; p < picture.width * picture.height * 3; p++)
      picture.pixels[p] = (uint8_t)(is_hard ? 255 * rng_below(&r, 2) : rng_below(&r, 256));
    image_resizing how = {.box = {rng_double(&r) * picture.width / 3,
                                  rng_double(&r) * picture.height / 3,
                                  picture.width - rng_double(&r) * picture.width / 3,
                                  picture.height - rng_double(&r) * picture.height / 3},
                          .width = 1 + (int32_t)rng_below(&r, 60),
                          .height = 1 + (int32_t)rng_below(&r, 60),
                          .is_flipped = i % 3 == 0};
    how.columns = how.width;
    how.rows = how.height;
    size_t bytes = (size_t)(how.columns * how.rows * 3);
    uint8_t *fast = malloc(bytes), *plain = malloc(bytes);
    assert_ok(image_resize_with(resize_avx2_passes(), &picture, &how, fast));
    assert_ok(image_resize_with(resize_portable_passes(), &picture, &how, plain));
    assert_memory_equal(fast, plain, bytes);
    free(fast);
    free(plain);
    image_free(&picture);
  }
}

/* A single image of gradient: crops must lie inside it and cover what the settings say. */
static void random_crops_have_the_requested_area_and_flip_half_the_time(void **state) {
  (void)state;
  enum { SIDE = 64, OUT = 8, TRIES = 2000 };
  image picture;
  assert_ok(image_allocate(SIDE, SIDE, &picture));
  for (int y = 0; y < SIDE; y++)
    for (int x = 0; x < SIDE; x++) {
      uint8_t *p = picture.pixels + (y * SIDE + x) * 3;
      p[0] = (uint8_t)(x * 4);
      p[1] = (uint8_t)(y * 4);
      p[2] = 0;
    }
  const image_augmentation a = {0.5, 1.0, 0.75, 4.0 / 3, true};
  int flipped = 0;
  double area = 0;
  for (int i = 0; i < TRIES; i++) {
    uint8_t out[OUT * OUT * 3];
    rng r = rng_at(1, RNG_CROP, 0, (uint64_t)i);
    assert_ok(image_train_transform(&picture, &a, &r, OUT, out));
    int left = out[0], right = out[(OUT - 1) * 3], top = out[1],
        bottom = out[(OUT - 1) * OUT * 3 + 1];
    flipped += left > right;
    area += abs(right - left) * (double)(bottom - top) / (4.0 * 4 * SIDE * SIDE) * (8.0 / 7) *
            (8.0 / 7);
  }
  image_free(&picture);
  assert_true(flipped > TRIES * 0.44 && flipped < TRIES * 0.56);
  assert_true(area / TRIES > 0.65 && area / TRIES < 0.8); /* mean area share: about 0.73 */
}

/* A picture ten times as wide as high has no crop of aspect 3/4 to 4/3 and nine tenths of its area.
 * After ten tries: the central square of 0.875 * 20 = 17.5, cut to 17 pixels, its corner at
 * (200 - 17 + 1) / 2 = 92 and (20 - 17 + 1) / 2 = 2. */
static void after_ten_tries_the_crop_is_the_central_square(void **state) {
  (void)state;
  enum { WIDE = 200, HIGH = 20, OUT = 8 };
  for (int is_tall = 0; is_tall < 2; is_tall++) {
    image picture;
    rng r = rng_at(4, RNG_TEST, 0, 0);
    assert_ok(image_allocate(is_tall ? HIGH : WIDE, is_tall ? WIDE : HIGH, &picture));
    for (int i = 0; i < WIDE * HIGH * 3; i++) picture.pixels[i] = (uint8_t)rng_below(&r, 256);
    const image_augmentation a = {0.9, 1.0, 0.75, 4.0 / 3, false};
    double left = is_tall ? 2 : 92, top = is_tall ? 92 : 2;
    image_resizing how = {.box = {left, top, left + 17, top + 17},
                          .width = OUT,
                          .height = OUT,
                          .columns = OUT,
                          .rows = OUT};
    uint8_t wanted[OUT * OUT * 3], out[OUT * OUT * 3];
    assert_ok(image_resize(&picture, &how, wanted));
    assert_ok(image_train_transform(&picture, &a, &r, OUT, out));
    assert_memory_equal(out, wanted, sizeof out);
    image_free(&picture);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_kind_of_image_is_within_one_grey_level_of_pillow),
      cmocka_unit_test(what_is_no_image_is_an_error_not_a_crash),
      cmocka_unit_test(a_jpeg_too_large_is_refused_by_its_header),
      cmocka_unit_test(short_memory_in_a_decoder_is_no_damage),
      cmocka_unit_test(images_too_narrow_to_be_resized_are_refused),
      cmocka_unit_test(an_unusual_header_of_a_jpeg_is_no_damage),
      cmocka_unit_test(fast_and_portable_passes_give_the_same_bits),
      cmocka_unit_test(random_crops_have_the_requested_area_and_flip_half_the_time),
      cmocka_unit_test(after_ten_tries_the_crop_is_the_central_square),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
