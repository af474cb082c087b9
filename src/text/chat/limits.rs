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

/// Refuses a value that is nested too deeply, and takes fuel for everything in it.
pub(super) fn check_value(state: &State, value: &Value) -> Result<(), Error> {
    walk(state, value, 0)
}

fn walk(state: &State, value: &Value, n_levels: usize) -> Result<(), Error> {
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Iterable) {
        return Ok(());
    }
    if n_levels == MAX_LEVELS {
        return Err(exceeded("levels of values within values"));
    }
    state.consume_fuel(1)?;
    let is_map = value.kind() == ValueKind::Map;
    for (idx, item) in value.try_iter()?.enumerate() {
        if idx % ITEMS_PER_FUEL == ITEMS_PER_FUEL - 1 {
            state.consume_fuel(1)?;
        }
        walk(state, &item, n_levels + 1)?;
        if is_map {
            check_text(state, &item)?;
            walk(state, &value.get_item(&item)?, n_levels + 1)?;
        }
    }
    Ok(())
}

/// `container[key]`. minijinja counts the characters of a text to find one in it, and takes fuel for that only if it is
/// done by a filter.
pub(super) fn item(container: &Value, key: &Value) -> Result<Value, Error> {
    container.get_item(key)
}

/// Takes the fuel for walking through a text; other values cost nothing.
fn check_text(state: &State, value: &Value) -> Result<(), Error> {
    let n_bytes = value.as_str().map_or(0, str::len);
    state.consume_fuel(n_bytes as u64 / TEXT_BYTES_PER_FUEL)
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
            // minijinja's loops, macros and what they capture.
            || it.as_object().is_some_and(|it| it.type_name().contains("::vm::"))
    };
    if is_of_the_run(value) {
        let reason = "a namespace cannot contain another namespace, a loop or a macro here";
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
