# cmake -DSOURCE=CHECKOUT -DNAME=flipbench-VERSION -DOUT=FOLDER -P source_archive.cmake: the last
# commit's files as OUT/NAME.tar.gz, with cmake/archive.txt: the commit, and the SHA-256 of each file
# that cmake/write_version.cmake compares. The same commit gives the same bytes.
function(git)
  execute_process(COMMAND git -C ${SOURCE} ${ARGN} OUTPUT_VARIABLE printed OUTPUT_STRIP_TRAILING_WHITESPACE
                  COMMAND_ERROR_IS_FATAL ANY)
  set(printed "${printed}" PARENT_SCOPE)
endfunction()

git(status --porcelain --untracked-files=no)
if(printed)
  message(FATAL_ERROR "uncommitted changes would be missing from the archive: commit or stash them first\n${printed}")
endif()
git(rev-parse HEAD)
set(commit ${printed})
set(folder ${OUT}/${NAME}.unpacked)
file(REMOVE_RECURSE ${folder})
file(MAKE_DIRECTORY ${folder})
git(archive --format=tar --output=${folder}.tar HEAD core harness cmake CMakeLists.txt)
file(ARCHIVE_EXTRACT INPUT ${folder}.tar DESTINATION ${folder})
file(GLOB_RECURSE files RELATIVE ${folder} ${folder}/*)
list(SORT files)
set(text "commit ${commit}\n")
foreach(file IN LISTS files)
  file(SHA256 ${folder}/${file} digest)
  string(APPEND text "${digest}  ${file}\n")
endforeach()
file(REMOVE_RECURSE ${folder})
file(REMOVE ${folder}.tar)
file(WRITE ${OUT}/archive.txt "${text}")
git(archive --format=tar.gz --prefix=${NAME}/cmake/ --add-file=${OUT}/archive.txt
    --prefix=${NAME}/ --output=${OUT}/${NAME}.tar.gz HEAD)
file(REMOVE ${OUT}/archive.txt)
message("${OUT}/${NAME}.tar.gz")
