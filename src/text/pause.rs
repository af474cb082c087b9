//! Long work on texts, which its caller can slow down and give up.
//!
//! To encode a megabyte takes about a second. Between the pieces of a long text the functions of this crate ask whether
//! to go on: the question is put to whatever [`interruptible`] was given on the same thread, and may take its time to be
//! answered. So no signature on the way has to know of it.

use std::cell::RefCell;

type Question = Box<dyn FnMut() -> bool>;

thread_local! {
    static ASKED: RefCell<Option<Question>> = const { RefCell::new(None) };
}

/// Does `work`, which asks `may_go_on` between pieces of long texts. After the first no it asks no more and returns
/// early, with a value that is worth nothing: the caller knows that it said no.
pub fn interruptible<T>(mut may_go_on: impl FnMut() -> bool + 'static, work: impl FnOnce() -> T) -> T {
    /// Takes the question back, a panic notwithstanding.
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

/// Whether long work on this thread is still wanted. May block.
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
