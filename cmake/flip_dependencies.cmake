# Every external library, as an imported target. Debian names: packages.txt.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS C)
# Debian's dnnl-config.cmake asks for OpenCL, which the CPU engine does not need.
find_library(DNNL_LIBRARY dnnl REQUIRED)
find_path(DNNL_INCLUDE_DIR oneapi/dnnl/dnnl.h REQUIRED)
file(STRINGS ${DNNL_INCLUDE_DIR}/oneapi/dnnl/dnnl_version.h dnnl_major REGEX "^# *define +DNNL_VERSION_MAJOR +[0-9]+")
if(NOT dnnl_major MATCHES " [23]$")
  message(FATAL_ERROR "${DNNL_INCLUDE_DIR}/oneapi/dnnl is neither oneDNN 2 nor 3 (${dnnl_major}): install libdnnl-dev of "
                      "Debian 12 or 13, or set DNNL_INCLUDE_DIR and DNNL_LIBRARY")
endif()
add_library(dnnl INTERFACE)
target_link_libraries(dnnl INTERFACE ${DNNL_LIBRARY})
target_include_directories(dnnl INTERFACE ${DNNL_INCLUDE_DIR})
foreach(dependency IN ITEMS yaml:yaml-0.1 jansson:jansson sqlite:sqlite3 jpeg:libjpeg png:libpng
                            webp:libwebpdemux webpcore:libwebp utf8proc:libutf8proc archive:libarchive xxhash:libxxhash
                            xml:libxml-2.0 freetype:freetype2 harfbuzz:harfbuzz
                            zlib:zlib gumbo:gumbo lbfgs:liblbfgs snappy:snappy zstd:libzstd)
  string(REPLACE ":" ";" pair ${dependency})
  list(GET pair 0 name)
  list(GET pair 1 module)
  pkg_check_modules(${name} REQUIRED IMPORTED_TARGET ${module})
endforeach()
