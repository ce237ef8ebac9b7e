/* The attention kernels for short sequences, from which one barrier or wait can be left out. */
#ifndef FLIP_SIMT_ATTENTION_MUTANTS_H
#define FLIP_SIMT_ATTENTION_MUTANTS_H

#include <stdbool.h>

#include "ops/ops.h"

typedef struct {
  const char *what, *file;
  int line;
} attention_site;

/* Those that launches have come to so far. */
int attention_sites(const attention_site **sites);
/* Launches from now on go on without site `site`; -1: without none. */
void attention_leave_out(int site);

/* As kernel_attention and its gradient do for these kernels; parts [batch, 3, heads, head_width].
 */
int attention_mutant_launch(const ops_attention *a, float *parts, bool is_backward);

#endif
