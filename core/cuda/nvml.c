/* GPU readings: memory, utilisation, power, energy. NVML is part of the driver, so its library is
 * opened at run time and its few types are declared here, as documented. */
#include "cuda/cuda.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

typedef struct nvml_device *nvml_handle;
typedef struct {
  unsigned long long total, free, used;
} nvml_memory;
typedef struct {
  unsigned int gpu, memory; /* percent over the last sample period */
} nvml_utilisation;

enum { NVML_CLOCK_SM = 1, MOST_PROCESSES = 64 };
typedef struct {
  unsigned int pid;
  unsigned long long used;
  unsigned int instance, compute_instance;
} nvml_process;

struct nvml_meter {
  void *library;
  nvml_handle device;
  int (*shutdown)(void);
  int (*memory)(nvml_handle, nvml_memory *);
  int (*utilisation)(nvml_handle, nvml_utilisation *);
  int (*power)(nvml_handle, unsigned int *);        /* milliwatts */
  int (*energy)(nvml_handle, unsigned long long *); /* millijoules since the driver was loaded */
  int (*clock)(nvml_handle, int, unsigned int *);   /* MHz */
  int (*processes)(nvml_handle, unsigned int *, nvml_process *);
};

/* Looks up a function of the library, cast to the type of `function`. */
static void look_up(nvml_meter *meter, const char *name, void *function) {
  void *symbol = dlsym(meter->library, name);
  memcpy(function, &symbol, sizeof symbol);
}

nvml_meter *nvml_open(int device) {
  char bus[32];
  int (*start)(void);
  int (*find)(const char *, nvml_handle *);
  nvml_meter *meter = mem_zeroed(1, sizeof *meter);
  if (!meter) return NULL;
  meter->library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  if (meter->library) {
    look_up(meter, "nvmlInit_v2", &start);
    look_up(meter, "nvmlShutdown", &meter->shutdown);
    look_up(meter, "nvmlDeviceGetHandleByPciBusId_v2", &find);
    look_up(meter, "nvmlDeviceGetMemoryInfo", &meter->memory);
    look_up(meter, "nvmlDeviceGetUtilizationRates", &meter->utilisation);
    look_up(meter, "nvmlDeviceGetPowerUsage", &meter->power);
    look_up(meter, "nvmlDeviceGetTotalEnergyConsumption", &meter->energy);
    look_up(meter, "nvmlDeviceGetClockInfo", &meter->clock);
    look_up(meter, "nvmlDeviceGetComputeRunningProcesses_v3", &meter->processes);
    bool is_started = start && start() == 0;
    if (!is_started) meter->shutdown = NULL;
    if (is_started && find && cudaDeviceGetPCIBusId(bus, sizeof bus, device) == cudaSuccess &&
        find(bus, &meter->device) == 0)
      return meter;
  }
  nvml_close(meter);
  return NULL;
}

void nvml_close(nvml_meter *meter) {
  if (!meter) return;
  if (meter->shutdown) (void)meter->shutdown();
  if (meter->library) (void)dlclose(meter->library);
  free(meter);
}

/* All compute processes on the device except this one, whose pid differs in a container with its
 * own pid namespace. */
static double count_others(const nvml_meter *meter) {
  nvml_process found[MOST_PROCESSES];
  unsigned int count = MOST_PROCESSES;
  if (!meter->processes || meter->processes(meter->device, &count, found) != 0) return -1;
  return count > 0 ? (double)count - 1 : 0;
}

void nvml_read(nvml_meter *meter, ops_usage *usage) {
  nvml_memory memory;
  nvml_utilisation busy;
  unsigned int milliwatts, mhz;
  unsigned long long millijoules;
  *usage = (ops_usage){-1, -1, -1, -1, -1, -1};
  if (!meter) return;
  if (meter->memory && meter->memory(meter->device, &memory) == 0)
    usage->used_bytes = (double)memory.used;
  if (meter->utilisation && meter->utilisation(meter->device, &busy) == 0)
    usage->utilisation = (double)busy.gpu / 100;
  if (meter->power && meter->power(meter->device, &milliwatts) == 0)
    usage->power_watts = (double)milliwatts / 1e3;
  if (meter->energy && meter->energy(meter->device, &millijoules) == 0)
    usage->energy_joules = (double)millijoules / 1e3;
  if (meter->clock && meter->clock(meter->device, NVML_CLOCK_SM, &mhz) == 0)
    usage->clock_mhz = (double)mhz;
  usage->other_processes = count_others(meter);
}
