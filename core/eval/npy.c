#include "eval/npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>
#include <errno.h>

#include "base/fs.h"
#include "base/text.h"

enum { PREFIX = 10, ALIGNMENT = 64 }; /* magic, version, header length; where the data starts */

err npy_write(const char *path, int64_t rows, int64_t columns, const float *values) {
  strbuf header = {0}, temporary = {0};
  err error = NULL;
  strbuf_format(&header,
                "{'descr': '<f4', 'fortran_order': False, 'shape': (%" PRId64 ", %" PRId64 "), }",
                rows, columns);
  while ((PREFIX + header.length + 1) % ALIGNMENT && !header.is_broken)
    strbuf_append_char(&header, ' ');
  strbuf_append_char(&header, '\n');
  strbuf_format(&temporary, "%s.tmp%ld", path, (long)getpid());
  if (header.is_broken || temporary.is_broken) FAIL(ERR_MEMORY, "out of memory: %s", path);
  const unsigned char prefix[PREFIX] = {0x93,
                                        'N',
                                        'U',
                                        'M',
                                        'P',
                                        'Y',
                                        1,
                                        0,
                                        (unsigned char)header.length,
                                        (unsigned char)(header.length >> 8)};
  int fd = open(temporary.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) {
    error = err_errno(errno, "%s: cannot create", path);
    goto cleanup;
  }
  error = fs_write_all(fd, prefix, sizeof prefix, path);
  if (!error) error = fs_write_all(fd, header.data, header.length, path);
  if (!error) error = fs_write_all(fd, values, (size_t)(rows * columns) * sizeof *values, path);
  if (error) {
    close(fd);
    unlink(temporary.data);
  } else {
    error = fs_commit(fd, temporary.data, path);
  }
cleanup:
  strbuf_free(&header);
  strbuf_free(&temporary);
  return error;
}
