#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct err_info {
  err_kind kind;
  bool is_static;
  char *message;
};

/* alone: what other ranks may not know stays that. */
static struct err_info out_of_memory = {ERR_MEMORY, true, NULL}, alone = {ERR_LOST, true, NULL};

static char *format_text(const char *format, va_list arguments) {
  va_list copy;
  va_copy(copy, arguments);
  int length = vsnprintf(NULL, 0, format, copy);
  va_end(copy);
  if (length < 0) return NULL;
  char *text = mem_plain((size_t)length + 1);
  if (text) vsnprintf(text, (size_t)length + 1, format, arguments);
  return text;
}

static err make(err_kind kind, char *message) {
  struct err_info *error = message ? mem_plain(sizeof *error) : NULL;
  if (!error) {
    free(message);
    return kind == ERR_LOST ? &alone : &out_of_memory;
  }
  *error = (struct err_info){kind, false, message};
  return error;
}

err err_new(err_kind kind, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  char *message = format_text(format, arguments);
  va_end(arguments);
  return make(kind, message);
}

err err_errno(int errno_value, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  char *message = format_text(format, arguments);
  va_end(arguments);
  err error = make(ERR_IO, message);
  if (error->is_static) return error;
  err full = err_new(ERR_IO, "%s: %s", error->message, strerror(errno_value));
  err_free(error);
  return full;
}

err err_context(err error, const char *format, ...) {
  if (!error || error->is_static) return error;
  va_list arguments;
  va_start(arguments, format);
  char *context = format_text(format, arguments);
  va_end(arguments);
  if (!context) return error;
  size_t size = strlen(context) + 2 + strlen(error->message) + 1;
  char *joined = mem_plain(size);
  if (joined) {
    snprintf(joined, size, "%s: %s", context, error->message);
    free(error->message);
    error->message = joined;
  }
  free(context);
  return error;
}

err_kind err_kind_of(err error) {
  return error->kind;
}

const char *err_message(err error) {
  return error->message ? error->message : "out of memory";
}

void err_free(err error) {
  if (!error || error->is_static) return;
  free(error->message);
  free(error);
}

void err_keep_first(err_first *first, size_t index, err error) {
  if (!error || (first->error && first->index <= index)) {
    err_free(error);
    return;
  }
  err_free(first->error);
  *first = (err_first){error, index};
}
