# Run by cpack before it packs: the folder of the prefix is cpack's own, made with the caller's umask.
execute_process(COMMAND chmod -R a+rX ${CPACK_TEMPORARY_INSTALL_DIRECTORY} COMMAND_ERROR_IS_FATAL ANY)
