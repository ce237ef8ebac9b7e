/* Kernels with one planted fault each, to see that the shim finds it, and the sound kernel that
 * they were made from. */
#ifndef FLIP_SIMT_MUTANTS_H
#define FLIP_SIMT_MUTANTS_H

#include <stddef.h>

enum { MUTANT_THREADS = 64, MUTANT_BLOCKS = 3, MUTANT_COUNT = MUTANT_THREADS * MUTANT_BLOCKS };

typedef struct {
  const char *name;
  int (*launch)(const float *in, float *out); /* in, out [MUTANT_COUNT] */
  const char *told;    /* expected launch error with the recorder; NULL: a correct kernel */
  const char *symptom; /* how it is found with AddressSanitizer in the recorder's stead */
} mutant;

extern const mutant mutants[];
extern const size_t mutant_count;

#endif
