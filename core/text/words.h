/* BERT's basic tokenizer: text to words. Shared by the WordPiece tokenizer and its trainer. */
#ifndef FLIP_TEXT_WORDS_H
#define FLIP_TEXT_WORDS_H

#include "base/err.h"
#include "base/text.h"

/* Appends the words of `text` to out, a NUL after each: control characters removed, white space
 * and Chinese characters separating, lower case, accents stripped (NFD), punctuation apart. */
err words_split(const char *text, strbuf *out) ERR_MUST_CHECK;

#endif
