#include "base/version.h"

#include "flip_version.h"

const char version_string[] = FLIP_VERSION;
const char version_commit[] = FLIP_COMMIT;
const char version_dirty_digest[] = FLIP_DIRTY_DIGEST;
const char version_flags[] = FLIP_FLAGS;
#ifdef __clang__
const char version_compiler[] = __VERSION__;
#else
const char version_compiler[] = "gcc " __VERSION__;
#endif

/* The diff, embedded by the assembler: it may be longer than a string literal. */
extern const char version_dirty_start[], version_dirty_end[];
__asm__(".pushsection .rodata\n"
        ".globl version_dirty_start\n"
        "version_dirty_start:\n"
        ".incbin \"" FLIP_DIRTY_FILE "\"\n"
        ".globl version_dirty_end\n"
        "version_dirty_end:\n"
        ".popsection\n");

const char *version_dirty_text(size_t *length) {
  *length = (size_t)(version_dirty_end - version_dirty_start);
  return version_dirty_start;
}
