/* ftfy.fix_text with its default settings, after ftfy 6.3.1 (Robyn Speer, Apache License 2.0): what
 * OpenAI's CLIP and open_clip do to a caption first. */
#ifndef FLIP_TEXT_FIX_TEXT_H
#define FLIP_TEXT_FIX_TEXT_H

#include <stdbool.h>

#include "base/err.h"
#include "base/text.h"

/* Appends `text`, line by line: references of HTML, wrongly decoded text (mojibake.h; only if
 * `repairs`), C1 controls, ligatures, full and half width, curly quotes, line breaks, terminal
 * escapes, control characters, NFC; again until nothing changes, 64 times at most (and
 * MOJIBAKE_ROUNDS in all of one line). */
err fix_text(const char *text, bool repairs, strbuf *out) ERR_MUST_CHECK;

#endif
