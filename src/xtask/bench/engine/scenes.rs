//! The scenes: what the clients do, and which figures are reported.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::client::{Client, Sent, figure};
use super::figures::{Figures, percentile};
use super::prompts::{CHARS_PER_TOKEN, FILE, quick};
use super::stage::{Scene, Stage};

/// A function of sixty lines, in which a variable is renamed.
const FUNCTION: &str = include_str!("edit.py");
/// Cancels are sent at random times up to this long after their requests.
const CANCEL_WITHIN_MS: u64 = 400;

pub(super) const ALL: &[Scene] = &[
    ("beside", beside),
    ("typing", typing),
    #[cfg(target_os = "linux")]
    ("suggestions", super::typist::suggestions),
    #[cfg(target_os = "linux")]
    ("places", super::places::places),
    ("cancel", cancel),
    ("parallel", parallel),
    #[cfg(target_os = "linux")]
    ("clients", super::clients::clients),
    ("drafts", drafts),
    ("memory", memory),
];

/// Interactive completions while a long background text is generated.
fn beside(stage: &Stage<'_>) -> Result<Figures> {
    let n_tokens = stage.n(1000);
    // A model that counts does not end the text by itself.
    let long = json!({"prefix": "1, 2, 3, 4, 5, 6, 7, 8, 9, 10,", "mode": "raw", "max_tokens": n_tokens,
        "priority": "background", "speculation": "off"});
    let mut worker = stage.worker(&[])?;
    let alone = worker.request("complete", &long)?;
    let alone = worker.answer(alone)?;
    ensure!(alone.result["finish_reason"] == "length", "the background text ended early: {}", alone.result);
    // From the first prompt the engine learns how fast the machine is.
    let mut idle = Vec::new();
    for idx in 0..stage.n(40).max(8) {
        let quick = worker.request("complete", &quick(idx))?;
        idle.push(worker.answer(quick)?.first);
    }

    let background = worker.request("complete", &long)?;
    worker.wait_for_text(background)?;
    let (mut beside, mut idx) = (Vec::new(), 1000);
    while !worker.is_answered(background) {
        let quick = worker.request("complete", &quick(idx))?;
        beside.push(worker.answer(quick)?.first);
        idx += 1;
        thread::sleep(Duration::from_millis(150));
    }
    let background = worker.answer(background)?;
    ensure!(background.result["text"] == alone.result["text"], "the background text is another one");

    let step = 1e3 / figure(&alone.result, "timing", "generation_tokens_per_second")?;
    let mut figures = Figures::default();
    figures.push("background step", step, "ms");
    figures.push_times("first token, nothing else runs", &idle);
    figures.push_times("first token beside it", &beside);
    figures.push("completions beside it", beside.len() as f64, "");
    figures.push("background alone", alone.all.as_secs_f64(), "s");
    figures.push("background with them", background.all.as_secs_f64(), "s");
    Ok(figures)
}

/// A request per keystroke, each superseding the one before.
fn typing(stage: &Stage<'_>) -> Result<Figures> {
    let keys = stage.keys()?;
    let mut worker = stage.worker(&[])?;
    let file = json!({"suffix": keys.suffix, "path": "src/stop.rs", "document": "file:///src/stop.rs",
        "max_tokens": keys.max_tokens});
    let at = |prefix: &str| {
        let mut params = file.clone();
        params["prefix"] = json!(prefix);
        params
    };
    // The editor opens the file.
    worker.call("warm", &at(keys.before))?;
    let sent =
        keys.paced().map(|prefix| worker.request("complete", &at(prefix))).collect::<Result<Vec<Sent>>>()?;
    let (mut firsts, mut n_shown, mut n_free) = (Vec::new(), 0, 0);
    let (mut n_prompt, mut n_cached, mut n_drawn) = (0.0, 0.0, 0.0);
    for request in sent {
        let answer = worker.answer(request)?;
        let usage = |key| figure(&answer.result, "usage", key);
        n_prompt += usage("prompt_tokens")?;
        n_cached += usage("cached_tokens")?;
        n_drawn += usage("completion_tokens")?;
        n_free += usize::from(usage("completion_tokens")? == 0.0);
        if answer.result["text"] != "" {
            n_shown += 1;
            firsts.push(answer.first);
        }
    }
    let n_keys = keys.len() as f64;
    let mut figures = Figures::default();
    figures.push_times("key to first text", &firsts);
    figures.push("keys with text", 100.0 * f64::from(n_shown) / n_keys, "%");
    figures.push("keys without a token drawn", 100.0 * n_free as f64 / n_keys, "%");
    figures.push("prompt tokens from the cache", 100.0 * n_cached / n_prompt, "%");
    figures.push("prompt tokens computed per key", (n_prompt - n_cached) / n_keys, "");
    figures.push("tokens drawn per key", n_drawn / n_keys, "");
    Ok(figures)
}

