/* Barriers and waits of kernels that a test leaves out one at a time: each must be missed. A file
 * of mutants includes this header, then the kernels' sources. */
#ifndef FLIP_SIMT_LEFT_OUT_H
#define FLIP_SIMT_LEFT_OUT_H

#include <stdbool.h>

typedef struct {
  const char *what, *file;
  int line;
} left_out_site;

/* Those that launches have come to so far. */
int left_out_sites(const left_out_site **sites);
/* Launches from now on go on without site `site`; -1: without none. */
void left_out_choose(int site);
/* Whether the running kernel is to go on without this wait, which is remembered as a site. */
bool is_left_out(const char *what, const char *file, int line);

/* Leaves out one site after the other and prints what `notice` says of it, NULL: nothing. Returns
 * how many are not noticed. */
int left_out_count_missed(const char *(*notice)(void));

#endif
