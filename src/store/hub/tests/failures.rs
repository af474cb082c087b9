//! Hubs, proxies and networks that fail: a pull succeeds or ends with a clear error, and never breaks the next pull.

use std::fs;
use std::time::Duration;

use serde_json::json;

use super::server::{COMMIT, Trouble};
use super::{Fixture, fixture, weights, with_shards};
use crate::error::StoreError;

const FIRST_SHARD: &str = "model-00001-of-00002.safetensors";

/// Pulls the model, and checks the first shard.
fn pulls(it: &Fixture) {
    let (path, _) = it.resolve("owner/name").unwrap();
    assert_eq!(fs::read(path.join(FIRST_SHARD)).unwrap(), weights());
}

fn with_troubles(troubles: &[Trouble]) -> Fixture {
    let it = fixture();
    with_shards(&it.hub);
    it.hub.trouble(troubles);
    it
}

fn waited(it: &Fixture) -> Vec<u64> {
    it.waits.lock().unwrap().iter().map(Duration::as_secs).collect()
}

/// The number of requests to the storage host.
fn n_transfers(it: &Fixture) -> usize {
    it.hub.requests().iter().filter(|it| it.starts_with("/storage/")).count()
}

#[test]
fn after_a_wrong_answer_to_a_range_the_whole_file_is_asked_for() {
    for refusal in
        [Trouble::RangeRefused, Trouble::RangeUnnamed, Trouble::RangeShifted, Trouble::RangeOfAnother]
    {
        let it = with_troubles(&[Trouble::Cut(100_000), refusal]);
        pulls(&it);
        assert_eq!(it.hub.ranges(), ["bytes=100000-"], "{refusal:?}: asked for once");
        assert_eq!(n_transfers(&it), 4, "{refusal:?}: cut, refused, whole file, second shard");
    }
}

#[test]
fn a_leftover_part_never_prevents_a_pull() {
    let give_up = [Trouble::Cut(100_000), Trouble::Silence, Trouble::Silence, Trouble::Silence];
    for refusal in [Trouble::RangeRefused, Trouble::RangeUnnamed, Trouble::RangeShifted] {
        let it = with_troubles(&give_up);
        let err = it.resolve("owner/name").unwrap_err();
        assert!(matches!(err, StoreError::HubBroke { .. }), "{err}");
        it.hub.trouble(&[refusal]);
        pulls(&it);
    }
    // A part that is longer than the file, or has other bytes.
    for bytes in [vec![9; 1_000_000], vec![9; weights().len()], vec![9; 1000]] {
        let it = with_troubles(&give_up);
        it.resolve("owner/name").unwrap_err();
        fs::write(find_part(&it).expect("a part remains"), bytes).unwrap();
        pulls(&it);
    }
}

fn find_part(it: &Fixture) -> Option<std::path::PathBuf> {
    let unfinished = fs::read_dir(it.repository().join(".runabout")).unwrap().flatten().map(|it| it.path());
    unfinished.into_iter().find(|it| it.extension().is_some_and(|it| it == "part"))
}

#[test]
fn a_pull_ends_if_the_server_refuses_ranges_and_cuts_every_transfer() {
    let it = with_troubles(&[Trouble::Cut(100_000), Trouble::RangeUnnamed]);
    it.hub.trouble(&[Trouble::Cut(100_000); 20]);
    it.resolve("owner/name").unwrap_err();
    assert!(n_transfers(&it) < 10, "{} requests", n_transfers(&it));
}

#[test]
fn a_web_page_instead_of_a_file_is_named_and_not_stored() {
    for has_length in [true, false] {
        let it = with_troubles(&[Trouble::Page { has_kind: true, has_length }]);
        let err = it.resolve("owner/name").unwrap_err();
        assert!(matches!(err, StoreError::HubPage { .. }), "{err}");
        assert!(err.to_string().contains("hint: a login page"), "{err}");
        pulls(&it);
        assert_eq!(it.hub.ranges(), Vec::<String>::new(), "nothing of the page was stored");
    }
    let it = fixture();
    it.hub.hub_trouble(&[Trouble::Page { has_kind: true, has_length: true }]);
    let err = it.resolve("owner/name").unwrap_err();
    assert!(matches!(err, StoreError::HubPage { .. }), "instead of the listing: {err}");
}

