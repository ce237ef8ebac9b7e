/* Repair of text that was written in UTF-8 and read in another encoding ("Ã©" for "é"), as
 * ftfy 6.3.1 does it (fix_encoding; Robyn Speer, Apache License 2.0): also where spaces took the
 * place of byte A0, where characters were lost on the way, where only parts of a text are wrong,
 * and where the mistake was made several times. */
#ifndef FLIP_TEXT_MOJIBAKE_H
#define FLIP_TEXT_MOJIBAKE_H

#include "text/mojibake_table.h"
#include "text/runes.h"

/* The index of a character in mojibake_rows; 0: it is not one of wrongly decoded text. */
size_t mojibake_row_of(int32_t c);

/* Rounds of repair that a text may need: one for each time that it was read wrongly. ftfy has no
 * limit, so its time can grow with the square of the length on adversarial text. */
enum { MOJIBAKE_ROUNDS = 64 };

/* Replaces the text by its repair; text that does not look wrong (badness.h) stays. Stops when
 * nothing changes or *rounds, which it counts down, is 0. After a failed allocation text->is_broken
 * is set. */
void mojibake_fix(runes *text, int *rounds);

#endif
