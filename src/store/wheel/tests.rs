//! With the machine's own pip, on wheels made here; it never asks an index.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use super::sample::{pip_for, wheel};
use super::{Pip, Requirement, Wheel, fetch};
use crate::digest::sha256_bytes;
use crate::error::StoreError;

fn requirement<'a>(name: &'a str, version: Option<&'a str>, sha256: Option<&'a str>) -> Requirement<'a> {
    Requirement { name, version, sha256 }
}

fn names_in(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_wheel_is_fetched_once_and_found_from_then_on() {
    let (index, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let made = wheel(index.path(), "some-data", "1.2", &[("some_data/x.bin", b"hello")]);
    let pip = pip_for(index.path());
    let sha256 = sha256_bytes(&fs::read(&made).unwrap());
    let wanted = requirement("some-data", Some("1.2"), Some(&sha256));
    let mut heard = 0;
    let fetched = fetch(&wanted, folder.path(), &pip, &mut |done| heard = done).unwrap();
    assert_eq!(fetched, folder.path().join("some_data-1.2-py3-none-any.whl"));
    assert_eq!(heard, fs::metadata(&fetched).unwrap().len());
    assert_eq!(names_in(folder.path()).len(), 1, "no scratch folder is left");

    let nobody = Pip { python: "/nonexistent/python3".into(), offline: false };
    assert_eq!(fetch(&wanted, folder.path(), &nobody, &mut |_| {}).unwrap(), fetched);
    assert!(matches!(
        fetch(&requirement("Some.Data", Some("1.3"), None), folder.path(), &nobody, &mut |_| {}),
        Err(StoreError::NoPip { .. })
    ));
}

#[test]
fn another_hash_is_refused_and_leaves_nothing() {
    let (index, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    wheel(index.path(), "some-data", "1.2", &[("x", b"hello")]);
    let wrong = "0".repeat(64);
    let err = fetch(
        &requirement("some-data", Some("1.2"), Some(&wrong)),
        folder.path(),
        &pip_for(index.path()),
        &mut |_| {},
    )
    .unwrap_err();
    assert!(matches!(&err, StoreError::HashMismatch { expected, .. } if *expected == wrong), "{err}");
    assert_eq!(names_in(folder.path()), Vec::<String>::new());
}

#[test]
fn what_pip_says_reaches_the_person() {
    let (index, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let pip = pip_for(index.path());
    let err = fetch(&requirement("no-such-package-here", None, None), folder.path(), &pip, &mut |_| {})
        .unwrap_err();
    let text = err.to_string();
    assert!(matches!(err, StoreError::PipFailed { .. }), "{text}");
    assert!(text.contains("No matching distribution found for no-such-package-here"), "{text}");
    assert!(text.contains("\nhint: "), "{text}");

    let silent = Pip { python: "false".into(), offline: true };
    let err = fetch(&requirement("x", None, None), folder.path(), &silent, &mut |_| {}).unwrap_err();
    assert!(err.to_string().contains("exit status: 1"), "{err}");
}

#[test]
fn members_are_listed_copied_and_extracted() {
    let dir = tempfile::tempdir().unwrap();
    let path = wheel(dir.path(), "w", "1", &[("w/lib/a.so", b"A"), ("w/b.txt", b"BB")]);
    let mut wheel = Wheel::open(&path).unwrap();
    let members = wheel.members().unwrap();
    assert!(members.contains(&("w/lib/a.so".to_owned(), 1)) && members.contains(&("w/b.txt".to_owned(), 2)));
    let mut copied = Vec::new();
    assert_eq!(wheel.copy("w/b.txt", &mut copied).unwrap(), 2);
    assert_eq!(copied, b"BB");
    let out = dir.path().join("out");
    let extracted = wheel.extract(&out, &|it| it.starts_with("w/lib/")).unwrap();
    assert_eq!(extracted, [out.join("w/lib/a.so")]);
    assert_eq!(fs::read(&extracted[0]).unwrap(), b"A");
    assert!(matches!(wheel.copy("nope", &mut copied), Err(StoreError::BadWheel { .. })));
}

#[test]
fn a_member_that_leads_out_of_the_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = wheel(dir.path(), "w", "1", &[("../evil.txt", b"x")]);
    let err = Wheel::open(&path).unwrap().extract(&dir.path().join("out"), &|_| true).unwrap_err();
    assert!(err.to_string().contains("`../evil.txt` leads out of the folder"), "{err}");
    assert!(!dir.path().join("evil.txt").exists());
}

#[test]
fn damage_to_a_wheel_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = wheel(dir.path(), "w", "1", &[("w/a", &[7; 5000])]);
    let good = fs::read(&path).unwrap();
    fs::write(&path, &good[..good.len() / 2]).unwrap();
    assert!(matches!(Wheel::open(&path), Err(StoreError::BadWheel { .. })));
    // One byte of the data: the checksum tells.
    let mut bad = good;
    bad[40] ^= 0xff;
    fs::write(&path, &bad).unwrap();
    let mut wheel = Wheel::open(&path).unwrap();
    assert!(matches!(wheel.copy("w/a", &mut std::io::sink()), Err(StoreError::BadWheel { .. })));
}
