//! Frames from bytes: tables of inputs, and the property that the boundaries between reads do not matter.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const LIMIT: usize = 64;

/// The frames of `chunks`, which are read one after the other up to the end of the input.
fn frames_of<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Frame> {
    let mut decoder = FrameDecoder::new(LIMIT);
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        while let Some(frame) = decoder.decode(&mut buffer).unwrap() {
            frames.push(frame);
        }
        assert!(
            buffer.len() <= LIMIT.max(MAX_HEADER_BYTES) + chunk.len(),
            "input was stored that should have been skipped"
        );
    }
    while let Some(frame) = decoder.decode_eof(&mut buffer).unwrap() {
        frames.push(frame);
    }
    frames
}

fn frames(input: impl AsRef<[u8]>) -> Vec<Frame> {
    frames_of([input.as_ref()])
}

fn message(text: &str) -> Frame {
    Frame::Message(Bytes::copy_from_slice(text.as_bytes()))
}

fn too_large() -> Frame {
    Frame::Bad(BadFrame::TooLarge { limit: LIMIT })
}

#[test]
fn lines_are_messages_and_blank_lines_are_ignored() {
    assert_eq!(frames("\r\n  {\"a\":1}\n\n \t\n[2]\n"), [message("{\"a\":1}"), message("[2]")]);
}

#[test]
fn the_last_line_needs_no_line_break() {
    assert_eq!(frames("{}\n{\"b\":2}"), [message("{}"), message("{\"b\":2}")]);
}

#[test]
fn a_byte_order_mark_is_skipped() {
    assert_eq!(frames("\u{feff}{}\n"), [message("{}")]);
    assert_eq!(frames("\u{feff}Content-Length: 2\r\n\r\n{}"), [message("{}")]);
}

#[test]
fn headers_are_read_in_any_case_with_bare_line_feeds_and_unknown_names() {
    for block in [
        "Content-Length: 2\r\n\r\n",
        "content-length:2\n\n",
        "CONTENT-LENGTH :  2 \r\n\r\n",
        "Content-Type: application/vscode-jsonrpc; charset=utf8\r\nContent-Length: 2\r\n\r\n",
        "Content-Length: 2\nX-Trace: a:b\n\n",
    ] {
        let input = format!("{block}{{}}{block}[]");
        assert_eq!(frames(&input), [message("{}"), message("[]")], "{block:?}");
    }
}

#[test]
fn blanks_between_header_frames_are_skipped() {
    assert_eq!(
        frames("Content-Length: 2\n\n{}\n\r\nContent-Length: 2\n\n[]\n"),
        [message("{}"), message("[]")]
    );
}

#[test]
fn a_body_may_contain_line_breaks_and_is_counted_in_bytes() {
    assert_eq!(frames("Content-Length: 6\r\n\r\n\"ä\n\"\nContent-Length: 2\r\n\r\n{}")[1], message("{}"));
}

#[test]
fn the_first_message_decides_the_framing() {
    let second = "{}\nContent-Length: 2\n";
    assert_eq!(frames(second), [message("{}"), message("Content-Length: 2")]);
}

#[test]
fn a_first_line_that_is_not_a_message_does_not_decide_the_framing() {
    let input = "hello\nContent-Length: 2\r\n\r\n{}";
    assert_eq!(frames(input), [message("hello"), message("{}")]);
}

#[test]
fn a_frame_at_the_limit_is_read_and_a_longer_one_skipped() {
    let fits = format!("[{}]", "1".repeat(LIMIT - 2));
    let over = format!("[{}]", "1".repeat(LIMIT - 1));
    assert_eq!(frames(format!("{over}\n{fits}\n")), [too_large(), message(&fits)]);
    let framed = format!("Content-Length: {}\n\n{over}Content-Length: {}\n\n{fits}", LIMIT + 1, LIMIT);
    assert_eq!(frames(framed), [too_large(), message(&fits)]);
}

#[test]
fn a_huge_frame_is_skipped_without_being_stored() {
    let chunk = vec![b'['; 1024];
    let mut chunks = vec![chunk.as_slice(); 1000];
    chunks.push(b"\n{}\n");
    assert_eq!(frames_of(chunks.clone()), [too_large(), message("{}")]);
    chunks.insert(0, b"Content-Length: 1024000\r\n\r\n");
    chunks.pop();
    chunks.push(b"Content-Length: 2\r\n\r\n{}");
    assert_eq!(frames_of(chunks), [too_large(), message("{}")]);
}