/// Cancels at random times, during long prompts and during generation.
fn cancel(stage: &Stage<'_>) -> Result<Figures> {
    let long: String = FILE.chars().cycle().take(4000 * CHARS_PER_TOKEN).collect();
    let mut worker = stage.worker(&[])?;
    worker.call("complete", &json!({"prefix": &long[..3000], "mode": "raw", "max_tokens": 32}))?;
    let mut random = fastrand::Rng::with_seed(1);
    let (mut in_prompt, mut in_text) = (Vec::new(), Vec::new());
    for idx in 0..stage.n(500) {
        let is_long = idx % 2 == 0;
        let prompt = if is_long { &long } else { &long[..100] };
        let params = json!({"prefix": format!("// {idx}\n{prompt}"), "mode": "raw", "max_tokens": 2000,
            "speculation": "off", "stream": idx % 4 < 2});
        let request = worker.request("complete", &params)?;
        thread::sleep(Duration::from_millis(random.u64(0..CANCEL_WITHIN_MS)));
        let cancelled = Instant::now();
        worker.cancel(request)?;
        let answer = worker.answer(request)?;
        worker.forget_text();
        if answer.result["finish_reason"] == "cancelled" {
            let times = if is_long { &mut in_prompt } else { &mut in_text };
            times.push(answer.ended.saturating_duration_since(cancelled));
        }
    }
    let all: Vec<Duration> = in_prompt.iter().chain(&in_text).copied().collect();
    let mut figures = Figures::default();
    figures.push("cancels", all.len() as f64, "");
    figures.push_times("to the answer", &all);
    figures.push_times("of prompts of 4000 tokens", &in_prompt);
    figures.push_times("of texts under way", &in_text);
    Ok(figures)
}

/// The numbers of jobs that run together.
pub(super) const N_AT_ONCE: [usize; 4] = [1, 2, 4, 8];

/// Requests with new prompts, so that the cache does not help.
pub(super) fn parallel_prompts(round: usize, n_jobs: usize) -> impl Iterator<Item = Value> {
    (0..n_jobs).map(move |idx| quick(round * 100 + n_jobs * 10 + idx + 1))
}

/// Several background jobs together.
fn parallel(stage: &Stage<'_>) -> Result<Figures> {
    let mut worker = stage.worker(&[])?;
    worker.call("complete", &quick(0))?;
    let mut figures = Figures::default();
    for n_jobs in N_AT_ONCE {
        let mut rates = Vec::new();
        for round in 0..3 {
            let start = Instant::now();
            let jobs = parallel_prompts(round, n_jobs)
                .map(|mut params| {
                    params["max_tokens"] = json!(stage.n_parallel_tokens());
                    params["priority"] = json!("background");
                    params["speculation"] = json!("off");
                    worker.request("complete", &params)
                })
                .collect::<Result<Vec<_>>>()?;
            let (mut n_drawn, mut last, mut decoding) = (0.0, start, start);
            for job in jobs {
                let answer = worker.answer(job)?;
                n_drawn += figure(&answer.result, "usage", "completion_tokens")? - 1.0;
                last = last.max(answer.ended);
                decoding = decoding.max(job.at + answer.first);
            }
            // Measured from the time when all are generating; those that began earlier have generated a few tokens
            // more.
            rates.push(n_drawn / (last - decoding).as_secs_f64());
        }
        figures.push(format!("{n_jobs} at once"), percentile(&rates, 50).unwrap_or_default(), "tok/s");
    }
    Ok(figures)
}

/// Prompts for new text. It ends before a small model begins to repeat itself.
const TOPICS: [&str; 5] = [
    "Tell me about the history of lighthouses.",
    "Explain how bread is made.",
    "Write a short story about a fox and a clockmaker.",
    "What is the difference between TCP and UDP?",
    "Describe a walk through Lisbon in autumn.",
];

