# Writes flip_version.h and flip_dirty.diff only when they changed, so that nothing is rebuilt
# without need. In a checkout the commit and what was changed since come from git; in a source archive
# from archive.txt, which cmake/source_archive.cmake put there, and git is not asked: the archive may
# have been unpacked inside another project's checkout.
#
# Files that change what the programs do; documents and results do not make a build dirty.
set(places core harness cmake CMakeLists.txt)
set(commit "unknown")
file(WRITE ${DIFF}.new "")

# archived(): the files that are not as archive.txt lists them, each whole, since what it was is not known.
function(archived)
  file(STRINGS ${SOURCE}/cmake/archive.txt lines ENCODING UTF-8)
  list(POP_FRONT lines first)
  if(NOT first MATCHES "^commit ([0-9a-f]+)$")
    message(FATAL_ERROR "${SOURCE}/cmake/archive.txt:1: expected 'commit HASH', got '${first}': "
                        "unpack the source archive again")
  endif()
  set(commit ${CMAKE_MATCH_1} PARENT_SCOPE)
  foreach(line IN LISTS lines)
    string(SUBSTRING "${line}" 0 64 digest)
    string(SUBSTRING "${line}" 66 -1 name)
    string(MD5 key "${name}")
    set(listed_${key} ${digest})
    list(APPEND names "${name}")
  endforeach()
  foreach(place IN LISTS places)
    if(IS_DIRECTORY ${SOURCE}/${place})
      file(GLOB_RECURSE found RELATIVE ${SOURCE} ${SOURCE}/${place}/*)
      list(APPEND names ${found})
    endif()
  endforeach()
  list(REMOVE_DUPLICATES names)
  list(REMOVE_ITEM names cmake/archive.txt)
  list(SORT names)
  foreach(name IN LISTS names)
    set(digest missing)
    if(EXISTS ${SOURCE}/${name})
      file(SHA256 ${SOURCE}/${name} digest)
    endif()
    string(MD5 key "${name}")
    if(NOT digest STREQUAL "${listed_${key}}")
      file(APPEND ${DIFF}.new "# ${name} is not the source archive's: sha256 ${digest}\n")
      execute_process(COMMAND diff -uN /dev/null ${name} WORKING_DIRECTORY ${SOURCE}
                      OUTPUT_FILE ${DIFF}.part ERROR_QUIET)
      execute_process(COMMAND sed "1,2s/\t.*//" ${DIFF}.part OUTPUT_VARIABLE part) # no time of writing
      file(APPEND ${DIFF}.new "${part}")
    endif()
  endforeach()
endfunction()

# Of this checkout, whatever repository git's own variables name: those of an alias, a hook or a commit that is measured.
foreach(variable IN ITEMS DIR WORK_TREE INDEX_FILE COMMON_DIR OBJECT_DIRECTORY ALTERNATE_OBJECT_DIRECTORIES
                          GRAFT_FILE SHALLOW_FILE NO_REPLACE_OBJECTS REPLACE_REF_BASE PREFIX)
  unset(ENV{GIT_${variable}})
endforeach()

# The user's configuration of git must not change the difference: it would give equal sources two digests, or none.
file(REAL_PATH ${SOURCE} real)
set(git git -c safe.directory=${real} -c core.quotePath=false -c core.attributesFile=/dev/null)
set(difference diff --no-ext-diff --no-textconv --no-color --full-index --src-prefix=a/ --dst-prefix=b/ --unified=3
               --inter-hunk-context=0 --diff-algorithm=myers --indent-heuristic --no-renames --no-relative -O/dev/null)

# asked(OUTPUT FILE|VARIABLE NAME, ARGUMENTS…): false, with a warning in a checkout, where git does not answer.
function(asked kind name)
  execute_process(COMMAND ${git} -C ${SOURCE} ${ARGN} OUTPUT_${kind} ${name} OUTPUT_STRIP_TRAILING_WHITESPACE
                  ERROR_VARIABLE why RESULT_VARIABLE failed)
  if(kind STREQUAL VARIABLE)
    set(${name} "${${name}}" PARENT_SCOPE)
  endif()
  set(answered TRUE PARENT_SCOPE)
  if(NOT failed STREQUAL 0)
    set(answered FALSE PARENT_SCOPE)
    if(EXISTS ${SOURCE}/.git)
      message(WARNING "git does not read ${SOURCE}: builds record no commit (${failed})\n${why}")
    endif()
  endif()
endfunction()

function(checked_out)
  # A checkout that does not know this very file is another project's.
  asked(VARIABLE known ls-files --error-unmatch cmake/write_version.cmake)
  if(NOT answered)
    return()
  endif()
  asked(VARIABLE head rev-parse HEAD)
  if(NOT answered)
    return()
  endif()
  asked(FILE ${DIFF}.new ${difference} HEAD -- ${places})
  if(NOT answered)
    return()
  endif()
  set(commit ${head} PARENT_SCOPE)
  # New files that git does not know yet belong to the difference too.
  asked(VARIABLE unknown ls-files --others --exclude-standard -- ${places})
  string(REPLACE "\n" ";" unknown "${unknown}")
  foreach(file IN LISTS unknown)
    execute_process(COMMAND ${git} ${difference} --no-index -- /dev/null ${file} WORKING_DIRECTORY ${SOURCE}
                    OUTPUT_FILE ${DIFF}.part ERROR_QUIET)
    execute_process(COMMAND cat ${DIFF}.part OUTPUT_VARIABLE part)
    file(APPEND ${DIFF}.new "${part}")
  endforeach()
endfunction()

if(EXISTS ${SOURCE}/cmake/archive.txt)
  archived()
else()
  checked_out()
endif()
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
