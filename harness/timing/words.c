#include "timing/words.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "base/mem.h"
#include "config/settings.h"

/* An option with its arguments; `key`: a later option with the same key replaces it. */
typedef struct {
  char *text;
  size_t key_length, place;
} group;

static bool is_option(const char *word) {
  return word[0] == '-' && word[1] != '\0' && strspn(word + 1, "0123456789.") == 0;
}

/* Does "3" or "=3" follow the name, without a blank? Only a number joins a short name: "-nodes" is
 * another option. */
static bool is_joined_to(const char *word, const char *name) {
  size_t length = strlen(name);
  if (strncmp(word, name, length) != 0) return false;
  const char *rest = word + length;
  bool is_short = name[1] != '-', is_number = *rest && strspn(rest, "0123456789") == strlen(rest);
  return *rest == '=' || (is_short && is_number);
}

/* Options that do not affect what is measured, and their number of arguments. */
static bool is_left_out(const char *word, size_t *taken) {
  static const struct {
    const char *name;
    size_t words;
  } table[] = {{"--json", 1}, {"--no-progress", 1}, {"--progress", 1}, {"-n", 2}, {"--steps", 2}};
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    bool is_joined = table[i].words == 2 && is_joined_to(word, table[i].name);
    *taken = is_joined ? 1 : table[i].words;
    if (is_joined || strcmp(word, table[i].name) == 0) return true;
  }
  return false;
}

static void append_digests(const char *path, int depth, strbuf *digests);

static void append_base(const char *origin, const yml_node *base, int depth, strbuf *digests) {
  char *path = base->kind == YML_SCALAR ? settings_find_base(origin, base->scalar) : NULL;
  if (path) append_digests(path, depth, digests);
  free(path);
}

/* Of a file, and of the bases of a run file: their settings are measured too. */
static void append_digests(const char *path, int depth, strbuf *digests) {
  enum { DEEPEST = 16 };
  char digest[HASH_SIZE];
  yml_document *document = NULL;
  err error = hash_file(path, digest);
  if (!error) strbuf_append(digests, digest);
  bool is_run_file = text_ends_with(path, ".yaml") || text_ends_with(path, ".yml");
  if (!error && is_run_file && depth < DEEPEST) error = yml_load(path, &document);
  const yml_node *base = document ? yml_get(yml_root(document), "base") : NULL;
  if (base && base->kind == YML_SEQUENCE)
    for (size_t i = 0; i < base->count; i++) append_base(path, base->items[i], depth + 1, digests);
  else if (base)
    append_base(path, base, depth + 1, digests);
  yml_free(document);
  err_free(error); /* the program that is measured reports it */
}

static void append_word(const char *word, strbuf *out) {
  enum { MOST_BYTES = 1 << 20, DIGITS = 8 };
  struct stat file;
  char whole[HASH_SIZE];
  strbuf digests = {0};
  strbuf_append(out, word);
  if (stat(word, &file) != 0 || !S_ISREG(file.st_mode) || file.st_size > MOST_BYTES) return;
  append_digests(word, 0, &digests);
  const char *digest = strbuf_string(&digests);
  if (digests.length >= HASH_SIZE) { /* of several files */
    hash_bytes(digests.data, digests.length, whole);
    digest = whole;
  }
  if (*digest) strbuf_format(out, "@%.*s", DIGITS, digest);
  out->is_broken = out->is_broken || digests.is_broken;
  strbuf_free(&digests);
}

/* Those of the environment that change what is measured, as in a shell's command line. */
static void append_environment(strbuf *out) {
  static const char *const names[] = {
      "DNNL_MAX_CPU_ISA",  "FLIP_COMM",      "FLIP_CPU_KERNELS", "FLIP_PRODUCT_SEARCH_MS",
      "GOMP_CPU_AFFINITY", "GOMP_SPINCOUNT", "OMP_DYNAMIC",      "OMP_NUM_THREADS",
      "OMP_PLACES",        "OMP_PROC_BIND",  "OMP_THREAD_LIMIT", "OMP_WAIT_POLICY",
      "ONEDNN_MAX_CPU_ISA"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (getenv(names[i]) && *getenv(names[i]))
      strbuf_format(out, "%s=%s ", names[i], getenv(names[i]));
}

/* "--set" is "-s", "--name=value" is "--name value". */
static void append_option(const char *word, strbuf *out) {
  size_t length = strncmp(word, "--", 2) == 0 ? strcspn(word, "=") : strlen(word);
  if (length == 5 && strncmp(word, "--set", 5) == 0)
    strbuf_append(out, "-s");
  else
    strbuf_append_bytes(out, word, length);
  if (word[length] != '=') return;
  strbuf_append_char(out, ' ');
  append_word(word + length + 1, out);
}

/* The order of settings does not count; that of one option's values does: rows are named by it. */
static int compare(const void *a, const void *b) {
  const group *x = a, *y = b;
  size_t own = strcspn(x->text, " "), other = strcspn(y->text, " ");
  bool is_repeated = own == other && strncmp(x->text, y->text, own) == 0;
  bool are_settings = strncmp(x->text, "-s ", 3) == 0;
  int order = is_repeated && !are_settings ? 0 : strcmp(x->text, y->text);
  return order ? order : (x->place > y->place) - (x->place < y->place);
}

/* Up to the '=' of "-s key=value". */
static size_t key_length(const char *text) {
  return strcspn(text, "=") + (strchr(text, '=') != NULL);
}

static void drop_replaced(group *groups, size_t count) {
  for (size_t i = 0; i < count; i++)
    for (size_t j = i + 1; j < count && groups[i].text; j++) {
      bool is_replaced = groups[i].key_length == groups[j].key_length &&
                         strchr(groups[i].text, '=') &&
                         strncmp(groups[i].text, groups[j].text, groups[i].key_length) == 0;
      if (!is_replaced) continue;
      free(groups[i].text);
      groups[i].text = NULL;
    }
}

void words_write(const option_list *words, strbuf *out) {
  group *groups = mem_zeroed(words->count + 1, sizeof *groups);
  size_t count = 0, i = 0, taken, kept = 0;
  if (!groups) {
    out->is_broken = true;
    return;
  }
  append_environment(out);
  for (; i < words->count && !is_option(words->items[i]); i++) {
    if (i) strbuf_append_char(out, ' ');
    append_word(words->items[i], out);
  }
  while (i < words->count) {
    strbuf text = {0};
    if (is_left_out(words->items[i], &taken)) {
      i += taken;
      continue;
    }
    append_option(words->items[i++], &text);
    for (; i < words->count && !is_option(words->items[i]); i++) {
      strbuf_append_char(&text, ' ');
      append_word(words->items[i], &text);
    }
    groups[count] = (group){strbuf_take(&text), 0, count};
    if (!groups[count].text) out->is_broken = true;
    if (groups[count].text) groups[count].key_length = key_length(groups[count].text);
    count += groups[count].text != NULL;
  }
  drop_replaced(groups, count);
  for (size_t k = 0; k < count; k++)
    if (groups[k].text) groups[kept++] = groups[k];
  qsort(groups, kept, sizeof *groups, compare);
  for (size_t k = 0; k < kept; k++) {
    if (out->length && out->data[out->length - 1] != ' ') strbuf_append_char(out, ' ');
    strbuf_append(out, groups[k].text);
    free(groups[k].text);
  }
  free(groups);
}
