#include "sweep/slots.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "base/fs.h"
#include "base/mem.h"

void slots_free(slots *s) {
  for (int i = 0; i < s->count; i++) {
    free(s->items[i].gpus);
    strbuf_free(&s->items[i].shown);
  }
  free(s->items);
  *s = (slots){0};
}

slot *slots_take(slots *s) {
  for (int i = 0; i < s->count; i++)
    if (!s->items[i].is_busy) {
      s->items[i].is_busy = true;
      return &s->items[i];
    }
  return NULL;
}

/* ---- resources of the machine ---- */

static err split_ids(const char *text, spec_names *ids) {
  err error = NULL;
  char *copy = mem_copy_string(text);
  if (!copy) return mem_error(0, "the list of GPUs");
  for (char *rest = copy, *part; !error && (part = strsep(&rest, ","));)
    if (*part) error = spec_names_add(ids, part);
  free(copy);
  return error;
}

/* The driver lists one folder per GPU; CUDA counts them from 0. */
static err find_gpus(const char *given, spec_names *ids) {
  const char *visible = getenv("CUDA_VISIBLE_DEVICES");
  char **names = NULL;
  size_t count = 0;
  if (given) return split_ids(given, ids);
  if (visible) return split_ids(visible, ids);
  if (!fs_is_folder("/proc/driver/nvidia/gpus")) return NULL;
  err error = fs_list("/proc/driver/nvidia/gpus", &names, &count);
  for (size_t i = 0; i < count && !error; i++) {
    char number[24];
    snprintf(number, sizeof number, "%zu", i);
    error = spec_names_add(ids, number);
  }
  fs_free_names(names, count);
  return error;
}

static int list_cores(int cores[CPU_SETSIZE]) {
  cpu_set_t allowed;
  int count = 0;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 0;
  for (int i = 0; i < CPU_SETSIZE; i++)
    if (CPU_ISSET((size_t)i, &allowed)) cores[count++] = i;
  return count;
}

int slots_cores(const slots *s) {
  int cores[CPU_SETSIZE];
  if (s->count && s->items[0].is_pinned) return CPU_COUNT(&s->items[0].cores);
  int count = list_cores(cores);
  return count > 0 ? count : 1;
}

/* ---- allocation ---- */

/* "of 4 ranks ", or nothing. */
static const char *name_ranks(int64_t ranks, char text[32]) {
  if (ranks <= 1) return "";
  snprintf(text, 32, " of %lld ranks", (long long)ranks);
  return text;
}

/* needs: of a whole cell. */
static err choose_count(const run_options *options, const spec_requires *needs, int core_count,
                        size_t gpu_count, int *count) {
  char text[32];
  int64_t gpus = needs->gpus, by_gpus = gpus ? (int64_t)gpu_count / gpus : 0;
  int64_t by_cores = needs->cores ? core_count / needs->cores : 0;
  if (gpus > (int64_t)gpu_count)
    return err_new(
        ERR_INPUT, "a cell%s requires %lld GPU%s, but %zu are available (--gpus selects them)",
        name_ranks(needs->ranks, text), (long long)gpus, gpus == 1 ? "" : "s", gpu_count);
  if (needs->cores > core_count)
    return err_new(ERR_INPUT, "a cell%s requires %lld CPU cores, but %d are available",
                   name_ranks(needs->ranks, text), (long long)needs->cores, core_count);
  int64_t most = gpus && needs->cores ? (by_gpus < by_cores ? by_gpus : by_cores)
                 : gpus               ? by_gpus
                                      : by_cores;
  *count = options->jobs ? options->jobs : most ? (int)most : 1;
  if (*count > SLOTS_MOST) *count = SLOTS_MOST;
  if (most && *count > most)
    return err_new(ERR_INPUT,
                   "--jobs %d: cells of %lld cores and %lld GPUs each: only %lld fit on this "
                   "machine's %d cores and %zu GPUs",
                   *count, (long long)needs->cores, (long long)gpus, (long long)most, core_count,
                   gpu_count);
  return NULL;
}

static void show_cores(const int *cores, int count, strbuf *out) {
  strbuf_append(out, count == 1 ? "core " : "cores ");
  for (int i = 0; i < count; i++) {
    int first = i;
    while (i + 1 < count && cores[i + 1] == cores[i] + 1) i++;
    strbuf_format(out, "%s%d", first ? "," : "", cores[first]);
    if (i > first) strbuf_format(out, "-%d", cores[i]);
  }
}

static void give_cores(slots *s, int64_t each, const int *cores) {
  for (int i = 0; i < s->count; i++) {
    slot *one = &s->items[i];
    one->is_pinned = true;
    CPU_ZERO(&one->cores);
    for (int64_t k = 0; k < each; k++) CPU_SET((size_t)cores[i * each + k], &one->cores);
    show_cores(&cores[i * each], (int)each, &one->shown);
  }
}

