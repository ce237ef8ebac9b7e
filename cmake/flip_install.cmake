# ninja man: a man page of every command; ninja install: programs, the plugin if it is built, what the
# programs look for in share/flip (core/base/shipped.c), man pages, shell completion, documents. The
# installed folder can be moved.
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME flipbench) # a Debian package (flip_package.cmake)
# Everybody can read what is installed, whatever the umask of who installs or packs it.
set(CMAKE_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
                                                WORLD_READ WORLD_EXECUTE)
# CMake applies these to the folders that it copies, not to those that it copies into.
function(install_folders component)
  list(TRANSFORM ARGN REPLACE "(.+)" "\"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/\\1\"" OUTPUT_VARIABLE folders)
  list(JOIN folders " " folders)
  install(CODE "execute_process(COMMAND sh -c \"umask 022 && mkdir -p \\\"\\$@\\\"\" sh ${folders} COMMAND_ERROR_IS_FATAL ANY)"
          COMPONENT ${component})
endfunction()
install_folders(flipbench bin ${CMAKE_INSTALL_DATADIR}/flip ${CMAKE_INSTALL_DATADIR}/doc/flip ${CMAKE_INSTALL_DATADIR}/doc/flipbench)
foreach(component IN ITEMS flipbench-cuda flipbench-mpi)
  if((component STREQUAL flipbench-cuda AND FLIP_CUDA) OR (component STREQUAL flipbench-mpi AND TARGET flip_mpi))
    install_folders(${component} lib ${CMAKE_INSTALL_DATADIR}/doc/${component})
  endif()
endforeach()
set(pages ${CMAKE_BINARY_DIR}/man)
add_custom_target(man
  COMMAND sh ${CMAKE_SOURCE_DIR}/cmake/man_pages.sh ${pages}/man1 $<TARGET_FILE:flip> $<TARGET_FILE:flipbench>
  DEPENDS flip flipbench
  COMMENT "Writing man pages to ${pages}/man1"
  VERBATIM)
install(TARGETS flip flipbench)
if(FLIP_CUDA)
  set_target_properties(flip_cuda PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON) # CUDA's own folders
  install(TARGETS flip_cuda LIBRARY DESTINATION lib COMPONENT flipbench-cuda) # where core/ops/device.c looks, on every system
  if(TARGET flip_nccl)
    set_target_properties(flip_nccl PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
    install(TARGETS flip_nccl LIBRARY DESTINATION lib COMPONENT flipbench-cuda)
  endif()
endif()
if(TARGET flip_mpi)
  install(TARGETS flip_mpi LIBRARY DESTINATION lib COMPONENT flipbench-mpi)
endif()
set(share ${CMAKE_INSTALL_DATADIR}/flip)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/experiments DESTINATION ${share})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/plots DESTINATION ${share} FILES_MATCHING PATTERN "*.gp")
install(FILES ${CMAKE_SOURCE_DIR}/README.md ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/flip)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/flip FILES_MATCHING PATTERN "*.md")
# Pages and completion are written where they are installed: several may install at once.
install(CODE "execute_process(COMMAND sh \"${CMAKE_SOURCE_DIR}/cmake/man_pages.sh\"
    \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_MANDIR}/man1\"
    \"$<TARGET_FILE:flip>\" \"$<TARGET_FILE:flipbench>\" COMMAND_ERROR_IS_FATAL ANY)")
foreach(program IN ITEMS flip flipbench)
  foreach(place IN ITEMS bash:bash-completion/completions/${program} zsh:zsh/site-functions/_${program}
                         fish:fish/vendor_completions.d/${program}.fish)
    string(REPLACE ":" ";" place ${place})
    list(GET place 0 shell)
    list(GET place 1 file)
    install(CODE "execute_process(COMMAND sh \"${CMAKE_SOURCE_DIR}/cmake/completion_script.sh\"
        \"$<TARGET_FILE:${program}>\" ${shell}
        \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}/${file}\" COMMAND_ERROR_IS_FATAL ANY)")
  endforeach()
endforeach()
