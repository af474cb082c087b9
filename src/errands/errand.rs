//! The entry point of this crate, [`Errands`], and work in progress, [`Errand`].

use std::future::Future;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use runabout_assist::Assistant;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::ask::Asker;
use crate::effort::Effort;
use crate::progress::Progress;

/// Does errands with one model. Clones share it.
#[derive(Clone, Debug)]
pub struct Errands {
    assistant: Assistant,
}

/// Work on some items, such as files. Dropping it ends the work.
#[derive(Debug)]
pub struct Errand<T> {
    n_items: usize,
    events: UnboundedReceiver<Event<T>>,
    cancel: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// What happens to the items, several of which are worked on at once.
#[derive(Clone, Debug)]
pub enum Event<T> {
    Progress(Progress),
    /// An item is done. Each is, exactly once, in any order. Items are counted from 0, in the order of the request.
    Finished {
        item: usize,
        result: T,
    },
}

impl Errands {
    pub fn new(assistant: Assistant) -> Self {
        Self { assistant }
    }

    /// Begins `work` on the items, `effort.n_parallel` at once. Needs a tokio runtime.
    pub(crate) fn begin<I, T, W, F>(&self, effort: Effort, items: Vec<I>, work: W) -> Errand<T>
    where
        I: Send + 'static,
        T: Send + 'static,
        W: Fn(Asker, I) -> F + Send + Sync + 'static,
        F: Future<Output = T> + Send,
    {
        let (sender, events) = unbounded_channel();
        let (cancel, is_cancelled) = watch::channel(false);
        let n_items = items.len();
        let n_parallel = effort.n_parallel.max(1);
        // An item may ask for several answers at once.
        let permits = Arc::new(Semaphore::new(n_parallel));
        let (assistant, effort) = (self.assistant.clone(), Arc::new(effort));
        let task = tokio::spawn(async move {
            let started = items.into_iter().enumerate().map(|(item, input)| {
                let progress = sender.clone();
                let report: Arc<dyn Fn(Progress) + Send + Sync> = Arc::new(move |it| {
                    // Nobody listens any more if this fails, and the work is about to end.
                    let _ = progress.send(Event::Progress(it));
                });
                let asker = Asker::new(
                    assistant.clone(),
                    Arc::clone(&effort),
                    item,
                    report,
                    is_cancelled.clone(),
                    Arc::clone(&permits),
                );
                let working = work(asker, input);
                async move { (item, working.await) }
            });
            let mut done = stream::iter(started).buffer_unordered(n_parallel);
            while let Some((item, result)) = done.next().await {
                let _ = sender.send(Event::Finished { item, result });
            }
        });
        Errand { n_items, events, cancel, task }
    }
}

impl<T> Errand<T> {
    pub fn n_items(&self) -> usize {
        self.n_items
    }

    /// The next event; `None` after the last one. The future can be dropped without losing an event.
    pub async fn next(&mut self) -> Option<Event<T>> {
        self.events.recv().await
    }

    /// Ends all work within a step of the model. The items still finish: those without a result as cancelled.
    pub fn cancel(&self) {
        self.cancel.send_replace(true);
    }

    /// Waits for all results, in the order of the items.
    pub async fn finish(mut self) -> Vec<T> {
        let mut results: Vec<Option<T>> = (0..self.n_items).map(|_| None).collect();
        while let Some(event) = self.next().await {
            if let Event::Finished { item, result } = event {
                results[item] = Some(result);
            }
        }
        results.into_iter().flatten().collect()
    }
}

impl<T> Drop for Errand<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
