# cpack, in the build folder, after ninja: a Debian package of each component that was built, with the
# libraries that dpkg-shlibdeps finds as dependencies; a plain archive where there is no dpkg.
# ninja source_archive: the last commit's sources, which build without git.
foreach(component IN ITEMS flipbench flipbench-cuda flipbench-mpi)
  if(component STREQUAL flipbench OR (component STREQUAL flipbench-cuda AND FLIP_CUDA) OR
     (component STREQUAL flipbench-mpi AND TARGET flip_mpi))
    list(APPEND CPACK_COMPONENTS_ALL ${component})
    install(FILES ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${component} RENAME copyright
            COMPONENT ${component})
  endif()
endforeach()
# Debian wants a maintainer with an address. The project has none to give: an address that cannot exist
# (RFC 2606) says so; -DFLIP_MAINTAINER names who builds the packages (docs/decisions.md).
set(FLIP_MAINTAINER "The ${PROJECT_NAME} developers <nobody@${PROJECT_NAME}.invalid>" CACHE STRING
    "maintainer of the Debian packages: NAME <ADDRESS>")
set(CPACK_PACKAGE_CONTACT "${FLIP_MAINTAINER}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "train FLIP and CLIP models and benchmark how they are trained")
set(CPACK_PACKAGE_CHECKSUM SHA256)
set(CPACK_STRIP_FILES ON)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_SOURCE_DIR}/cmake/readable_package.cmake)
find_program(DPKG_PROGRAM dpkg)
if(DPKG_PROGRAM)
  set(CPACK_GENERATOR DEB)
else()
  set(CPACK_GENERATOR TGZ)
endif()
set(CPACK_SOURCE_GENERATOR "") # source_archive is of a commit, not of whatever lies in the folder
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_FLIPBENCH_PACKAGE_NAME flipbench)
set(CPACK_DEBIAN_FLIPBENCH_DESCRIPTION
    "flip trains image-text models with masked images (FLIP, CLIP) on CPUs and GPUs;\nflipbench runs experiments with it and reports accuracy, time and memory.")
set(CPACK_DEBIAN_FLIPBENCH_PACKAGE_RECOMMENDS "gnuplot-nox | gnuplot, fonts-dejavu-core") # figures
set(CPACK_DEBIAN_FLIPBENCH_PACKAGE_SUGGESTS
    "openclipart-png, openclipart-svg, fonts-noto-color-emoji, unicode-cldr-core, slurm-client") # data, clusters
set(CPACK_DEBIAN_FLIPBENCH-CUDA_PACKAGE_NAME flipbench-cuda)
set(CPACK_DEBIAN_FLIPBENCH-CUDA_DESCRIPTION
    "The CUDA backend of flip. It needs CUDA 13 and cuDNN 9.13, which Debian does not\npackage: install NVIDIA's (docs/gpu.md).")
# plugin and program check each other's interface
set(CPACK_DEBIAN_FLIPBENCH-CUDA_PACKAGE_DEPENDS "flipbench (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_FLIPBENCH-CUDA_PACKAGE_SUGGESTS "cuda-cudart-13-0, libcublas-13-0, libcudnn9-cuda-13")
set(CPACK_DEBIAN_FLIPBENCH-MPI_PACKAGE_NAME flipbench-mpi)
set(CPACK_DEBIAN_FLIPBENCH-MPI_DESCRIPTION "flip's ranks started by mpirun, or by Slurm with MPI, on CPUs (docs/clusters.md).")
set(CPACK_DEBIAN_FLIPBENCH-MPI_PACKAGE_DEPENDS "flipbench (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_FLIPBENCH-MPI_PACKAGE_RECOMMENDS "openmpi-bin")
include(CPack)

add_custom_target(source_archive
  COMMAND ${CMAKE_COMMAND} -DSOURCE=${CMAKE_SOURCE_DIR} -DNAME=flipbench-${PROJECT_VERSION} -DOUT=${CMAKE_BINARY_DIR}
          -P ${CMAKE_SOURCE_DIR}/cmake/source_archive.cmake
  VERBATIM)