/// The same texts with and without drafts, alternately.
fn drafts(stage: &Stage<'_>) -> Result<Figures> {
    let rename = format!(
        "Rename the variable `result` to `records` in this function. Answer with the whole function and nothing else.\n\n```python\n{FUNCTION}```"
    );
    let chat = |content: &str, max_tokens: usize| json!({"messages": [{"role": "user", "content": content}], "max_tokens": max_tokens, "temperature": 0});
    let edit = chat(&rename, stage.n(6000).max(600));
    let copy = json!({"mode": "raw", "max_tokens": 400, "prefix":
        format!("# before\n{FUNCTION}\n# after: `result` is called `records`\n{}", FUNCTION.lines().take(2).collect::<Vec<_>>().join("\n"))});
    let new: Vec<Value> = TOPICS.iter().map(|topic| chat(topic, 150)).collect();
    let mut figures = Figures::default();
    for (name, method, texts) in [
        ("edit in a chat", "chat", vec![edit]),
        ("edit as a completion", "complete", vec![copy]),
        ("new text", "chat", new),
    ] {
        let (mut of_texts, mut n_different) = (vec![Vec::new(); texts.len()], 0);
        let (mut n_drawn, mut n_drafted, mut n_accepted) = (0.0, 0.0, 0.0);
        // A worker that has generated a text once drafts from it, so each round has new ones.
        for round in 0..3 {
            let (mut with, mut without) = (stage.worker(&[])?, stage.worker(&[])?);
            for worker in [&mut with, &mut without] {
                worker.call("chat", &chat("Count to twenty.", 60))?;
            }
            for (params, of_text) in texts.iter().zip(&mut of_texts) {
                let mut with = || generate(&mut with, method, params, "auto");
                let mut without = || generate(&mut without, method, params, "off");
                let (with, without) = if round % 2 == 0 {
                    let with = with()?;
                    (with, without()?)
                } else {
                    let without = without()?;
                    (with()?, without)
                };
                n_different += u32::from(with.text != without.text);
                of_text.push(without.seconds / with.seconds);
                n_drawn += figure(&with.result, "usage", "completion_tokens")?;
                n_drafted += figure(&with.result, "usage", "drafted_tokens")?;
                n_accepted += figure(&with.result, "usage", "accepted_tokens")?;
            }
        }
        let speedups: Vec<f64> = of_texts.iter().filter_map(|it| percentile(it, 50)).collect();
        figures.push(format!("{name}, speed-up"), percentile(&speedups, 50).unwrap_or_default(), "x");
        if let Some(least) = percentile(&speedups, 0).filter(|_| speedups.len() > 1) {
            figures.push(format!("{name}, least speed-up of a text"), least, "x");
        }
        figures.push(format!("{name}, texts that differ"), f64::from(n_different), "");
        figures.push(format!("{name}, tokens"), n_drawn, "");
        figures.push(format!("{name}, drafted"), n_drafted, "");
        figures.push(format!("{name}, accepted"), n_accepted, "");
    }
    Ok(figures)
}

struct Generated {
    text: Value,
    seconds: f64,
    result: Value,
}

fn generate(worker: &mut Client, method: &str, params: &Value, speculation: &str) -> Result<Generated> {
    let mut params = params.clone();
    params["speculation"] = json!(speculation);
    let mut result = worker.call(method, &params)?;
    worker.forget_text();
    let seconds = figure(&result, "timing", "decode_ms")? / 1e3;
    let text = if method == "chat" { result["message"]["content"].take() } else { result["text"].take() };
    Ok(Generated { text, seconds, result })
}

/// The first one of this many parts of the requests is the warm-up, in which the cache fills and the allocators grow.
const WARM_UP_PARTS: usize = 10;

/// Many requests of all kinds, four at a time, some of which are cancelled.
fn memory(stage: &Stage<'_>) -> Result<Figures> {
    let n_requests = stage.n(2000);
    // A small cache, so that it is soon full.
    let mut worker = stage.worker(&["--cache-limit-mib", "64"])?;
    let mut random = fastrand::Rng::with_seed(1);
    let (mut resident, mut active) = (Vec::new(), Vec::new());
    let mut in_flight: Vec<Sent> = Vec::new();
    for idx in 0..n_requests {
        let n_chars = random.usize(20..1500);
        let start = random.usize(0..FILE.len() / 2);
        let text: String = FILE.chars().skip(start).take(n_chars).collect();
        let max_tokens = random.usize(1..24);
        let request = if random.bool() {
            let params = json!({"prefix": text, "suffix": "\n}\n", "max_tokens": max_tokens, "n": random.u8(1..3),
                "document": if random.bool() { json!(format!("file:///{}", random.u8(0..4))) } else { Value::Null }});
            worker.request("complete", &without_nulls(params))?
        } else {
            worker.request(
                "chat",
                &json!({"messages": [{"role": "user", "content": text}], "max_tokens": max_tokens}),
            )?
        };
        if random.u8(0..5) == 0 {
            worker.cancel(request)?;
        }
        in_flight.push(request);
        if in_flight.len() == 4 || idx + 1 == n_requests {
            for request in in_flight.drain(..) {
                worker.answer(request)?;
            }
            worker.forget_text();
            // Measured while nothing runs: memory that is in use then stays in use.
            let status = worker.call("status", &json!({}))?;
            let n_done = (idx + 1) as f64;
            active.push((n_done, figure(&status, "memory", "active_bytes")?));
            resident.extend(worker.resident_bytes().map(|it| (n_done, it as f64)));
        }
    }
    let mut figures = Figures::default();
    figures.push("requests", n_requests as f64, "");
    figures.push("of them to warm up", (n_requests / WARM_UP_PARTS) as f64, "");
    for (name, samples) in [("active", active), ("resident", resident)] {
        figures.push_growth(name, &samples, n_requests / WARM_UP_PARTS);
    }
    Ok(figures)
}

fn without_nulls(mut params: Value) -> Value {
    if let Some(params) = params.as_object_mut() {
        params.retain(|_, it| !it.is_null());
    }
    params
}
