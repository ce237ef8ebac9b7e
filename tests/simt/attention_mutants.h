/* The attention kernels for short sequences, with one barrier or wait removed at a time. */
#ifndef FLIP_SIMT_ATTENTION_MUTANTS_H
#define FLIP_SIMT_ATTENTION_MUTANTS_H

#include <stdbool.h>

#include "ops/ops.h"

typedef struct {
  const char *what, *file;
  int line;
} attention_site;

/* The sites that launches have reached so far. */
int attention_sites(const attention_site **sites);
/* Later launches skip site `site`; -1: none. */
void attention_leave_out(int site);

/* As kernel_attention and its gradient do for these kernels; parts [batch, 3, heads, head_width].
 */
int attention_mutant_launch(const ops_attention *a, float *parts, bool is_backward);

#endif
