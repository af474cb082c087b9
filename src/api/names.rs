//! The names of all methods and notifications, as in the capabilities of `initialize`.

use crate::protocol::{Method, Notification, Sender};
use crate::{for_each_method, for_each_notification};

/// The names of all methods.
pub fn method_names() -> Vec<&'static str> {
    macro_rules! names {
        ($($method:ty),*) => { vec![$(<$method as Method>::NAME),*] };
    }
    for_each_method!(names)
}

/// The names of the notifications that `sender` sends.
pub fn notification_names(sender: Sender) -> Vec<&'static str> {
    macro_rules! names {
        ($($notification:ty),*) => {
            vec![$((<$notification as Notification>::NAME, <$notification as Notification>::SENDER)),*]
        };
    }
    let all = for_each_notification!(names);
    all.into_iter().filter(|(_, its_sender)| *its_sender == sender).map(|(name, _)| name).collect()
}
