//! Tests of shares, and of every architecture in two processes, which are this test program again.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use super::share;
use crate::cpu::Kernels;
use crate::device::{self, Compute, DeviceChoice};
use crate::parity::{MAX_ERROR, MAX_KERNELS_ERROR, differing_logits, differing_token};
use crate::testing::stored::StoredModels;
use crate::{Group, LoadError, Placement, Precision, Transport};

/// What is not divided yet; mlx_lm divides some of these.
const REFUSED: [&str; 9] = [
    "deepseek_v2",
    "gemma4",
    "gemma4_text",
    "granitemoehybrid",
    "lfm2",
    "olmo2",
    "qwen3_5",
    "qwen3_5_moe",
    "qwen3_next",
];

#[test]
fn shares_are_whole_units_that_together_are_everything() {
    for (n, unit, size) in [(3, 1, 2), (8, 1, 3), (1536, 64, 2), (4864, 64, 3), (96, 32, 3), (7, 7, 1)] {
        let mut end = 0;
        for rank in 0..size {
            let share = share(n, unit, rank, size).unwrap();
            assert_eq!(share.start, end);
            assert!(share.end > share.start && share.end % unit == 0, "{share:?}");
            end = share.end;
        }
        assert_eq!(end, n);
    }
}

#[test]
fn what_is_too_small_is_not_shared() {
    assert_eq!(share(2, 1, 0, 3), None);
    assert_eq!(share(64, 64, 0, 2), None);
    // The rest that is no whole unit would be lost.
    assert_eq!(share(100, 32, 0, 2), None);
}

#[test]
fn every_dense_and_expert_architecture_computes_the_same_in_two_processes() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts.json");
    // Free until the processes listen there, unless another program is faster.
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = listeners.each_ref().map(|it| [it.local_addr().unwrap().to_string()]);
    std::fs::write(&hosts, serde_json::to_string(&addresses).unwrap()).unwrap();
    drop(listeners);
    let parts = [0, 1].map(|rank: usize| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "division::tests::part_of_every_architecture", "--nocapture"])
            .env("MLX_RANK", rank.to_string())
            .env("MLX_HOSTFILE", &hosts)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    });
    // If one fails, its connection ends, and so does the other one.
    let outputs = parts.map(|it| it.wait_with_output().unwrap());
    // Without a test of that name, nothing would fail.
    let has_passed = |it: &Output| String::from_utf8_lossy(&it.stdout).contains("1 passed");
    let failed: Vec<_> = outputs.iter().filter(|it| !it.status.success() || !has_passed(it)).collect();
    let said = failed.iter().map(|it| String::from_utf8_lossy(&it.stderr));
    assert!(failed.is_empty(), "{}", said.collect::<Vec<_>>().join("\n"));
}

#[test]
#[ignore = "one of the two processes of the test above"]
fn part_of_every_architecture() {
    let group = Group::join(Transport::Ring).unwrap();
    device::select(DeviceChoice::Cpu).unwrap();
    let stored = StoredModels::read();
    let kernels = Kernels::new(std::num::NonZeroUsize::new(1), Some(Precision::F32)).unwrap();
    let (mut differing, mut done, mut refused) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for expected in &stored.models {
        // One of each architecture is enough: two processes that wait for each other take long where cores are few. Some are
        // too small to be divided.
        let name = expected.config["model_type"].as_str().unwrap();
        if done.contains(name) {
            continue;
        }
        let folder = stored.checkpoint(expected);
        let adapter = expected.adapter_folder(folder.path());
        let kernels = kernels.clone().filter(|_| done.len().is_multiple_of(2));
        let max_error = if kernels.is_some() { MAX_KERNELS_ERROR } else { MAX_ERROR };
        let placement =
            Placement { compute: Compute::Cpu, kernels, kv_bits: None, group: Some(group.clone()) };
        let loaded = crate::load_with(folder.path(), adapter.as_deref(), &placement, &mut |_, _| {});
        let mut model = match loaded {
            Ok(model) => model,
            Err(LoadError::Division { .. }) => {
                refused.insert(name);
                continue;
            }
            Err(error) => panic!("{}: {error}", expected.name),
        };
        let found = differing_logits(&mut model, &stored, expected, max_error);
        let found = found.or_else(|| differing_token(&mut model, &stored.prompt, expected));
        differing.extend(found.map(|it| format!("{}: {it}", expected.name)));
        done.insert(name);
    }
    assert!(differing.is_empty(), "{differing:#?}");
    assert_eq!(refused.difference(&done).copied().collect::<Vec<_>>(), REFUSED);
}
