#include "text/template.h"

#include <string.h>

/* Length of the placeholder that begins here; 0: none. */
static size_t place_at(const char *at) {
  if (strncmp(at, "{}", 2) == 0) return 2;
  return strncmp(at, "{c}", 3) == 0 ? 3 : 0;
}

err template_check(const char *pattern) {
  bool has_place = false;
  for (const char *at = pattern; *at;) {
    size_t place = place_at(at);
    if (!place && (*at == '{' || *at == '}'))
      return err_new(ERR_INPUT, "template '%.120s': '%.*s' is not a placeholder; write {} (or {c})",
                     pattern, *at == '{' && strchr(at, '}') ? (int)(strcspn(at, "}") + 1) : 1, at);
    has_place = has_place || place;
    at += place ? place : 1;
  }
  if (has_place) return NULL;
  return err_new(ERR_INPUT, "template '%.120s' has no placeholder: write {} where the name goes",
                 pattern);
}

void template_fill(const char *pattern, const char *name, strbuf *out) {
  while (*pattern) {
    size_t place = place_at(pattern);
    if (place)
      strbuf_append(out, name);
    else
      strbuf_append_char(out, *pattern);
    pattern += place ? place : 1;
  }
}
