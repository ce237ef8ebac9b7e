/* NVML's meters, as a separate library: a GPU that takes 100 W all the time. */
#include <stdio.h>
#include <string.h>
#include <time.h>

typedef struct nvml_device *nvml_handle;
enum { NVML_SUCCESS = 0, NVML_UNINITIALIZED = 1, NVML_INVALID = 2, NVML_NOT_FOUND = 6 };

static int users;
static char device;

int nvmlInit_v2(void);
int nvmlShutdown(void);
int nvmlDeviceGetHandleByPciBusId_v2(const char *bus, nvml_handle *out);
int nvmlDeviceGetMemoryInfo(nvml_handle handle, unsigned long long memory[3]);
int nvmlDeviceGetUtilizationRates(nvml_handle handle, unsigned int percent[2]);
int nvmlDeviceGetPowerUsage(nvml_handle handle, unsigned int *milliwatts);
int nvmlDeviceGetTotalEnergyConsumption(nvml_handle handle, unsigned long long *millijoules);
int nvmlDeviceGetClockInfo(nvml_handle handle, int kind, unsigned int *mhz);
int nvmlDeviceGetComputeRunningProcesses_v3(nvml_handle handle, unsigned int *count, void *found);

int nvmlInit_v2(void) {
  users++;
  return NVML_SUCCESS;
}

int nvmlShutdown(void) {
  if (users == 0) return NVML_UNINITIALIZED;
  users--;
  return NVML_SUCCESS;
}

static int check(nvml_handle handle, const void *out) {
  if (users == 0) return NVML_UNINITIALIZED;
  return (const char *)handle == &device && out ? NVML_SUCCESS : NVML_INVALID;
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *bus, nvml_handle *out) {
  if (users == 0) return NVML_UNINITIALIZED;
  unsigned int number = 0;
  if (sscanf(bus, "0000:%2x:00.0", &number) != 1 || number < 1) return NVML_NOT_FOUND;
  *out = (nvml_handle)(void *)&device;
  return NVML_SUCCESS;
}

/* total, free, used */
int nvmlDeviceGetMemoryInfo(nvml_handle handle, unsigned long long memory[3]) {
  int status = check(handle, memory);
  if (status) return status;
  memory[0] = 2ull << 30;
  memory[2] = 700ull << 20;
  memory[1] = memory[0] - memory[2];
  return NVML_SUCCESS;
}

/* of the processors, of the memory's bandwidth */
int nvmlDeviceGetUtilizationRates(nvml_handle handle, unsigned int percent[2]) {
  int status = check(handle, percent);
  if (status) return status;
  percent[0] = 75;
  percent[1] = 30;
  return NVML_SUCCESS;
}

int nvmlDeviceGetPowerUsage(nvml_handle handle, unsigned int *milliwatts) {
  int status = check(handle, milliwatts);
  if (!status) *milliwatts = 100000;
  return status;
}

int nvmlDeviceGetTotalEnergyConsumption(nvml_handle handle, unsigned long long *millijoules) {
  struct timespec now;
  int status = check(handle, millijoules);
  if (status) return status;
  clock_gettime(CLOCK_MONOTONIC, &now);
  *millijoules =
      100ull * ((unsigned long long)now.tv_sec * 1000 + (unsigned long long)now.tv_nsec / 1000000);
  return NVML_SUCCESS;
}

int nvmlDeviceGetClockInfo(nvml_handle handle, int kind, unsigned int *mhz) {
  int status = check(handle, mhz);
  if (!status && kind != 1) status = NVML_INVALID; /* 1: of the processors */
  if (!status) *mhz = 1755;
  return status;
}

/* One process: the one that asks. */
int nvmlDeviceGetComputeRunningProcesses_v3(nvml_handle handle, unsigned int *count, void *found) {
  int status = check(handle, found);
  if (!status) *count = 1;
  return status;
}
