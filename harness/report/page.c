#include "report/page.h"

#include <stddef.h>

#ifndef FLIPBENCH_PAGE_DIR
#error "the build says where page.css and page.js are"
#endif

/* The style and the script, put in by the assembler. */
extern const char page_css_start[], page_css_end[], page_js_start[], page_js_end[];
#define PAGE_ASSET(name, file)                                                                     \
  __asm__(".pushsection .rodata\n"                                                                 \
          ".globl " name "_start\n" name "_start:\n"                                               \
          ".incbin \"" FLIPBENCH_PAGE_DIR "/" file "\"\n"                                          \
          ".globl " name "_end\n" name "_end:\n"                                                   \
          ".popsection\n")
PAGE_ASSET("page_css", "page.css");
PAGE_ASSET("page_js", "page.js");

void page_escape(const char *text, strbuf *out) {
  for (; *text; text++)
    if (*text == '<')
      strbuf_append(out, "&lt;");
    else if (*text == '>')
      strbuf_append(out, "&gt;");
    else if (*text == '&')
      strbuf_append(out, "&amp;");
    else if (*text == '"')
      strbuf_append(out, "&quot;");
    else
      strbuf_append_char(out, *text);
}

void page_element(const char *open, const char *text, const char *close, strbuf *out) {
  strbuf_append(out, open);
  page_escape(text, out);
  strbuf_append(out, close);
}

static void append_between(const char *start, const char *end, strbuf *out) {
  strbuf_append_bytes(out, start, (size_t)(end - start));
}

void page_begin(const char *title, const char *up, const char *up_name, const char *const *sections,
                strbuf *out) {
  strbuf_append(out, "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\n"
                     "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                     "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                     "style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">\n"
                     "<link rel=\"icon\" href=\"data:,\">\n");
  page_element("<title>", title, "</title>\n<style>\n", out);
  append_between(page_css_start, page_css_end, out);
  strbuf_append(out, "</style></head>\n<body>\n<a class=\"skip\" href=\"#content\">To the content"
                     "</a>\n");
  page_element("<header id=\"content\"><h1>", title, "</h1></header>\n<nav>", out);
  if (up) {
    page_element("<a href=\"", up, "\">", out);
    page_element("← ", up_name, "</a>", out);
  }
  for (; *sections; sections += 2) {
    page_element("<a href=\"#", sections[0], "\">", out);
    page_element("", sections[1], "</a>", out);
  }
  strbuf_append(out, "<span class=\"spring\"></span><button id=\"theme\" type=\"button\" hidden>"
                     "Dark</button></nav>\n<main>\n");
}

/* JSON inside a script element: "</" must not end it, nor "<!--" begin a comment. */
static void append_json(const char *json, strbuf *out) {
  for (; *json; json++)
    if (*json == '<')
      strbuf_append(out, "\\u003c");
    else
      strbuf_append_char(out, *json);
}

void page_end(const char *json, strbuf *out) {
  strbuf_append(out, "</main>\n<dialog id=\"trace\"></dialog>\n"
                     "<script type=\"application/json\" id=\"data\">");
  append_json(json, out);
  strbuf_append(out, "</script>\n<script>\n");
  append_between(page_js_start, page_js_end, out);
  strbuf_append(out, "</script>\n</body></html>\n");
}

void page_filter(const char *table_id, const char *what, strbuf *out) {
  strbuf_format(out,
                "<div class=\"tools\" hidden><input type=\"search\" id=\"%s-filter\" "
                "placeholder=\"Filter ( / )\" aria-label=\"%s\"></div>\n",
                table_id, what);
}
