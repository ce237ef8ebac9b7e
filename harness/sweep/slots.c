#include "sweep/slots.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "base/fs.h"
#include "base/mem.h"

/* ---- resources of the machine ---- */

/* As CUDA reads it: what follows an entry that names no device, "-1", is not seen. */
static err split_ids(const char *text, spec_names *ids) {
  err error = NULL;
  char *copy = mem_copy_string(text);
  if (!copy) return mem_error(0, "the list of GPUs");
  for (char *rest = copy, *part; !error && (part = strsep(&rest, ",")) && *part != '-';)
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

/* ---- allocation ---- */

/* "of 4 ranks ", or nothing. */
static const char *name_ranks(int64_t ranks, char text[32]) {
  if (ranks <= 1) return "";
  snprintf(text, 32, " of %lld ranks", (long long)ranks);
  return text;
}

spec_requires slots_needs(const spec_experiment *e, const run_options *options, int64_t *fewest) {
  spec_requires needs = e->requires;
  /* cells at a time that ask for a GPU would otherwise all take the first one */
  for (size_t i = 0; i < e->cell_count && options->jobs > 1 && !needs.gpus; i++)
    if (e->cells[i].settings.device == DEVICE_CUDA) needs.gpus = 1;
  needs.ranks = needs.nodes = 1;
  *fewest = 0;
  for (size_t i = 0; i < e->cell_count; i++) {
    const spec_ranks *own = &e->cells[i].ranks;
    int64_t here = own->ranks / own->nodes;
    if (here > needs.ranks) needs.ranks = here;
    if (own->nodes > needs.nodes) needs.nodes = own->nodes;
    if (!*fewest || here < *fewest) *fewest = here;
  }
  return needs;
}

/* Whether the largest cell fits alone. */
static err check_largest(const slots *s, const spec_requires *needs) {
  char text[32];
  int64_t cores = needs->cores * needs->ranks, gpus = needs->gpus * needs->ranks;
  if (gpus > (int64_t)s->gpus.count)
    return err_new(
        ERR_INPUT, "a cell%s requires %lld %s, but %zu %s available (--gpus selects them)",
        name_ranks(needs->ranks, text), (long long)gpus, text_plural(gpus, "GPU", "GPUs"),
        s->gpus.count, text_plural((int64_t)s->gpus.count, "is", "are"));
  if (cores > s->core_count)
    return err_new(ERR_INPUT, "a cell%s requires %lld CPU cores, but %d %s available",
                   name_ranks(needs->ranks, text), (long long)cores, s->core_count,
                   text_plural(s->core_count, "is", "are"));
  return NULL;
}

static int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

/* Ranks for which there are both cores and GPUs; 0: no limit, since none are required. */
static int64_t count_places(const slots *s, const spec_requires *needs) {
  int64_t by_gpus = needs->gpus ? (int64_t)s->gpus.count / needs->gpus : INT64_MAX;
  int64_t by_cores = needs->cores ? s->core_count / needs->cores : INT64_MAX;
  return s->is_by_rank ? least(by_gpus, by_cores) : 0;
}

/* Only this machine's cores and GPUs are divided: two cells that use others too would share those.
 */
static err choose_one(slots *s, const run_options *options) {
  s->count = 1;
  if (options->jobs <= 1) return NULL;
  return err_new(
      ERR_INPUT,
      "--jobs %d: cells that use several machines run one at a time, since flipbench "
      "divides only this machine's cores and GPUs: leave --jobs out, or submit the cells "
      "to a cluster ('flipbench submit --slurm')",
      options->jobs);
}

static err choose_count(slots *s, const run_options *options, const spec_requires *needs,
                        int64_t fewest) {
  if (needs->nodes > 1) return choose_one(s, options);
  int64_t most = count_places(s, needs) / fewest;
  int64_t count = options->jobs ? options->jobs : most ? most : 1;
  s->count = (int)least(count, SLOTS_MOST);
  if (most && s->count > most)
    return err_new(ERR_INPUT,
                   "--jobs %d: cells of %lld %s and %lld %s each: only %lld %s on this "
                   "machine's %d %s and %zu %s",
                   s->count, (long long)(needs->cores * fewest),
                   text_plural(needs->cores * fewest, "core", "cores"),
                   (long long)(needs->gpus * fewest),
                   text_plural(needs->gpus * fewest, "GPU", "GPUs"), (long long)most,
                   text_plural(most, "fits", "fit"), s->core_count,
                   text_plural(s->core_count, "core", "cores"), s->gpus.count,
                   text_plural((int64_t)s->gpus.count, "GPU", "GPUs"));
  return NULL;
}

/* Cells that may run at once do not share cores: each has as many as required, or equal parts. */
static void divide_cores(slots *s, const spec_requires *needs) {
  int64_t places = s->count;
  if (s->is_by_rank) places = least(count_places(s, needs), s->count * needs->ranks);
  s->place_cores = needs->cores ? needs->cores : s->count > 1 ? s->core_count / places : 0;
}

err slots_make(const run_options *options, const spec_requires *given, int64_t fewest,
               slots *made) {
  spec_requires needs = *given;
  err error = NULL;
  if (options->gpus && !needs.gpus) needs.gpus = 1;
  if (needs.ranks < 1) needs.ranks = 1;
  if (fewest < 1) fewest = 1;
  *made = (slots){.is_by_rank = needs.cores > 0 || needs.gpus > 0,
                  .place_gpus = needs.gpus,
                  .cores_of_rank = needs.cores};
  made->core_count = list_cores(made->cores);
  if (needs.gpus) TRY(find_gpus(options->gpus, &made->gpus));
  TRY(check_largest(made, &needs));
  TRY(choose_count(made, options, &needs, fewest));
  divide_cores(made, &needs);
  made->gpu_owners = mem_zeroed(made->gpus.count + 1, sizeof *made->gpu_owners);
  if (!made->gpu_owners) error = mem_error(made->gpus.count, "the slots");
cleanup:
  if (error) slots_free(made);
  return error;
}

void slots_free(slots *s) {
  spec_names_free(&s->gpus);
  free(s->gpu_owners);
  *s = (slots){0};
}

static int64_t places_of(const slots *s, int64_t ranks) {
  return s->is_by_rank ? ranks : 1;
}

int slots_cores_of_rank(const slots *s, int64_t ranks) {
  int64_t own = s->place_cores ? places_of(s, ranks) * s->place_cores : s->core_count;
  int64_t each = s->cores_of_rank ? s->cores_of_rank : own / ranks;
  return each > 0 ? (int)each : 1;
}

/* ---- slots ---- */

static int64_t count_free(const slot *const *owners, int64_t count) {
  int64_t found = 0;
  for (int64_t i = 0; i < count; i++) found += !owners[i];
  return found;
}

bool slots_fit(const slots *s, int64_t ranks) {
  int64_t places = places_of(s, ranks);
  return s->taken < s->count &&
         places * s->place_cores <= count_free(s->core_owners, s->core_count) &&
         places * s->place_gpus <= count_free(s->gpu_owners, (int64_t)s->gpus.count);
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

static void take_cores(slots *s, int64_t wanted, slot *one) {
  int own[CPU_SETSIZE], count = 0;
  one->is_pinned = true;
  CPU_ZERO(&one->cores);
  for (int i = 0; i < s->core_count && count < wanted; i++) {
    if (s->core_owners[i]) continue;
    s->core_owners[i] = one;
    CPU_SET((size_t)s->cores[i], &one->cores);
    own[count++] = s->cores[i];
  }
  show_cores(own, count, &one->shown);
}

static void take_gpus(slots *s, int64_t wanted, slot *one) {
  strbuf list = {0};
  for (size_t i = 0; i < s->gpus.count && wanted > 0; i++) {
    if (s->gpu_owners[i]) continue;
    s->gpu_owners[i] = one;
    wanted--;
    strbuf_format(&list, "%s%s", list.length ? "," : "", s->gpus.items[i]);
  }
  strbuf_format(&one->shown, "%sGPU %s", one->shown.length ? ", " : "", strbuf_string(&list));
  one->gpus = strbuf_take(&list);
}

err slots_take(slots *s, int64_t ranks, slot **taken) {
  int64_t places = places_of(s, ranks);
  slot *one = *taken = mem_zeroed(1, sizeof *one);
  if (!one) return mem_error(sizeof *one, "a slot");
  s->taken++;
  if (s->place_cores) take_cores(s, places * s->place_cores, one);
  if (s->place_gpus) take_gpus(s, places * s->place_gpus, one);
  bool is_short = one->shown.is_broken || (s->place_gpus && !one->gpus);
  if (!is_short) return NULL;
  slots_give(s, one);
  *taken = NULL;
  return mem_error(0, "a slot");
}

void slots_give(slots *s, slot *place) {
  if (!place) return;
  s->taken--;
  for (int i = 0; i < s->core_count; i++)
    if (s->core_owners[i] == place) s->core_owners[i] = NULL;
  for (size_t i = 0; i < s->gpus.count; i++)
    if (s->gpu_owners[i] == place) s->gpu_owners[i] = NULL;
  free(place->gpus);
  strbuf_free(&place->shown);
  free(place);
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
