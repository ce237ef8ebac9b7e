#include "config/yaml.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>
#include <yaml.h>

#include "base/fs.h"
#include "base/mem.h"

enum { DEEPEST = 64, MOST_MERGED = 20000 };

struct yml_document {
  char *name;
  char *source; /* the text, for the line under an error */
  yml_node *root;
  yml_node **all; /* every node, for freeing and for aliases: index + 1 = libyaml's node id */
  size_t count;
  size_t merged; /* keys that are in a map because of `<<` */
};

static void free_node(yml_node *node) {
  if (!node) return;
  free((char *)node->scalar);
  free(node->keys);
  free(node->items);
  free(node);
}

void yml_free(yml_document *document) {
  if (!document) return;
  for (size_t i = 0; document->all && i < document->count; i++) free_node(document->all[i]);
  free(document->all);
  free(document->name);
  free(document->source);
  free(document);
}

const yml_node *yml_root(const yml_document *document) {
  return document->root;
}

const char *yml_name(const yml_document *document) {
  return document->name;
}

/* libyaml gives every node a tag: its kind's own when the file names none. */
static err check_tag(const char *name, const yaml_node_t *node) {
  const char *tag = (const char *)node->tag;
  static const char *const plain[] = {YAML_STR_TAG, YAML_SEQ_TAG, YAML_MAP_TAG};
  for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
    if (!tag || strcmp(tag, plain[i]) == 0) return NULL;
  return err_new(ERR_INPUT, "%s:%lu:%lu: tags are not supported: remove the tag here ('%s')", name,
                 (unsigned long)node->start_mark.line + 1,
                 (unsigned long)node->start_mark.column + 1, tag);
}

static bool is_merge_key(const yml_node *key) {
  return key->kind == YML_SCALAR && key->is_plain && strcmp(key->scalar, "<<") == 0;
}

static bool has_key(const yml_node *map, const char *key) {
  for (size_t i = 0; i < map->count; i++)
    if (map->keys[i]->kind == YML_SCALAR && strcmp(map->keys[i]->scalar, key) == 0) return true;
  return false;
}

/* Adds the keys that `map` lacks: its own keys take precedence over merged ones. */
static err merge_map(yml_document *document, const yml_node *from, yml_node *map) {
  const char *name = document->name;
  yml_node **keys = mem_resize(map->keys, map->count + from->count, sizeof *keys);
  if (keys) map->keys = keys;
  yml_node **items = mem_resize(map->items, map->count + from->count, sizeof *items);
  if (items) map->items = items;
  if (!keys || !items) return mem_error(from->count, name);
  document->merged += from->count;
  if (document->merged > MOST_MERGED)
    return err_new(ERR_INPUT, "%s:%d:%d: '<<' merges more than %d keys in this file", name,
                   map->line, map->column, MOST_MERGED);
  for (size_t i = 0; i < from->count; i++) {
    if (from->keys[i]->kind != YML_SCALAR || has_key(map, from->keys[i]->scalar)) continue;
    keys[map->count] = from->keys[i];
    items[map->count++] = from->items[i];
  }
  return NULL;
}

/* `<<: *other` and `<<: [*one, *other]`, as in YAML 1.1 and Python's readers: the keys of the
 * referenced maps are added to this one where it does not have them; of several maps the first
 * wins. */
static err merge(yml_document *document, yml_node *map) {
  size_t at = 0;
  while (at < map->count && !is_merge_key(map->keys[at])) at++;
  if (at == map->count) return NULL;
  const yml_node *value = map->items[at];
  bool is_list = value->kind == YML_SEQUENCE;
  map->count--;
  for (size_t i = at; i < map->count; i++) {
    map->keys[i] = map->keys[i + 1];
    map->items[i] = map->items[i + 1];
  }
  for (size_t i = 0; i < (is_list ? value->count : 1); i++) {
    yml_node *from = is_list ? value->items[i] : (yml_node *)(uintptr_t)value;
    if (from->kind != YML_MAP)
      return err_new(ERR_INPUT, "%s:%d:%d: '<<' takes a map, or a list of maps, to merge",
                     document->name, value->line, value->column);
    err error = merge(document, from); /* includes what that map merges itself */
    if (!error) error = merge_map(document, from, map);
    if (error) return error;
  }
  return NULL;
}

