/* The folder of a model: its weights are found by name, and what stands beside them is read as
 * theirs. Internal to core/convert/. */
#ifndef FLIP_CONVERT_FOLDER_H
#define FLIP_CONVERT_FOLDER_H

#include "convert/weights.h"

/* The file of the weights, which the caller frees: transformers', open_clip's, or the newest
 * checkpoint of a run. Where there are weights of both libraries, a line in `remarks` says which of
 * them is read: repositories hold one model in both formats. */
err folder_find_weights(const char *folder, char **path, strbuf *remarks) ERR_MUST_CHECK;

/* ERR_INPUT when the folder holds weights besides the file `name` that is to be written, or a
 * preparation of images that would be read before that of an export in `format`: it would hold two
 * models. A folder that does not exist is fine. */
err folder_check_free(const char *folder, weights_format format, const char *name) ERR_MUST_CHECK;

/* Removes the vocabulary that an earlier export left, and that would be read as this model's. Other
 * files of a tokenizer, which are somebody else's work, stay; ERR_INPUT for merges.txt of other
 * words, which would be read. `tokens` are the words of the model,
 * "" if they are not known. A line in `remarks` names each file, but not those of the same words,
 * and not those that are written next anyway (vocab.txt, if writes_words). */
err folder_clear(const char *folder, const settings *s, const char *tokens, bool writes_words,
                 strbuf *remarks) ERR_MUST_CHECK;

#endif
