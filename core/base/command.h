/* Other programs, started and waited for. */
#ifndef FLIP_BASE_COMMAND_H
#define FLIP_BASE_COMMAND_H

#include <stdbool.h>

#include "base/err.h"
#include "base/text.h"

/* Runs words[0] (found in PATH) with its arguments, NULL behind the last; its standard output is
 * added to `out`. ERR_INPUT, naming the status, when it does not end with 0. */
err command_capture(char *const *words, strbuf *out) ERR_MUST_CHECK;
/* The same for a question that may have no answer: what it says on stderr is dropped. */
err command_capture_quietly(char *const *words, strbuf *out) ERR_MUST_CHECK;
/* Runs a line of shell in `folder`, all it prints into the file `log`. ERR_INPUT, naming the file,
 * when it does not end with 0. `stop` (may be NULL): when it becomes true, the line and all it
 * started are ended: ERR_INTERRUPTED. */
err command_run_logged(const char *line, const char *folder, const char *log,
                       const volatile bool *stop) ERR_MUST_CHECK;

#endif
