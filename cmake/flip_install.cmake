# ninja man: a man page of every command; ninja install: programs, man pages, shell completion.
include(GNUInstallDirs)
set(pages ${CMAKE_BINARY_DIR}/man)
add_custom_target(man
  COMMAND sh ${CMAKE_SOURCE_DIR}/cmake/man_pages.sh ${pages}/man1 $<TARGET_FILE:flip> $<TARGET_FILE:flipbench>
  DEPENDS flip flipbench
  COMMENT "Writing man pages to ${pages}/man1"
  VERBATIM)
install(TARGETS flip flipbench)
install(CODE "execute_process(COMMAND \"${CMAKE_COMMAND}\" --build \"${CMAKE_BINARY_DIR}\" --target man COMMAND_ERROR_IS_FATAL ANY)")
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
