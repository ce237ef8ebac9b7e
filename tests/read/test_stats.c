#include "support/test.h"

#include <stdlib.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>
#include <jpeglib.h>
#include <png.h>
#include <webp/encode.h>

#include "read/stats.h"

static char folder[] = "/tmp/flip-stats-XXXXXX";

typedef struct {
  struct archive *tar;
  char path[64];
} tar_file;

static tar_file tar_create(const char *name) {
  tar_file t = {.tar = archive_write_new()};
  snprintf(t.path, sizeof t.path, "%s/%s", folder, name);
  archive_write_set_format_ustar(t.tar);
  assert_int_equal(archive_write_open_filename(t.tar, t.path), ARCHIVE_OK);
  return t;
}

static void tar_add(tar_file *t, const char *name, const void *bytes, size_t size) {
  struct archive_entry *entry = archive_entry_new();
  archive_entry_set_pathname(entry, name);
  archive_entry_set_size(entry, (la_int64_t)size);
  archive_entry_set_filetype(entry, AE_IFREG);
  archive_entry_set_perm(entry, 0644);
  assert_int_equal(archive_write_header(t->tar, entry), ARCHIVE_OK);
  assert_int_equal(archive_write_data(t->tar, bytes, size), (la_ssize_t)size);
  archive_entry_free(entry);
}

static void tar_add_text(tar_file *t, const char *name, const char *text) {
  tar_add(t, name, text, strlen(text));
}

static void tar_finish(tar_file *t) {
  assert_int_equal(archive_write_free(t->tar), ARCHIVE_OK);
}

typedef struct {
  unsigned char *bytes;
  size_t size;
} encoded;

/* Uneven pixels, so that damage cannot hide in a flat picture. */
static unsigned char *pixels(int width, int height) {
  unsigned char *p = malloc((size_t)(width * height * 3));
  assert_non_null(p);
  for (int i = 0; i < width * height * 3; i++) p[i] = (unsigned char)(i * 7919 >> 3);
  return p;
}

static encoded make_png(int width, int height) {
  png_image image = {.version = PNG_IMAGE_VERSION,
                     .width = (png_uint_32)width,
                     .height = (png_uint_32)height,
                     .format = PNG_FORMAT_RGB};
  unsigned char *p = pixels(width, height);
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  encoded e = {malloc(size), 0};
  assert_true(png_image_write_to_memory(&image, e.bytes, &size, 0, p, 0, NULL));
  e.size = size;
  free(p);
  return e;
}

static encoded make_jpeg(int width, int height) {
  struct jpeg_compress_struct codec;
  struct jpeg_error_mgr problem;
  unsigned char *p = pixels(width, height), *bytes = NULL;
  unsigned long size = 0;
  codec.err = jpeg_std_error(&problem);
  jpeg_create_compress(&codec);
  jpeg_mem_dest(&codec, &bytes, &size);
  codec.image_width = (JDIMENSION)width;
  codec.image_height = (JDIMENSION)height;
  codec.input_components = 3;
  codec.in_color_space = JCS_RGB;
  jpeg_set_defaults(&codec);
  jpeg_start_compress(&codec, TRUE);
  while (codec.next_scanline < codec.image_height) {
    JSAMPROW row = p + codec.next_scanline * (size_t)width * 3;
    jpeg_write_scanlines(&codec, &row, 1);
  }
  jpeg_finish_compress(&codec);
  jpeg_destroy_compress(&codec);
  free(p);
  return (encoded){bytes, size};
}

static encoded make_webp(int width, int height) {
  unsigned char *p = pixels(width, height), *made = NULL;
  size_t size = WebPEncodeRGB(p, width, height, width * 3, 80, &made);
  encoded e = {malloc(size), size};
  memcpy(e.bytes, made, size);
  WebPFree(made);
  free(p);
  return e;
}

static void expect_range(stats_range r, int64_t min, int64_t median, int64_t max) {
  assert_int_equal(r.min, min);
  assert_int_equal(r.median, median);
  assert_int_equal(r.max, max);
}

