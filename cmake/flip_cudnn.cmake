# cuDNN's least: attention as one operation (CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR).
set(flip_least_cudnn 9.13)

# flip_cudnn_version(OUT FOLDER): MAJOR.MINOR in FOLDER/cudnn_version.h; 0 without it.
function(flip_cudnn_version out folder)
  set(${out} 0 PARENT_SCOPE)
  if(EXISTS ${folder}/cudnn_version.h)
    file(READ ${folder}/cudnn_version.h text)
    string(REGEX MATCH "define +CUDNN_MAJOR +([0-9]+)" major "${text}")
    set(major ${CMAKE_MATCH_1})
    string(REGEX MATCH "define +CUDNN_MINOR +([0-9]+)" minor "${text}")
    set(${out} ${major}.${CMAKE_MATCH_1} PARENT_SCOPE)
  endif()
endfunction()