/* libyaml's document refers to nodes by id; each of ours is created once, so an alias shares its
 * anchor's node (safe, because nodes are read-only). `depth` limits recursion in documents that
 * contain themselves. */
static err convert(yml_document *document, yaml_document_t *parsed, int id, int depth,
                   yml_node **out) {
  if (depth > DEEPEST)
    return err_new(ERR_INPUT, "%s: nested deeper than %d levels, or an alias contains itself",
                   document->name, DEEPEST);
  if (document->all[id - 1]) {
    *out = document->all[id - 1];
    return NULL;
  }
  yaml_node_t *from = yaml_document_get_node(parsed, id);
  yml_node *node = mem_zeroed(1, sizeof *node);
  if (!node) return mem_error(sizeof *node, document->name);
  node->document = document;
  node->line = (int)from->start_mark.line + 1;
  node->column = (int)from->start_mark.column + 1;
  err error = check_tag(document->name, from);
  if (error) {
    free(node);
    return error;
  }
  if (from->type == YAML_SCALAR_NODE) {
    node->kind = YML_SCALAR;
    node->is_plain = from->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->scalar = mem_copy_string((const char *)from->data.scalar.value);
    if (!node->scalar)
      error = mem_error(from->data.scalar.length, document->name);
    else if (strlen(node->scalar) != from->data.scalar.length)
      error = err_new(ERR_INPUT, "%s:%d:%d: NUL character in a string", document->name, node->line,
                      node->column);
  } else if (from->type == YAML_SEQUENCE_NODE) {
    node->kind = YML_SEQUENCE;
    size_t count = (size_t)(from->data.sequence.items.top - from->data.sequence.items.start);
    node->items = mem_zeroed(count, sizeof *node->items);
    if (!node->items) error = mem_error(count, document->name);
    for (size_t i = 0; i < count && !error; i++) {
      error =
          convert(document, parsed, from->data.sequence.items.start[i], depth + 1, &node->items[i]);
      node->count = i + 1;
    }
  } else {
    node->kind = YML_MAP;
    size_t count = (size_t)(from->data.mapping.pairs.top - from->data.mapping.pairs.start);
    node->items = mem_zeroed(count, sizeof *node->items);
    node->keys = mem_zeroed(count, sizeof *node->keys);
    if (!node->items || !node->keys) error = mem_error(count, document->name);
    for (size_t i = 0; i < count && !error; i++) {
      yaml_node_pair_t pair = from->data.mapping.pairs.start[i];
      error = convert(document, parsed, pair.key, depth + 1, &node->keys[i]);
      if (!error) error = convert(document, parsed, pair.value, depth + 1, &node->items[i]);
      node->count = i + 1;
    }
  }
  if (error) {
    free_node(node);
    return error;
  }
  document->all[id - 1] = node;
  *out = node;
  return NULL;
}

static void check_keys(const yml_node *node, yml_problems *problems) {
  if (node->kind != YML_MAP) return;
  for (size_t i = 0; i < node->count; i++) {
    if (node->keys[i]->kind != YML_SCALAR) {
      yml_problem(problems, node->keys[i], NULL, 0, "a key must be a plain word");
      continue;
    }
    for (size_t j = 0; j < i; j++)
      if (node->keys[j]->kind == YML_SCALAR &&
          strcmp(node->keys[i]->scalar, node->keys[j]->scalar) == 0)
        yml_problem(problems, node->keys[i], NULL, 0, "key '%s' is given twice (first on line %d)",
                    node->keys[i]->scalar, node->keys[j]->line);
  }
}

/* The character that the parser stopped at. */
static char stopped_at(const yaml_parser_t *parser, const char *text, size_t length) {
  size_t at = parser->problem_mark.index; /* in characters: equal to bytes as long as all of them
                                           * are ASCII */
  for (size_t i = 0; i < at && i < length; i++)
    if ((unsigned char)text[i] >= 0x80) return '\0';
  return at < length ? text[at] : '\0';
}

/* The text of a 1-based line of the source, without its end. */
static const char *find_line(const char *source, size_t line, int *length) {
  for (size_t i = 1; i < line && *source; source++)
    if (*source == '\n') i++;
  *length = (int)strcspn(source, "\r\n");
  return source;
}

