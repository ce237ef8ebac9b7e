/* Trains a WordPiece vocabulary by merging the most frequent pair of adjacent pieces. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/fs.h"
#include "base/mem.h"
#include "text/tokenizer.h"
#include "text/words.h"

enum { MOST_CHARACTERS = 100 };

typedef struct {
  char *text; /* the word; NULL: a free slot of the table */
  int64_t count;
  int32_t *pieces;
  int32_t piece_count;
} word_entry;

typedef struct {
  int32_t left, right; /* piece numbers; left -1: free */
  int64_t count;
} pair_entry;

typedef struct {
  word_entry *words;
  uint64_t word_mask, word_count;
  pair_entry *pairs;
  uint64_t pair_mask, pair_count;
  char **pieces; /* spellings: "a", "##b", … */
  int64_t piece_count, piece_capacity;
} trainer;

static word_entry *word_place(const trainer *t, const char *text) {
  uint64_t at = XXH3_64bits(text, strlen(text)) & t->word_mask;
  while (t->words[at].text && strcmp(t->words[at].text, text) != 0) at = (at + 1) & t->word_mask;
  return &t->words[at];
}

static err grow_words(trainer *t) {
  word_entry *old = t->words;
  uint64_t old_size = t->words ? t->word_mask + 1 : 0, size = old_size ? 2 * old_size : 4096;
  t->words = mem_zeroed(size, sizeof *t->words);
  if (!t->words) {
    t->words = old;
    return mem_error(size * sizeof *old, "counting words");
  }
  t->word_mask = size - 1;
  for (uint64_t i = 0; i < old_size; i++)
    if (old[i].text) *word_place(t, old[i].text) = old[i];
  free(old);
  return NULL;
}

static err count_words(trainer *t, const char *text) {
  strbuf words = {0};
  err error = words_split(text, &words);
  for (size_t at = 0; at < words.length && !error; at += strlen(words.data + at) + 1) {
    if (2 * t->word_count >= (t->words ? t->word_mask + 1 : 0)) error = grow_words(t);
    if (error) break;
    word_entry *entry = word_place(t, words.data + at);
    if (!entry->text) {
      entry->text = mem_copy_string(words.data + at);
      if (!entry->text) {
        error = mem_error(strlen(words.data + at), "counting words");
        break;
      }
      t->word_count++;
    }
    entry->count++;
  }
  strbuf_free(&words);
  return error;
}

/* The number of the piece with this spelling, added if new. */
static err piece_number(trainer *t, const char *spelling, int32_t *number) {
  for (int64_t i = 0; i < t->piece_count; i++)
    if (strcmp(t->pieces[i], spelling) == 0) {
      *number = (int32_t)i;
      return NULL;
    }
  if (t->piece_count == t->piece_capacity) {
    int64_t capacity = t->piece_capacity ? 2 * t->piece_capacity : 1024;
    char **pieces = mem_resize(t->pieces, (size_t)capacity, sizeof *pieces);
    if (!pieces) return mem_error((size_t)capacity * sizeof *pieces, "a vocabulary");
    t->pieces = pieces;
    t->piece_capacity = capacity;
  }
  t->pieces[t->piece_count] = mem_copy_string(spelling);
  if (!t->pieces[t->piece_count]) return mem_error(strlen(spelling), "a vocabulary");
  *number = (int32_t)t->piece_count++;
  return NULL;
}

static int by_text(const void *a, const void *b) {
  return strcmp(((const word_entry *)a)->text, ((const word_entry *)b)->text);
}

/* Turns the table into a sorted list, so that the result does not depend on hashing. */
static void list_words(trainer *t) {
  uint64_t used = 0;
  for (uint64_t i = 0; t->words && i <= t->word_mask; i++)
    if (t->words[i].text) t->words[used++] = t->words[i];
  if (used) qsort(t->words, used, sizeof *t->words, by_text);
}

static size_t character_length(const char *at) {
  size_t length = 1;
  while (((unsigned char)at[length] & 0xC0) == 0x80) length++;
  return length;
}

