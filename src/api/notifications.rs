//! The list of the protocol's notifications, from which the schema, the OpenRPC document and the capabilities are
//! derived.

pub use crate::cancel::{CancelNotification as Cancel, CancelRequest};
pub use crate::delta::Delta;
pub use crate::progress::Progress;
pub use crate::shutdown::Exit;
pub use crate::status::StatusChanged;

/// Expands to `callback! { path::Delta, path::Progress, ... }`: the type of each notification, in the order of the
/// documents, by its full path.
#[macro_export]
macro_rules! for_each_notification {
    ($callback:ident) => {
        $callback! {
            $crate::notifications::Delta,
            $crate::notifications::Progress,
            $crate::notifications::StatusChanged,
            $crate::notifications::Cancel,
            $crate::notifications::CancelRequest,
            $crate::notifications::Exit
        }
    };
}