/* The line, and a caret with `width` - 1 tildes below it. */
static void write_excerpt(strbuf *out, const char *source, size_t line_number, size_t column,
                          size_t width) {
  int length;
  const char *line = find_line(source, line_number, &length);
  if (length > 160) length = 160;
  strbuf_format(out, "\n%5zu | %.*s\n      | ", line_number, length, line);
  for (size_t i = 0; i + 1 < column && i < (size_t)length; i++)
    strbuf_append_char(out, line[i] == '\t' ? '\t' : ' ');
  strbuf_append_char(out, '^');
  for (size_t i = 1; i < width && i < 60; i++) strbuf_append_char(out, '~');
}

/* A value that YAML takes for something else, as @list.txt, {0..9}.tar or *.tar: its place in the
 * line that the parser stopped in, and its length; 0: none. */
static int find_unquoted(const char *line, int length, int stopped, int *at) {
  int start = stopped > length ? length : stopped;
  while (start > 0 && !strchr(" [,", line[start - 1])) start--;
  const int own = start + (int)strcspn(line + start, " ,]}\r\n");
  int end = start + (int)strcspn(line + start, " \r\n");
  *at = start;
  if (start < length && strchr("@%`*", line[start])) return own - start;
  if (start >= length || line[start] != '{') return 0;
  while (end > start && strchr(",]}", line[end - 1])) end--;
  return memchr(line + start, '}', (size_t)(end - start)) ? end - start : 0; /* {0..9}.tar */
}

static err syntax_error(const char *name, const yaml_parser_t *parser, const char *text,
                        size_t length) {
  const char *problem = parser->problem ? parser->problem : "cannot be read";
  if (parser->error == YAML_SCANNER_ERROR && stopped_at(parser, text, length) == '\t')
    return err_new(ERR_INPUT, "%s:%zu:%zu: tab character: YAML is indented with spaces", name,
                   parser->problem_mark.line + 1, parser->problem_mark.column + 1);
  if (parser->error == YAML_MEMORY_ERROR) return mem_error(0, name);
  if (parser->error == YAML_READER_ERROR)
    return err_new(ERR_INPUT, "%s: byte %zu: %s", name, parser->problem_offset, problem);
  strbuf excerpt = {0};
  int line_length, at;
  const size_t line_number = parser->problem_mark.line + 1, stopped = parser->problem_mark.column;
  const char *line = find_line(text, line_number, &line_length);
  const int width = find_unquoted(line, line_length, (int)stopped, &at);
  if (line_length > 0)
    write_excerpt(&excerpt, text, line_number, width ? (size_t)at + 1 : stopped + 1, (size_t)width);
  if (width) strbuf_format(&excerpt, " quote it: \"%.*s\"", width, line + at);
  err error = err_new(ERR_INPUT, "%s:%zu:%zu: %s%s%s%s", name, line_number, stopped + 1, problem,
                      parser->context ? " " : "", parser->context ? parser->context : "",
                      strbuf_string(&excerpt));
  strbuf_free(&excerpt);
  return error;
}

static err build(yml_document *document, yaml_document_t *parsed) {
  document->count = (size_t)(parsed->nodes.top - parsed->nodes.start);
  size_t slots = document->count ? document->count : 1;
  document->all = mem_zeroed(slots, sizeof *document->all);
  if (!document->all) return mem_error(slots * sizeof *document->all, document->name);
  if (document->count > 0) return convert(document, parsed, 1, 0, &document->root);
  yml_node *empty = mem_zeroed(1, sizeof *empty);
  if (!empty) return mem_error(sizeof *empty, document->name);
  *empty = (yml_node){.kind = YML_MAP, .line = 1, .column = 1, .document = document};
  document->all[0] = document->root = empty;
  document->count = 1;
  return NULL;
}

