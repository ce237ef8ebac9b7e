#include "store/csv.h"

#include <math.h>
#include <string.h>

#include "base/json.h"

void csv_field(const char *text, bool is_first, strbuf *out) {
  if (!is_first) strbuf_append_char(out, ',');
  if (!strpbrk(text, ",\"\r\n")) {
    strbuf_append(out, text);
    return;
  }
  strbuf_append_char(out, '"');
  for (const char *at = text; *at; at++) {
    if (*at == '"') strbuf_append_char(out, '"');
    strbuf_append_char(out, *at);
  }
  strbuf_append_char(out, '"');
}

void csv_number(double value, bool is_first, strbuf *out) {
  char text[32] = "";
  if (!isnan(value)) jsonw_shortest(value, text);
  csv_field(text, is_first, out);
}
