# The commit is read at build time, not at configure time, so that it is always current.
string(TOUPPER "${CMAKE_BUILD_TYPE}" build_type)
string(STRIP "${CMAKE_C_FLAGS} ${CMAKE_C_FLAGS_${build_type}}" flip_flags_text)
add_custom_target(flip_version_header
  COMMAND ${CMAKE_COMMAND} -DSOURCE=${CMAKE_SOURCE_DIR} -DOUT=${CMAKE_BINARY_DIR}/generated/flip_version.h
          -DDIFF=${CMAKE_BINARY_DIR}/generated/flip_dirty.diff "-DFLAGS=${flip_flags_text}"
          -DVERSION=${PROJECT_VERSION} -P ${CMAKE_SOURCE_DIR}/cmake/write_version.cmake
  BYPRODUCTS ${CMAKE_BINARY_DIR}/generated/flip_version.h ${CMAKE_BINARY_DIR}/generated/flip_dirty.diff
  VERBATIM)
