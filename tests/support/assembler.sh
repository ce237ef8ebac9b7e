# Sets $nvcc and $disassembler (nvdisasm; from NVDISASM, CUDA_HOME, PATH, or a Python package of NVIDIA's;
# empty if there is none). Without nvcc the test is skipped.
nvcc=$(command -v nvcc || true)
[ -n "$nvcc" ] || for found in "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc"; do [ ! -x "$found" ] || nvcc=$found; done
[ -n "$nvcc" ] || { echo "SKIPPED: no nvcc: the kernels' machine code was not checked" >&2; exit 77; }
disassembler=${NVDISASM:-$(command -v nvdisasm || true)}
for found in "${CUDA_HOME:-/usr/local/cuda}/bin/nvdisasm" $(python3 -c 'import site
print(" ".join(p + of for p in site.getsitepackages() + [site.getusersitepackages()]
               for of in ("/nvidia/cu13/bin/nvdisasm", "/triton/backends/nvidia/bin/nvdisasm")))' 2>/dev/null); do
  [ -n "$disassembler" ] || [ ! -x "$found" ] || disassembler=$found
done
