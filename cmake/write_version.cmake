# Writes flip_version.h only when it changed, so that nothing is rebuilt without need.
execute_process(COMMAND git -C ${SOURCE} rev-parse HEAD OUTPUT_VARIABLE commit
                OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(commit "unknown")
endif()
# Files that change what the programs do; documents and results do not make a build dirty.
execute_process(COMMAND git -C ${SOURCE} diff HEAD -- core harness cmake CMakeLists.txt
                OUTPUT_VARIABLE difference ERROR_QUIET)
set(digest "")
if(difference)
  string(SHA256 digest "${difference}")
  string(SUBSTRING ${digest} 0 12 digest)
endif()
set(text "#define FLIP_VERSION \"${VERSION}\"\n#define FLIP_COMMIT \"${commit}\"\n#define FLIP_DIRTY_DIGEST \"${digest}\"\n")
set(before "")
if(EXISTS ${OUT})
  file(READ ${OUT} before)
endif()
if(NOT text STREQUAL before)
  file(WRITE ${OUT} "${text}")
endif()
