#include "read/left_out.h"

#include <string.h>

void left_out_add(left_out_list *l, const char *place, const char *key, const char *format, ...) {
  va_list arguments;
  strbuf_append_bytes(&l->records, place, strlen(place) + 1);
  strbuf_append_bytes(&l->records, key ? key : "", key ? strlen(key) + 1 : 1);
  va_start(arguments, format);
  strbuf_format_list(&l->records, format, arguments);
  va_end(arguments);
  strbuf_append_bytes(&l->records, "", 1);
  l->count++;
}

void left_out_append(left_out_list *to, const left_out_list *from) {
  strbuf_append_bytes(&to->records, strbuf_string(&from->records), from->records.length);
  to->records.is_broken = to->records.is_broken || from->records.is_broken;
  to->count += from->count;
}

bool left_out_next(const left_out_list *l, size_t *at, left_out_sample *out) {
  if (l->records.is_broken || *at >= l->records.length) return false;
  const char *start = l->records.data + *at;
  out->place = start;
  out->key = out->place + strlen(out->place) + 1;
  out->what = out->key + strlen(out->key) + 1;
  *at += (size_t)(out->what - start) + strlen(out->what) + 1;
  if (!*out->key) out->key = NULL;
  return true;
}

void left_out_line(const left_out_sample *one, strbuf *out) {
  if (one->key)
    strbuf_format_line(out, "%s: sample %s %s", one->place, one->key, one->what);
  else
    strbuf_format_line(out, "%s: %s", one->place, one->what);
}