err yml_parse(const char *name, const char *text, size_t length, yml_document **out) {
  err error = NULL;
  yaml_parser_t parser;
  yaml_document_t parsed, next;
  bool is_parsed = false;
  yml_document *document = mem_zeroed(1, sizeof *document);
  if (!document) return mem_error(sizeof *document, name);
  if (!yaml_parser_initialize(&parser)) {
    free(document);
    return mem_error(sizeof parser, name);
  }
  document->name = mem_copy_string(name);
  document->source = mem_zeroed(length + 1, 1);
  if (!document->name || !document->source) {
    error = mem_error(length, name);
    goto cleanup;
  }
  memcpy(document->source, text, length);
  yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
  if (!yaml_parser_load(&parser, &parsed)) {
    error = syntax_error(name, &parser, document->source, length);
    goto cleanup;
  }
  is_parsed = true;
  TRY(build(document, &parsed));
  if (!yaml_parser_load(&parser, &next)) {
    error = syntax_error(name, &parser, document->source, length);
    goto cleanup;
  }
  bool has_second = yaml_document_get_root_node(&next) != NULL;
  unsigned long second_line = (unsigned long)next.start_mark.line + 1;
  yaml_document_delete(&next);
  if (has_second)
    FAIL(ERR_INPUT, "%s:%lu: a second YAML document starts here; only one is allowed", name,
         second_line);
  yml_problems problems = {0};
  for (size_t i = 0; i < document->count; i++)
    if (document->all[i]) check_keys(document->all[i], &problems);
  error = yml_problems_take(&problems);
  for (size_t i = 0; i < document->count && !error; i++)
    if (document->all[i] && document->all[i]->kind == YML_MAP)
      error = merge(document, document->all[i]);
cleanup:
  if (is_parsed) yaml_document_delete(&parsed);
  yaml_parser_delete(&parser);
  if (error)
    yml_free(document);
  else
    *out = document;
  return error;
}

err yml_load(const char *path, yml_document **document) {
  char *text = NULL;
  size_t length = 0;
  err error = fs_read(path, &text, &length);
  if (!error) error = yml_parse(path, text, length, document);
  free(text);
  return error;
}

/* Where the character after the one at byte `at` begins. */
static size_t after(const char *text, size_t at) {
  do at++;
  while (((unsigned char)text[at] & 0xC0) == 0x80);
  return at;
}

static bool has_number_sign(const char *text, size_t from, size_t to) {
  return from < to && memchr(text + from, '#', to - from) != NULL;
}

/* Of the tokens only scalars may have a `#` that does not begin a comment: any other is between
 * them. (A name of an anchor ends before it.) */
bool yml_has_comment(const char *text) {
  yaml_parser_t parser;
  yaml_token_t token;
  size_t at = 0, end = 0, characters = 0; /* bytes, bytes, and those of `at` */
  bool has_one = false, is_last = false;
  if (!yaml_parser_initialize(&parser)) return false;
  yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
  while (!is_last && !has_one && yaml_parser_scan(&parser, &token)) {
    is_last = token.type == YAML_STREAM_END_TOKEN || token.type == YAML_NO_TOKEN;
    if (token.type == YAML_SCALAR_TOKEN) {
      for (; text[at] && characters < token.start_mark.index; characters++) at = after(text, at);
      has_one = has_number_sign(text, end, at);
      for (; text[at] && characters < token.end_mark.index; characters++) at = after(text, at);
      end = at;
    }
    yaml_token_delete(&token);
  }
  yaml_parser_delete(&parser);
  return has_one || has_number_sign(text, end, strlen(text));
}

static size_t find_key(const yml_node *map, const char *key) {
  for (size_t i = 0; map->kind == YML_MAP && i < map->count; i++)
    if (strcmp(map->keys[i]->scalar, key) == 0) return i;
  return SIZE_MAX;
}

const yml_node *yml_get(const yml_node *map, const char *key) {
  size_t at = find_key(map, key);
  return at == SIZE_MAX ? NULL : map->items[at];
}

const yml_node *yml_get_key(const yml_node *map, const char *key) {
  size_t at = find_key(map, key);
  return at == SIZE_MAX ? NULL : map->keys[at];
}

static bool is_one_of(const char *text, const char *const *words, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(text, words[i]) == 0) return true;
  return false;
}

/* Plain scalars that YAML 1.2's core schema reads as null. */
static bool is_null_word(const char *text) {
  static const char *const words[] = {"", "~", "null", "Null", "NULL"};
  return is_one_of(text, words, sizeof words / sizeof *words);
}

bool yml_is_null(const yml_node *node) {
  return !node || (node->kind == YML_SCALAR && node->is_plain && is_null_word(node->scalar));
}

bool yml_as_real(const char *text, double *value) {
  return text_parse_real(text, value);
}

/* 0x1F and 0o17, as YAML 1.2 has them. */
static bool read_based(const char *text, int64_t *value) {
  bool is_hex = strncmp(text, "0x", 2) == 0, is_octal = strncmp(text, "0o", 2) == 0;
  const char *digits = is_hex ? "0123456789abcdefABCDEF" : "01234567";
  if ((!is_hex && !is_octal) || !text[2] || text[2 + strspn(text + 2, digits)]) return false;
  errno = 0;
  long long whole = strtoll(text + 2, NULL, is_hex ? 16 : 8);
  if (errno) return false;
  *value = whole;
  return true;
}

