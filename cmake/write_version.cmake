# Writes flip_version.h and flip_dirty.diff only when they changed, so that nothing is rebuilt
# without need.
execute_process(COMMAND git -C ${SOURCE} rev-parse HEAD OUTPUT_VARIABLE commit
                OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(commit "unknown")
endif()
# Files that change what the programs do; documents and results do not make a build dirty.
set(places core harness cmake CMakeLists.txt)
execute_process(COMMAND git -C ${SOURCE} diff HEAD -- ${places} OUTPUT_FILE ${DIFF}.new ERROR_QUIET)
# New files that git does not know yet belong to the difference too.
execute_process(COMMAND git -C ${SOURCE} ls-files --others --exclude-standard -- ${places}
                OUTPUT_VARIABLE unknown OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
string(REPLACE "\n" ";" unknown "${unknown}")
foreach(file IN LISTS unknown)
  execute_process(COMMAND git diff --no-index -- /dev/null ${file} WORKING_DIRECTORY ${SOURCE}
                  OUTPUT_FILE ${DIFF}.part ERROR_QUIET)
  execute_process(COMMAND cat ${DIFF}.part OUTPUT_VARIABLE part)
  file(APPEND ${DIFF}.new "${part}")
endforeach()
file(SIZE ${DIFF}.new size)
set(digest "")
if(size GREATER 0)
  file(SHA256 ${DIFF}.new digest)
  string(SUBSTRING ${digest} 0 12 digest)
endif()
execute_process(COMMAND ${CMAKE_COMMAND} -E copy_if_different ${DIFF}.new ${DIFF})
string(REPLACE "\\" "\\\\" FLAGS "${FLAGS}")
string(REPLACE "\"" "\\\"" FLAGS "${FLAGS}")
set(text "#define FLIP_VERSION \"${VERSION}\"\n#define FLIP_COMMIT \"${commit}\"\n#define FLIP_DIRTY_DIGEST \"${digest}\"\n#define FLIP_DIRTY_FILE \"${DIFF}\"\n#define FLIP_FLAGS \"${FLAGS}\"\n")
set(before "")
if(EXISTS ${OUT})
  file(READ ${OUT} before)
endif()
if(NOT text STREQUAL before)
  file(WRITE ${OUT} "${text}")
endif()
