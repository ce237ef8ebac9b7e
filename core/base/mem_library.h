/* Allocator for a library that takes one (jansson), whose callers cannot always distinguish an
 * allocation failure from other errors. */
#ifndef FLIP_BASE_MEM_LIBRARY_H
#define FLIP_BASE_MEM_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

/* Like malloc. A failure is remembered, and the process then never exits with success
 * (options_exit_status). A small block still comes from a reserve of 64 KiB then: where appending
 * to a string fails, jansson's lexer continues without the character and may abort later. */
void *mem_for_library(size_t bytes);
bool mem_library_lacked(void);

/* Remembers likewise a failed allocation that its caller can only report as something else. */
void mem_note_lack(void);

#endif
