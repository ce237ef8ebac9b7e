# ninja man: a man page of every command; ninja install: programs, the plugin if it is built, what the
# programs look for in share/flip (core/base/shipped.c), man pages, shell completion, documents. The
# installed folder can be moved.
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME flipbench) # a Debian package (flip_package.cmake)
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
    get_filename_component(folder ${file} DIRECTORY)
    install(CODE "
      set(share \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}\")
      file(MAKE_DIRECTORY \"\${share}/${folder}\")
      execute_process(COMMAND \"$<TARGET_FILE:${program}>\" completion ${shell}
                      OUTPUT_FILE \"\${share}/${file}\" COMMAND_ERROR_IS_FATAL ANY)")
  endforeach()
endforeach()
