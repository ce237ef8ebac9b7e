/* The files that come with the programs: experiments/ (presets and evaluation sets in it) and
 * plots/. An installed program finds them in share/flip beside its own folder, wherever the whole
 * was moved to; one that was not installed finds them in the sources it was built from. */
#ifndef FLIP_BASE_SHIPPED_H
#define FLIP_BASE_SHIPPED_H

#include <limits.h>
#include <stdbool.h>

/* The file of the program that this process runs; false, and "", where that is not known. */
bool shipped_program(char path[PATH_MAX]);

/* PREFIX of the program PREFIX/bin/NAME that this process runs; "" where that is not known. */
void shipped_prefix(char prefix[PATH_MAX]);

/* The plugin NAME ("libflip_cuda.so"): in the folder that FLIP_PLUGINS names, or in lib/ next to the
 * folder that this program is in. False when nothing is there; `path` is set all the same. */
bool shipped_plugin(const char *name, char path[PATH_MAX]);

/* Where NAME ("plots", "experiments/presets/mini.yaml") is; the caller frees. NULL when it is
 * nowhere or memory is short. */
char *shipped_find(const char *name);

/* `path` itself when something is there; else the shipped file of that name; else `path`, for the
 * error that follows. The caller frees; NULL when memory is short. */
char *shipped_or_given(const char *path);

#endif
