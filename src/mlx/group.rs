//! Processes that compute a model together: [`Group`], through MLX's own distributed engine.
//!
//! Every process of a group must take part in each of its operations, in the same order. MLX learns who belongs to the
//! group from the environment of the process: `MLX_RANK` and, for its ring over TCP, `MLX_HOSTFILE`.

use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};

use mlx_rs::error::{Exception, Result};
use mlx_rs::{Array, Stream};

use crate::LoadError;

/// How the processes of a group are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP, each process with its two neighbours.
    Ring,
    /// RDMA over Thunderbolt, between Macs.
    Jaccl,
    /// NVIDIA's library, between CUDA devices.
    Nccl,
}

impl Transport {
    fn name(self) -> &'static CStr {
        match self {
            Self::Ring => c"ring",
            Self::Jaccl => c"jaccl",
            Self::Nccl => c"nccl",
        }
    }
}

/// The processes that compute a model together, this one among them. Clones share it.
#[derive(Clone)]
pub struct Group(Rc<Handle>);

struct Handle {
    group: mlx_sys::mlx_distributed_group,
    transport: Transport,
    rank: i32,
    size: i32,
}

impl Group {
    /// Joins the group that the environment names, and waits for the others: without end if one does not come. Must be
    /// called before anything else of this crate.
    pub fn join(transport: Transport) -> std::result::Result<Self, LoadError> {
        // Until mlx-rs is used for the first time and sets its own, which keeps its messages to itself. MLX's default ends
        // the process.
        // SAFETY: the handler takes what MLX calls it with, and needs no data.
        unsafe { mlx_sys::mlx_set_error_handler(Some(note_error), ptr::null_mut(), None) };
        let mut group = mlx_sys::mlx_distributed_group { ctx: ptr::null_mut() };
        // SAFETY: the result is written before it is read, and the name is a C string.
        let status =
            unsafe { mlx_sys::mlx_distributed_init(&raw mut group, true, transport.name().as_ptr()) };
        if status != 0 {
            let message = LAST_ERROR.lock().unwrap_or_else(PoisonError::into_inner).take();
            return Err(LoadError::Group(message.unwrap_or_else(|| "without a message".to_owned())));
        }
        // SAFETY: a group that has just been made.
        let (rank, size) = unsafe {
            (mlx_sys::mlx_distributed_group_rank(group), mlx_sys::mlx_distributed_group_size(group))
        };
        Ok(Self(Rc::new(Handle { group, transport, rank, size })))
    }

    /// The number of this process, from 0.
    pub fn rank(&self) -> i32 {
        self.0.rank
    }

    /// The number of processes.
    pub fn size(&self) -> i32 {
        self.0.size
    }

    /// The sum of all processes' `x`, which have the same shape.
    pub(crate) fn sum(&self, x: &Array) -> Result<Array> {
        let stream = self.stream();
        // SAFETY: handles of a living array, group and stream; the result is written before it is read.
        new_array(|result| unsafe {
            mlx_sys::mlx_distributed_all_sum(result, x.as_ptr(), self.0.group, stream.as_ptr())
        })
    }

    /// All processes' `x`, which have the same shape, one after another along the first dimension.
    pub(crate) fn gather(&self, x: &Array) -> Result<Array> {
        let stream = self.stream();
        // SAFETY: as above.
        new_array(|result| unsafe {
            mlx_sys::mlx_distributed_all_gather(result, x.as_ptr(), self.0.group, stream.as_ptr())
        })
    }

    /// Where messages are sent from.
    fn stream(&self) -> Stream {
        match self.0.transport {
            Transport::Ring | Transport::Jaccl => Stream::cpu(),
            Transport::Nccl => Stream::gpu(),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is not used any more. MLX keeps the connections themselves until the process ends.
        unsafe {
            mlx_sys::mlx_distributed_group_free(self.group);
        }
    }
}

/// The array that a function of MLX's C interface makes.
fn new_array(function: impl FnOnce(*mut mlx_sys::mlx_array) -> i32) -> Result<Array> {
    let mut result = mlx_sys::mlx_array { ctx: ptr::null_mut() };
    if function(&raw mut result) != 0 {
        return Err(Exception::custom("an array cannot be sent to the other processes"));
    }
    // SAFETY: a new array, which has no other owner.
    Ok(unsafe { Array::from_ptr(result) })
}

/// What MLX said when it could not connect.
static LAST_ERROR: Mutex<Option<String>> = Mutex::new(None);

/// # Safety
/// `message` is a C string.
unsafe extern "C" fn note_error(message: *const c_char, _: *mut c_void) {
    // SAFETY: as promised by the caller.
    let message = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
    *LAST_ERROR.lock().unwrap_or_else(PoisonError::into_inner) = Some(message);
}
