#include "comm/open.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/launch.h"
#include "base/mem.h"
#include "base/shipped.h"
#include "comm/self.h"
#include "comm/tcp.h"

/* One of the plugins, and what to do if it is not available. */
typedef struct {
  const char *file, *purpose, *build, *install;
} library;

static const library mpi = {
    "libflip_mpi.so", "a launcher started several ranks",
    "Install MPI (apt install libopenmpi-dev openmpi-bin) and build again with 'cmake --preset "
    "release && cmake --build build', or start the ranks with RANK, WORLD_SIZE, MASTER_ADDR and "
    "MASTER_PORT (docs/clusters.md)",
    "apt install openmpi-bin"};
static const library nccl = {
    "libflip_nccl.so", "ranks on GPUs are connected by NCCL",
    "Install NCCL (libnccl-dev of NVIDIA's repository) and build again with 'cmake --preset cuda "
    "&& "
    "cmake --build build/cuda'",
    "libnccl2 of NVIDIA's repository, or another NCCL from 2.19 on, in LD_LIBRARY_PATH"};

/* Stays loaded until the process ends, as MPI requires. Global: Open MPI's own plugins need its
 * symbols. */
static err load(const library *l, int scope, const comm_plugin **out) {
  char path[PATH_MAX];
  if (!shipped_plugin(l->file, path))
    return err_new(ERR_UNSUPPORTED, "%s, but this build cannot connect them: %s is missing. %s",
                   l->purpose, path, l->build);
  void *handle = dlopen(path, RTLD_NOW | scope);
  if (!handle)
    return err_new(ERR_UNSUPPORTED,
                   "%s, but a library that connects them is missing on this machine (%s): %s",
                   l->purpose, l->install, dlerror());
  const comm_plugin *plugin = dlsym(handle, COMM_PLUGIN_SYMBOL);
  if (!plugin || plugin->version != COMM_PLUGIN_VERSION)
    return err_new(ERR_UNSUPPORTED, "%s was built from another version of flip: rebuild both",
                   path);
  *out = plugin;
  return NULL;
}

/* The variable FLIP_COMM. */
static err is_nccl_wanted(bool *is_wanted) {
  const char *name = getenv("FLIP_COMM");
  *is_wanted = name && strcmp(name, "nccl") == 0;
  if (!name || !*name || *is_wanted) return NULL;
  return err_new(ERR_INPUT, "FLIP_COMM=%s: the only value is nccl (docs/clusters.md)", name);
}

const char *comm_launched(void) {
  launch l;
  err error = launch_detect(&l);
  if (error) l.ranks = NULL;
  err_free(error);
  return l.ranks;
}

/* If the launcher belongs to another MPI than the plugin, each process starts MPI alone. */
static err open_mpi(const launch *l, comm **out) {
  const comm_plugin *plugin;
  err error = load(&mpi, RTLD_GLOBAL, &plugin);
  if (!error) error = plugin->open(out);
  if (error || (*out)->size == l->size) return error;
  error =
      err_new(ERR_UNSUPPORTED,
              "the launcher started %d ranks, but MPI (%s) connects this process with %d: use "
              "the mpirun of the MPI that flip was built with (with srun: --mpi=pmix), or start "
              "the ranks with RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT (docs/clusters.md)",
              l->size, (*out)->library, (*out)->size);
  comm_close(*out);
  *out = NULL;
  return error;
}

err comm_open(comm **out) {
  bool is_wanted;
  launch l;
  *out = NULL;
  err error = is_nccl_wanted(&is_wanted);
  if (!error) error = launch_detect(&l);
  if (error) return error;
  if (l.kind == LAUNCH_VARIABLES) return tcp_open(&l, out);
  if (l.kind == LAUNCH_ALONE) return is_wanted ? self_open(out) : NULL;
  return open_mpi(&l, out);
}

err comm_check_devices(const ops *o, comm *c) {
  if (!c) return NULL;
  char is_gpu = o->call->queue != NULL, of_first = is_gpu;
  err error = c->call->broadcast(c, &of_first, 1);
  if (!error && is_gpu != of_first)
    error = err_new(ERR_UNSUPPORTED,
                    "it computes on %s, but rank 0 on %s: set device: cpu, or device: cuda to see "
                    "what is missing",
                    is_gpu ? "a GPU" : "the CPU", of_first ? "a GPU" : "the CPU");
  return comm_agree(c, error);
}

err comm_check_kernels(const ops *o, comm *c, const char *consequence) {
  enum { LENGTH = sizeof o->kernels + sizeof o->architecture };
  size_t size = (size_t)comm_size(c);
  char own[LENGTH] = "";
  if (size == 1) return NULL;
  snprintf(own, LENGTH, "%s%s", *o->architecture ? "for " : o->kernels, o->architecture);
  char(*all)[LENGTH] = mem_zeroed(size, LENGTH);
  err error = comm_agree(c, all ? NULL : mem_error(size * LENGTH, "messages of the ranks"));
  if (!error) error = c->call->gather_bytes(c, own, LENGTH, all);
  for (size_t rank = 1; rank < size && !error; rank++)
    if (strcmp(all[rank], all[0]) != 0)
      error = err_new(ERR_UNSUPPORTED, "rank %zu has the kernels %s, rank 0 %s, which %s", rank,
                      all[rank], all[0], consequence);
  free(all);
  return error;
}

err comm_attach(ops *o, bool is_deterministic, comm **c) {
  const comm_plugin *plugin;
  bool is_wanted;
  comm *attached;
  if (!*c) return NULL;
  err error = comm_agree(*c, is_nccl_wanted(&is_wanted));
  if (!error) error = comm_check_devices(o, *c);
  if (error) return error;
  if (!o->call->queue) {
    if (is_wanted)
      error = err_new(ERR_INPUT, "FLIP_COMM=nccl connects GPUs, and this run computes on the CPU: "
                                 "set device: cuda, or unset FLIP_COMM");
    return comm_agree(*c, error);
  }
  error = comm_agree(*c, load(&nccl, RTLD_LOCAL, &plugin));
  if (!error) error = plugin->attach(*c, o, is_deterministic, &attached);
  if (error) return error;
  *c = attached;
  return NULL;
}

void comm_detach(comm **c) {
  comm *host = *c ? (*c)->host : NULL;
  if (!host) return;
  (*c)->call->destroy(*c);
  *c = host;
}

void comm_close(comm *c) {
  comm_detach(&c);
  if (c) c->call->destroy(c);
}
