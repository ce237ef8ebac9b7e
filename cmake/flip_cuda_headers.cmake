# The headers that tests compile the CUDA backend's host code with. They are NVIDIA's and in no
# package of Debian's, so packages.txt cannot name them; they are looked for in CUDA_HOME, CUDA_PATH
# and /usr/local/cuda alone. Sets flip_cuda_includes, or flip_cuda_missing to what is wrong.
set(flip_cuda_includes)
set(flip_cuda_missing)

# flip_cuda_header(HEADER [MACRO LEAST NAME]): a header, whose MACRO is at least LEAST.
macro(flip_cuda_header header)
  string(MAKE_C_IDENTIFIER FLIP_PATH_${header} variable)
  find_path(${variable} ${header} PATHS ENV CUDA_HOME ENV CUDA_PATH /usr/local/cuda PATH_SUFFIXES include NO_DEFAULT_PATH)
  if(NOT ${variable})
    list(APPEND flip_cuda_missing "no ${header}")
  else()
    list(APPEND flip_cuda_includes ${${variable}})
    if(${ARGC} EQUAL 4)
      file(STRINGS ${${variable}}/${header} line REGEX "^# *define +${ARGV1} +[0-9]+" LIMIT_COUNT 1)
      if(NOT line MATCHES "([0-9]+)$" OR CMAKE_MATCH_1 LESS ${ARGV2})
        list(APPEND flip_cuda_missing "${${variable}}/${header} is older than ${ARGV3}")
      endif()
    endif()
  endif()
endmacro()
flip_cuda_header(cuda_runtime_api.h CUDART_VERSION 13000 "CUDA 13")
flip_cuda_header(cublasLt.h)
flip_cuda_header(cudnn.h)
flip_cuda_header(cudnn_version.h CUDNN_MAJOR 9 "cuDNN 9")
# NCCL's comes apart from the toolkit. flip_nccl_include is empty where there is none.
find_path(FLIP_PATH_nccl_h nccl.h PATHS ENV CUDA_HOME ENV CUDA_PATH /usr/local/cuda /usr/local /usr PATH_SUFFIXES include NO_DEFAULT_PATH)
set(flip_nccl_include)
if(FLIP_PATH_nccl_h)
  set(flip_nccl_include ${FLIP_PATH_nccl_h})
endif()
list(REMOVE_DUPLICATES flip_cuda_includes)
list(JOIN flip_cuda_missing ", " flip_cuda_missing)
