#include "convert/folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "train/checkpoint.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

static const struct {
  const char *name;
  bool is_open_clip;
} files[] = {
    {"model.safetensors", false},          {"model.safetensors.index.json", false},
    {"open_clip_model.safetensors", true}, {"open_clip_model.safetensors.index.json", true},
    {"model.fp16.safetensors", false},     {"model.fp16.safetensors.index.json", false}};

static err exists(const char *folder, const char *name, bool *answer) {
  char *path = fs_join(folder, name);
  *answer = path && fs_exists(path);
  free(path);
  return path ? NULL : mem_error(strlen(folder), "a path");
}

err folder_find_weights(const char *folder, char **path, strbuf *remarks) {
  size_t first = COUNT(files), other = COUNT(files);
  *path = NULL;
  for (size_t i = 0; i < COUNT(files); i++) {
    bool is_there;
    err error = exists(folder, files[i].name, &is_there);
    if (error) return error;
    if (is_there && first == COUNT(files)) first = i;
    if (is_there && files[i].is_open_clip != files[first].is_open_clip && other == COUNT(files))
      other = i;
  }
  if (first == COUNT(files)) {
    err error = checkpoint_newest_of_run(folder, path);
    if (error || *path) return error;
    return err_new(ERR_INPUT,
                   "%s: contains no model.safetensors, open_clip_model.safetensors or checkpoint "
                   "(pickled .bin and .pt files are not read: save as safetensors)",
                   folder);
  }
  if (other < COUNT(files))
    strbuf_format(remarks,
                  "%s: contains %s and %s: the first is read; give the path of the other "
                  "file to read that one\n",
                  folder, files[first].name, files[other].name);
  *path = fs_join(folder, files[first].name);
  return *path ? NULL : mem_error(strlen(folder), "a path");
}

err folder_check_free(const char *folder, weights_format format, const char *name) {
  char *found = NULL;
  bool has_processor;
  err error = NULL;
  if (!fs_is_folder(folder)) return NULL;
  TRY(checkpoint_newest_of_run(folder, &found));
  for (size_t i = 0; i < COUNT(files) && !found; i++) {
    bool is_there;
    TRY(exists(folder, files[i].name, &is_there));
    if (!is_there || strcmp(files[i].name, name) == 0) continue;
    found = mem_copy_string(files[i].name);
    if (!found) FAIL(ERR_MEMORY, "out of memory: a path");
  }
  TRY(exists(folder, "processor_config.json", &has_processor));
  if (format == WEIGHTS_HF && has_processor)
    FAIL(ERR_INPUT, "holds processor_config.json, which would be read instead of the "
                    "preprocessor_config.json that is written: choose another folder, or remove "
                    "that file");
  if (found)
    FAIL(
        ERR_INPUT,
        "holds the weights %s, which %s does not replace, so that it would hold two models: choose "
        "another folder, or remove that file",
        found, name);
cleanup:
  free(found);
  return error;
}

enum { OF_WORDPIECE = 1, OF_MERGES = 2 };

/* Is the folder's list of words or merges the model's own, or has it its tokens? One that cannot be
 * read has not. */
static err has_tokens(const char *folder, const settings *s, const char *tokens, bool *answer) {
  char *path =
      fs_join(folder, s->text_tokenizer == TOKENIZER_WORDPIECE ? "vocab.txt" : "merges.txt");
  char found[HASH_SIZE] = "";
  settings of_folder;
  tokenizer *words = NULL;
  *answer = false;
  err error = path ? settings_copy(s, &of_folder) : mem_error(strlen(folder), "a path");
  if (error) {
    free(path);
    return error;
  }
  if (*tokens && fs_exists(path)) {
    error = settings_set_text(&of_folder, "text.vocabulary", path);
    if (!error) error = tokenizer_open_for(&of_folder, &words);
    if (!error) error = words_describe(&of_folder, words, found);
  }
  *answer = !error && *found && strcmp(found, tokens) == 0;
  *answer =
      *answer || strcmp(path, s->text_vocabulary) == 0; /* a model written to its own folder */
  if (words) tokenizer_close(words);
  settings_free(&of_folder);
  free(path);
  if (!error || err_kind_of(error) == ERR_MEMORY) return error;
  err_free(error);
  return NULL;
}

static err remove_file(const char *folder, const char *name, strbuf *remarks) {
  char *path = fs_join(folder, name);
  err error = path ? NULL : mem_error(strlen(folder), "a path");
  if (path && unlink(path) == 0)
    strbuf_format(remarks, "%s: removed, as it was another model's\n", path);
  else if (path && errno != ENOENT)
    error = err_errno(errno, "%s: cannot remove", path);
  free(path);
  return error;
}

err folder_clear(const char *folder, const settings *s, const char *tokens, bool writes_words,
                 strbuf *remarks) {
  static const struct {
    const char *name;
    unsigned tokenizers; /* that read it: flip's, or transformers' */
    bool is_written;
  } beside[] = {{"vocab.txt", OF_WORDPIECE, true},
                {"tokenizer_config.json", OF_WORDPIECE | OF_MERGES, true},
                {"merges.txt", OF_MERGES, false},
                {"vocab.json", OF_MERGES, false},
                {"tokenizer.json", OF_WORDPIECE | OF_MERGES, false},
                {"special_tokens_map.json", OF_WORDPIECE | OF_MERGES, false},
                {"added_tokens.json", OF_WORDPIECE | OF_MERGES, false}};
  const unsigned own = s->text_tokenizer == TOKENIZER_WORDPIECE ? OF_WORDPIECE : OF_MERGES;
  bool is_same;
  err error = has_tokens(folder, s, tokens, &is_same);
  for (size_t i = 0; i < COUNT(beside) && !error; i++) {
    bool is_there;
    if (is_same && beside[i].tokenizers & own) continue;
    if (writes_words && beside[i].is_written) continue;
    if (beside[i].is_written) {
      error = remove_file(folder, beside[i].name, remarks);
      continue;
    }
    error = exists(folder, beside[i].name, &is_there);
    bool is_read = *tokens && strcmp(beside[i].name, "merges.txt") == 0; /* by flip, as its words */
    if (!error && is_there && is_read)
      error = err_new(ERR_INPUT, "%s/%s: is of another model: choose another folder, or remove it",
                      folder, beside[i].name);
    else if (!error && is_there)
      strbuf_format(
          remarks, "%s/%s: was there before, and may be another model's: this export writes none\n",
          folder, beside[i].name);
  }
  return error;
}
