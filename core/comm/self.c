#include "comm/self.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static err gather_bytes(comm *c, const void *own, size_t count, void *all) {
  (void)c;
  memmove(all, own, count);
  return NULL;
}

static err gather(comm *c, int64_t count, ops_buffer own, ops_buffer all) {
  return gather_bytes(c, own.data, (size_t)count * ops_size_of(own.type), all.data);
}

static err sum_slices(comm *c, int64_t total, ops_buffer x, ops_type wire) {
  (void)c, (void)total, (void)x, (void)wire;
  return NULL;
}

static err gather_slices(comm *c, int64_t total, ops_buffer x) {
  (void)c, (void)total, (void)x;
  return NULL;
}

static err broadcast(comm *c, void *bytes, size_t count) {
  (void)c, (void)bytes, (void)count;
  return NULL;
}

static void destroy(comm *c) {
  free(c);
}

static const comm_table table = {.gather = gather,
                                 .sum_slices = sum_slices,
                                 .gather_slices = gather_slices,
                                 .broadcast = broadcast,
                                 .gather_bytes = gather_bytes,
                                 .destroy = destroy};

err self_open(comm **out) {
  comm *c = mem_zeroed(1, sizeof *c);
  if (!c) return mem_error(sizeof *c, "communication");
  *c = (comm){.call = &table, .size = 1, .library = "one rank"};
  *out = c;
  return NULL;
}
