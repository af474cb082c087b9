//! Hubs, proxies and networks on a bad day: a pull gets through or ends with a word, and never spoils the next one.

use std::fs;
use std::time::Duration;

use serde_json::json;

use super::server::{COMMIT, Trouble};
use super::{Fixture, fixture, weights, with_shards};
use crate::error::StoreError;

const FIRST_SHARD: &str = "model-00001-of-00002.safetensors";

/// Pulls, and checks the first shard.
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

/// Requests for the storage.
fn n_transfers(it: &Fixture) -> usize {
    it.hub.requests().iter().filter(|it| it.starts_with("/storage/")).count()
}

#[test]
fn a_range_that_is_not_answered_as_asked_is_replaced_by_the_whole() {
    for refusal in
        [Trouble::RangeRefused, Trouble::RangeUnnamed, Trouble::RangeShifted, Trouble::RangeOfAnother]
    {
        let it = with_troubles(&[Trouble::Cut(100_000), refusal]);
        pulls(&it);
        assert_eq!(it.hub.ranges(), ["bytes=100000-"], "{refusal:?}: asked for once");
        assert_eq!(n_transfers(&it), 4, "{refusal:?}: cut, refused, the whole, and the second shard");
    }
}

#[test]
fn a_part_that_an_earlier_pull_left_never_stands_in_the_way() {
    let give_up = [Trouble::Cut(100_000), Trouble::Silence, Trouble::Silence, Trouble::Silence];
    for refusal in [Trouble::RangeRefused, Trouble::RangeUnnamed, Trouble::RangeShifted] {
        let it = with_troubles(&give_up);
        let err = it.resolve("owner/name").unwrap_err();
        assert!(matches!(err, StoreError::HubBroke { .. }), "{err}");
        it.hub.trouble(&[refusal]);
        pulls(&it);
    }
    // A part that is longer than the file, or is other bytes.
    for bytes in [vec![9; 1_000_000], vec![9; weights().len()], vec![9; 1000]] {
        let it = with_troubles(&give_up);
        it.resolve("owner/name").unwrap_err();
        fs::write(find_part(&it).expect("a part is kept"), bytes).unwrap();
        pulls(&it);
    }
}

fn find_part(it: &Fixture) -> Option<std::path::PathBuf> {
    let partial = it.store.home().join("partial");
    let folders = fs::read_dir(partial).unwrap().flatten().map(|it| it.path().join("files"));
    folders.map(|it| it.join(format!("{FIRST_SHARD}.part"))).find(|it| it.exists())
}

#[test]
fn a_server_that_refuses_each_range_and_cuts_each_whole_is_given_up() {
    let it = with_troubles(&[Trouble::Cut(100_000), Trouble::RangeUnnamed]);
    it.hub.trouble(&[Trouble::Cut(100_000); 20]);
    it.resolve("owner/name").unwrap_err();
    assert!(n_transfers(&it) < 10, "{} requests", n_transfers(&it));
}

#[test]
fn a_page_in_place_of_a_file_is_named_and_leaves_nothing() {
    for has_length in [true, false] {
        let it = with_troubles(&[Trouble::Page { has_kind: true, has_length }]);
        let err = it.resolve("owner/name").unwrap_err();
        assert!(matches!(err, StoreError::HubPage { .. }), "{err}");
        assert!(err.to_string().contains("hint: a login page"), "{err}");
        pulls(&it);
        assert_eq!(it.hub.ranges(), Vec::<String>::new(), "nothing of the page was kept");
    }
    let it = fixture();
    it.hub.hub_trouble(&[Trouble::Page { has_kind: true, has_length: true }]);
    let err = it.resolve("owner/name").unwrap_err();
    assert!(matches!(err, StoreError::HubPage { .. }), "in place of the listing: {err}");
}

#[test]
fn a_page_that_does_not_say_so_is_told_by_its_size_or_by_the_hash() {
    let it = with_troubles(&[Trouble::Page { has_kind: false, has_length: true }]);
    let text = it.resolve("owner/name").unwrap_err().to_string();
    assert!(text.contains(&format!("a file of 32 bytes, expected {}", weights().len())), "{text}");
    pulls(&it);
    // Nothing tells that this is not the file's beginning, until it is whole.
    let it = with_troubles(&[Trouble::Page { has_kind: false, has_length: false }]);
    pulls(&it);
}

