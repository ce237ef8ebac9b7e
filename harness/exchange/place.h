/* Lexical path operations, without file system access: where a bundle stores the files of a path.
 * Internal to exchange/. */
#ifndef FLIPBENCH_EXCHANGE_PLACE_H
#define FLIPBENCH_EXCHANGE_PLACE_H

#include <stdbool.h>

#include "base/text.h"

/* Appends `path` without empty and "." parts and with each "name/.." removed: "a/./b/../c" gives
 * "a/c"; "../x" stays; "/../x" gives "/x"; "." when nothing is left. */
void place_normalise(const char *path, strbuf *out);

/* The number of leading ".." of a normalised path. */
int place_ups(const char *normal);

/* Relative and without an empty, "." or ".." part, so that it stays below its folder. Dots within a
 * part ("vocab..v2.txt") are allowed. */
bool place_is_below(const char *name);

/* `path` with every {…} replaced by *, for glob(3): matches at least what the pattern matches. */
void place_soften(const char *path, strbuf *out);

#endif
