# Flags for our own code, and flip_library(), which declares each library.
# Warnings are errors in a checkout; a source archive may meet a compiler that knows more of them.
set(flip_werror -Werror)
if(EXISTS ${CMAKE_SOURCE_DIR}/cmake/archive.txt)
  set(flip_werror)
endif()
add_library(flip_flags INTERFACE)
target_compile_definitions(flip_flags INTERFACE _GNU_SOURCE)
target_compile_options(flip_flags INTERFACE -Wall -Wextra ${flip_werror} -Wshadow -Wconversion
                                            -fno-common -fno-math-errno)
# clang reports a loop that OpenMP's simd could not vectorise; under its sanitizers none can be. And it
# counts an enumeration that becomes an int as a change of sign, or warns of one that becomes a double, which gcc, that
# looks at the same code, does not.
if(CMAKE_C_COMPILER_ID STREQUAL Clang)
  target_compile_options(flip_flags INTERFACE -Wno-pass-failed -Wno-sign-conversion -Wno-enum-float-conversion)
endif()
target_link_libraries(flip_flags INTERFACE m)

# flip_library(NAME [SOURCES…] LINK libraries…): a static library named flip_NAME.
function(flip_library name)
  cmake_parse_arguments(room "" "" "LINK" ${ARGN})
  add_library(flip_${name} STATIC ${room_UNPARSED_ARGUMENTS})
  set_target_properties(flip_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(flip_${name} PUBLIC ${room_LINK} PRIVATE flip_flags)
endfunction()
