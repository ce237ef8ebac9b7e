/* CLIP's byte-pair encoding. A token is spelled by its bytes, each written as one character
 * (printable ones as themselves, the others from U+0100 on), with "</w>" after the last byte of a
 * word. */
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "base/mem.h"
#include "text/clip_text.h"
#include "text/tokenizer_kinds.h"
#include "text/utf8.h"

enum {
  BYTES = 256,
  CLIP_MERGES = 49152 - 256 - 2, /* merges that CLIP uses from its file */
  LONGEST_FILE = 64 << 20,
  LONGEST_ON_STACK = 256 /* symbols of a word that need no allocation */
};

typedef struct {
  int32_t left, right; /* token numbers; -1: a free slot */
  int32_t rank, made;
} merge;

struct bpe {
  strbuf spellings; /* all tokens, a NUL after each */
  token_table table;
  int32_t byte_ids[BYTES]; /* token of a byte inside a word; + BYTES: at its end */
  merge *merges;           /* hash table */
  uint64_t merge_mask;
  bool is_huggingface, leaves_encoding;
};

/* The character that represents each byte, and the order of the bytes' tokens. */
static void order_bytes(int32_t characters[BYTES], int32_t ids[BYTES]) {
  int32_t id = 0, other = 0;
  for (int32_t pass = 0; pass < 2; pass++)
    for (int32_t b = 0; b < BYTES; b++) {
      bool prints = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      if (prints != (pass == 0)) continue;
      ids[b] = id++;
      characters[b] = prints ? b : BYTES + other++;
    }
}

bool bpe_append_spelled(const char *spelling, strbuf *out) {
  static const char end_of_word[] = "</w>";
  int32_t characters[BYTES], ids[BYTES];
  size_t length = strlen(spelling), tail = strlen(end_of_word);
  bool ends = length > tail && strcmp(spelling + length - tail, end_of_word) == 0;
  const char *stop = spelling + length - (ends ? tail : 0);
  order_bytes(characters, ids);
  while (spelling < stop) {
    int32_t c = utf8_next(&spelling);
    for (int b = 0; b < BYTES; b++)
      if (characters[b] == c) strbuf_append_char(out, (char)b);
  }
  return ends;
}

static err read_file(const char *path, char **text) {
  strbuf content = {0};
  char block[1 << 14];
  int length;
  gzFile file = gzopen(path, "rb"); /* plain files are read as they are */
  if (!file) return err_new(ERR_IO, "%s: cannot open: no such file, or not readable", path);
  while ((length = gzread(file, block, sizeof block)) > 0 && content.length < LONGEST_FILE)
    strbuf_append_bytes(&content, block, (size_t)length);
  bool is_cut = gzclose_r(file) == Z_BUF_ERROR;
  err error = NULL;
  if (is_cut) error = err_new(ERR_INPUT, "%s: damaged gzip file: it is truncated", path);
  if (!error && content.length && memchr(content.data, '\0', content.length))
    error = err_new(ERR_INPUT, "%s: contains a NUL character: is it a list of merges?", path);
  if (error) {
    strbuf_free(&content);
    return error;
  }
  if (length < 0) error = err_new(ERR_INPUT, "%s: damaged gzip file", path);
  if (length > 0) error = err_new(ERR_INPUT, "%s: too large for a list of merges", path);
  if (!error && content.is_broken) error = mem_error(content.length, path);
  if (!error && !content.length)
    error = err_new(ERR_INPUT, "%s: empty: is it a list of merges?", path);
  if (!error) *text = strbuf_take(&content);
  strbuf_free(&content);
  return error;
}

static uint64_t merge_slot(const bpe *b, int32_t left, int32_t right) {
  uint64_t at = ((uint64_t)left * 0x9E3779B97F4A7C15u ^ (uint64_t)right * 0xC2B2AE3D27D4EB4Fu);
  at = (at ^ at >> 29) & b->merge_mask;
  while (b->merges[at].left >= 0 && (b->merges[at].left != left || b->merges[at].right != right))
    at = (at + 1) & b->merge_mask;
  return at;
}

static const merge *find_merge(const bpe *b, int32_t left, int32_t right) {
  const merge *m = &b->merges[merge_slot(b, left, right)];
  return m->left < 0 ? NULL : m;
}

/* Lines of merges, cut at the space: left[i] and right[i]. Changes `text`. */
typedef struct {
  char **left, **right;
  int64_t count;
} merge_lines;