static err cut_into_characters(trainer *t, word_entry *word) {
  word->pieces = mem_zeroed(strlen(word->text), sizeof *word->pieces);
  if (!word->pieces) return mem_error(strlen(word->text), "a word");
  for (const char *at = word->text; *at;) {
    char spelling[16] = "##";
    size_t length = character_length(at), prefix = at == word->text ? 0 : 2;
    memcpy(spelling + prefix, at, length);
    spelling[prefix + length] = '\0';
    err error = piece_number(t, spelling, &word->pieces[word->piece_count]);
    if (error) return error;
    word->piece_count++;
    at += length;
  }
  return NULL;
}

/* Words with too many characters or with rare ones are skipped. */
static err drop_rare_characters(trainer *t, int64_t min_count) {
  int64_t *seen = mem_zeroed((size_t)t->piece_count, sizeof *seen);
  if (!seen) return mem_error((size_t)t->piece_count * sizeof *seen, "counting characters");
  for (uint64_t i = 0; i < t->word_count; i++)
    for (int32_t j = 0; j < t->words[i].piece_count; j++)
      seen[t->words[i].pieces[j]] += t->words[i].count;
  for (uint64_t i = 0; i < t->word_count; i++) {
    word_entry *word = &t->words[i];
    bool is_rare = word->piece_count > MOST_CHARACTERS;
    for (int32_t j = 0; j < word->piece_count; j++) is_rare |= seen[word->pieces[j]] < min_count;
    if (is_rare) word->piece_count = 0;
  }
  for (int64_t i = 0; i < t->piece_count; i++)
    if (seen[i] < min_count) t->pieces[i][0] = '\0'; /* keeps its number but is not written */
  free(seen);
  return NULL;
}

static pair_entry *pair_place(const trainer *t, int32_t left, int32_t right) {
  const int32_t key[2] = {left, right};
  uint64_t at = XXH3_64bits(key, sizeof key) & t->pair_mask;
  while (t->pairs[at].left >= 0 && (t->pairs[at].left != left || t->pairs[at].right != right))
    at = (at + 1) & t->pair_mask;
  return &t->pairs[at];
}

static err grow_pairs(trainer *t) {
  pair_entry *old = t->pairs;
  uint64_t old_size = old ? t->pair_mask + 1 : 0, size = old_size ? 2 * old_size : 65536;
  t->pairs = mem_zeroed(size, sizeof *t->pairs);
  if (!t->pairs) {
    t->pairs = old;
    return mem_error(size * sizeof *old, "counting pairs");
  }
  t->pair_mask = size - 1;
  for (uint64_t i = 0; i < size; i++) t->pairs[i].left = -1;
  for (uint64_t i = 0; i < old_size; i++)
    if (old[i].left >= 0) *pair_place(t, old[i].left, old[i].right) = old[i];
  free(old);
  return NULL;
}

/* Adds `sign` times the word's count to each of its pairs. */
static err count_pairs(trainer *t, const word_entry *word, int64_t sign) {
  for (int32_t j = 0; j + 1 < word->piece_count; j++) {
    if (2 * t->pair_count >= (t->pairs ? t->pair_mask + 1 : 0)) {
      err error = grow_pairs(t);
      if (error) return error;
    }
    pair_entry *pair = pair_place(t, word->pieces[j], word->pieces[j + 1]);
    if (pair->left < 0) {
      *pair = (pair_entry){word->pieces[j], word->pieces[j + 1], 0};
      t->pair_count++;
    }
    pair->count += sign * word->count;
  }
  return NULL;
}

static bool is_better(const trainer *t, const pair_entry *a, const pair_entry *b) {
  if (!b || a->count != b->count) return !b || a->count > b->count;
  int left = strcmp(t->pieces[a->left], t->pieces[b->left]);
  return left ? left < 0 : strcmp(t->pieces[a->right], t->pieces[b->right]) < 0;
}

static const pair_entry *best_pair(const trainer *t) {
  const pair_entry *best = NULL;
  for (uint64_t i = 0; t->pairs && i <= t->pair_mask; i++)
    if (t->pairs[i].left >= 0 && is_better(t, &t->pairs[i], best)) best = &t->pairs[i];
  return best;
}

