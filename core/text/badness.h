/* Does a text look as if it had been decoded wrongly? The heuristic of ftfy 6.3.1 (badness.py;
 * Robyn Speer, Apache License 2.0): sequences of characters that are common where UTF-8 was read as
 * a single-byte encoding and rare elsewhere. */
#ifndef FLIP_TEXT_BADNESS_H
#define FLIP_TEXT_BADNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True when one such sequence begins anywhere in c [count]. Time is linear in count. */
bool badness_is_bad(const int32_t *c, size_t count);

#endif
