/* Files installed with the programs: experiments/ (including presets and evaluation sets) and
 * plots/. An installed program finds them in share/flip relative to its own folder, so that the
 * installation can be moved; a program that is not installed uses its source tree. */
#ifndef FLIP_BASE_SHIPPED_H
#define FLIP_BASE_SHIPPED_H

#include <limits.h>
#include <stdbool.h>

/* The path of the running executable; false, and "", if it is not known. */
bool shipped_program(char path[PATH_MAX]);

/* PREFIX of the running executable PREFIX/bin/NAME; "" if it is not known. */
void shipped_prefix(char prefix[PATH_MAX]);

/* The plugin NAME ("libflip_cuda.so"): in the folder given by FLIP_PLUGINS, or in lib/ next to the
 * program's folder. False when it does not exist; `path` is set in any case. */
bool shipped_plugin(const char *name, char path[PATH_MAX]);

/* The path of NAME ("plots", "experiments/presets/mini.yaml"); the caller frees. NULL when it is
 * not found or out of memory. */
char *shipped_find(const char *name);

/* `path` itself if it exists; else the shipped file of that name; else `path`, for the error that
 * follows. The caller frees; NULL when out of memory. */
char *shipped_or_given(const char *path);

#endif
