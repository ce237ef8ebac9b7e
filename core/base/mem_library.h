/* Memory for a library that takes an allocator (jansson), and whose callers cannot tell in every
 * place why it gave nothing. */
#ifndef FLIP_BASE_MEM_LIBRARY_H
#define FLIP_BASE_MEM_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

/* Like malloc. That it once gave nothing is remembered: no command of such a process ends well
 * (options_exit_status). */
void *mem_for_library(size_t bytes);
bool mem_library_lacked(void);

#endif
