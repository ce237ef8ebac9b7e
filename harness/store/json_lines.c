#include "store/json_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"

err json_lines_each(const char *path, int64_t from,
                    void (*take)(const json_t *object, void *context), void *context) {
  char *line = NULL;
  size_t capacity = 0;
  FILE *stream = fopen(path, "re");
  err error = !stream && errno != ENOENT ? err_errno(errno, "%s: cannot open", path) : NULL;
  if (stream && fseeko(stream, (off_t)from, SEEK_SET) != 0)
    error = err_errno(errno, "%s: cannot seek", path);
  for (ssize_t length; !error && stream && (length = getline(&line, &capacity, stream)) > 0;) {
    json_t *object = json_loadb(line, (size_t)length, 0, NULL); /* there may be NULs */
    if (object) take(object, context);
    json_decref(object);
  }
  if (!error && stream && ferror(stream)) error = err_errno(errno, "%s: cannot read", path);
  if (stream) fclose(stream);
  free(line);
  return error;
}

err json_lines_append(const char *path, strbuf *line) {
  strbuf_append_char(line, '\n');
  int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  err error = fd < 0            ? err_new(ERR_IO, "%s: cannot be written", path)
              : line->is_broken ? mem_error(0, "a line")
                                : fs_write_all(fd, line->data, line->length, path);
  if (fd >= 0) close(fd);
  strbuf_free(line);
  return error;
}
