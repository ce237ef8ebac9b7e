# flip_variants(NAME SOURCES…): these sources, once for each level of the instruction set, into
# flip_NAME. Each time CPU_VARIANT is the suffix of the symbols, and the sources keep all else static.
# core/base/processor.h lists the same levels, and processor.c asks the processor for the same features.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(flip_variants v2 v3 v4 v4_bf16 v4_amx)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64|ARM64)$")
  set(flip_variants neon)
else()
  set(flip_variants portable)
endif()
# What FLIP_CPU_KERNELS calls them, and the flags of each.
set(flip_variant_name_v2 x86-64-v2)
set(flip_variant_name_v3 x86-64-v3)
set(flip_variant_name_v4 x86-64-v4)
set(flip_variant_name_v4_bf16 x86-64-v4-bf16)
set(flip_variant_name_v4_amx x86-64-v4-amx)
set(flip_variant_name_neon neon)
set(flip_variant_name_portable portable)
set(flip_variant_v2 -msse4.2 -mpopcnt)
set(flip_variant_v3 ${flip_variant_v2} -mavx2 -mfma -mbmi -mbmi2)
set(flip_variant_v4 ${flip_variant_v3} -mavx512f -mavx512bw -mavx512cd -mavx512dq -mavx512vl
                    -mprefer-vector-width=512)
set(flip_variant_v4_bf16 ${flip_variant_v4} -mavx512bf16)
set(flip_variant_v4_amx ${flip_variant_v4_bf16} -mamx-tile -mamx-bf16)

# The sanitizers' build runs tiny models, and takes twice as long to compile at -O3.
set(flip_variant_level -O3)
if(CMAKE_C_FLAGS MATCHES "-fsanitize=address")
  set(flip_variant_level -O1)
endif()

function(flip_variants name)
  foreach(variant IN LISTS flip_variants)
    set(objects flip_${name}_${variant})
    add_library(${objects} OBJECT ${ARGN})
    set_target_properties(${objects} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    target_compile_definitions(${objects} PRIVATE CPU_VARIANT=${variant})
    # No -ffast-math: NaN must stay NaN. These let loops vectorise without changing what they mean.
    target_compile_options(${objects} PRIVATE ${flip_variant_level} -fno-trapping-math -ffp-contract=fast
                                              -fno-semantic-interposition ${flip_variant_${variant}})
    target_link_libraries(${objects} PRIVATE flip_flags OpenMP::OpenMP_C)
    target_sources(flip_${name} PRIVATE $<TARGET_OBJECTS:${objects}>)
  endforeach()
endfunction()
