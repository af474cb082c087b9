//! Lets a caller slow down or stop long work on texts: [`interruptible`].
//!
//! Encoding a megabyte takes about a second. Between the pieces of a long text, the functions of this crate call
//! [`go_on`], which asks the callback that [`interruptible`] set for the thread. The callback may block before it
//! answers. Because it is thread-local, no function signature in between has to mention it.

use std::cell::RefCell;

type Question = Box<dyn FnMut() -> bool>;

thread_local! {
    static ASKED: RefCell<Option<Question>> = const { RefCell::new(None) };
}

/// Runs `work`, which calls `may_go_on` between the pieces of long texts. After the first `false`, it is not called
/// again and `work` returns early; its result is then incomplete and must be discarded.
pub fn interruptible<T>(mut may_go_on: impl FnMut() -> bool + 'static, work: impl FnOnce() -> T) -> T {
    /// Removes the callback, even after a panic.
    struct Asking;

    impl Drop for Asking {
        fn drop(&mut self) {
            ASKED.take();
        }
    }

    let mut is_over = false;
    ASKED.set(Some(Box::new(move || {
        is_over = is_over || !may_go_on();
        !is_over
    })));
    let _asking = Asking;
    work()
}

/// Whether long work on this thread should continue. May block.
pub(crate) fn go_on() -> bool {
    ASKED.with_borrow_mut(|asked| asked.as_mut().is_none_or(|may_go_on| may_go_on()))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn work_that_nobody_watches_goes_on() {
        assert!(go_on());
    }

    #[test]
    fn after_the_first_no_nothing_is_asked_any_more() {
        let n_asked = Rc::new(Cell::new(0));
        let counted = Rc::clone(&n_asked);
        let may_go_on = move || {
            counted.set(counted.get() + 1);
            counted.get() < 3
        };
        let answers = interruptible(may_go_on, || [go_on(), go_on(), go_on(), go_on()]);
        assert_eq!((answers, n_asked.get()), ([true, true, false, false], 3));
        assert!(go_on(), "what comes later is not concerned");
    }
}
