//! The limits of a template's run besides its fuel: bytes of output, time, and nesting of values. Read [`Limits`] first.
//!
//! Fuel counts instructions and bytes. It misses what one instruction does with a value that contains the same list
//! twice at each of forty levels, and dropping a value of a hundred thousand levels overflows the stack. So every value
//! that a template builds is walked once and its size paid for in fuel, which keeps all values small and shallow.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use minijinja::value::{Kwargs, Object, ObjectRepr, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

use crate::pause::go_on;

/// Bytes of output that are allowed in addition to those for the input; more than any context window holds.
const OUTPUT_BYTES: usize = 8 << 20;
const OUTPUT_BYTES_PER_INPUT_BYTE: usize = 8;
/// Ten times what the slowest public template takes for 2,000 messages of 1 kB on one busy core.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// Loop iterations and macro calls between two checks of the clock: some microseconds.
const TURNS_PER_LOOK: usize = 32;
/// The greatest nesting of lists and maps; JSON from a client has at most 128 levels.
const MAX_LEVELS: usize = 160;
/// Items that can be walked for one step of fuel.
const ITEMS_PER_FUEL: usize = 4;
/// Bytes of text that can be read for one step of fuel, as in minijinja.
const TEXT_BYTES_PER_FUEL: u64 = 64;

/// The limit that a run exceeded.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct TooCostly(pub(super) &'static str);

fn exceeded(limit: &'static str) -> Error {
    Error::new(ErrorKind::OutOfFuel, limit).with_source(TooCostly(limit))
}

/// The limits of one run.
pub(super) struct Limits {
    n_bytes_left: AtomicUsize,
    n_turns: AtomicUsize,
    deadline: Instant,
}

impl Limits {
    /// The limits of a run whose variables contain `n_bytes` of text. Its time starts now.
    pub(super) fn new(n_bytes: usize) -> Self {
        Self {
            n_bytes_left: AtomicUsize::new(OUTPUT_BYTES + OUTPUT_BYTES_PER_INPUT_BYTE * n_bytes),
            n_turns: AtomicUsize::new(0),
            deadline: Instant::now() + TIME_LIMIT,
        }
    }

    /// Counts `n_bytes` of output. Called for each value that is written; the template's own text is limited by fuel.
    pub(super) fn write(&self, n_bytes: usize) -> Result<(), Error> {
        let left = self.n_bytes_left.load(Ordering::Relaxed);
        let left = left.checked_sub(n_bytes).ok_or_else(|| exceeded("bytes of output"))?;
        self.n_bytes_left.store(left, Ordering::Relaxed);
        self.turn()
    }

    /// Checks the clock, and whether the result is still wanted. Called in each loop iteration and macro call; may block
    /// while more urgent work is done.
    pub(super) fn turn(&self) -> Result<(), Error> {
        let is_time = self.n_turns.fetch_add(1, Ordering::Relaxed).is_multiple_of(TURNS_PER_LOOK);
        if is_time && (Instant::now() > self.deadline || !go_on()) {
            return Err(exceeded("time"));
        }
        Ok(())
    }
}

/// Refuses a value that is nested too deeply, and takes fuel for everything in it, but not for a text alone. Returns about
/// the bytes of text that it is written in.
pub(super) fn check_value(state: &State, value: &Value) -> Result<usize, Error> {
    check_layout(state, value, Layout::default())
}

/// The bytes that a way of writing values adds to their texts.
#[derive(Clone, Copy, Default)]
pub(super) struct Layout {
    /// For each item of a list or map.
    pub(super) per_item: usize,
    /// For each item and each level that it is nested in.
    pub(super) per_level: usize,
}

/// [`check_value`] for a value that is written in that layout.
pub(super) fn check_layout(state: &State, value: &Value, layout: Layout) -> Result<usize, Error> {
    walk(state, value, layout, 0)
}

fn walk(state: &State, value: &Value, layout: Layout, n_levels: usize) -> Result<usize, Error> {
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Iterable) {
        return Ok(value.as_str().map_or(0, str::len));
    }
    if n_levels == MAX_LEVELS {
        return Err(exceeded("levels of values within values"));
    }
    let n_levels = n_levels + 1;
    let added = layout.per_item.saturating_add(layout.per_level.saturating_mul(n_levels));
    state.consume_fuel(1)?;
    let is_map = value.kind() == ValueKind::Map;
    let mut n_bytes: usize = 0;
    for (idx, item) in value.try_iter()?.enumerate() {
        if idx % ITEMS_PER_FUEL == ITEMS_PER_FUEL - 1 {
            state.consume_fuel(1)?;
        }
        let mut n_of_item = walk(state, &item, layout, n_levels)?;
        let mut n_of_texts = item.as_str().map_or(0, str::len);
        if is_map {
            let field = value.get_item(&item)?;
            n_of_item = n_of_item.saturating_add(walk(state, &field, layout, n_levels)?);
            n_of_texts = n_of_texts.saturating_add(field.as_str().map_or(0, str::len));
        }
        state.consume_fuel(n_of_texts.saturating_add(added) as u64 / TEXT_BYTES_PER_FUEL)?;
        n_bytes = n_bytes.saturating_add(n_of_item).saturating_add(added);
    }
    Ok(n_bytes)
}

