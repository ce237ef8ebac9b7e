#include "text/lexicon.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "text/utf8.h"

enum { CLASSES = 4, MOST_COUNT = 1000000000 };

typedef struct {
  char *word;                /* in lower case, inside `text` */
  int64_t own[CLASSES];      /* occurrences by class, where the list has it in lower case */
  int64_t capitals[CLASSES]; /* and where capitalised */
} entry;

struct lexicon {
  char *text;
  entry *entries; /* ascending by word, each once */
  size_t count;
};

static part_of_speech part_of_tag(const char *tag) {
  if (strncmp(tag, "nn", 2) == 0) return SPEECH_NOUN;
  if (strncmp(tag, "jj", 2) == 0) return SPEECH_ADJECTIVE;
  return strncmp(tag, "vb", 2) == 0 ? SPEECH_VERB : SPEECH_OTHER;
}

/* The word at the start of `line`, quoted or not, ended by ": {"; *rest: what follows. */
static char *take_word(char *line, char **rest) {
  bool is_quoted = *line == '"';
  char *word = line + is_quoted, *end = strstr(word, is_quoted ? "\": { " : ": { ");
  if (!end || end == word) return NULL;
  *rest = end + strlen(is_quoted ? "\": { " : ": { ");
  *end = '\0';
  return word;
}

/* "jj: 50, nn: 13 }" into counts. */
static bool take_counts(char *at, int64_t counts[CLASSES]) {
  for (;;) {
    char *tag = at, *end;
    at += strspn(at, "abcdefghijklmnopqrstuvwxyz");
    if (at == tag || strncmp(at, ": ", 2) != 0 || !isdigit((unsigned char)at[2])) return false;
    long count = strtol(at + 2, &end, 10);
    if (count > MOST_COUNT) return false;
    counts[part_of_tag(tag) - 1] += count;
    if (strncmp(end, ", ", 2) != 0) return strspn(end, " }") == strlen(end) && strchr(end, '}');
    at = end + 2;
  }
}

static bool read_entry(char *line, entry *e) {
  char *rest, *word = take_word(line, &rest);
  bool is_lower = true;
  if (!word) return false;
  for (char *c = word; *c; c++) {
    is_lower = is_lower && !isupper((unsigned char)*c);
    *c = (char)tolower((unsigned char)*c);
  }
  *e = (entry){.word = word};
  return take_counts(rest, is_lower ? e->own : e->capitals);
}

static int by_word(const void *a, const void *b) {
  return strcmp(((const entry *)a)->word, ((const entry *)b)->word);
}

/* Sorts the entries and merges those of one word. */
static void join_entries(lexicon *l) {
  size_t kept = 0;
  qsort(l->entries, l->count, sizeof *l->entries, by_word);
  for (size_t i = 0; i < l->count; i++) {
    const entry *e = &l->entries[i];
    if (kept && strcmp(l->entries[kept - 1].word, e->word) == 0) {
      for (int c = 0; c < CLASSES; c++) {
        l->entries[kept - 1].own[c] += e->own[c];
        l->entries[kept - 1].capitals[c] += e->capitals[c];
      }
    } else {
      l->entries[kept++] = *e;
    }
  }
  l->count = kept;
}

static err read_lines(lexicon *l, const char *path) {
  size_t lines = 1, number = 0;
  for (const char *c = l->text; *c; c++) lines += *c == '\n';
  l->entries = mem_zeroed(lines, sizeof *l->entries);
  if (!l->entries) return mem_error(lines * sizeof *l->entries, path);
  for (char *rest = l->text, *line; (line = strsep(&rest, "\n"));) {
    number++;
    if (!*line || strncmp(line, "---", 3) == 0) continue;
    if (!read_entry(line, &l->entries[l->count]))
      return err_new(ERR_INPUT,
                     "%s:%zu: not 'WORD: { TAG: COUNT, … }', as a line of Lingua::EN::Tagger's "
                     "words.yml is",
                     path, number);
    l->count++;
  }
  if (!l->count) return err_new(ERR_INPUT, "%s: has no words", path);
  join_entries(l);
  return NULL;
}

static err refuse_missing(const char *path) {
  if (fs_exists(path)) return NULL;
  return err_new(ERR_IO,
                 "text_mask_lexicon: %s: no such file: install Debian's "
                 "liblingua-en-tagger-perl, which contains it, or give its words.yml with --set "
                 "text_mask_lexicon=FILE",
                 path);
}

err lexicon_fingerprint(const char *path, char digest[HASH_SIZE]) {
  err error = refuse_missing(path);
  return error ? error : hash_file(path, digest);
}

static err read_list(lexicon *l, const char *path) {
  size_t length;
  err error = fs_read(path, &l->text, &length);
  if (!error && strlen(l->text) != length)
    error = err_new(ERR_INPUT, "%s: contains a NUL character: is it a list of words?", path);
  if (!error) error = read_lines(l, path);
  return err_context(error, "text_mask_lexicon");
}

err lexicon_open(const char *path, lexicon **out) {
  err error = refuse_missing(path);
  if (error) return error;
  lexicon *l = mem_zeroed(1, sizeof *l);
  if (!l) return mem_error(sizeof *l, path);
  error = read_list(l, path);
  if (error)
    lexicon_close(l);
  else
    *out = l;
  return error;
}

void lexicon_close(lexicon *l) {
  if (!l) return;
  free(l->text);
  free(l->entries);
  free(l);
}

static part_of_speech most_of(const int64_t counts[CLASSES]) {
  int most = 0;
  for (int c = 1; c < CLASSES; c++)
    if (counts[c] > counts[most]) most = c;
  return counts[most] ? (part_of_speech)(most + 1) : 0;
}

static part_of_speech guess(const char *word) {
  bool has_letter = false;
  for (const char *at = word; *at;) has_letter = utf8_is_letter(utf8_next(&at)) || has_letter;
  if (!has_letter || text_ends_with(word, "ly")) return SPEECH_OTHER;
  return text_ends_with(word, "ing") || text_ends_with(word, "ed") ? SPEECH_VERB : SPEECH_NOUN;
}

part_of_speech lexicon_part(const lexicon *l, const char *word) {
  entry wanted = {.word = (char *)(uintptr_t)word};
  const entry *e = bsearch(&wanted, l->entries, l->count, sizeof wanted, by_word);
  part_of_speech class = e ? most_of(e->own) : 0;
  if (e && !class) class = most_of(e->capitals);
  return class ? class : guess(word);
}