static err cut_lines(char *text, const char *path, merge_lines *lines) {
  lines->left = mem_zeroed(CLIP_MERGES, sizeof *lines->left);
  lines->right = mem_zeroed(CLIP_MERGES, sizeof *lines->right);
  if (!lines->left || !lines->right) return mem_error(CLIP_MERGES, path);
  char *first = strsep(&text, "\n");
  if (!strstr(first, "#version"))
    return err_new(ERR_INPUT,
                   "%s:1: '%.40s' is not the '#version' line that a list of merges begins with",
                   path, first);
  for (long number = 2; text && lines->count < CLIP_MERGES; number++) {
    char *line = strsep(&text, "\n"), *end = line + strlen(line);
    if (end > line && end[-1] == '\r') end[-1] = '\0';
    if (!*line) continue;
    char *space = strchr(line, ' ');
    if (!space || space == line || !space[1] || strchr(space + 1, ' '))
      return err_new(ERR_INPUT, "%s:%ld: '%.60s' is not two symbols with a space between", path,
                     number, line);
    *space = '\0';
    lines->left[lines->count] = line;
    lines->right[lines->count++] = space + 1;
  }
  return NULL;
}

static err spell_tokens(bpe *b, const merge_lines *lines, const char *path) {
  static const char *const specials[2][2] = {{"<start_of_text>", "<end_of_text>"},
                                             {"<|startoftext|>", "<|endoftext|>"}};
  int32_t characters[BYTES], spelled[BYTES];
  order_bytes(characters, b->byte_ids);
  for (int32_t byte = 0; byte < BYTES; byte++) spelled[b->byte_ids[byte]] = characters[byte];
  for (int32_t i = 0; i < 2 * BYTES; i++) {
    utf8_append(&b->spellings, spelled[i % BYTES]);
    if (i >= BYTES) strbuf_append(&b->spellings, "</w>");
    strbuf_append_char(&b->spellings, '\0');
  }
  for (int64_t i = 0; i < lines->count; i++) {
    strbuf_append(&b->spellings, lines->left[i]);
    strbuf_append(&b->spellings, lines->right[i]);
    strbuf_append_char(&b->spellings, '\0');
  }
  for (int i = 0; i < 2; i++) {
    strbuf_append(&b->spellings, specials[b->is_huggingface][i]);
    strbuf_append_char(&b->spellings, '\0');
  }
  if (b->spellings.is_broken) return mem_error(b->spellings.length, path);
  err error = token_table_create(2 * BYTES + lines->count + 2, path, &b->table);
  if (error) return error;
  const char *at = b->spellings.data;
  for (int64_t i = 0; i < b->table.count; i++, at += strlen(at) + 1) {
    b->table.tokens[i] = at;
    token_table_enter(&b->table, (int32_t)i, true); /* of two equal ones, the last counts */
  }
  return NULL;
}

static err enter_merges(bpe *b, const merge_lines *lines, const char *path) {
  uint64_t size = 16;
  while (size < 2 * (uint64_t)lines->count) size *= 2;
  b->merges = mem_zeroed(size, sizeof *b->merges);
  if (!b->merges) return mem_error(size * sizeof *b->merges, path);
  memset(b->merges, 0xFF, size * sizeof *b->merges);
  b->merge_mask = size - 1;
  for (int64_t i = 0; i < lines->count; i++) {
    int32_t left = token_table_find(&b->table, lines->left[i], strlen(lines->left[i]));
    int32_t right = token_table_find(&b->table, lines->right[i], strlen(lines->right[i]));
    const char *made = b->table.tokens[2 * BYTES + i];
    if (left < 0 || right < 0)
      return err_new(ERR_INPUT, "%s: merge %ld: '%s' is neither a byte nor made by a merge", path,
                     (long)i + 1, left < 0 ? lines->left[i] : lines->right[i]);
    b->merges[merge_slot(b, left, right)] = /* of two equal merges, the later rank counts */
        (merge){left, right, (int32_t)i, token_table_find(&b->table, made, strlen(made))};
  }
  return NULL;
}

err bpe_open(const char *path, bool is_huggingface, bpe **out) {
  char *text = NULL;
  merge_lines lines = {0};
  bpe *b = mem_zeroed(1, sizeof *b);
  if (!b) return mem_error(sizeof *b, path);
  b->is_huggingface = is_huggingface;
  err error = read_file(path, &text);
  if (error) goto cleanup;
  TRY(cut_lines(text, path, &lines));
  TRY(spell_tokens(b, &lines, path));
  TRY(enter_merges(b, &lines, path));
cleanup:
  free(text);
  free((void *)lines.left);
  free((void *)lines.right);
  if (error)
    bpe_close(b);
  else
    *out = b;
  return error;
}