#[test]
fn a_web_page_without_a_content_type_is_detected_by_its_size_or_hash() {
    let it = with_troubles(&[Trouble::Page { has_kind: false, has_length: true }]);
    let text = it.resolve("owner/name").unwrap_err().to_string();
    assert!(text.contains(&format!("a file of 32 bytes, expected {}", weights().len())), "{text}");
    pulls(&it);
    // Only the hash can show that this is not the file, once it is complete.
    let it = with_troubles(&[Trouble::Page { has_kind: false, has_length: false }]);
    pulls(&it);
}

#[test]
fn a_busy_hub_is_asked_again_after_a_pause() {
    let it = fixture();
    with_shards(&it.hub);
    it.hub.hub_trouble(&[
        Trouble::Status("503 Service Unavailable", ""),
        Trouble::Status("429 Too Many Requests", "retry-after: 7\r\n"),
    ]);
    it.hub.trouble(&[
        Trouble::Status("504 Gateway Timeout", ""),
        Trouble::Status(
            "503 Service Unavailable",
            "date: Wed, 21 Oct 2026 07:28:00 GMT\r\nretry-after: Wed, 21 Oct 2026 07:28:30 GMT\r\n",
        ),
    ]);
    pulls(&it);
    assert_eq!(waited(&it), [1, 7, 1, 30]);
}

#[test]
fn a_hub_that_stays_busy_or_asks_for_a_long_wait_is_an_error() {
    let it = fixture();
    it.hub.hub_trouble(&[Trouble::Status("503 Service Unavailable", ""); 5]);
    let text = it.resolve("owner/name").unwrap_err().to_string();
    assert!(text.contains("with status 503, 5 times in a row\nhint: "), "{text}");
    assert_eq!(waited(&it), [1, 2, 4, 8]);

    let it = fixture();
    it.hub.hub_trouble(&[Trouble::Status("429 Too Many Requests", "retry-after: 3600\r\n")]);
    let text = it.resolve("owner/name").unwrap_err().to_string();
    assert!(text.contains("with status 429 and asks to come back in 3600 seconds"), "{text}");
    assert_eq!(waited(&it), Vec::<u64>::new());
}

#[test]
fn a_connection_that_breaks_before_the_listing_is_retried() {
    let it = fixture();
    with_shards(&it.hub);
    it.hub.hub_trouble(&[Trouble::Silence, Trouble::Silence]);
    pulls(&it);
    let it = fixture();
    it.hub.hub_trouble(&[Trouble::Silence; 3]);
    let err = it.resolve("owner/name").unwrap_err();
    assert!(matches!(err, StoreError::HubBroke { .. }), "{err}");
    assert_eq!(waited(&it), [1, 2]);
}

#[test]
fn no_more_is_read_than_the_size_in_the_listing() {
    let it = fixture();
    with_shards(&it.hub);
    // Far more than the sockets' buffers hold, so the server would block unless everything were read.
    it.hub.trouble(&[Trouble::Endless(50_000_000)]);
    let text = it.resolve("owner/name").unwrap_err().to_string();
    assert!(text.contains(&format!("with more than the {} bytes of the file", weights().len())), "{text}");
    pulls(&it);
    assert_eq!(it.hub.ranges(), Vec::<String>::new(), "nothing of it was stored");
    // If no header gives a length, the file ends where the connection ends.
    pulls(&with_troubles(&[Trouble::Endless(0)]));
}

#[test]
fn redirects_are_resolved_and_their_number_is_limited() {
    let it = fixture();
    with_shards(&it.hub);
    for location in [
        "//{storage}/storage/{name}",
        "http://{storage}/x/../storage/./{name}#part",
        "../../../../moved/{name}",
        "/moved/{name}",
    ] {
        it.hub.redirect(location);
        pulls(&it);
        it.remove("owner/name");
    }
    for (location, expected) in [
        ("/loop", "with more than 6 redirects"),
        ("ftp://{storage}/x", "which is neither http nor https"),
        ("http://[", "which is not a valid address"),
    ] {
        it.hub.redirect(location);
        let text = it.resolve("owner/name").unwrap_err().to_string();
        assert!(text.contains(expected), "{location}: {text}");
    }
}

