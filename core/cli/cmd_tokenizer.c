#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/text.h"
#include "cli/commands.h"
#include "config/settings.h"
#include "read/dataset.h"
#include "text/tokenizer.h"

/* All captions of the shards, in order; unreadable ones are counted and reported. Images are not
 * read. */
static err read_captions(const option_list *shards, char ***captions, size_t *count) {
  enum { MOST_NAMED = 20 };
  dataset *data = NULL;
  char **list = NULL;
  err error = dataset_open_to_read((char *const *)(void *)shards->items, shards->count,
                                   DATASET_CAPTION, &data);
  if (error) return error;
  size_t rows = (size_t)dataset_count(data), used = 0, unreadable = 0;
  if (*dataset_warnings(data, NULL)) fputs(dataset_warnings(data, NULL), stderr);
  list = mem_zeroed(rows, sizeof *list);
  if (!list) error = mem_error(rows * sizeof *list, "captions");
  for (size_t row = 0; row < rows && !error; row++) {
    dataset_sample sample;
    error = dataset_read_text(data, (int64_t)row, &sample);
    if (error && err_kind_of(error) == ERR_INPUT) {
      if (unreadable++ < MOST_NAMED)
        log_warning("%s: %s: %s", sample.shard, sample.key, err_message(error));
      err_free(error);
      error = NULL;
    } else if (!error) {
      list[used++] = sample.caption;
      sample.caption = NULL;
    }
    dataset_sample_free(&sample);
  }
  if (unreadable) log_warning("%zu of %zu captions cannot be read", unreadable, rows);
  if (!error && !used) error = err_new(ERR_INPUT, "the shards contain no captions");
  dataset_close(data);
  *captions = list;
  *count = used;
  return error;
}

static int train(int argc, char **argv) {
  const char *out = NULL;
  int64_t size = 8192, min_count = 2, entries = 0;
  bool is_help = false;
  option_list shards = {0};
  char **captions = NULL;
  size_t count = 0;
  option options[] = {
      {"out", 'o', OPTION_STRING, &out, "FILE", "vocabulary to write, one token per line", true},
      {"size", 0, OPTION_INTEGER, &size, "N", "maximum entries (default 8192)", false},
      {"min-count", 0, OPTION_INTEGER, &min_count, "N",
       "minimum count of characters and pairs (default 2)", false},
      {0}};
  const command c = {"flip tokenizer train", "train a WordPiece vocabulary on captions",
                     "--out vocab.txt SOURCES…", options,
                     "example:\n  flip tokenizer train -o data/openclipart/vocab.txt "
                     "'data/openclipart/train-*.tar'"};
  err error = options_parse(&c, argc, argv, &shards, &is_help);
  if (error || is_help) goto cleanup;
  if (!shards.count) FAIL(ERR_INPUT, "give the shards with the captions to train on");
  TRY(read_captions(&shards, &captions, &count));
  TRY(tokenizer_train((const char *const *)captions, count, size, min_count, out, &entries));
  printf("%s: %ld entries from %zu captions\n", out, (long)entries, count);
cleanup:
  for (size_t i = 0; i < count; i++) free(captions[i]);
  free(captions);
  options_free_list(&shards);
  return options_exit_status(error);
}

/* The constants of a tokenizer kind and of its special tokens, from the spelling used in
 * settings. */
static err find_kind(const char *name, const char *special_name, int *kind, int *special) {
  settings s;
  err error = settings_init(&s);
  if (error) return error;
  error = err_context(setting_assign(settings_find("text.tokenizer"), &s, name), "--tokenizer");
  if (!error)
    error = err_context(setting_assign(settings_find("text.special_tokens"), &s, special_name),
                        "--special-tokens");
  *kind = s.text_tokenizer;
  *special = s.text_special_tokens;
  settings_free(&s);
  return error;
}

static int encode(int argc, char **argv) {
  const char *vocabulary = NULL, *kind_name = "wordpiece", *special_name = "none";
  int kind = TOKENIZER_WORDPIECE, special = SPECIAL_TOKENS_NONE;
  int64_t length = 32;
  bool is_help = false;
  option_list texts = {0};
  tokenizer *words = NULL;
  int32_t *ids = NULL, count = 0;
  option options[] = {
      {"vocabulary", 'v', OPTION_STRING, &vocabulary, "FILE",
       "vocab.txt, or CLIP's bpe_simple_vocab_16e6.txt.gz", true},
      {"tokenizer", 't', OPTION_STRING, &kind_name, "KIND",
       "wordpiece (default), bpe or bpe_huggingface; see text.tokenizer", false},
      {"special-tokens", 0, OPTION_STRING, &special_name, "WHICH",
       "none (default) or both; see text.special_tokens", false},
      {"length", 0, OPTION_INTEGER, &length, "N", "maximum tokens (default 32)", false},
      {0}};
  const command c = {"flip tokenizer encode", "show how texts are split into tokens",
                     "--vocabulary FILE TEXT…", options,
                     "Prints one line per text: TOKEN:ID ….\n\n"
                     "examples:\n"
                     "  flip tokenizer encode -v data/openclipart/vocab.txt 'a red apple'\n"
                     "  flip tokenizer encode -v bpe_simple_vocab_16e6.txt.gz -t bpe --length 77 "
                     "--special-tokens both 'a red apple'"};
  err error = options_parse(&c, argc, argv, &texts, &is_help);
  if (error || is_help) goto cleanup;
  if (length < 2 || length > 4096)
    FAIL(ERR_INPUT, "--length: %ld is outside [2, 4096]", (long)length);
  if (!texts.count) FAIL(ERR_INPUT, "no text was given: flip tokenizer encode -v FILE TEXT…");
  TRY(find_kind(kind_name, special_name, &kind, &special));
  TRY(tokenizer_open(kind, special, vocabulary, &words));
  ids = mem_zeroed((size_t)length, sizeof *ids);
  if (!ids) FAIL(ERR_MEMORY, "out of memory: tokens");
  for (size_t i = 0; i < texts.count; i++) {
    TRY(tokenizer_encode(words, texts.items[i], length, ids, &count));
    for (int32_t j = 0; j < count; j++)
      printf("%s%s:%d", j ? " " : "", tokenizer_token(words, ids[j]), ids[j]);
    putchar('\n');
  }
cleanup:
  free(ids);
  if (words) tokenizer_close(words);
  options_free_list(&texts);
  return options_exit_status(error);
}

int cmd_tokenizer(int argc, char **argv) {
  static const subcommand table[] = {{"train", "train a WordPiece vocabulary on captions", train},
                                     {"encode", "show how texts are split into tokens", encode},
                                     {0}};
  return options_dispatch("flip tokenizer", "train a vocabulary on captions, or try one", table,
                          argc, argv);
}
