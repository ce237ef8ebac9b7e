#include "report/figure_svg.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/mem.h"
#include "report/page.h"

/* Where `text` begins with `start`: its length, else 0. */
static size_t matches(const char *text, const char *start) {
  size_t length = strlen(start);
  return strncmp(text, start, length) == 0 ? length : 0;
}

/* The length of an element <title>…</title> at the start of `text`; 0 if there is none. */
static size_t title_length(const char *text) {
  static const char end[] = "</title>";
  const char *found = matches(text, "<title>") ? strstr(text, end) : NULL;
  return found ? (size_t)(found - text) + strlen(end) : 0;
}

void figure_svg_retitle(const char *svg, const char *title, strbuf *out) {
  bool is_first = true;
  for (const char *at = svg; *at;) {
    size_t length = *at == '<' ? title_length(at) : 0;
    if (length && is_first && *title) {
      strbuf_append(out, "<title>");
      text_escape_html(title, out);
      strbuf_append(out, "</title>");
    }
    is_first = is_first && !length;
    if (!length) strbuf_append_char(out, *at);
    at += length ? length : 1;
  }
}

err figure_svg_tidy(const char *path, const char *title) {
  char *svg = NULL;
  size_t length;
  strbuf text = {0};
  err error = fs_read(path, &svg, &length);
  if (!error) {
    figure_svg_retitle(svg, title, &text);
    error = text.is_broken ? mem_error(length, path)
                           : fs_write_atomic(path, strbuf_string(&text), text.length);
  }
  strbuf_free(&text);
  free(svg);
  return error;
}

err figure_check_files(const char *folder, const char *name, const char *formats) {
  static const char *const all[] = {"png", "svg", "pdf"};
  err error = NULL;
  for (size_t i = 0; i < sizeof all / sizeof *all && !error; i++) {
    strbuf path = {0};
    struct stat file;
    if (!strstr(formats, all[i])) continue;
    strbuf_format(&path, "%s/%s.%s", folder, name, all[i]);
    if (path.is_broken)
      error = mem_error(0, "a figure");
    else if (stat(path.data, &file) != 0 || file.st_size == 0)
      error = err_new(ERR_INPUT, "%s: the template drew nothing", path.data);
    strbuf_free(&path);
  }
  return error;
}