#[test]
fn a_compressed_body_is_refused_because_its_bytes_differ_from_the_files() {
    let it = fixture();
    with_shards(&it.hub);
    it.hub.storage_headers("content-encoding: gzip\r\n");
    let text = it.resolve("owner/name").unwrap_err().to_string();
    assert!(text.contains("`Content-Encoding: gzip`, though the plain file was asked for"), "{text}");
    it.hub.storage_headers("content-encoding: identity\r\n");
    pulls(&it);
}

#[test]
fn a_refusal_by_the_storage_host_is_not_blamed_on_the_token() {
    let it = with_troubles(&[Trouble::Status("403 Forbidden", "")]);
    let text = it.resolve("owner/name").unwrap_err().to_string();
    assert!(text.contains("with status 403 from `127.0.0.1`") && !text.contains("HF_TOKEN"), "{text}");
}

#[test]
fn without_a_hash_a_part_is_only_resumed_if_the_etag_is_the_same() {
    let continued = |first: &str, second: &'static str| {
        let it = fixture();
        with_shards(&it.hub);
        it.hub.omit_sizes();
        it.hub.storage_headers(first);
        it.hub.trouble(&[Trouble::Cut(100_000)]);
        let mut options = it.options();
        let hub_waits = options.hub.wait;
        // The file's etag changes between the two answers.
        let hub = it.hub.clone();
        options.hub.wait = std::sync::Arc::new(move |pause: Duration| {
            hub.storage_headers(second);
            hub_waits(pause);
        });
        let (path, _) = it.resolve_with("owner/name", &options).unwrap();
        assert_eq!(fs::read(path.join(FIRST_SHARD)).unwrap(), weights());
        (it.hub.ranges().len(), n_transfers(&it))
    };
    assert_eq!(continued("etag: \"a\"\r\n", "etag: \"a\"\r\n"), (1, 3), "continued");
    assert_eq!(
        continued("etag: \"a\"\r\n", "etag: \"b\"\r\n"),
        (1, 4),
        "the range was asked for, then the whole file"
    );
    assert_eq!(continued("etag: W/\"a\"\r\n", "etag: W/\"a\"\r\n"), (0, 3), "a weak etag guarantees nothing");
    assert_eq!(continued("", ""), (0, 3));
}

#[test]
fn a_listing_with_nulls_and_floats_is_read_and_errors_in_one_are_named() {
    let it = fixture();
    with_shards(&it.hub);
    let siblings: Vec<_> = it
        .hub
        .files()
        .iter()
        .map(|(name, bytes)| {
            let size: f64 = u32::try_from(bytes.len()).unwrap().into();
            json!({ "rfilename": name, "size": size, "lfs": { "sha256": null, "size": null }, "more": null })
        })
        .collect();
    it.hub.listing(&json!({ "sha": COMMIT, "siblings": siblings, "gated": null }).to_string());
    pulls(&it);

    for (listing, expected) in [
        (json!({ "sha": "../../etc", "siblings": [] }), "which is not a commit"),
        (json!({ "sha": null, "siblings": [] }), "`sha`"),
        (json!({ "sha": COMMIT, "siblings": [{ "rfilename": 3 }] }), "rfilename"),
    ] {
        let it = fixture();
        it.hub.listing(&listing.to_string());
        let text = it.resolve("owner/name").unwrap_err().to_string();
        assert!(text.contains(expected), "{listing}: {text}");
    }
}

#[test]
fn an_empty_file_is_downloaded() {
    let it = fixture();
    with_shards(&it.hub);
    it.hub.small("chat_template.jinja", b"");
    pulls(&it);
    it.remove("owner/name");
    it.hub.omit_sizes();
    pulls(&it);
}

#[test]
fn special_characters_in_a_file_name_are_escaped_in_the_address() {
    let it = fixture();
    let gguf = crate::gguf::sample::Sample::model("llama").bytes();
    it.hub.small("my model#1.gguf", &gguf);
    it.resolve("owner/name").unwrap();
    let asked = it.hub.requests();
    assert!(asked.iter().any(|it| it.ends_with("/my%20model%231.gguf")), "{asked:?}");
}