static err give_gpus(slots *s, size_t each, const spec_names *ids) {
  for (int i = 0; i < s->count; i++) {
    strbuf list = {0};
    for (size_t k = 0; k < each; k++)
      strbuf_format(&list, "%s%s", k ? "," : "", ids->items[(size_t)i * each + k]);
    s->items[i].gpus = strbuf_take(&list);
    if (!s->items[i].gpus) return mem_error(0, "the list of GPUs");
    strbuf_format(&s->items[i].shown, "%sGPU %s", s->items[i].shown.length ? ", " : "",
                  s->items[i].gpus);
  }
  return NULL;
}

spec_requires slots_needs(const spec_experiment *e) {
  spec_requires needs = e->requires;
  needs.ranks = 1;
  for (size_t i = 0; i < e->cell_count; i++) {
    const spec_ranks *own = &e->cells[i].ranks;
    if (own->ranks / own->nodes > needs.ranks) needs.ranks = own->ranks / own->nodes;
  }
  return needs;
}

err slots_make(const run_options *options, const spec_requires *given, slots *made) {
  int cores[CPU_SETSIZE], core_count = list_cores(cores);
  spec_names gpus = {0};
  spec_requires needs = *given;
  err error = NULL;
  *made = (slots){.cores_of_rank = needs.cores};
  if (options->gpus && !needs.gpus) needs.gpus = 1;
  if (needs.gpus) TRY(find_gpus(options->gpus, &gpus));
  if (needs.ranks < 1) needs.ranks = 1;
  needs.cores *= needs.ranks;
  needs.gpus *= needs.ranks;
  int count = 0;
  TRY(choose_count(options, &needs, core_count, gpus.count, &count));
  made->items = mem_zeroed((size_t)count, sizeof *made->items);
  if (!made->items) FAIL(ERR_MEMORY, "out of memory: the slots");
  made->count = count;
  int64_t each = needs.cores ? needs.cores : count > 1 ? core_count / count : 0;
  if (each) give_cores(made, each, cores);
  if (needs.gpus) TRY(give_gpus(made, (size_t)needs.gpus, &gpus));
cleanup:
  spec_names_free(&gpus);
  if (error) slots_free(made);
  return error;
}

int slots_cores_of_rank(const slots *s, int64_t ranks) {
  int64_t each = s->cores_of_rank ? s->cores_of_rank : slots_cores(s) / ranks;
  return each > 0 ? (int)each : 1;
}

bool slots_share(const slots *s, const slot *place, int64_t ranks, cpu_set_t *cores) {
  if (!place->is_pinned) return false;
  *cores = place->cores;
  int64_t left = s->cores_of_rank * ranks;
  for (int i = 0; i < CPU_SETSIZE && s->cores_of_rank; i++)
    if (CPU_ISSET((size_t)i, cores) && left-- <= 0) CPU_CLR((size_t)i, cores);
  return true;
}

void slots_show_share(const slots *s, const slot *place, int64_t ranks, strbuf *out) {
  cpu_set_t share;
  int cores[CPU_SETSIZE], count = 0;
  if (slots_share(s, place, ranks, &share)) {
    for (int i = 0; i < CPU_SETSIZE; i++)
      if (CPU_ISSET((size_t)i, &share)) cores[count++] = i;
    show_cores(cores, count, out);
  }
  if (place->gpus) strbuf_format(out, "%sGPU %s", out->length ? ", " : "", place->gpus);
}

err slots_check_machine(const spec_requires *needs) {
  strbuf missing = {0};
  char wanted[TEXT_NUMBER_SIZE], there[TEXT_NUMBER_SIZE];
  struct sysinfo machine;
  if (needs->memory_bytes && sysinfo(&machine) == 0) {
    uint64_t total = (uint64_t)machine.totalram * machine.mem_unit;
    if (total < (uint64_t)needs->memory_bytes)
      strbuf_format(&missing, "\n  memory: %s, this machine has %s",
                    text_bytes((uint64_t)needs->memory_bytes, wanted), text_bytes(total, there));
  }
  for (size_t i = 0; i < needs->variables.count; i++)
    if (!getenv(needs->variables.items[i]))
      strbuf_format(&missing, "\n  the environment variable %s is not set",
                    needs->variables.items[i]);
  for (size_t i = 0; i < needs->files.count; i++)
    if (!fs_exists(needs->files.items[i]))
      strbuf_format(&missing, "\n  %s does not exist", needs->files.items[i]);
  err error =
      missing.length
          ? err_new(ERR_INPUT, "this machine does not meet the experiment's requirements:%s",
                    strbuf_string(&missing))
          : NULL;
  strbuf_free(&missing);
  return error;
}
