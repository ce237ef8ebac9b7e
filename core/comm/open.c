#include "comm/open.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>

#include "base/shipped.h"

const char *comm_launched(void) {
  static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const char *value = getenv(names[i]);
    if (value && atoi(value) > 1) return value;
  }
  const char *tasks = getenv("SLURM_NTASKS");
  return getenv("PMIX_RANK") && tasks && atoi(tasks) > 1 ? tasks : NULL;
}

/* Stays loaded to the end of the process, as MPI wants it. Global: Open MPI's own plugins look for
 * its symbols. */
static err load(const char *ranks, const comm_plugin **out) {
  char path[PATH_MAX];
  if (!shipped_plugin("libflip_mpi.so", path))
    return err_new(
        ERR_UNSUPPORTED,
        "a launcher started %s ranks, but this build cannot connect them: %s is missing. "
        "Install MPI (apt install libopenmpi-dev openmpi-bin) and build again, or start "
        "one process",
        ranks, path);
  void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
  if (!library)
    return err_new(ERR_UNSUPPORTED,
                   "a launcher started %s ranks, but the library that connects them is missing on "
                   "this machine (apt install openmpi-bin): %s",
                   ranks, dlerror());
  const comm_plugin *plugin = dlsym(library, COMM_PLUGIN_SYMBOL);
  if (!plugin || plugin->version != COMM_PLUGIN_VERSION)
    return err_new(ERR_UNSUPPORTED, "%s belongs to another version of flip: build both together",
                   path);
  *out = plugin;
  return NULL;
}

err comm_open(bool is_gpu, comm **out) {
  const char *ranks = comm_launched();
  *out = NULL;
  if (!ranks) return NULL;
  if (is_gpu)
    return err_new(ERR_UNSUPPORTED,
                   "a launcher started %s ranks, but this version connects ranks on the CPU only: "
                   "start one process for a GPU, or set device: cpu",
                   ranks);
  const comm_plugin *plugin;
  err error = load(ranks, &plugin);
  return error ? error : plugin->open(out);
}

void comm_close(comm *c) {
  if (c) c->call->destroy(c);
}
