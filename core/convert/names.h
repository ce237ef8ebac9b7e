/* The names of a model's tensors in other programs' files: one table for both directions. Internal
 * to core/convert/. */
#ifndef FLIP_CONVERT_NAMES_H
#define FLIP_CONVERT_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "convert/weights.h"
#include "model/params.h"

/* The layout of a tensor in a foreign file. */
typedef enum {
  LAYOUT_PLAIN,
  LAYOUT_PATCHES,    /* ours [width, 3 p p], theirs [width, 3, p, p]: the same order */
  LAYOUT_PROJECTION, /* ours [embed, width]; open_clip [width, embed] */
  LAYOUT_SCALAR,     /* ours [1], theirs of rank 0 */
  LAYOUT_POSITIONS   /* ours may be shorter: the first rows; BERT adds its first token type */
} tensor_layout;

enum { NAME_FORMATS = 4, NAME_PARTS = 3 }; /* all formats but flip; parts that are stacked */
enum { FOREIGN_NAME = 128 };

/* '#' is replaced by a block's number; {a,b,c} are parts that are stacked in one tensor of ours. */
typedef struct {
  const char *flip;
  tensor_layout layout;
  const char *names[NAME_FORMATS]; /* by weights_format - 1; NULL: the format has no such tensor */
} tensor_name;

/* The row of our tensor `name`; fills `block` (-1: not in a block). NULL: none. */
const tensor_name *names_find(const char *name, int64_t *block);

/* The foreign names of our tensor, one per part; returns their number, 0 when the format has no
 * such tensor. */
size_t names_foreign(const tensor_name *row, int64_t block, weights_format format,
                     char names[NAME_PARTS][FOREIGN_NAME]);

/* Tensors that a format has and a model does not need: index buffers, heads of other tasks. */
bool names_is_ignored(const char *foreign, weights_format format);

#endif
