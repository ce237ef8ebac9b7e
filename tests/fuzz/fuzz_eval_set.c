/* Evaluation sets: the YAML up to a NUL, and a file of classes and templates behind it
 * (classes.txt), over a shard of four samples (data-00000.tar). */
#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "image/image.h"
#include "read/shard_writer.h"
#include "image/shrink.h"
#include "eval/eval.h"
#include "fuzz/fuzz.h"

enum { SIDE = 8 };
static tokenizer *words;
static settings s;

/* Once: the shard, the vocabulary and the settings. */
static void make_surroundings(void) {
  static const char vocabulary[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\nc\ncat\ndog\n##a\n##b\n";
  shard_writer *shards;
  image picture;
  uint8_t *bytes;
  size_t size;
  int64_t count;
  fuzz_folder();
  fuzz_expect_ok(image_allocate(SIDE, SIDE, &picture));
  for (int i = 0; i < SIDE * SIDE * 3; i++) picture.pixels[i] = (uint8_t)i;
  fuzz_expect_ok(shrink_encode_png(&picture, &bytes, &size));
  fuzz_expect_ok(shard_writer_open("data", 10, &shards));
  for (int i = 0; i < 4; i++) {
    char key[8];
    snprintf(key, sizeof key, "%d", i);
    fuzz_expect_ok(shard_writer_add(shards, key, "png", bytes, size, "a cat\na dog",
                                    i % 2 ? "{\"labels\":{\"kind\":\"cat\"},\"alt\":[\"a\",\"b\"]}"
                                          : "{\"labels\":{\"kind\":\"dog\"},\"alt\":\"c\"}"));
  }
  fuzz_expect_ok(shard_writer_finish(shards, &count));
  shard_writer_close(shards);
  free(bytes);
  image_free(&picture);
  fuzz_expect_ok(fs_write_atomic("vocab.txt", vocabulary, sizeof vocabulary - 1));
  fuzz_expect_ok(tokenizer_open(TOKENIZER_WORDPIECE, SPECIAL_TOKENS_NONE, "vocab.txt", &words));
  fuzz_expect_ok(settings_init(&s));
  s.image_size = SIDE;
  s.text_length = 8;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const tasks[] = {NULL, "zeroshot", "retrieval", "probe"};
  fuzz_halves parts = fuzz_cut(data, size);
  if (!words) make_surroundings();
  fuzz_write("set.yaml", parts.first, parts.first_size);
  fuzz_write("classes.txt", parts.second, parts.second_size);
  for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
    eval_set *set = NULL;
    err error = eval_set_open("set.yaml", tasks[i], &s, words, &set);
    if (!error) {
      (void)eval_set_new_warnings(set);
      fuzz_require(!*eval_set_new_warnings(set), "warnings are returned once");
      for (int64_t c = 0; c < eval_set_classes(set); c++)
        fuzz_require(eval_set_label(set, c) != NULL, "a class has a label");
      eval_set_close(set);
    }
    err_free(error);
  }
  return 0;
}
