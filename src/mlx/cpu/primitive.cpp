// The bridge from MLX to our CPU kernels: one MLX operation that calls a Rust closure.
//
// MLX builds a graph of operations and evaluates it later, on the thread of a stream. `RustOp` is such an operation:
// it owns a closure through a shared pointer, allocates its output, and passes plain pointers to the closure.
// `kernel_op.rs` is the only caller and has matching declarations; nothing here knows what a kernel computes.

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <mlx/allocator.h>
#include <mlx/array.h>
#include <mlx/backend/cpu/encoder.h>
#include <mlx/c/array.h>
#include <mlx/primitives.h>
#include <mlx/stream.h>

namespace mx = mlx::core;

extern "C" {

// A row-contiguous array; for an output, memory to write.
struct runabout_buffer {
  void* data;
  size_t n_elements;
  mlx_dtype dtype;
};

// Receives the text of an error, which is valid only during the call.
typedef void (*runabout_report)(void* to, const char* text, size_t n_bytes);

// A boxed Rust closure. `call` returns false after it has reported an error, and never unwinds. It may run on another
// thread than the one that made the closure. `drop` frees `state`.
struct runabout_closure {
  void* state;
  bool (*call)(
      void* state,
      const runabout_buffer* inputs,
      size_t n_inputs,
      const runabout_buffer* output,
      runabout_report report,
      void* report_to);
  void (*drop)(void* state);
};
}

namespace {

mx::Dtype to_dtype(mlx_dtype dtype) {
  switch (dtype) {
    case MLX_FLOAT32:
      return mx::float32;
    case MLX_UINT32:
      return mx::uint32;
    default:
      throw std::invalid_argument("kernels take and give float32 and uint32 only");
  }
}

mlx_dtype to_c(mx::Dtype dtype) {
  if (dtype == mx::float32) {
    return MLX_FLOAT32;
  }
  if (dtype == mx::uint32) {
    return MLX_UINT32;
  }
  throw std::invalid_argument("kernels take and give float32 and uint32 only");
}

runabout_buffer buffer_of(const mx::array& array) {
  // `data` includes the offset of a slice.
  return {const_cast<char*>(array.data<char>()), array.size(), to_c(array.dtype())};
}

void append_to_string(void* to, const char* text, size_t n_bytes) {
  static_cast<std::string*>(to)->append(text, n_bytes);
}

class RustOp : public mx::Primitive {
 public:
  RustOp(mx::Stream stream, const char* name, std::shared_ptr<runabout_closure> closure)
      : mx::Primitive(stream), name_(name), closure_(std::move(closure)) {}

  const char* name() const override {
    return name_;
  }

  void eval_gpu(const std::vector<mx::array>&, std::vector<mx::array>&) override {
    throw std::runtime_error(std::string(name_) + " runs on the CPU only");
  }

  // Called on the thread that evaluates, in an order that respects the graph. Dispatched work runs in that order on
  // the stream's thread, perhaps after this object is gone. MLX keeps the arrays' memory until then.
  void eval_cpu(const std::vector<mx::array>& inputs, std::vector<mx::array>& outputs) override {
    std::vector<runabout_buffer> buffers;
    buffers.reserve(inputs.size());
    for (const auto& input : inputs) {
      if (!input.flags().row_contiguous) {
        throw std::runtime_error(std::string(name_) + ": an input is not row-contiguous");
      }
      buffers.push_back(buffer_of(input));
    }
    auto& output = outputs.at(0);
    output.set_data(mx::allocator::malloc(output.nbytes()));
    auto run = [name = name_, closure = closure_, buffers = std::move(buffers), out = buffer_of(output)]() {
      std::string message;
      if (!closure->call(closure->state, buffers.data(), buffers.size(), &out, append_to_string, &message)) {
        throw std::runtime_error(std::string(name) + ": " + message);
      }
    };
    mx::cpu::get_command_encoder(stream()).dispatch(std::move(run));
  }

 private:
  const char* name_; // a literal of the Rust program
  std::shared_ptr<runabout_closure> closure_;
};

} // namespace

extern "C" {

// Makes the array that `closure` will fill once it is evaluated. Takes ownership of `closure` in any case. On
// failure, reports the reason and returns false.
bool runabout_rust_op(
    mlx_array* result,
    const char* name,
    runabout_closure closure,
    const mlx_array* inputs,
    size_t n_inputs,
    const int* shape,
    size_t n_dims,
    mlx_dtype dtype,
    runabout_report report,
    void* report_to) {
  try {
    std::shared_ptr<runabout_closure> owned(new runabout_closure(closure), [](runabout_closure* it) {
      it->drop(it->state);
      delete it;
    });
    std::vector<mx::array> arrays;
    arrays.reserve(n_inputs);
    for (size_t i = 0; i < n_inputs; i++) {
      // What mlx-c's own `mlx_array_get_` does.
      arrays.push_back(*static_cast<mx::array*>(inputs[i].ctx));
    }
    // A stream belongs to the thread that first asks for it, so it is asked for each time.
    auto stream = mx::default_stream(mx::Device::cpu);
    auto op = std::make_shared<RustOp>(stream, name, std::move(owned));
    result->ctx = new mx::array(mx::Shape(shape, shape + n_dims), to_dtype(dtype), std::move(op), std::move(arrays));
    return true;
  } catch (const std::exception& error) {
    std::string text = error.what();
    report(report_to, text.data(), text.size());
  } catch (...) {
    const char text[] = "an unknown C++ exception";
    report(report_to, text, sizeof(text) - 1);
  }
  return false;
}
}
