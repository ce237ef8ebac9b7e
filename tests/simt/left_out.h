/* Barriers and waits of kernels that a test removes one at a time: each removal must be detected. A
 * file of mutants includes this header, then the kernels' sources. */
#ifndef FLIP_SIMT_LEFT_OUT_H
#define FLIP_SIMT_LEFT_OUT_H

#include <stdbool.h>

typedef struct {
  const char *what, *file;
  int line;
} left_out_site;

/* Those that launches have reached so far. */
int left_out_sites(const left_out_site **sites);
/* Subsequent launches skip site `site`; -1: none. */
void left_out_choose(int site);
/* Whether the running kernel skips this wait, which is recorded as a site. */
bool is_left_out(const char *what, const char *file, int line);

/* Removes one site after the other and prints what `notice` reports; NULL: nothing. Returns the
 * number of sites whose removal is not detected. */
int left_out_count_missed(const char *(*notice)(void));

#endif
