//! Clients that cancel, do not read or write slowly, and a worker that is stopped for a while.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::lab::{Lab, text};
use super::outcome::Outcome;
use crate::program::Program;

/// The requests that are cancelled at the same time.
const GROUP: usize = 8;
/// A cancelled request runs for at most this long before.
const MAX_RUN: Duration = Duration::from_millis(250);
/// The bytes that a slow client writes, about.
const N_SLOW_BYTES: u32 = 100;

/// Cancels requests at random moments: while they wait, in a prompt and in a text.
pub(super) fn cancels(lab: &Lab) -> Result<Outcome> {
    let home = lab.home()?;
    let mut program = lab.serve(lab.command(home.path()))?;
    lab.check(&mut program)?;
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    let mut n_left = lab.args.cancels;
    while n_left > 0 {
        let n = n_left.min(GROUP);
        n_left -= n;
        let started = Instant::now();
        let mut open = Vec::new();
        for _ in 0..n {
            let n_words = lab.random.borrow_mut().usize(1..400);
            open.push((lab.moment(MAX_RUN), program.request("complete", &lab.long(n_words, 400))?));
        }
        open.sort_unstable();
        for (at, id) in &open {
            thread::sleep(at.saturating_sub(started.elapsed()));
            program.notify("cancel", &json!({"id": id}))?;
        }
        for (_, id) in open {
            let answer = program.answer(id)?;
            text(&answer)?;
            let reason = answer["result"]["finish_reason"].as_str().unwrap_or_default();
            *reasons.entry(reason.to_owned()).or_default() += 1;
        }
        lab.check(&mut program)?;
    }
    end(program)?;
    let reasons: Vec<String> = reasons.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
    Ok(Outcome::Handled(format!(
        "{} cancels, one answer each ({}); the next request was answered after each {GROUP}",
        lab.args.cancels,
        reasons.join(", ")
    )))
}

/// Asks for more than pipes hold, and reads nothing for a while.
pub(super) fn unread(lab: &Lab) -> Result<Outcome> {
    let home = lab.home()?;
    let command = lab.serving(lab.command(home.path()));
    let mut program = Program::start_unread("serve", command, &lab.log())?;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(program.request("complete", &lab.long(3, 60))?);
    }
    for _ in 0..20 {
        ids.push(program.request("rpc.discover", &json!({}))?);
    }
    thread::sleep(Duration::from_secs(lab.args.seconds));
    let megabytes = program.held()?.bytes / 1_000_000;
    program.read();
    let n = ids.len();
    for id in ids {
        let answer = program.answer(id)?;
        ensure!(answer.get("error").is_none(), "an error: {answer}");
    }
    lab.check(&mut program)?;
    end(program)?;
    Ok(Outcome::Handled(format!(
        "nothing was read for {} s, with {megabytes} MB resident at its end; then {n} of {n} answers",
        lab.args.seconds
    )))
}

/// Writes single bytes, each after a pause.
pub(super) fn slow_writer(lab: &Lab) -> Result<Outcome> {
    let home = lab.home()?;
    let mut program = lab.serve(lab.command(home.path()))?;
    program.pace = Duration::from_secs(lab.args.seconds) / N_SLOW_BYTES;
    lab.check(&mut program)?;
    program.pace = Duration::ZERO;
    lab.check(&mut program)?;
    end(program)?;
    Ok(Outcome::Handled(format!("a byte every {} ms: answered as ever", 1000 * lab.args.seconds / 100)))
}

/// Stops the process while it loads, in a prompt and in a text, and cancels something meanwhile.
pub(super) fn stopped(lab: &Lab) -> Result<Outcome> {
    let home = lab.home()?;
    let mut program = lab.serve(lab.command(home.path()))?;
    let time = Duration::from_secs(lab.args.seconds).div_f64(20.0);
    let pid = i32::try_from(program.id()).ok().and_then(Pid::from_raw);
    let signal = |signal| Ok::<(), anyhow::Error>(pid.map_or(Ok(()), |it| kill_process(it, signal))?);
    let pause = |program: &mut Program, id: Option<u64>| -> Result<()> {
        signal(Signal::STOP)?;
        let cancelled = id.map_or(Ok(()), |id| program.notify("cancel", &json!({"id": id})));
        thread::sleep(time);
        signal(Signal::CONT)?;
        cancelled
    };
    pause(&mut program, None)?;
    lab.check(&mut program)?;
    let in_prompt = program.request("complete", &lab.long(300, 3))?;
    pause(&mut program, None)?;
    text(&program.answer(in_prompt)?)?;
    let in_text = program.request("complete", &lab.long(3, 40))?;
    program.wait_for_text(in_text)?;
    pause(&mut program, None)?;
    text(&program.answer(in_text)?)?;
    let cancelled = program.request("complete", &lab.long(3, 8000))?;
    program.wait_for_text(cancelled)?;
    pause(&mut program, Some(cancelled))?;
    let answer = program.answer(cancelled)?;
    ensure!(answer["result"]["finish_reason"] == "cancelled", "not cancelled: {answer}");
    let mut limited = lab.long(3, 8000);
    limited["time_budget_ms"] = json!(time.as_millis().max(1));
    let limited = program.request("complete", &limited)?;
    pause(&mut program, None)?;
    let answer = program.answer(limited)?;
    ensure!(answer["result"]["finish_reason"] == "budget", "not ended by its budget: {answer}");
    lab.check(&mut program)?;
    end(program)?;
    Ok(Outcome::Handled(format!(
        "5 times for {} ms; every request was answered, one cancelled and one at the end of its time",
        time.as_millis()
    )))
}

/// Ends a worker that must have answered everything once.
pub(super) fn end(mut program: Program) -> Result<()> {
    program.stop()?;
    let faults = std::mem::take(&mut program.ledger().faults);
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}
