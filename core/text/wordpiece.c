/* BERT's uncased WordPiece. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "text/tokenizer_kinds.h"
#include "text/words.h"

enum { LONGEST_WORD = 100 }; /* characters; a longer word is [UNK], as in BERT */

struct wordpiece {
  char *file; /* the vocabulary, split into lines */
  token_table table;
  int32_t pad, unknown, start, end;
};

static err find_specials(wordpiece *w, const char *path) {
  const struct {
    const char *name;
    int32_t *id;
  } specials[] = {
      {"[PAD]", &w->pad}, {"[UNK]", &w->unknown}, {"[CLS]", &w->start}, {"[SEP]", &w->end}};
  for (size_t i = 0; i < 4; i++) {
    *specials[i].id = token_table_find(&w->table, specials[i].name, strlen(specials[i].name));
    if (*specials[i].id < 0)
      return err_new(ERR_INPUT, "%s: has no %s: is it a WordPiece vocabulary?", path,
                     specials[i].name);
  }
  return NULL;
}

err wordpiece_open(const char *path, wordpiece **out) {
  size_t length = 0;
  int64_t count = 0;
  wordpiece *w = mem_zeroed(1, sizeof *w);
  if (!w) return mem_error(sizeof *w, path);
  err error = fs_read(path, &w->file, &length);
  if (error) goto cleanup;
  if (memchr(w->file, '\0', length))
    FAIL(ERR_INPUT, "%s: contains a NUL character: is it a WordPiece vocabulary in UTF-8?", path);
  for (size_t i = 0; i < length; i++) count += w->file[i] == '\n';
  if (length && w->file[length - 1] != '\n') count++;
  TRY(token_table_create(count, path, &w->table));
  char *at = w->file + (length >= 3 && memcmp(w->file, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0);
  for (int64_t i = 0; i < count; i++) {
    char *end = at + strcspn(at, "\n");
    w->table.tokens[i] = at;
    if (end > at && end[-1] == '\r') end[-1] = '\0';
    at = *end ? end + 1 : end;
    *end = '\0';
    token_table_enter(&w->table, (int32_t)i, false); /* the first of two equal lines counts */
  }
  TRY(find_specials(w, path));
cleanup:
  if (error)
    wordpiece_close(w);
  else
    *out = w;
  return error;
}

void wordpiece_close(wordpiece *w) {
  if (!w) return;
  token_table_free(&w->table);
  free(w->file);
  free(w);
}

tokenizer_specials wordpiece_specials(const wordpiece *w) {
  return (tokenizer_specials){&w->table, w->start, w->end, w->pad};
}

static size_t count_characters(const char *word) {
  size_t count = 0;
  for (; *word; word++) count += ((unsigned char)*word & 0xC0) != 0x80;
  return count;
}

/* Greedy longest match from the left; the word is [UNK] when some part matches nothing. Appends to
 * ids at *used, up to `most`. */
static void encode_word(const wordpiece *w, const char *word, int64_t most, int32_t *ids,
                        int64_t *used) {
  int64_t start_used = *used;
  size_t length = strlen(word), at = 0;
  char piece[2 + 4 * LONGEST_WORD] = "##";
  if (count_characters(word) > LONGEST_WORD) {
    if (*used < most) ids[(*used)++] = w->unknown;
    return;
  }
  while (at < length) {
    size_t end = length;
    int32_t id = -1;
    for (; end > at; end--) {
      if (((unsigned char)word[end] & 0xC0) == 0x80) continue; /* inside a character */
      memcpy(piece + 2, word + at, end - at);
      id = at ? token_table_find(&w->table, piece, end - at + 2)
              : token_table_find(&w->table, word, end);
      if (id >= 0) break;
    }
    if (id < 0) {
      *used = start_used;
      if (*used < most) ids[(*used)++] = w->unknown;
      return;
    }
    if (*used < most) ids[*used] = id;
    (*used)++; /* counted past the end too, so that an unknown tail still makes the word [UNK] */
    at = end;
  }
  if (*used > most) *used = most;
}

err wordpiece_encode(const wordpiece *w, const char *text, int64_t most, int32_t *ids,
                     int64_t *used) {
  strbuf words = {0};
  err error = words_split(text, &words);
  *used = 0;
  for (size_t at = 0; !error && at < words.length && *used < most;
       at += strlen(words.data + at) + 1)
    encode_word(w, words.data + at, most, ids, used);
  strbuf_free(&words);
  return error;
}
