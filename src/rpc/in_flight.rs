//! The client's requests in flight, and how they are cancelled: [`InFlight`].
//!
//! A request enters the table when it is read, before anything after it is read, so a cancel directly behind it finds
//! it. It leaves the table through its [`Ticket`], which answering consumes. So each request has one answer, and no
//! notification of the request comes after its answer. The exception is a request that its client has withdrawn: from
//! then on nothing is sent about it, not even its answer.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jsonrpsee::Extensions;
use tokio::sync::watch;

use crate::id::RequestId;
use crate::outbound::{Closed, NotifyError, Outbound};

/// The number of answered requests that are kept, to tell "finished" from "unknown".
const MAX_FINISHED: usize = 256;

/// What cancelled a request. Only the first cancel counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelledBy {
    /// The notification `$/cancelRequest`. LSP requires an answer to the request nevertheless, for example the error
    /// -32800.
    CancelRequest,
    /// The program, through [`InFlight::cancel`].
    Program,
    /// The client has withdrawn the request, as MCP's clients do: it gets no answer, and nothing more is sent about it,
    /// not even what is already in the queue.
    Withdrawal,
    /// The end of the connection.
    End,
}

/// The client's requests on one connection. Clones share the table.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    running: HashMap<RequestId, Arc<Entry>>,
    /// The most recent one is last.
    finished: VecDeque<(RequestId, Arc<Entry>)>,
    /// The number of requests whose answers wait for room in the queue.
    n_unsent: usize,
}

/// What is known about a request, shared by its handler and those who look it up.
pub(crate) struct Entry {
    method: Box<str>,
    cancelled: watch::Sender<Option<CancelledBy>>,
    ended: watch::Sender<bool>,
    notes: Mutex<Extensions>,
    /// Locked while a message about the request is sent; `true` once the request is answered.
    answered: tokio::sync::Mutex<bool>,
    /// Whether the client has withdrawn the request. Shared with the messages about it that wait to be written.
    withdrawn: Arc<AtomicBool>,
}

/// What [`InFlight::cancel`] found.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// The request was running, and is now cancelled.
    Running(RequestRecord),
    /// The request had already been answered.
    Finished(RequestRecord),
    /// There was no such request, or it was answered too long ago.
    Unknown,
}

/// A request of the client, running or answered, for everything except its handler.
#[derive(Clone, Debug)]
pub struct RequestRecord(Arc<Entry>);

impl InFlight {
    /// Cancels a running request. Its handler still has to answer it, see [`RequestRecord::ended`]; after a
    /// [`Withdrawal`](CancelledBy::Withdrawal) that answer is not sent.
    pub fn cancel(&self, id: &RequestId, by: CancelledBy) -> Lookup {
        let table = self.table();
        if let Some(entry) = table.running.get(id) {
            entry.cancel(by);
            return Lookup::Running(RequestRecord(entry.clone()));
        }
        match table.finished.iter().rev().find(|(finished, _)| finished == id) {
            Some((_, entry)) => {
                if by == CancelledBy::Withdrawal {
                    // Its answer may still wait in the queue.
                    entry.withdrawn.store(true, Ordering::Relaxed);
                }
                Lookup::Finished(RequestRecord(entry.clone()))
            }
            None => Lookup::Unknown,
        }
    }

    /// The number of requests that have not been answered yet.
    pub fn n_running(&self) -> usize {
        self.table().running.len()
    }

    /// The number of requests that are not answered, or whose answer waits for room in the queue.
    pub(crate) fn n_taken(&self) -> usize {
        let table = self.table();
        table.running.len() + table.n_unsent
    }

    pub(crate) fn cancel_all(&self, by: CancelledBy) {
        for entry in self.table().running.values() {
            entry.cancel(by);
        }
    }

    pub(crate) fn contains(&self, id: &RequestId) -> bool {
        self.table().running.contains_key(id)
    }