#[test]
fn a_busy_hub_is_asked_again_after_a_while() {
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
fn a_hub_that_stays_busy_or_wants_too_long_is_given_up_with_a_word() {
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
fn a_connection_that_breaks_before_the_listing_is_taken_up_again() {
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
fn nothing_is_read_beyond_the_size_that_is_listed() {
    let it = fixture();
    with_shards(&it.hub);
    // Far more than fits between two sockets: the server would be blocked if it were read to its end.
    it.hub.trouble(&[Trouble::Endless(50_000_000)]);
    let text = it.resolve("owner/name").unwrap_err().to_string();
    assert!(text.contains(&format!("with more than the {} bytes of the file", weights().len())), "{text}");
    pulls(&it);
    assert_eq!(it.hub.ranges(), Vec::<String>::new(), "nothing of it was kept");
    // The end of the connection is the end of the file where no header says it.
    pulls(&with_troubles(&[Trouble::Endless(0)]));
}

#[test]
fn redirects_are_resolved_and_bounded() {
    let it = fixture();
    with_shards(&it.hub);
    for location in [
        "//{storage}/storage/model-00001-of-00002.safetensors",
        "http://{storage}/x/../storage/./model-00001-of-00002.safetensors#part",
        "../../../../moved/model-00001-of-00002.safetensors",
        "/moved/model-00001-of-00002.safetensors",
    ] {
        it.hub.redirect(location);
        pulls(&it);
        it.store.remove("owner/name").unwrap();
    }
    for (location, expected) in [
        ("/loop", "with more than 6 redirects"),
        ("ftp://{storage}/x", "which is neither http nor https"),
        ("http://[", "which is no address"),
    ] {
        it.hub.redirect(location);
        let text = it.resolve("owner/name").unwrap_err().to_string();
        assert!(text.contains(expected), "{location}: {text}");
    }
}

#[test]
fn a_packed_body_is_refused_because_its_bytes_are_not_the_files() {
    let it = fixture();
    with_shards(&it.hub);
    it.hub.storage_headers("content-encoding: gzip\r\n");
    let text = it.resolve("owner/name").unwrap_err().to_string();
    assert!(text.contains("`Content-Encoding: gzip`, though the plain file was asked for"), "{text}");
    it.hub.storage_headers("content-encoding: identity\r\n");
    pulls(&it);
}

#[test]
fn a_refusal_of_the_storage_is_not_blamed_on_the_token() {
    let it = with_troubles(&[Trouble::Status("403 Forbidden", "")]);
    let text = it.resolve("owner/name").unwrap_err().to_string();
    assert!(text.contains("with status 403 from `127.0.0.1`") && !text.contains("HF_TOKEN"), "{text}");
}

#[test]
fn without_a_hash_a_part_is_only_continued_where_the_etag_is_the_same() {
    let continued = |first: &str, second: &'static str| {
        let it = fixture();
        with_shards(&it.hub);
        it.hub.say_nothing_of_files();
        it.hub.storage_headers(first);
        it.hub.trouble(&[Trouble::Cut(100_000)]);
        let mut options = it.options();
        let hub_waits = options.hub.wait;
        // Between the two answers the file changes its etag.
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
    assert_eq!(continued("etag: \"a\"\r\n", "etag: \"b\"\r\n"), (1, 4), "asked for, and begun anew");
    assert_eq!(continued("etag: W/\"a\"\r\n", "etag: W/\"a\"\r\n"), (0, 3), "a weak etag says nothing");
    assert_eq!(continued("", ""), (0, 3));
}

#[test]
fn a_listing_with_nulls_and_floats_is_read_and_a_wrong_one_named() {
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
        (json!({ "sha": "../../etc", "siblings": [] }), "which is no commit"),
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
fn a_file_of_no_bytes_is_one() {
    let it = fixture();
    with_shards(&it.hub);
    it.hub.small("chat_template.jinja", b"");
    pulls(&it);
    it.store.remove("owner/name").unwrap();
    it.hub.say_nothing_of_files();
    pulls(&it);
}

#[test]
fn a_name_that_is_no_plain_path_is_escaped_in_the_address() {
    let it = fixture();
    let gguf = crate::gguf::sample::Sample::model("llama").bytes();
    it.hub.small("my model#1.gguf", &gguf);
    it.resolve("owner/name").unwrap();
    let asked = it.hub.requests();
    assert!(asked.iter().any(|it| it.ends_with("/my%20model%231.gguf")), "{asked:?}");
}
