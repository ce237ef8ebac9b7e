/* Paths as they are written, without asking the file system: where a bundle keeps what they name.
 * Internal to exchange/. */
#ifndef FLIPBENCH_EXCHANGE_PLACE_H
#define FLIPBENCH_EXCHANGE_PLACE_H

#include <stdbool.h>

#include "base/text.h"

/* Appends `path` without empty and "." parts and with each "name/.." taken out: "a/./b/../c" gives
 * "a/c"; "../x" stays; "/../x" gives "/x"; "." when nothing is left. */
void place_normalise(const char *path, strbuf *out);

/* How many ".." a normalised path begins with. */
int place_ups(const char *normal);

/* Relative and without an empty, "." or ".." part, so that it stays below its folder. Dots within a
 * part ("vocab..v2.txt") are no matter. */
bool place_is_below(const char *name);

/* `path` with every {…} as *, for glob(3): matches at least what the pattern means. */
void place_soften(const char *path, strbuf *out);

#endif
