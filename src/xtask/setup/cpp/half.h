// Takes the place of mlx-c's `mlx/c/half.h`, which knows half types on ARM only, while mlx-rs calls the
// functions that use them everywhere.
#pragma once

#define HAS_FLOAT16
#define HAS_BFLOAT16

#ifdef __cplusplus

#include "mlx/types/half_types.h"
using mlx::core::bfloat16_t;
using mlx::core::float16_t;

#else

// What bindgen sees: the types that it also finds on macOS, a half of its own and 16 plain bits.
#include <stdint.h>
typedef __fp16 float16_t;
typedef uint16_t bfloat16_t;

#endif