static void statistics_count_what_was_written(void **state) {
  (void)state;
  encoded png = make_png(10, 40), jpeg = make_jpeg(33, 20), webp = make_webp(50, 30);
  static const char red[] = "{\"labels\": {\"color\": \"red\", \"year\": 7}, \"other\": \"x\"}";
  static const char blue[] = "{\"labels\": {\"color\": \"blue\"}}",
                    words[] = " three\xE3\x80\x80plain\xC2\xA0words ";
  tar_file t = tar_create("good.tar");
  tar_add(&t, "a.png", png.bytes, png.size);
  tar_add_text(&t, "a.txt", "one\n");
  tar_add_text(&t, "a.json", red);
  tar_add(&t, "b.jpg", jpeg.bytes, jpeg.size);
  tar_add_text(&t, "b.txt", words);
  tar_add_text(&t, "b.json", blue);
  tar_add(&t, "c.webp", webp.bytes, webp.size);
  tar_add_text(&t, "c.txt", "");
  tar_add_text(&t, "c.json", blue);
  tar_add_text(&t, "d.txt", "no image");
  tar_finish(&t);
  data_stats s;
  assert_ok(stats_collect((char *[]){t.path}, 1, &s));
  assert_int_equal(s.samples, 3);
  assert_int_equal(s.left_out, 1);
  assert_non_null(strstr(s.warnings, "sample d has no image"));
  assert_int_equal(s.jpg, 1);
  assert_int_equal(s.png, 1);
  assert_int_equal(s.webp, 1);
  assert_int_equal(s.unknown + s.unsized + s.bad_json, 0);
  assert_int_equal(s.with_json, 3);
  expect_range(s.width, 10, 33, 50);
  expect_range(s.height, 20, 30, 40);
  expect_range(s.words, 0, 1, 3);
  size_t text = strlen("one\n") + strlen(words) + strlen(red) + 2 * strlen(blue);
  assert_int_equal(s.bytes, png.size + jpeg.size + webp.size + text);
  assert_int_equal(s.label_count, 2);
  assert_string_equal(s.labels[0].name, "color");
  assert_string_equal(s.labels[0].top, "blue");
  assert_int_equal(s.labels[0].top_count, 2);
  assert_int_equal(s.labels[0].distinct, 2);
  assert_int_equal(s.labels[0].samples, 3);
  assert_string_equal(s.labels[1].top, "7");
  assert_int_equal(s.labels[1].samples, 1);
  stats_free(&s);
  free(png.bytes);
  free(jpeg.bytes);
  free(webp.bytes);
}

static void verifying_names_every_bad_member(void **state) {
  (void)state;
  encoded images[] = {make_png(40, 40), make_jpeg(64, 64), make_webp(48, 48)};
  const char *const names[] = {"png", "jpg", "webp"};
  tar_file t = tar_create("bad.tar");
  char name[32];
  for (int i = 0; i < 3; i++) {
    snprintf(name, sizeof name, "good%d.%s", i, names[i]);
    tar_add(&t, name, images[i].bytes, images[i].size);
    snprintf(name, sizeof name, "good%d.txt", i);
    tar_add_text(&t, name, "fine");
    snprintf(name, sizeof name, "half%d.%s", i, names[i]);
    tar_add(&t, name, images[i].bytes, images[i].size / 2);
    snprintf(name, sizeof name, "half%d.txt", i);
    tar_add_text(&t, name, "cut off");
    free(images[i].bytes);
  }
  tar_add_text(&t, "page.jpg", "<html>404</html>");
  tar_add_text(&t, "page.json", "{\"labels\": ");
  tar_finish(&t);
  strbuf bad = {0};
  int64_t bad_count, total;
  assert_ok(stats_verify((char *[]){t.path}, 1, &bad, &bad_count, &total));
  const char *lines = strbuf_string(&bad);
  assert_int_equal(total, 7);
  assert_int_equal(bad_count, 6);
  static const char *const expected[] = {"bad.tar: half0: ",
                                         "bad.tar: half1: damaged JPEG",
                                         "bad.tar: half2: damaged WebP",
                                         "bad.tar: page: not a JPEG, PNG or WebP",
                                         "bad.tar: page: it has no caption",
                                         "bad.tar: page: its JSON cannot be read"};
  for (int i = 0; i < 6; i++)
    if (!strstr(lines, expected[i])) fail_msg("'%s' is not in:\n%s", expected[i], lines);
  assert_null(strstr(lines, "good"));
  strbuf_free(&bad);
}

static void verifying_continues_after_a_damaged_shard(void **state) {
  (void)state;
  encoded png = make_png(64, 64);
  tar_file cut = tar_create("cut.tar"), whole = tar_create("whole.tar");
  tar_add_text(&cut, "a.txt", "a caption");
  tar_add(&cut, "a.png", png.bytes, png.size);
  tar_finish(&cut);
  assert_int_equal(truncate(cut.path, 512 * 4), 0); /* in the middle of the image */
  tar_add_text(&whole, "b.txt", "b");
  tar_add(&whole, "b.png", png.bytes, png.size);
  tar_finish(&whole);
  char missing[64];
  snprintf(missing, sizeof missing, "%s/missing.tar", folder);
  strbuf bad = {0};
  int64_t bad_count, total;
  char *paths[] = {cut.path, missing, whole.path};
  assert_ok(stats_verify(paths, 3, &bad, &bad_count, &total));
  assert_int_equal(total, 2);
  assert_int_equal(bad_count, 3); /* no image; truncated; no such file */
  assert_non_null(strstr(strbuf_string(&bad), "truncated in member a.png"));
  assert_non_null(strstr(strbuf_string(&bad), "missing.tar: cannot open"));
  assert_null(strstr(strbuf_string(&bad), "whole.tar"));
  strbuf_free(&bad);
  free(png.bytes);
}

static int make_folder(void **state) {
  (void)state;
  return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
  (void)state;
  static const char *const names[] = {"good.tar", "bad.tar", "cut.tar", "whole.tar"};
  char path[64];
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    unlink(path);
  }
  return rmdir(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(statistics_count_what_was_written),
      cmocka_unit_test(verifying_names_every_bad_member),
      cmocka_unit_test(verifying_continues_after_a_damaged_shard),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
