#include "text/plain_text.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"

/* The most likely encoding of a text that is not UTF-8, for messages. A single NUL, and those that
 * a text of fixed length is padded with, are no sign of UTF-16. */
static const char *guess(const char *bytes, size_t size) {
  size_t nuls = 0;
  if (size >= 2 && (memcmp(bytes, "\xFF\xFE", 2) == 0 || memcmp(bytes, "\xFE\xFF", 2) == 0))
    return "it begins with UTF-16's byte order mark";
  while (size && !bytes[size - 1]) size--;
  for (size_t i = 0; i < size; i++) nuls += !bytes[i];
  return nuls > 1 && nuls >= size / 3 ? "every other byte is NUL: UTF-16?" : NULL;
}

/* The first byte that belongs to no character; `size` when all of it is UTF-8. */
static size_t first_fault(const char *bytes, size_t size) {
  size_t at = 0;
  while (at < size) {
    utf8proc_int32_t c;
    utf8proc_ssize_t length =
        utf8proc_iterate((const utf8proc_uint8_t *)bytes + at, (utf8proc_ssize_t)(size - at), &c);
    if (length <= 0) break;
    at += (size_t)length;
  }
  return at;
}

err plain_text(const char *bytes, size_t size, const char *what, char **text) {
  const char *other = guess(bytes, size);
  *text = NULL;
  if (other) return err_new(ERR_INPUT, "%s is not UTF-8: %s", what, other);
  size_t fault = first_fault(bytes, size), used = 0;
  if (fault < size)
    return err_new(ERR_INPUT, "%s is not UTF-8: byte %zu is 0x%02X (Latin-1 or Windows-1252?)",
                   what, fault + 1, (unsigned)(unsigned char)bytes[fault]);
  char *copy = mem_zeroed(size + 1, 1);
  if (!copy) return mem_error(size, what);
  for (size_t i = 0; i < size; i++)
    if (bytes[i]) copy[used++] = bytes[i];
  *text = copy;
  return NULL;
}

static err check_file(const char *path, const char *text, size_t size) {
  const char *other = guess(text, size), *nul = memchr(text, '\0', size);
  size_t fault = nul ? (size_t)(nul - text) : first_fault(text, size);
  long line = 1;
  if (other) return err_new(ERR_INPUT, "%s: is not UTF-8: %s; save it as UTF-8", path, other);
  if (fault == size) return NULL;
  for (size_t i = 0; i < fault; i++) line += text[i] == '\n';
  return err_new(ERR_INPUT, "%s:%ld: %s; save it as UTF-8", path, line,
                 nul ? "contains a NUL character" : "is not UTF-8 (Latin-1 or Windows-1252?)");
}

static void take_line(char *line, char *end, long number, bool keeps_blank, text_lines *lines) {
  if (!keeps_blank) {
    while (line < end && (*line == ' ' || *line == '\t')) line++;
    while (end > line && (end[-1] == ' ' || end[-1] == '\t')) end--;
    if (line == end) return;
  }
  *end = '\0';
  lines->items[lines->count] = line;
  lines->numbers[lines->count++] = number;
}

err text_lines_read(const char *path, bool keeps_blank, text_lines *lines) {
  size_t size, most = 1;
  *lines = (text_lines){0};
  err error = fs_read(path, &lines->text, &size);
  if (!error) error = check_file(path, lines->text, size);
  if (error) goto cleanup;
  for (size_t i = 0; i < size; i++) most += lines->text[i] == '\n' || lines->text[i] == '\r';
  lines->items = mem_zeroed(most, sizeof *lines->items);
  lines->numbers = mem_zeroed(most, sizeof *lines->numbers);
  if (!lines->items || !lines->numbers) {
    error = mem_error(most * sizeof *lines->items, path);
    goto cleanup;
  }
  char *at = lines->text, *end = at + size;
  if (size >= 3 && memcmp(at, "\xEF\xBB\xBF", 3) == 0) at += 3;
  for (long number = 1; at < end; number++) {
    char *stop = at + strcspn(at, "\r\n");
    bool is_pair = stop[0] == '\r' && stop[1] == '\n';
    char *next = stop == end ? end : stop + (is_pair ? 2 : 1);
    take_line(at, stop, number, keeps_blank, lines);
    at = next;
  }
cleanup:
  if (error) text_lines_free(lines);
  return error;
}

void text_lines_free(text_lines *lines) {
  free(lines->text);
  free(lines->items);
  free(lines->numbers);
  *lines = (text_lines){0};
}