bool yml_as_int(const char *text, int64_t *value) {
  return read_based(text, value) || text_parse_whole(text, value);
}

bool yml_as_bool(const char *text, bool *value) {
  static const char *const yes[] = {"true", "True", "TRUE"}, *const no[] = {"false", "False",
                                                                            "FALSE"};
  bool is_true = is_one_of(text, yes, 3);
  if (!is_true && !is_one_of(text, no, 3)) return false;
  *value = is_true;
  return true;
}

void yml_problem(yml_problems *problems, const yml_node *node, const char *const *candidates,
                 size_t candidate_count, const char *format, ...) {
  strbuf *out = &problems->message;
  if (problems->count++) strbuf_append_char(out, '\n');
  strbuf_format(out, "%s:%d:%d: ", node->document->name, node->line, node->column);
  va_list arguments;
  va_start(arguments, format);
  strbuf_format_list(out, format, arguments);
  va_end(arguments);
  write_excerpt(out, node->document->source, (size_t)node->line, (size_t)node->column,
                node->kind == YML_SCALAR ? text_columns(node->scalar) : 1);
  const char *nearest = NULL;
  if (node->kind == YML_SCALAR && candidates)
    nearest = text_nearest(node->scalar, candidates, candidate_count);
  if (nearest) strbuf_format(out, " did you mean '%s'?", nearest);
}

err yml_problems_take(yml_problems *problems) {
  err error = NULL;
  if (problems->count) error = err_new(ERR_INPUT, "%s", strbuf_string(&problems->message));
  strbuf_free(&problems->message);
  problems->count = 0;
  return error;
}

/* Characters that a YAML file may not have, or that end a line in it. */
static bool must_be_escaped(int32_t code) {
  return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0x2028 || code == 0x2029 ||
         code == 0xFEFF || code == 0xFFFE || code == 0xFFFF;
}

/* Appends the character at `text`, escaped as within double quotes; returns its bytes. */
static size_t write_character(strbuf *out, const char *text) {
  utf8proc_int32_t code;
  utf8proc_ssize_t length = utf8proc_iterate((const utf8proc_uint8_t *)text, -1, &code);
  if (length <= 0) { /* not UTF-8, which has no other form */
    strbuf_append_char(out, *text);
    return 1;
  }
  if (code == '\n' || code == '\t' || code == '\r')
    strbuf_append(out, code == '\n' ? "\\n" : code == '\t' ? "\\t" : "\\r");
  else if (must_be_escaped(code))
    strbuf_format(out, code < 0x100 ? "\\x%02X" : "\\u%04X", (unsigned)code);
  else if (code == '"' || code == '\\')
    strbuf_format(out, "\\%c", (int)code);
  else
    strbuf_append_bytes(out, text, (size_t)length);
  return (size_t)length;
}

static bool has_escapes(const char *text) {
  for (const char *at = text; *at;) {
    utf8proc_int32_t code;
    utf8proc_ssize_t length = utf8proc_iterate((const utf8proc_uint8_t *)at, -1, &code);
    if (length > 0 && must_be_escaped(code)) return true;
    at += length > 0 ? length : 1;
  }
  return false;
}

static bool may_be_plain(const char *scalar) {
  double real;
  bool truth;
  int64_t whole;
  return *scalar && !strchr("-?:,[]{}#&*!|>'\"%@` ", scalar[0]) && !strpbrk(scalar, "\\\"{}[],") &&
         !strstr(scalar, ": ") && !strstr(scalar, " #") && scalar[strlen(scalar) - 1] != ' ' &&
         scalar[strlen(scalar) - 1] != ':' && !yml_as_real(scalar, &real) &&
         !yml_as_bool(scalar, &truth) && !yml_as_int(scalar, &whole) && !is_null_word(scalar) &&
         strcmp(scalar, "<<") != 0 && !has_escapes(scalar);
}

void yml_write_scalar(strbuf *out, const char *scalar) {
  if (may_be_plain(scalar)) {
    strbuf_append(out, scalar);
    return;
  }
  strbuf_append_char(out, '"');
  for (const char *at = scalar; *at;) at += write_character(out, at);
  strbuf_append_char(out, '"');
}