/// Takes the fuel for `n_bytes` of text, before they are made.
pub(super) fn check_bytes(state: &State, n_bytes: usize) -> Result<(), Error> {
    state.consume_fuel(n_bytes as u64 / TEXT_BYTES_PER_FUEL)
}

/// Takes the fuel for a list of `n_items`, before it is made.
pub(super) fn check_items(state: &State, n_items: usize) -> Result<(), Error> {
    state.consume_fuel((n_items / ITEMS_PER_FUEL) as u64)
}

/// Takes the fuel for comparing two values, which may go on to the end of the smaller one.
pub(super) fn check_comparison(state: &State, a: &Value, b: &Value) -> Result<(), Error> {
    if let (Some(a), Some(b)) = (a.as_str(), b.as_str()) {
        return check_bytes(state, a.len().min(b.len()));
    }
    check_value(state, if a.len() < b.len() { a } else { b }).map(|_| ())
}

/// What a slice or a repeated list yields, as a list. minijinja makes them when they are gone through, which would let a
/// value refer to another one a hundred thousand times over.
pub(super) fn list(state: &State, value: Value) -> Result<Value, Error> {
    if value.kind() != ValueKind::Iterable {
        return Ok(value);
    }
    check_items(state, value.len().unwrap_or(0))?;
    Ok(Value::from(value.try_iter()?.collect::<Vec<_>>()))
}

/// `container[key]`. minijinja counts the characters of a text to find one in it, and takes fuel for that only if it is
/// done by a filter.
pub(super) fn item(state: &State, container: &Value, key: &Value) -> Result<Value, Error> {
    check_value(state, key)?;
    container.get_item(key)
}

/// Jinja's `namespace`, whose attributes a template can set. Unlike Jinja's it cannot contain a namespace, loop or macro,
/// since through those a value could become arbitrarily deep or contain itself.
#[derive(Debug, Default)]
struct Namespace(Mutex<BTreeMap<String, Value>>);

impl Namespace {
    fn set(&self, state: &State, name: &str, value: Value) -> Result<(), Error> {
        check_value(state, &value)?;
        check_data(&value)?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), value);
        Ok(())
    }
}

impl Object for Namespace {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key.as_str()?).cloned()
    }

    fn render(self: &Arc<Self>, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("<Namespace>")
    }
}

/// Refuses a value that refers to something mutable. `check_value` must have accepted it.
fn check_data(value: &Value) -> Result<(), Error> {
    let is_of_the_run = |it: &Value| {
        it.downcast_object_ref::<Namespace>().is_some()
            // minijinja's loops, macros and what they capture, its cyclers and joiners.
            || it.as_object().is_some_and(|it| ["::vm::", "::globals::"].iter().any(|of| it.type_name().contains(of)))
    };
    if is_of_the_run(value) {
        let reason =
            "a namespace cannot contain another namespace, a loop, a macro, a cycler or a joiner here";
        return Err(Error::new(ErrorKind::InvalidOperation, reason));
    }
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => value.try_iter()?.try_for_each(|it| check_data(&it)),
        ValueKind::Map => value.try_iter()?.try_for_each(|key| check_data(&value.get_item(&key)?)),
        _ => Ok(()),
    }
}

pub(super) fn is_namespace(value: &Value) -> bool {
    value.downcast_object_ref::<Namespace>().is_some()
}

/// `namespace(name=value, ...)`, or `namespace({...})`.
#[expect(clippy::needless_pass_by_value, reason = "minijinja hands arguments over by value")]
pub(super) fn namespace(state: &State, fields: Option<&Value>, named: Kwargs) -> Result<Value, Error> {
    let namespace = Namespace::default();
    if let Some(fields) = fields {
        if fields.kind() != ValueKind::Map {
            let reason = format!("`namespace` takes a map or names with values, got {}", fields.kind());
            return Err(Error::new(ErrorKind::InvalidOperation, reason));
        }
        for name in fields.try_iter()? {
            namespace.set(state, &name.to_string(), fields.get_item(&name)?)?;
        }
    }
    for name in named.args() {
        namespace.set(state, name, named.get(name)?)?;
    }
    Ok(Value::from_object(namespace))
}

/// `{% set namespace.name = value %}`.
pub(super) fn set_attribute(state: &State, value: Value, object: &Value, name: &str) -> Result<(), Error> {
    if let Some(namespace) = object.downcast_object_ref::<Namespace>() {
        return namespace.set(state, name, value);
    }
    let reason = format!("can only assign to namespaces, not {}", object.kind());
    Err(Error::new(ErrorKind::InvalidOperation, reason))
}