    /// Adds a request; `None` if its id is in use.
    pub(crate) fn enter(&self, id: RequestId, method: &str) -> Option<Ticket> {
        let entry = Arc::new(Entry {
            method: method.into(),
            cancelled: watch::Sender::new(None),
            ended: watch::Sender::new(false),
            notes: Mutex::default(),
            answered: tokio::sync::Mutex::new(false),
            withdrawn: Arc::default(),
        });
        let mut table = self.table();
        if table.running.contains_key(&id) {
            return None;
        }
        table.running.insert(id.clone(), entry.clone());
        Some(Ticket { id, entry, table: self.clone() })
    }

    /// Frees the id. The request still counts for [`Self::n_taken`].
    fn leave_unsent(&self, id: &RequestId, entry: &Arc<Entry>) -> Unsent {
        self.table().n_unsent += 1;
        self.leave(id);
        Unsent { table: self.clone(), entry: entry.clone() }
    }

    fn leave(&self, id: &RequestId) {
        let mut table = self.table();
        if let Some((id, entry)) = table.running.remove_entry(id) {
            if table.finished.len() == MAX_FINISHED {
                table.finished.pop_front();
            }
            table.finished.push_back((id, entry));
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // No code can panic in the middle of a change to the table.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RequestRecord {
    /// The method that the request named.
    pub fn method(&self) -> &str {
        &self.0.method
    }

    /// The value that the handler stored with `RequestContext::note`.
    pub fn note<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.0.note()
    }

    /// Resolves when the request's answer has been queued.
    pub async fn ended(&self) {
        self.0.ended().await;
    }
}

impl Entry {
    fn cancel(&self, by: CancelledBy) {
        if by == CancelledBy::Withdrawal {
            self.withdrawn.store(true, Ordering::Relaxed);
        }
        self.cancelled.send_if_modified(|cancelled| {
            let first = cancelled.is_none();
            if first {
                *cancelled = Some(by);
            }
            first
        });
    }

    pub(crate) fn cancelled_by(&self) -> Option<CancelledBy> {
        *self.cancelled.borrow()
    }

    pub(crate) async fn cancelled(&self) -> CancelledBy {
        let mut cancelled = self.cancelled.subscribe();
        match cancelled.wait_for(Option::is_some).await.map(|by| *by) {
            Ok(Some(by)) => by,
            // Cannot happen: the entry holds the sender.
            _ => std::future::pending().await,
        }
    }

    pub(crate) fn set_note<T: Clone + Send + Sync + 'static>(&self, note: T) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).insert(note);
    }

    /// Resolves when the request's answer has been queued.
    pub(crate) async fn ended(&self) {
        let mut ended = self.ended.subscribe();
        // Cannot fail: the entry holds the sender.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    fn note<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).get().cloned()
    }

    fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Relaxed)
    }

    /// Whether a notification of the request may still be sent, given whether it has been answered.
    fn check_open(&self, answered: bool) -> Result<(), NotifyError> {
        match (answered, self.is_withdrawn()) {
            (true, _) => Err(NotifyError::Answered),
            (false, true) => Err(NotifyError::Withdrawn),
            (false, false) => Ok(()),
        }
    }

    /// Sends a notification of the request, unless the request has been answered or withdrawn.
    pub(crate) async fn send(&self, out: &Outbound, message: String) -> Result<(), NotifyError> {
        let answered = self.answered.lock().await;
        self.check_open(*answered)?;
        Ok(out.send_while_wanted(message, &self.withdrawn).await?)
    }

    pub(crate) fn try_send(&self, out: &Outbound, message: String) -> Result<(), NotifyError> {
        // If it is locked, another sender is waiting for room.
        let answered = self.answered.try_lock().map_err(|_| NotifyError::Full)?;
        self.check_open(*answered)?;
        out.try_send_while_wanted(message, &self.withdrawn)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("cancelled", &self.cancelled)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// The right and the duty to answer one request. Dropping the ticket removes the request from the table.
#[derive(Debug)]
pub(crate) struct Ticket {
    id: RequestId,
    entry: Arc<Entry>,
    table: InFlight,
}

impl Ticket {
    pub(crate) fn id(&self) -> &RequestId {
        &self.id
    }

    pub(crate) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// Sends the answer, after every notification of the request, unless the request has been withdrawn.
    pub(crate) async fn answer(self, out: &Outbound, response: String) -> Result<(), Closed> {
        let mut answered = self.entry.answered.lock().await;
        *answered = true;
        // Before the answer is sent, since the client may reuse the id as soon as it has read it.
        let _unsent = self.table.leave_unsent(&self.id, &self.entry);
        out.send_while_wanted(response, &self.entry.withdrawn).await
    }

    /// Ends the request without sending its answer, which is sent as part of a batch.
    pub(crate) async fn close(self) -> Unsent {
        *self.entry.answered.lock().await = true;
        self.table.leave_unsent(&self.id, &self.entry)
    }
}

/// An answer that waits for room in the queue. Until this is dropped, the request counts for [`InFlight::n_taken`].
#[derive(Debug)]
pub(crate) struct Unsent {
    table: InFlight,
    entry: Arc<Entry>,
}

impl Unsent {
    /// Whether the client has withdrawn the request, so that its answer must not be sent.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.entry.is_withdrawn()
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.table.table().n_unsent -= 1;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.table.leave(&self.id);
        self.entry.ended.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn id(text: &str) -> RequestId {
        RequestId::from_raw(serde_json::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn an_id_is_taken_until_its_ticket_is_gone() {
        let in_flight = InFlight::default();
        let ticket = in_flight.enter(id("1"), "m").unwrap();
        assert!(in_flight.enter(id("1"), "m").is_none());
        assert!(in_flight.enter(id("2"), "m").is_some());
        drop(ticket);
        assert!(in_flight.enter(id("1"), "m").is_some());
    }

    #[test]
    fn the_first_cancel_counts() {
        let in_flight = InFlight::default();
        let ticket = in_flight.enter(id("1"), "m").unwrap();
        assert!(matches!(in_flight.cancel(&id("1"), CancelledBy::CancelRequest), Lookup::Running(_)));
        in_flight.cancel_all(CancelledBy::End);
        assert_eq!(ticket.entry().cancelled_by(), Some(CancelledBy::CancelRequest));
    }

    #[test]
    fn finished_requests_are_kept_with_their_notes_for_a_while() {
        let in_flight = InFlight::default();
        let ticket = in_flight.enter(id("0"), "m").unwrap();
        ticket.entry().set_note(42_u32);
        drop(ticket);
        let Lookup::Finished(record) = in_flight.cancel(&id("0"), CancelledBy::Program) else {
            panic!("request 0 is not kept");
        };
        assert_eq!(record.note::<u32>(), Some(42));
        for n in 1..=MAX_FINISHED {
            drop(in_flight.enter(id(&n.to_string()), "m").unwrap());
        }
        assert!(matches!(in_flight.cancel(&id("0"), CancelledBy::Program), Lookup::Unknown));
        assert!(matches!(in_flight.cancel(&id("1"), CancelledBy::Program), Lookup::Finished(_)));
    }

    #[tokio::test]
    async fn nothing_of_a_request_is_sent_after_its_answer() {
        let in_flight = InFlight::default();
        let (out, _queue) = crate::outbound::queue(4);
        let ticket = in_flight.enter(id("1"), "m").unwrap();
        let entry = ticket.entry().clone();
        entry.send(&out, "{}".into()).await.unwrap();
        ticket.answer(&out, "{}".into()).await.unwrap();
        assert!(matches!(entry.send(&out, "{}".into()).await, Err(NotifyError::Answered)));
        assert!(matches!(entry.try_send(&out, "{}".into()), Err(NotifyError::Answered)));
    }
}