void bpe_close(bpe *b) {
  if (!b) return;
  strbuf_free(&b->spellings);
  token_table_free(&b->table);
  free(b->merges);
  free(b);
}

tokenizer_specials bpe_specials(const bpe *b) {
  int32_t start = (int32_t)b->table.count - 2;
  return (tokenizer_specials){&b->table, start, start + 1, b->is_huggingface ? start + 1 : 0};
}

/* Merges the pair of lowest rank wherever it occurs, until no pair can be merged. Returns how many
 * symbols are left. */
static size_t merge_symbols(const bpe *b, int32_t *symbols, size_t count) {
  while (count > 1) {
    const merge *best = NULL;
    for (size_t i = 0; i + 1 < count; i++) {
      const merge *m = find_merge(b, symbols[i], symbols[i + 1]);
      if (m && (!best || m->rank < best->rank)) best = m;
    }
    if (!best) break;
    size_t kept = 0;
    for (size_t i = 0; i < count; kept++) {
      bool is_pair = i + 1 < count && symbols[i] == best->left && symbols[i + 1] == best->right;
      symbols[kept] = is_pair ? best->made : symbols[i];
      i += is_pair ? 2 : 1;
    }
    count = kept;
  }
  return count;
}

static err encode_word(const bpe *b, const char *word, size_t length, int64_t most, int32_t *ids,
                       int64_t *used) {
  int32_t on_stack[LONGEST_ON_STACK];
  int32_t *symbols = on_stack;
  if (length > LONGEST_ON_STACK) symbols = mem_zeroed(length, sizeof *symbols);
  if (!symbols) return mem_error(length * sizeof *symbols, "a word");
  for (size_t i = 0; i < length; i++) symbols[i] = b->byte_ids[(unsigned char)word[i]];
  symbols[length - 1] += BYTES;
  size_t count = merge_symbols(b, symbols, length);
  for (size_t i = 0; i < count && *used < most; i++) ids[(*used)++] = symbols[i];
  if (symbols != on_stack) free(symbols);
  return NULL;
}

/* Number of the special token that `text` begins with, ignoring case after cleaning; -1: none. */
static int32_t special_at(const bpe *b, const char *text, size_t *length) {
  for (int64_t id = b->table.count - 2; id < b->table.count; id++) {
    *length = strlen(b->table.tokens[id]);
    if (strncmp(text, b->table.tokens[id], *length) == 0) return (int32_t)id;
  }
  return -1;
}

static err encode_clean(const bpe *b, const char *text, int64_t most, int32_t *ids, int64_t *used) {
  size_t length;
  while (*used < most && (length = clip_text_next_word(&text, b->is_huggingface)) > 0) {
    size_t special_length;
    int32_t special = b->is_huggingface ? -1 : special_at(b, text, &special_length);
    if (special >= 0) {
      ids[(*used)++] = special;
      text += special_length;
      continue;
    }
    err error = encode_word(b, text, length, most, ids, used);
    if (error) return error;
    text += length;
  }
  return NULL;
}

/* Special tokens are searched in the original text; the text between them is cleaned separately. */
static err encode_huggingface(const bpe *b, const char *text, int64_t most, int32_t *ids,
                              int64_t *used) {
  strbuf part = {0}, clean = {0};
  err error = NULL;
  while (*text && !error) {
    size_t plain = 0, length = 0;
    int32_t special = -1;
    while (text[plain] && (special = special_at(b, text + plain, &length)) < 0) plain++;
    strbuf_clear(&part);
    strbuf_append_bytes(&part, text, plain);
    error = part.is_broken ? mem_error(plain, "a caption")
                           : clip_text_clean_huggingface(strbuf_string(&part), &clean);
    if (!error) error = encode_clean(b, strbuf_string(&clean), most, ids, used);
    text += plain;
    if (special < 0) break;
    if (*used < most) ids[(*used)++] = special;
    text += length;
  }
  strbuf_free(&part);
  strbuf_free(&clean);
  return error;
}

void bpe_leave_encoding(bpe *b) {
  b->leaves_encoding = true;
}

err bpe_encode(const bpe *b, const char *text, int64_t most, int32_t *ids, int64_t *used) {
  *used = 0;
  if (b->is_huggingface) return encode_huggingface(b, text, most, ids, used);
  strbuf clean = {0};
  err error = clip_text_clean(text, !b->leaves_encoding, &clean);
  if (!error) error = encode_clean(b, strbuf_string(&clean), most, ids, used);
  strbuf_free(&clean);
  return error;
}