/* Replaces the pair by the merged piece in every word that has it. */
static err merge_pair(trainer *t, int32_t left, int32_t right, int32_t merged) {
  for (uint64_t i = 0; i < t->word_count; i++) {
    word_entry *word = &t->words[i];
    bool has_pair = false;
    for (int32_t j = 0; j + 1 < word->piece_count; j++)
      has_pair |= word->pieces[j] == left && word->pieces[j + 1] == right;
    if (!has_pair) continue;
    err error = count_pairs(t, word, -1);
    if (error) return error;
    int32_t used = 0;
    for (int32_t j = 0; j < word->piece_count; j++) {
      bool is_pair =
          j + 1 < word->piece_count && word->pieces[j] == left && word->pieces[j + 1] == right;
      word->pieces[used++] = is_pair ? merged : word->pieces[j];
      if (is_pair) j++;
    }
    word->piece_count = used;
    error = count_pairs(t, word, 1);
    if (error) return error;
  }
  return NULL;
}

static err merge_all(trainer *t, int64_t room, int64_t min_count) {
  for (uint64_t i = 0; i < t->word_count; i++) {
    err error = count_pairs(t, &t->words[i], 1);
    if (error) return error;
  }
  for (int64_t made = 0; made < room;) {
    const pair_entry *best = best_pair(t);
    if (!best || best->count < min_count || best->count < 1) break;
    int32_t left = best->left, right = best->right, merged;
    int64_t before = t->piece_count;
    strbuf spelling = {0};
    strbuf_append(&spelling, t->pieces[left]);
    strbuf_append(&spelling, t->pieces[right] + 2); /* the right piece of a pair always begins with
                                                     * ## */
    err error = spelling.is_broken ? mem_error(0, "a vocabulary")
                                   : piece_number(t, strbuf_string(&spelling), &merged);
    strbuf_free(&spelling);
    if (!error) error = merge_pair(t, left, right, merged);
    if (error) return error;
    made += t->piece_count > before;
  }
  return NULL;
}

static err write_vocabulary(const trainer *t, const char *path) {
  strbuf out = {0};
  strbuf_append(&out, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n");
  for (int64_t i = 0; i < t->piece_count; i++)
    if (*t->pieces[i]) strbuf_format(&out, "%s\n", t->pieces[i]);
  err error = out.is_broken ? mem_error(out.length, path)
                            : fs_write_atomic(path, strbuf_string(&out), out.length);
  strbuf_free(&out);
  return error;
}

static void free_trainer(trainer *t) {
  for (uint64_t i = 0; i < t->word_count; i++) {
    free(t->words[i].text);
    free(t->words[i].pieces);
  }
  for (int64_t i = 0; i < t->piece_count; i++) free(t->pieces[i]);
  free(t->words);
  free(t->pairs);
  free(t->pieces);
}

err tokenizer_train(const char *const *texts, size_t count, int64_t size, int64_t min_count,
                    const char *path, int64_t *entries) {
  enum { SPECIALS = 5 };
  trainer t = {0};
  err error = NULL;
  int64_t characters = 0;
  for (size_t i = 0; i < count && !error; i++) error = count_words(&t, texts[i]);
  list_words(&t);
  if (error) goto cleanup;
  if (!t.word_count) FAIL(ERR_INPUT, "no words to train a vocabulary on");
  for (uint64_t i = 0; i < t.word_count; i++) TRY(cut_into_characters(&t, &t.words[i]));
  TRY(drop_rare_characters(&t, min_count));
  for (int64_t i = 0; i < t.piece_count; i++) characters += *t.pieces[i] != '\0';
  if (characters + SPECIALS > size)
    FAIL(ERR_INPUT, "--size %ld is too small: the characters alone take %ld entries", (long)size,
         (long)(characters + SPECIALS));
  TRY(merge_all(&t, size - characters - SPECIALS, min_count));
  *entries = SPECIALS;
  for (int64_t i = 0; i < t.piece_count; i++) *entries += *t.pieces[i] != '\0';
  TRY(write_vocabulary(&t, path));
cleanup:
  free_trainer(&t);
  return error;
}
