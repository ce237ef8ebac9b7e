/* Allocator for a library that takes one (jansson), whose callers cannot always distinguish an
 * allocation failure from other errors. */
#ifndef FLIP_BASE_MEM_LIBRARY_H
#define FLIP_BASE_MEM_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

/* Like malloc. A failure is remembered, and the process then never exits with success
 * (options_exit_status). */
void *mem_for_library(size_t bytes);
bool mem_library_lacked(void);

#endif
