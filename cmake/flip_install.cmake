# ninja man: a man page of every command; ninja install: programs, the plugin if it is built, what the
# programs look for in share/flip (core/base/shipped.c), man pages, shell completion, documents. The
# installed folder can be moved.
set(pages ${CMAKE_BINARY_DIR}/man)
add_custom_target(man
  COMMAND sh ${CMAKE_SOURCE_DIR}/cmake/man_pages.sh ${pages}/man1 $<TARGET_FILE:flip> $<TARGET_FILE:flipbench>
  DEPENDS flip flipbench
  COMMENT "Writing man pages to ${pages}/man1"
  VERBATIM)
install(TARGETS flip flipbench)
if(FLIP_CUDA)
  set_target_properties(flip_cuda PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON) # CUDA's own folders
  install(TARGETS flip_cuda LIBRARY DESTINATION lib) # where core/ops/device.c looks, on every system
endif()
set(share ${CMAKE_INSTALL_DATADIR}/flip)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/experiments DESTINATION ${share})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/plots DESTINATION ${share} FILES_MATCHING PATTERN "*.gp")
install(FILES ${CMAKE_SOURCE_DIR}/README.md ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/flip)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/flip FILES_MATCHING PATTERN "*.md")
install(CODE "execute_process(COMMAND sh \"${CMAKE_SOURCE_DIR}/cmake/man_pages.sh\" \"${pages}/man1\"
  \"$<TARGET_FILE:flip>\" \"$<TARGET_FILE:flipbench>\" COMMAND_ERROR_IS_FATAL ANY)")
install(DIRECTORY ${pages}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR})
foreach(program IN ITEMS flip flipbench)
  foreach(place IN ITEMS bash:bash-completion/completions/${program} zsh:zsh/site-functions/_${program}
                         fish:fish/vendor_completions.d/${program}.fish)
    string(REPLACE ":" ";" place ${place})
    list(GET place 0 shell)
    list(GET place 1 file)
    install(CODE "
      file(MAKE_DIRECTORY \"${CMAKE_BINARY_DIR}/completion\")
      execute_process(COMMAND \"$<TARGET_FILE:${program}>\" completion ${shell}
                      OUTPUT_FILE \"${CMAKE_BINARY_DIR}/completion/${program}.${shell}\" COMMAND_ERROR_IS_FATAL ANY)")
    get_filename_component(folder ${file} DIRECTORY)
    get_filename_component(name ${file} NAME)
    install(FILES ${CMAKE_BINARY_DIR}/completion/${program}.${shell} DESTINATION ${CMAKE_INSTALL_DATADIR}/${folder} RENAME ${name})
  endforeach()
endforeach()
