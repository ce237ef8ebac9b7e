#include "base/version.h"

#include "flip_version.h"

const char version_string[] = FLIP_VERSION;
const char version_commit[] = FLIP_COMMIT;
const char version_dirty_digest[] = FLIP_DIRTY_DIGEST;
#ifdef __clang__
const char version_compiler[] = __VERSION__;
#else
const char version_compiler[] = "gcc " __VERSION__;
#endif
