#include "convert/wordpiece.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"

static const char remedy[] =
    "give a vocabulary of lower-case words with --set text.vocabulary=FILE to train on with it";

/* These classes split and lower texts in one way, but for the options below. */
static bool is_bert(const char *class) {
  static const char *const names[] = {"BertTokenizer", "BertTokenizerFast", "DistilBertTokenizer",
                                      "DistilBertTokenizerFast"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(class, names[i]) == 0) return true;
  return false;
}

static void check_options(const json_t *root, const char *path, char *fault, size_t size) {
  static const char *const options[] = {"do_lower_case", "strip_accents", "tokenize_chinese_chars",
                                        "do_basic_tokenize"};
  const char *class = json_string_value(json_object_get(root, "tokenizer_class"));
  if (class && !is_bert(class)) {
    snprintf(fault, size, "%.200s: tokenizer_class '%.100s' is not supported; %s", path, class,
             remedy);
    return;
  }
  for (size_t i = 0; i < sizeof options / sizeof *options; i++)
    if (json_is_false(json_object_get(root, options[i]))) {
      snprintf(fault, size, "%.200s: %s: false is not supported; %s", path, options[i], remedy);
      return;
    }
}

/* The line of the first word with a capital letter, [CLS] and its like aside; 0: none. */
static long capital_in(const char *text) {
  long number = 0;
  for (const char *line = text; *line; number++) {
    size_t length = strcspn(line, "\n");
    for (size_t i = 0; *line != '[' && i < length; i++)
      if (line[i] >= 'A' && line[i] <= 'Z') return number + 1;
    line += length + (line[length] == '\n');
  }
  return 0;
}

static err check_words(const char *folder, char *fault, size_t size) {
  char *path = fs_join(folder, "vocab.txt"), *text = NULL;
  size_t length;
  err error = path ? fs_read(path, &text, &length) : mem_error(strlen(folder), "a path");
  long line = error ? 0 : capital_in(text);
  if (line)
    snprintf(fault, size,
             "%.200s:%ld: a word with a capital letter, so it is a vocabulary of cased texts, "
             "which is not supported; %s",
             path, line, remedy);
  free(text);
  free(path);
  return error;
}

err wordpiece_check(const char *folder, char *fault, size_t size) {
  json_error_t problem;
  char *path = fs_join(folder, "tokenizer_config.json"), *text = NULL;
  size_t length;
  if (!path) return mem_error(strlen(folder), "a path");
  if (!fs_exists(path)) {
    free(path);
    return check_words(folder, fault, size);
  }
  err error = fs_read(path, &text, &length);
  json_t *root = error ? NULL : json_loads(text, JSON_REJECT_DUPLICATES, &problem);
  if (!error && !root)
    error = err_new(ERR_INPUT, "%s:%d: is not JSON: %s", path, problem.line, problem.text);
  if (root) check_options(root, path, fault, size);
  json_decref(root);
  free(text);
  free(path);
  return error;
}
