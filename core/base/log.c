#include "base/log.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"

static const char *program_name = "flip";
static log_level shown_level = LOG_INFO;

void log_setup(const char *program, log_level level) {
  program_name = program;
  shown_level = level;
}

void log_line(log_level level, const char *format, ...) {
  static const char *const names[] = {"error: ", "warning: ", "", "debug: "};
  if (level > shown_level) return;
  char line[4096]; /* as much as is shown without memory */
  va_list arguments;
  strbuf whole = {0}, shown = {0};
  va_start(arguments, format);
  strbuf_format_list(&whole, format, arguments);
  va_end(arguments);
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  text_escape(whole.is_broken ? line : strbuf_string(&whole), &shown); /* names from outside */
  for (char *at = line; shown.is_broken && *at; at++)
    if (*at != '\n' && !isprint((unsigned char)*at)) *at = '?';
  /* one call, so that lines are not interleaved */
  fprintf(stderr, "%s: %s%s\n", program_name, names[level],
          shown.is_broken ? line : strbuf_string(&shown));
  strbuf_free(&whole);
  strbuf_free(&shown);
}
