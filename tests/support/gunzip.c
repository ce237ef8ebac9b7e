#include "support/test.h"

#include <zlib.h>

#include "base/text.h"
#include "support/gunzip.h"

char *gunzip_file(const char *path) {
  strbuf text = {0};
  char block[1 << 14];
  int length;
  gzFile file = gzopen(path, "rb");
  assert_non_null(file);
  while ((length = gzread(file, block, sizeof block)) > 0)
    strbuf_append_bytes(&text, block, (size_t)length);
  assert_int_equal(length, 0);
  gzclose_r(file);
  char *all = strbuf_take(&text);
  assert_non_null(all);
  return all;
}
