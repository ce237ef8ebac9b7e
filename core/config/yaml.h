/* YAML documents with source positions, and errors that point to them.
 *
 * Built on libyaml. A document owns its nodes; nodes are read-only. Problems are collected, so that
 * all errors of a file are reported in one pass:
 *
 *   experiments/table1a.yaml:14:5: unknown key 'mask_rato' in matrix
 *      14 |     mask_rato: [0.0, 0.5]
 *         |     ^~~~~~~~~ did you mean 'mask_ratio'? */
#ifndef FLIP_CONFIG_YAML_H
#define FLIP_CONFIG_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

typedef enum { YML_SCALAR, YML_SEQUENCE, YML_MAP } yml_kind;

typedef struct yml_document yml_document;
typedef struct yml_node yml_node;

struct yml_node {
  yml_kind kind;
  int line, column;             /* 1-based, in the document's file */
  const yml_document *document; /* whose file the position is in */
  const char *scalar;           /* YML_SCALAR: its text, NUL-terminated */
  bool is_plain;                /* YML_SCALAR: written without quotes, so `null` means null */
  size_t count;                 /* items of a sequence, pairs of a map */
  yml_node **keys;              /* YML_MAP: scalars, in file order, no duplicates */
  yml_node **items;             /* values of the map or items of the sequence */
};

/* Parses a file, or text that came from `name`. Aliases, anchors and merge keys (`<<: *other`)
 * work; a duplicate key, a tag, a NUL, a second document or a syntax error is an error with its
 * position. An empty file is an empty map. */
err yml_load(const char *path, yml_document **document) ERR_MUST_CHECK;
err yml_parse(const char *name, const char *text, size_t length,
              yml_document **document) ERR_MUST_CHECK;
void yml_free(yml_document *document);
const yml_node *yml_root(const yml_document *document);
const char *yml_name(const yml_document *document); /* the path or name given */

/* Whether a text that yml_parse accepts has a comment. */
bool yml_has_comment(const char *text);

/* The value under `key`, or NULL. */
const yml_node *yml_get(const yml_node *map, const char *key);
const yml_node *yml_get_key(const yml_node *map, const char *key); /* the key's own node */
bool yml_is_null(const yml_node *node); /* missing, or plain ~, null, Null, NULL or empty */

/* Scalars as values; false when the text is not of that type. Integers take 1_000_000 and 75k,
 * 12.8M, 1G (powers of 1000) when the result is whole. */
bool yml_as_int(const char *text, int64_t *value);
bool yml_as_real(const char *text, double *value);
bool yml_as_bool(const char *text, bool *value);

/* Errors of one file or one set of files, in the order found. Initialise with {0}. */
typedef struct {
  strbuf message;
  size_t count;
} yml_problems;

/* Adds "name:line:column: …" with the line and a caret under the node. `candidates` (may be
 * NULL): valid names, of which the nearest to the node's text is suggested. */
void yml_problem(yml_problems *problems, const yml_node *node, const char *const *candidates,
                 size_t candidate_count, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* All problems as one ERR_INPUT, or NULL when there are none. Empties the list. */
err yml_problems_take(yml_problems *problems) ERR_MUST_CHECK;

/* Appends `scalar` (valid UTF-8) as YAML, quoted only when it must be; characters that a file may
 * not have, or that end a line, as \r, \x07, \u2028. */
void yml_write_scalar(strbuf *out, const char *scalar);

#endif
