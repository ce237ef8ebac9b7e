#include "eval/npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/text.h"

enum { PREFIX = 10, ALIGNMENT = 64 }; /* magic, version, header length; offset of the data */

err npy_write(const char *path, int64_t rows, int64_t columns, const float *values) {
  strbuf header = {0};
  fs_writer w = {0};
  err error = NULL;
  strbuf_format(&header,
                "{'descr': '<f4', 'fortran_order': False, 'shape': (%" PRId64 ", %" PRId64 "), }",
                rows, columns);
  while ((PREFIX + header.length + 1) % ALIGNMENT && !header.is_broken)
    strbuf_append_char(&header, ' ');
  strbuf_append_char(&header, '\n');
  if (header.is_broken) FAIL(ERR_MEMORY, "out of memory: %s", path);
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
  TRY(fs_writer_open(&w, path));
  TRY(fs_writer_add(&w, prefix, sizeof prefix));
  TRY(fs_writer_add(&w, header.data, header.length));
  TRY(fs_writer_add(&w, values, (size_t)(rows * columns) * sizeof *values));
  TRY(fs_writer_commit(&w));
cleanup:
  fs_writer_close(&w);
  strbuf_free(&header);
  return error;
}