#[test]
fn a_bad_header_block_is_one_error_and_the_next_message_is_read() {
    let cases = [
        ("Content-Lenght: 2\r\n\r\n", BadFrame::LengthMissing),
        ("Content-Length: two\r\n\r\n", BadFrame::LengthNotANumber { got: "two".into() }),
        ("Content-Length: -2\r\n\r\n", BadFrame::LengthNotANumber { got: "-2".into() }),
        ("Content-Length: +2\r\n\r\n", BadFrame::LengthNotANumber { got: "+2".into() }),
        ("Content-Length:\r\n\r\n", BadFrame::LengthNotANumber { got: String::new() }),
        (
            "Content-Length: 99999999999999999999\r\n\r\n",
            BadFrame::LengthNotANumber { got: "99999999999999999999".into() },
        ),
        ("Content-Type\r\n\r\n", BadFrame::NotAHeader { got: "Content-Type".into() }),
    ];
    for (block, bad) in cases {
        let input = format!("{block}{{}}Content-Length: 2\r\n\r\n[]");
        assert_eq!(frames(&input), [Frame::Bad(bad), message("[]")], "{block:?}");
    }
}

#[test]
fn an_endless_header_block_is_an_error() {
    let input =
        format!("Content-Length: {}\r\n\r\n{{}}Content-Length: 2\r\n\r\n[]", "0".repeat(MAX_HEADER_BYTES));
    assert_eq!(frames(input), [Frame::Bad(BadFrame::HeadersTooLarge), message("[]")]);
}

#[test]
fn input_that_ends_inside_a_header_frame_is_an_error() {
    for input in
        ["Content-Length: 5\r\n\r\n{}", "Content-Length: 5\r\n\r\n", "Content-Length: 5\r\n", "Content-"]
    {
        assert_eq!(frames(input), [Frame::Bad(BadFrame::Truncated)], "{input:?}");
    }
}

#[test]
fn a_written_line_contains_no_line_break() {
    let mut out = BytesMut::new();
    Framing::Lines.encode("{\n  \"a\\n\": 1\r\n}", &mut out);
    assert_eq!(&out[..], b"{   \"a\\n\": 1  }\n");
}

#[test]
fn a_written_header_counts_bytes() {
    let mut out = BytesMut::new();
    Framing::Headers.encode("\"ä\"", &mut out);
    assert_eq!(&out[..], "Content-Length: 4\r\n\r\n\"ä\"".as_bytes());
}

/// Pieces that can bring the decoder into each of its states.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let fixed = prop::sample::select(vec![
        "{\"jsonrpc\":\"2.0\"}",
        "\n",
        "\r\n",
        "Content-Length: 2\r\n\r\n{}",
        "content-length: 17\n\n{\"jsonrpc\":\"2.0\"}",
        "Content-Length: 3\r\nX: y\r\n\r\n[1]",
        "Content-Length: nine\r\n\r\n",
        "Content-Length: 70\r\n\r\n",
        "Content-Type: x\r\n\r\n",
        "no header\r\n",
        "\u{feff}",
        "[\"a line that is far longer than the limit of sixty-four bytes, so it is skipped\"]",
    ]);
    prop_oneof![
        4 => fixed.prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}

proptest! {
    // proptest looks for its file of failures in a place that this crate does not have.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_chunking_gives_the_same_frames(
        pieces in prop::collection::vec(piece(), 0..12),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let input = pieces.concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();
        let chunks = cuts.windows(2).map(|cut| &input[cut[0]..cut[1]]);
        prop_assert_eq!(frames_of(chunks), frames(&input));
        prop_assert_eq!(frames_of(input.chunks(1)), frames(&input));
    }

    #[test]
    fn what_is_written_is_read_back(
        texts in prop::collection::vec("[ -~é世]{0,20}", 1..6),
        framing in prop::sample::select(vec![Framing::Lines, Framing::Headers]),
    ) {
        let messages: Vec<String> = texts.iter().map(|text| format!("[{}]", serde_json::json!(text))).collect();
        let messages: Vec<String> = messages.into_iter().filter(|it| it.len() <= LIMIT).collect();
        let mut out = BytesMut::new();
        for text in &messages {
            framing.encode(text, &mut out);
        }
        let expected: Vec<Frame> = messages.iter().map(|text| message(text)).collect();
        prop_assert_eq!(frames(&out), expected);
    }
}
