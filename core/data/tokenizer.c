#include "data/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/fs.h"
#include "base/mem.h"
#include "config/settings.h"
#include "data/words.h"

enum { LONGEST_WORD = 100 }; /* characters; a longer word is [UNK], as in BERT */

struct tokenizer {
  char *file;          /* the vocabulary, lines cut into strings */
  const char **tokens; /* [count] into file */
  int64_t count;
  int32_t *slots; /* hash table of token numbers, -1: free */
  uint64_t mask;
  int32_t pad, unknown, start, end;
};

/* Number of the token spelled prefix + bytes, or -1. */
static int32_t find(const tokenizer *t, const char *bytes, size_t length) {
  uint64_t at = XXH3_64bits(bytes, length) & t->mask;
  for (; t->slots[at] >= 0; at = (at + 1) & t->mask) {
    const char *token = t->tokens[t->slots[at]];
    if (strncmp(token, bytes, length) == 0 && token[length] == '\0') return t->slots[at];
  }
  return -1;
}

static err index_tokens(tokenizer *t, const char *path) {
  uint64_t size = 16;
  while (size < 2 * (uint64_t)t->count) size *= 2;
  t->slots = mem_zeroed(size, sizeof *t->slots);
  if (!t->slots) return mem_error(size * sizeof *t->slots, path);
  memset(t->slots, 0xFF, size * sizeof *t->slots);
  t->mask = size - 1;
  for (int64_t i = 0; i < t->count; i++) {
    size_t length = strlen(t->tokens[i]);
    if (find(t, t->tokens[i], length) >= 0) continue; /* the first of two equal lines counts */
    uint64_t at = XXH3_64bits(t->tokens[i], length) & t->mask;
    while (t->slots[at] >= 0) at = (at + 1) & t->mask;
    t->slots[at] = (int32_t)i;
  }
  const struct {
    const char *name;
    int32_t *id;
  } specials[] = {
      {"[PAD]", &t->pad}, {"[UNK]", &t->unknown}, {"[CLS]", &t->start}, {"[SEP]", &t->end}};
  for (size_t i = 0; i < 4; i++) {
    *specials[i].id = find(t, specials[i].name, strlen(specials[i].name));
    if (*specials[i].id < 0)
      return err_new(ERR_INPUT, "%s: has no %s: is it a WordPiece vocabulary?", path,
                     specials[i].name);
  }
  return NULL;
}

err tokenizer_open(int kind, const char *path, tokenizer **out) {
  if (kind != TOKENIZER_WORDPIECE)
    return err_new(ERR_UNSUPPORTED, "text.tokenizer: bpe is not there yet; use wordpiece");
  tokenizer *t = mem_zeroed(1, sizeof *t);
  size_t length = 0;
  if (!t) return mem_error(sizeof *t, path);
  err error = err_context(fs_read(path, &t->file, &length), "text.vocabulary");
  if (error) goto cleanup;
  for (size_t i = 0; i < length; i++) t->count += t->file[i] == '\n';
  if (length && t->file[length - 1] != '\n') t->count++;
  t->tokens = mem_zeroed((size_t)t->count, sizeof *t->tokens);
  if (!t->tokens) {
    error = mem_error((size_t)t->count * sizeof *t->tokens, path);
    goto cleanup;
  }
  char *at = t->file;
  for (int64_t i = 0; i < t->count; i++) {
    char *end = at + strcspn(at, "\n");
    t->tokens[i] = at;
    if (end > at && end[-1] == '\r') end[-1] = '\0';
    at = *end ? end + 1 : end;
    *end = '\0';
  }
  TRY(index_tokens(t, path));
cleanup:
  if (error)
    tokenizer_close(t);
  else
    *out = t;
  return error;
}

void tokenizer_close(tokenizer *t) {
  if (!t) return;
  free(t->file);
  free(t->tokens);
  free(t->slots);
  free(t);
}

int64_t tokenizer_vocabulary_size(const tokenizer *t) {
  return t->count;
}

const char *tokenizer_token(const tokenizer *t, int32_t id) {
  return id >= 0 && id < t->count ? t->tokens[id] : "";
}

static size_t count_characters(const char *word) {
  size_t count = 0;
  for (; *word; word++) count += ((unsigned char)*word & 0xC0) != 0x80;
  return count;
}

/* Greedy longest match from the left; the word is [UNK] when some part matches nothing. Appends to
 * ids at *used, up to `most`. */
static void encode_word(const tokenizer *t, const char *word, int64_t most, int32_t *ids,
                        int64_t *used) {
  int64_t start_used = *used;
  size_t length = strlen(word), at = 0;
  char piece[2 + 4 * LONGEST_WORD] = "##";
  if (count_characters(word) > LONGEST_WORD) {
    if (*used < most) ids[(*used)++] = t->unknown;
    return;
  }
  while (at < length) {
    size_t end = length;
    int32_t id = -1;
    for (; end > at; end--) {
      if (((unsigned char)word[end] & 0xC0) == 0x80) continue; /* inside a character */
      memcpy(piece + 2, word + at, end - at);
      id = at ? find(t, piece, end - at + 2) : find(t, word, end);
      if (id >= 0) break;
    }
    if (id < 0) {
      *used = start_used;
      if (*used < most) ids[(*used)++] = t->unknown;
      return;
    }
    if (*used < most) ids[*used] = id;
    (*used)++; /* counted past the end too, so that an unknown tail still makes the word [UNK] */
    at = end;
  }
  if (*used > most) *used = most;
}

err tokenizer_encode(const tokenizer *t, const char *text, int64_t length, int32_t *ids,
                     int32_t *count) {
  strbuf words = {0};
  err error = words_split(text, &words);
  if (error) {
    strbuf_free(&words);
    return error;
  }
  int64_t used = 0;
  ids[used++] = t->start;
  for (size_t at = 0; at < words.length && used < length - 1; at += strlen(words.data + at) + 1)
    encode_word(t, words.data + at, length - 1, ids, &used);
  ids[used++] = t->end;
  *count = (int32_t)used;
  for (; used < length; used++) ids[used] = t->pad;
  strbuf_free(&words);
  return NULL;
}
