// Adds two arrays through mlx-c; fails if the sum is wrong.
#include "mlx/c/mlx.h"

int main() {
  mlx_stream stream = mlx_default_cpu_stream_new();
  mlx_array two = mlx_array_new_int(2), sum = mlx_array_new();
  int value = 0;
  bool failed = mlx_add(&sum, two, two, stream) || mlx_array_item_int32(&value, sum);
  return failed || value != 4;
}
