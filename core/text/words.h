/* BERT's basic tokenizer: text to words. Shared by the WordPiece tokenizer and its trainer. */
#ifndef FLIP_TEXT_WORDS_H
#define FLIP_TEXT_WORDS_H

#include "base/err.h"
#include "base/text.h"

/* Appends the words of `text` to out, each terminated by NUL: control characters removed, white
 * space and Chinese characters separate words, lower case, accents stripped (NFD), punctuation
 * split off. */
err words_split(const char *text, strbuf *out) ERR_MUST_CHECK;

#endif
