#include "report/page.h"

#include <assert.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "report/figure_svg.h"

#ifndef FLIPBENCH_PAGE_DIR
#error "the build says where page.html, page.css and page.js are"
#endif

/* Template, style and script, embedded by the assembler. */
#define PAGE_ASSET(name, file)                                                                     \
  extern const char name##_start[], name##_end[];                                                  \
  __asm__(".pushsection .rodata\n"                                                                 \
          ".globl " #name "_start\n" #name "_start:\n"                                             \
          ".incbin \"" FLIPBENCH_PAGE_DIR "/" file "\"\n"                                          \
          ".globl " #name "_end\n" #name "_end:\n"                                                 \
          ".popsection\n")
PAGE_ASSET(page_html, "page.html");
PAGE_ASSET(page_css, "page.css");
PAGE_ASSET(page_js, "page.js");

/* ---- the template ---- */

/* JSON inside a script element: "</" must not end it, nor "<!--" begin a comment. In JSON a "<"
 * occurs only inside strings. */
static void append_json(const char *json, strbuf *out) {
  for (; *json; json++)
    if (*json == '<')
      strbuf_append(out, "\\u003c");
    else
      strbuf_append_char(out, *json);
}

static bool is_named(const char *name, size_t length, const char *known) {
  return length == strlen(known) && memcmp(name, known, length) == 0;
}

static void fill(const char *name, size_t length, const page_content *c, strbuf *out) {
  if (is_named(name, length, "title"))
    text_escape_html(c->title, out);
  else if (is_named(name, length, "text"))
    text_escape_html(c->text, out);
  else if (is_named(name, length, "figures"))
    strbuf_append(out, c->figures);
  else if (is_named(name, length, "json"))
    append_json(c->json, out);
  else if (is_named(name, length, "css"))
    strbuf_append_bytes(out, page_css_start, (size_t)(page_css_end - page_css_start));
  else if (is_named(name, length, "js"))
    strbuf_append_bytes(out, page_js_start, (size_t)(page_js_end - page_js_start));
  else
    assert(!"page.html has an unknown placeholder");
}

void page_write(const page_content *content, strbuf *out) {
  const char *at = page_html_start, *end = page_html_end;
  for (const char *open; (open = memmem(at, (size_t)(end - at), "{{", 2)); at += 2) {
    strbuf_append_bytes(out, at, (size_t)(open - at));
    open += 2;
    at = memmem(open, (size_t)(end - open), "}}", 2);
    assert(at);
    fill(open, (size_t)(at - open), content, out);
  }
  strbuf_append_bytes(out, at, (size_t)(end - at));
}

/* ---- figures ---- */

/* Maps the colours of plots/theme.gp to the page's, so that figures follow light and dark mode. */
static const struct {
  const char *rgb, *name;
} page_colours[] = {{"34,34,34", "ink"},  {"138,138,138", "faint"}, {"228,228,228", "line"},
                    {"77,77,77", "c0"},   {"0,114,178", "c1"},      {"213,94,0", "c2"},
                    {"0,158,115", "c3"},  {"204,121,167", "c4"},    {"230,159,0", "c5"},
                    {"86,180,233", "c6"}, {"0,0,0", "c7"},          {"255,255,255", "paper"}};

/* "rgb( 34,  34,  34)" at `at`: its length, and the page's colour for it; 0 for other colours. */
static size_t known_colour(const char *at, strbuf *out) {
  char digits[32];
  size_t used = 0, length = strcspn(at, ")");
  if (strncmp(at, "rgb(", 4) != 0 || length > sizeof digits) return 0;
  for (size_t i = 4; i < length; i++)
    if (!isspace((unsigned char)at[i])) digits[used++] = at[i];
  digits[used] = '\0';
  for (size_t i = 0; i < sizeof page_colours / sizeof *page_colours; i++)
    if (strcmp(page_colours[i].rgb, digits) == 0) {
      strbuf_format(out, "var(--%s)", page_colours[i].name);
      return length + 1;
    }
  return 0;
}

/* The SVG without its XML declaration and its title, which the figure's label repeats; ids are made
 * unique, and its background becomes the page's. */
static void inline_svg(const char *svg, size_t number, strbuf *out) {
  static const char *const marks[] = {"id='", "id=\"", "url(#", "href='#", "href=\"#"};
  const char *at = strstr(svg, "<svg");
  while (at && *at) {
    size_t used = known_colour(at, out);
    for (size_t i = 0; i < sizeof marks / sizeof *marks && !used; i++) {
      size_t length = strlen(marks[i]);
      if (strncmp(at, marks[i], length) != 0) continue;
      strbuf_format(out, "%sdrawing-%zu-", marks[i], number);
      used = length;
    }
    if (!used && strncasecmp(at, "#ffffff", 7) == 0) {
      strbuf_append(out, "var(--paper)");
      used = 7;
    }
    if (!used) strbuf_append_char(out, *at);
    at += used ? used : 1;
  }
}

err page_figure(const char *folder, const char *name, size_t number, strbuf *out) {
  strbuf path = {0};
  strbuf untitled = {0};
  char *svg = NULL;
  size_t length;
  strbuf_format(&path, "%s/%s.svg", folder, name);
  err error = fs_read(strbuf_string(&path), &svg, &length);
  if (!error) {
    strbuf_format(out, "<figure id=\"drawing-%zu\" role=\"img\" aria-label=\"", number);
    text_escape_html(name, out);
    strbuf_append(out, "\">");
    figure_svg_retitle(svg, "", &untitled);
    inline_svg(strbuf_string(&untitled), number, out);
    out->is_broken = out->is_broken || untitled.is_broken;
    strbuf_append(out, "</figure>\n");
  }
  free(svg);
  strbuf_free(&untitled);
  strbuf_free(&path);
  return error;
}

void page_figure_missing(const char *name, const char *why, strbuf *out) {
  strbuf_append(out, "<p class=\"faint\">");
  text_escape_html(name, out);
  strbuf_append(out, ": not drawn: ");
  text_escape_html(why, out);
  strbuf_append(out, "</p>\n");
}

void page_recorded(json_writer *w, const char *stamp, strbuf *text) {
  enum { TO_SECONDS = 19 };
  strbuf line = {0};
  if (!*stamp) return;
  strbuf_format(&line, "record up to %.*sZ", TO_SECONDS, stamp);
  jsonw_string(w, "recorded", strbuf_string(&line));
  strbuf_format(text, "%s\n", strbuf_string(&line));
  if (line.is_broken) text->is_broken = true;
  strbuf_free(&line);
}
