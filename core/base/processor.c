#include "base/processor.h"

#include <stdlib.h>
#include <string.h>
#ifdef __x86_64__
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

const char *processor_name(int variant) {
#define NAME(suffix, name) name,
  static const char *const names[] = {PROCESSOR_VARIANTS(NAME)};
#undef NAME
  return names[variant];
}

#ifdef __x86_64__
/* AMX's tiles with bf16 products. Linux (5.16 on) gives a process their registers on request. */
static bool has_tiles(void) {
  enum { REQUEST_STATE = 0x1023, TILE_DATA = 18, BF16 = 1 << 22, TILES = 1 << 24 };
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & (BF16 | TILES)) != (BF16 | TILES))
    return false;
  return syscall(SYS_arch_prctl, REQUEST_STATE, TILE_DATA) == 0;
}
#endif

/* Must match what flip_variants.cmake compiles for. */
bool processor_has(int variant) {
#ifdef __x86_64__
  switch (variant) {
  case PROCESSOR_v4_amx:
    if (!has_tiles()) return false;
    __attribute__((fallthrough));
  case PROCESSOR_v4_bf16:
    if (!__builtin_cpu_supports("avx512bf16")) return false;
    __attribute__((fallthrough));
  case PROCESSOR_v4:
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512cd") || !__builtin_cpu_supports("avx512dq") ||
        !__builtin_cpu_supports("avx512vl"))
      return false;
    __attribute__((fallthrough));
  case PROCESSOR_v3:
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
        !__builtin_cpu_supports("bmi") || !__builtin_cpu_supports("bmi2"))
      return false;
    __attribute__((fallthrough));
  default:
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
  }
#else
  (void)variant;
  return true;
#endif
}

bool processor_has_bf16(void) {
#ifdef __x86_64__
  return processor_has(PROCESSOR_v4_bf16);
#else
  return false;
#endif
}

static int named(const char *name) {
  int variant = 0;
  while (variant < PROCESSOR_COUNT && strcmp(name, processor_name(variant)) != 0) variant++;
  return variant;
}

int processor_variant(void) {
  const char *forced = getenv(PROCESSOR_VARIABLE);
  int variant = forced && *forced ? named(forced) : PROCESSOR_COUNT;
  if (variant < PROCESSOR_COUNT && processor_has(variant)) return variant;
  for (variant = PROCESSOR_COUNT - 1; variant > 0; variant--)
    if (processor_has(variant)) break;
  return variant;
}

bool processor_has_tiles(void) {
#ifdef __x86_64__
  return processor_variant() == PROCESSOR_v4_amx;
#else
  return false;
#endif
}

err processor_check(void) {
#define LIST(suffix, name) " " name
  static const char all[] = PROCESSOR_VARIANTS(LIST);
#undef LIST
  const char *forced = getenv(PROCESSOR_VARIABLE);
  if (!processor_has(0))
    return err_new(ERR_UNSUPPORTED, "this processor lacks %s, which this build requires",
                   processor_name(0));
  if (!forced || !*forced) return NULL;
  int variant = named(forced);
  if (variant == PROCESSOR_COUNT)
    return err_new(ERR_INPUT, PROCESSOR_VARIABLE ": '%s' is not a variant of this build:%s", forced,
                   all);
  if (!processor_has(variant))
    return err_new(ERR_UNSUPPORTED,
                   PROCESSOR_VARIABLE ": this processor lacks %s; the best it supports is %s",
                   forced, processor_name(processor_variant()));
  return NULL;
}
