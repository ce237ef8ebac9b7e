#include "eval/gallery.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/fs.h"
#include "image/image.h"
#include "image/image_header.h"
#include "image/shrink.h"

int64_t gallery_best(const float *query, const float *candidates, int64_t count, int64_t width,
                     int64_t top, gallery_hit *hits) {
  int64_t used = 0;
  for (int64_t row = 0; row < count; row++) {
    float score = 0;
    for (int64_t i = 0; i < width; i++) score += query[i] * candidates[row * width + i];
    if (isnan(score) || (used == top && !(score > hits[used - 1].score))) continue;
    int64_t at = used < top ? used++ : used - 1;
    for (; at > 0 && hits[at - 1].score < score; at--) hits[at] = hits[at - 1];
    hits[at] = (gallery_hit){row, score};
  }
  return used;
}

/* As the file is, but a pixmap, which browsers do not show, as a PNG. */
static err append_image(strbuf *out, const void *bytes, size_t size, const char *alt) {
  static const char *const types[] = {
      [IMAGE_JPEG] = "jpeg", [IMAGE_PNG] = "png", [IMAGE_WEBP] = "webp", [IMAGE_PIXMAP] = "png"};
  image_format format = image_read_header(bytes, size).format;
  image picture = {0};
  uint8_t *owned = NULL;
  err error = NULL;
  if (format == IMAGE_PIXMAP) {
    TRY(image_decode(bytes, size, 0, &picture));
    TRY(shrink_encode_png(&picture, &owned, &size));
    bytes = owned;
  }
  strbuf_format(out, "<img src=\"data:image/%s;base64,", types[format] ? types[format] : "png");
  base64_encode(bytes, size, out);
  strbuf_append(out, "\" alt=\"");
  text_escape_html(alt, out);
  strbuf_append(out, "\">");
cleanup:
  image_free(&picture);
  free(owned);
  return error;
}

static err append_picture_hit(strbuf *out, const gallery_page *page, const gallery_hit *hit) {
  void *bytes = NULL;
  char *name = NULL, *caption = NULL;
  size_t size = 0;
  err error = NULL;
  TRY(pictures_bytes(page->pictures, hit->row, &bytes, &size));
  TRY(pictures_name(page->pictures, hit->row, &name));
  TRY(pictures_caption(page->pictures, hit->row, &caption));
  strbuf_append(out, "<figure>");
  TRY(append_image(out, bytes, size, caption));
  strbuf_format(out, "<figcaption><b>%.4f</b> <code>", (double)hit->score);
  text_escape_html(name, out);
  strbuf_append(out, "</code><br>");
  text_escape_html(caption, out);
  strbuf_append(out, "</figcaption></figure>\n");
cleanup:
  free(bytes);
  free(name);
  free(caption);
  return error;
}

static void append_text_hit(strbuf *out, const gallery_page *page, const gallery_hit *hit) {
  strbuf_format(out, "<p><b>%.4f</b> ", (double)hit->score);
  text_escape_html(page->texts[hit->row], out);
  strbuf_append(out, "</p>\n");
}

err gallery_write(const char *path, const gallery_page *page) {
  static const char style[] =
      "body{font:15px/1.4 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em;"
      "background:#fff;color:#222}figure{display:inline-block;width:12em;margin:.6em;"
      "vertical-align:top}img{max-width:12em;max-height:12em;border:1px solid #ccc}"
      "figcaption{font-size:13px}code{color:#666;word-break:break-all}";
  strbuf out = {0};
  err error = NULL;
  strbuf_append(&out, "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>");
  text_escape_html(page->title, &out);
  strbuf_format(&out, "</title><style>%s</style>\n<h1>", style);
  text_escape_html(page->query_text ? page->query_text : page->title, &out);
  strbuf_append(&out, "</h1>\n");
  if (page->query_image)
    error = append_image(&out, page->query_image, page->query_image_bytes, "query");
  for (int64_t i = 0; i < page->count && !error; i++) {
    if (page->pictures)
      error = append_picture_hit(&out, page, &page->hits[i]);
    else
      append_text_hit(&out, page, &page->hits[i]);
  }
  strbuf_append(&out, "</html>\n");
  if (!error && out.is_broken) error = err_new(ERR_MEMORY, "out of memory: %s", path);
  if (!error) error = fs_write_atomic(path, strbuf_string(&out), out.length);
  strbuf_free(&out);
  return error;
}
