/* CLDR's names and groups of emoji: annotations in XML, and labels.txt behind a NUL. The font is
 * not there, so that everything up to it is read. */
#include "base/fs.h"
#include "make/emoji.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_halves parts = fuzz_cut(data, size);
  emoji_result result;
  fuzz_folder();
  fuzz_expect_ok(fs_make_folders("annotations"));
  fuzz_expect_ok(fs_make_folders("annotationsDerived"));
  fuzz_expect_ok(fs_make_folders("properties"));
  fuzz_write("annotations/en.xml", parts.first, parts.first_size);
  fuzz_write("annotationsDerived/en.xml", parts.first, parts.first_size);
  fuzz_write("properties/labels.txt", parts.second, parts.second_size);
  const emoji_options options = {
      .font = "none.ttf", .cldr = ".", .out = "out", .size = 16, .shard_size = 10};
  err error = emoji_pack(&options, &result);
  fuzz_require(error != NULL, "without a font nothing is packed");
  err_free(error);
  return 0;
}
