#include "eval/gallery.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"

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

static void append_base64(strbuf *out, const void *bytes, size_t size) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const unsigned char *at = bytes;
  for (size_t i = 0; i < size; i += 3) {
    size_t left = size - i;
    uint32_t word = (uint32_t)at[i] << 16 | (left > 1 ? (uint32_t)at[i + 1] << 8 : 0) |
                    (left > 2 ? (uint32_t)at[i + 2] : 0);
    char four[4];
    for (int d = 0; d < 4; d++) four[d] = digits[word >> (18 - 6 * d) & 63];
    if (left < 3) four[3] = '=';
    if (left < 2) four[2] = '=';
    strbuf_append_bytes(out, four, 4);
  }
}

static void append_escaped(strbuf *out, const char *text) {
  for (; *text; text++) {
    if (*text == '<')
      strbuf_append(out, "&lt;");
    else if (*text == '&')
      strbuf_append(out, "&amp;");
    else if (*text == '"')
      strbuf_append(out, "&quot;");
    else
      strbuf_append_char(out, *text);
  }
}

static void append_image(strbuf *out, const void *bytes, size_t size, const char *alt) {
  const unsigned char *b = bytes;
  const char *type = size > 2 && b[0] == 0xFF ? "jpeg" : size > 2 && b[0] == 'R' ? "webp" : "png";
  strbuf_format(out, "<img src=\"data:image/%s;base64,", type);
  append_base64(out, bytes, size);
  strbuf_append(out, "\" alt=\"");
  append_escaped(out, alt);
  strbuf_append(out, "\">");
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
  append_image(out, bytes, size, caption);
  strbuf_format(out, "<figcaption><b>%.4f</b> <code>", (double)hit->score);
  append_escaped(out, name);
  strbuf_append(out, "</code><br>");
  append_escaped(out, caption);
  strbuf_append(out, "</figcaption></figure>\n");
cleanup:
  free(bytes);
  free(name);
  free(caption);
  return error;
}

static void append_text_hit(strbuf *out, const gallery_page *page, const gallery_hit *hit) {
  strbuf_format(out, "<p><b>%.4f</b> ", (double)hit->score);
  append_escaped(out, page->texts[hit->row]);
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
  append_escaped(&out, page->title);
  strbuf_format(&out, "</title><style>%s</style>\n<h1>", style);
  append_escaped(&out, page->query_text ? page->query_text : page->title);
  strbuf_append(&out, "</h1>\n");
  if (page->query_image) append_image(&out, page->query_image, page->query_image_bytes, "query");
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
