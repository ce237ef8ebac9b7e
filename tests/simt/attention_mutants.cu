/* The attention kernels for short sequences with named barriers and waits, so that a test can
 * remove one at a time: each removal must be detected. */
#include "simt/attention_mutants.h"

#include <string.h>

#include "cuda/async.cuh"
#include "cuda/attention_tiles.cuh"

enum { MOST_SITES = 32 };

static struct {
  attention_site sites[MOST_SITES];
  int count, left_out;
} mutation = {.left_out = -1};

int attention_sites(const attention_site **sites) {
  *sites = mutation.sites;
  return mutation.count;
}

void attention_leave_out(int site) {
  mutation.left_out = site;
}

/* Does the running kernel skip this wait? */
static bool is_left_out(const char *what, const char *file, int line) {
  int i = 0;
  while (i < mutation.count &&
         (mutation.sites[i].line != line || strcmp(mutation.sites[i].file, file) != 0))
    i++;
  if (i == mutation.count && i < MOST_SITES)
    mutation.sites[mutation.count++] = (attention_site){what, file, line};
  return i == mutation.left_out;
}

static void wait_for_copies(void) {
  copies_wait();
}

#undef __syncthreads
#define __syncthreads()                                                                            \
  (is_left_out("__syncthreads", __FILE__, __LINE__) ? (void)0 : simt_barrier(__FILE__, __LINE__))
#undef __syncwarp
#define __syncwarp(mask)                                                                           \
  (is_left_out("__syncwarp", __FILE__, __LINE__) ? (void)0                                         \
                                                 : simt_warp_barrier(mask, __FILE__, __LINE__))
#define copies_wait() (is_left_out("copies_wait", __FILE__, __LINE__) ? (void)0 : wait_for_copies())

/* The launchers are those of the kernels below, under other names. */
#define attention_is_short mutant_is_short
#define kernel_attention_short mutant_attention
#define kernel_attention_gradient_short mutant_attention_gradient
#define kernel_attention_gradient_walk mutant_attention_gradient_walk
int mutant_is_short(const attention_arguments *a);
int mutant_attention(const attention_arguments *a, void *stream);
int mutant_attention_gradient(const attention_arguments *a, void *stream);
int mutant_attention_gradient_walk(const attention_arguments *a, void *stream);

#include "cuda/attention_short.cu"
#include "cuda/attention_short_gradient.cu"
#include "cuda/attention_walk_gradient.cu"

int attention_mutant_launch(const ops_attention *p, float *parts, bool is_backward) {
  attention_arguments a = {.a = *p,
                           .parts = parts,
                           .scale = 1.0f / sqrtf((float)p->head_width),
                           .deep = (int)p->head_width,
                           .is_vector = true};
  if (!mutant_is_short(&a)) return 1;
  return is_backward ? mutant_attention_gradient(&a, NULL) : mutant_attention(&a, NULL);
}
