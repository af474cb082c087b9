//! MLX operations whose body is a Rust closure: the safe interface to `primitive.cpp`.
//!
//! [`kernel_op`] returns a lazy array, like MLX's own operations. When it is evaluated, the closure runs on the
//! thread of MLX's CPU stream, after the operations that compute its inputs. A stream has one thread, so closures run
//! one at a time. An error or panic of the closure becomes the error of the evaluation; MLX remains usable.
//!
//! This file does not know what is computed.

use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use mlx_rs::error::{Exception, Result};
use mlx_rs::{Array, Dtype};

/// The error of a closure.
pub(crate) type OpError = Box<dyn std::error::Error>;

/// An element type of inputs and outputs. Every bit pattern must be a valid value.
pub(crate) trait Element: Copy + sealed::Sealed {
    const DTYPE: Dtype;
}

impl Element for f32 {
    const DTYPE: Dtype = Dtype::Float32;
}

impl Element for u32 {
    const DTYPE: Dtype = Dtype::Uint32;
}

mod sealed {
    pub(crate) trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for u32 {}
}

/// The evaluated, row-contiguous inputs of an operation.
pub(crate) struct Inputs<'a>(&'a [Buffer]);

/// As in `primitive.cpp`.
#[repr(C)]
struct Buffer {
    data: *mut c_void,
    n_elements: usize,
    dtype: mlx_sys::mlx_dtype,
}

type Report = unsafe extern "C" fn(to: *mut c_void, text: *const c_char, n_bytes: usize);
type Call = unsafe extern "C" fn(
    state: *mut c_void,
    inputs: *const Buffer,
    n_inputs: usize,
    output: *const Buffer,
    report: Report,
    report_to: *mut c_void,
) -> bool;

/// As in `primitive.cpp`.
#[repr(C)]
struct Closure {
    state: *mut c_void,
    call: Call,
    drop: unsafe extern "C" fn(state: *mut c_void),
}

unsafe extern "C" {
    fn runabout_rust_op(
        result: *mut mlx_sys::mlx_array,
        name: *const c_char,
        closure: Closure,
        inputs: *const mlx_sys::mlx_array,
        n_inputs: usize,
        shape: *const i32,
        n_dims: usize,
        dtype: mlx_sys::mlx_dtype,
        report: Report,
        report_to: *mut c_void,
    ) -> bool;
}

impl Buffer {
    /// The elements, if they are of type `T`.
    fn elements<T: Element>(&self) -> std::result::Result<(*mut T, usize), OpError> {
        if self.dtype != T::DTYPE as mlx_sys::mlx_dtype {
            return Err(format!("expected an array of {:?}, got MLX's type {}", T::DTYPE, self.dtype).into());
        }
        // An empty array may have no memory, but a slice needs a valid pointer.
        let data = if self.n_elements == 0 { std::ptr::dangling_mut() } else { self.data.cast() };
        Ok((data, self.n_elements))
    }
}

impl<'a> Inputs<'a> {
    /// The elements of input `i`.
    pub(crate) fn slice<T: Element>(&self, i: usize) -> std::result::Result<&'a [T], OpError> {
        let buffer = self.0.get(i).ok_or_else(|| format!("there is no input {i}"))?;
        let (data, n) = buffer.elements::<T>()?;
        // SAFETY: MLX keeps an input's memory, `n` elements of this type and aligned for all of MLX's types, until
        // the operation has run. Nothing writes it meanwhile: arrays do not change once they are evaluated.
        Ok(unsafe { std::slice::from_raw_parts(data, n) })
    }
}

