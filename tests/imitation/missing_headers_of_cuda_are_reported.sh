# Without the headers that the imitation needs, CMake warns and a skipped test says so; older ones
# are not used.
mkdir -p old/include
echo '#define CUDART_VERSION 11080' >old/include/cuda_runtime_api.h
printf '#define CUDNN_MAJOR 9\n#define CUDNN_MINOR 12\n' >old/include/cudnn_version.h
CUDA_HOME=$PWD/old expect_status 0 cmake -G Ninja -S "$SOURCE" -B build -D FLIP_PATH_cudnn_h=
tr -s '\n ' ' ' <err.txt >warning # CMake breaks lines
expect_line warning "host code is not tested .*old/include/cuda_runtime_api.h is older than CUDA 13, no cudnn.h, .*old/include/cudnn_version.h is of cuDNN 9.12, older than 9.13"
expect_status 0 ctest --test-dir build -R cuda_host_code_is_untested
expect_line out.txt 'cuda_host_code_is_untested_without_cudas_headers \(Skipped\)'
