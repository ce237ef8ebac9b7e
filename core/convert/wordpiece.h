/* What the files of a WordPiece tokenizer of transformers' say that ours does not do. Internal to
 * core/convert/. */
#ifndef FLIP_CONVERT_WORDPIECE_H
#define FLIP_CONVERT_WORDPIECE_H

#include <stddef.h>

#include "base/err.h"

/* Writes the reason into fault[size] if the tokenizer of FOLDER/vocab.txt makes other tokens than
 * ours, which lowers the case and removes accents; else fault stays as it is. Read from
 * tokenizer_config.json; without that file a vocabulary with capital letters is one of cased texts.
 */
err wordpiece_check(const char *folder, char *fault, size_t size) ERR_MUST_CHECK;

#endif