/// A lazy array of this shape, which `run` fills from `inputs`.
///
/// The output starts with arbitrary content, so `run` must write all of it. Inputs must be row-contiguous, or the
/// evaluation fails; pass others, such as a transposed array, through [`Array::contiguous`]. `run` may be called on
/// any thread, and more than once only if MLX evaluates the graph more than once.
pub(crate) fn kernel_op<T, F>(name: &'static CStr, inputs: &[&Array], shape: &[i32], run: F) -> Result<Array>
where
    T: Element,
    F: Fn(&Inputs<'_>, &mut [T]) -> std::result::Result<(), OpError> + Send + Sync + 'static,
{
    let handles: Vec<mlx_sys::mlx_array> = inputs.iter().map(|it| it.as_ptr()).collect();
    let closure =
        Closure { state: Box::into_raw(Box::new(run)).cast(), call: call::<T, F>, drop: drop_box::<F> };
    let mut result = mlx_sys::mlx_array { ctx: std::ptr::null_mut() };
    let mut message = String::new();
    // SAFETY: the handles are of living arrays, which the call copies; name and shape are as long as stated; the
    // closure's parts belong together, and the callee frees it; the reporter is called with a `String`, in the call.
    let is_made = unsafe {
        runabout_rust_op(
            &raw mut result,
            name.as_ptr(),
            closure,
            handles.as_ptr(),
            handles.len(),
            shape.as_ptr(),
            shape.len(),
            T::DTYPE as mlx_sys::mlx_dtype,
            append,
            (&raw mut message).cast(),
        )
    };
    if !is_made {
        return Err(Exception::custom(message));
    }
    // SAFETY: a new array, which has no other owner.
    Ok(unsafe { Array::from_ptr(result) })
}

/// Runs the closure that `state` points to.
///
/// # Safety
/// `state` is a box of `F`, inputs and output are as `primitive.cpp` states, `report` takes `report_to`.
unsafe extern "C" fn call<T, F>(
    state: *mut c_void,
    inputs: *const Buffer,
    n_inputs: usize,
    output: *const Buffer,
    report: Report,
    report_to: *mut c_void,
) -> bool
where
    T: Element,
    F: Fn(&Inputs<'_>, &mut [T]) -> std::result::Result<(), OpError>,
{
    let run = || {
        // SAFETY: as promised by the caller.
        let (run, inputs, output) = unsafe {
            // A C++ vector without elements may have no memory.
            let inputs: &[Buffer] =
                if n_inputs == 0 { &[] } else { std::slice::from_raw_parts(inputs, n_inputs) };
            (&*state.cast::<F>(), Inputs(inputs), &*output)
        };
        let (data, n) = output.elements::<T>()?;
        // SAFETY: MLX allocated the memory for this result alone: `n` elements of a type of which any bits are a value.
        run(&inputs, unsafe { std::slice::from_raw_parts_mut(data, n) })
    };
    // The closure shares state with others only behind locks, which a panic poisons.
    let message = match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => error.to_string(),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            format!("the kernel panicked: {}", text.unwrap_or("without a message"))
        }
    };
    // SAFETY: as promised by the caller.
    unsafe { report(report_to, message.as_ptr().cast(), message.len()) };
    false
}

/// # Safety
/// `state` is a box of `F` that is not used any more.
unsafe extern "C" fn drop_box<F>(state: *mut c_void) {
    // SAFETY: as promised by the caller.
    drop(unsafe { Box::from_raw(state.cast::<F>()) });
}

/// Appends text from C++ to a `String`.
///
/// # Safety
/// `to` is a `String` with no other reference to it, `text` is `n_bytes` long.
unsafe extern "C" fn append(to: *mut c_void, text: *const c_char, n_bytes: usize) {
    // SAFETY: as promised by the caller.
    let (to, text) =
        unsafe { (&mut *to.cast::<String>(), std::slice::from_raw_parts(text.cast::<u8>(), n_bytes)) };
    to.push_str(&String::from_utf8_lossy(text));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp)]

    use super::*;
    use crate::testing::alone;

    fn matrix() -> Array {
        Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3])
    }

    fn doubled(x: &Array) -> Array {
        kernel_op(c"doubled", &[x], x.shape(), |inputs, out: &mut [f32]| {
            let x: &[f32] = inputs.slice(0)?;
            for (out, x) in out.iter_mut().zip(x) {
                *out = 2.0 * x;
            }
            Ok(())
        })
        .unwrap()
    }

    #[test]
    fn an_operation_is_part_of_the_graph_like_any_other() {
        let _alone = alone();
        let x = matrix().add(Array::from_f32(1.0)).unwrap();
        let y = doubled(&doubled(&x)).add(&x).unwrap();
        assert_eq!(y.shape(), [2, 3]);
        assert_eq!(y.as_slice::<f32>(), [10.0, 15.0, 20.0, 25.0, 30.0, 35.0]);
    }

    #[test]
    fn rows_of_an_array_come_with_their_offset_and_an_empty_one_is_empty() {
        use mlx_rs::ops::indexing::TryIndexOp;
        let _alone = alone();
        let row = matrix().try_index(1).unwrap();
        assert_eq!(doubled(&row).as_slice::<f32>(), [8.0, 10.0, 12.0]);
        let none = Array::from_slice::<f32>(&[], &[0, 3]);
        assert_eq!(doubled(&none).shape(), [0, 3]);
        doubled(&none).eval().unwrap();
    }

    #[test]
    fn a_transposed_input_is_refused_until_it_is_made_contiguous() {
        let _alone = alone();
        let transposed = matrix().transpose().unwrap();
        let error = doubled(&transposed).eval().unwrap_err();
        assert!(error.what().contains("not row-contiguous"), "{}", error.what());
        let contiguous = transposed.contiguous().unwrap();
        assert_eq!(doubled(&contiguous).as_slice::<f32>(), [2.0, 8.0, 4.0, 10.0, 6.0, 12.0]);
    }

    #[test]
    fn errors_and_panics_fail_the_evaluation_and_the_next_one_works() {
        let _alone = alone();
        let x = matrix();
        let failing =
            kernel_op(c"failing", &[&x], &[1], |_, _: &mut [f32]| Err("out of luck".into())).unwrap();
        let error = doubled(&failing).eval().unwrap_err();
        assert!(error.what().contains("failing: out of luck"), "{}", error.what());
        assert_eq!(doubled(&x).as_slice::<f32>()[5], 12.0);

        let panicking = kernel_op(c"panicking", &[&x], &[1], |_, out: &mut [f32]| {
            assert!(out.is_empty(), "this is {}", "wrong");
            Ok(())
        });
        let error = panicking.unwrap().eval().unwrap_err();
        assert!(error.what().contains("panicking: the kernel panicked: this is wrong"), "{}", error.what());
        assert_eq!(doubled(&x).as_slice::<f32>()[5], 12.0);
    }

    #[test]
    fn an_input_of_another_type_is_refused() {
        let _alone = alone();
        for other in [Dtype::Uint32, Dtype::Float16] {
            let x = matrix().as_dtype(other).unwrap();
            assert!(doubled(&x).eval().is_err(), "{other:?}");
        }
    }

    #[test]
    fn a_closure_is_dropped_with_its_array_evaluated_or_not() {
        let _alone = alone();
        let held = std::sync::Arc::new(());
        for is_evaluated in [false, true] {
            let captured = std::sync::Arc::clone(&held);
            let op = kernel_op(c"holding", &[], &[1], move |_, out: &mut [u32]| {
                out.fill(u32::try_from(std::sync::Arc::strong_count(&captured))?);
                Ok(())
            })
            .unwrap();
            if is_evaluated {
                assert_eq!(op.as_slice::<u32>(), [2]);
            }
            drop(op);
            // MLX's thread drops a task only after reporting it done; another operation on the same thread waits for
            // that.
            doubled(&matrix()).eval().unwrap();
            assert_eq!(std::sync::Arc::strong_count(&held), 1);
        }
    }
}
