//! Splits a byte stream into messages: newline-delimited JSON, or `Content-Length` headers as in LSP.
//!
//! The first byte that is not blank decides (no JSON text begins with a letter), for the whole connection. Reading is
//! lenient (a byte order mark, any case of headers, bare LF, unknown headers), writing is strict. Invalid input becomes
//! a [`Frame::Bad`], and reading continues after it; the codec itself never fails. It does not look into the JSON.

use std::borrow::Cow;
use std::io;

use tokio_util::bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::Decoder;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
const CONTENT_LENGTH: &[u8] = b"content-length";
/// The limit for a header block. Real ones have one or two lines; with a longer one, the stream is out of step.
const MAX_HEADER_BYTES: usize = 8 * 1024;

/// How a connection separates its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One message per line.
    Lines,
    /// `Content-Length: N`, a blank line, then N bytes.
    Headers,
}

impl Framing {
    /// Appends `message`, which must be valid JSON, as one frame. No reader can mistake it for several lines.
    pub fn encode(self, message: &str, out: &mut BytesMut) {
        let message = escape_line_separators(message);
        match self {
            Framing::Lines => {
                let start = out.len();
                out.put_slice(message.as_bytes());
                // A raw line break in JSON is always white space between tokens; inside strings it is escaped.
                for byte in &mut out[start..] {
                    if matches!(*byte, b'\n' | b'\r') {
                        *byte = b' ';
                    }
                }
                out.put_u8(b'\n');
            }
            Framing::Headers => {
                out.put_slice(format!("Content-Length: {}\r\n\r\n", message.len()).as_bytes());
                out.put_slice(message.as_bytes());
            }
        }
    }
}

/// The line separators outside ASCII, at which Python's `splitlines` and older JavaScript break lines. JSON escapes the
/// ASCII ones; it allows these inside strings, and nowhere else.
const LINE_SEPARATORS: [(&str, &str); 3] =
    [("\u{85}", "\\u0085"), ("\u{2028}", "\\u2028"), ("\u{2029}", "\\u2029")];

/// Escapes the line separators in `message`, which does not change its meaning.
fn escape_line_separators(message: &str) -> Cow<'_, str> {
    let mut escaped = String::new();
    let mut n_done = 0;
    // The first bytes of the separators in UTF-8; other characters, such as some dashes and quotes, begin with them
    // too.
    for at in memchr::memchr2_iter(0xC2, 0xE2, message.as_bytes()) {
        let found =
            LINE_SEPARATORS.iter().find(|(raw, _)| message.as_bytes()[at..].starts_with(raw.as_bytes()));
        if let Some((raw, written)) = found {
            escaped.push_str(&message[n_done..at]);
            escaped.push_str(written);
            n_done = at + raw.len();
        }
    }
    if n_done == 0 {
        return Cow::Borrowed(message);
    }
    escaped.push_str(&message[n_done..]);
    Cow::Owned(escaped)
}

/// What the decoder found in the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The bytes of one message, not parsed. Empty if a header said `Content-Length: 0`.
    Message(Bytes),
    /// Input that is not a frame. It has been skipped, or is being skipped, without being stored.
    Bad(BadFrame),
}

/// Why input is not a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    #[error("frame must not exceed {limit} bytes")]
    TooLarge { limit: usize },
    #[error("header block must have a `Content-Length`, got none")]
    LengthMissing,
    #[error("`Content-Length` must be a number of bytes, got `{got}`")]
    LengthNotANumber { got: String },
    #[error("header must look like `Name: value`, got `{got}`")]
    NotAHeader { got: String },
    #[error("header block must not exceed {MAX_HEADER_BYTES} bytes")]
    HeadersTooLarge,
    #[error("input ended inside a frame")]
    Truncated,
}

/// Splits a byte stream into frames. The result does not depend on how the stream was split into reads.
#[derive(Debug)]
pub struct FrameDecoder {
    max_frame_bytes: usize,
    framing: Option<Framing>,
    byte_order_mark_checked: bool,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Between frames, where blanks are skipped.
    Between,
    /// In a line; the first `scanned` bytes contain no line break.
    Line {
        scanned: usize,
    },
    /// In a line that is too long to store.
    SkipLine,
    /// In a header block of which `consumed` bytes have been read.
    HeaderBlock {
        length: Option<u64>,
        consumed: usize,
        scanned: usize,
    },
    Body {
        length: usize,
    },
    /// In a body that is too long to store.
    SkipBody {
        left: u64,
    },
    /// After a bad header block, looking for the next `Content-Length` header.
    Seek,
}

impl FrameDecoder {
    /// A message may have up to `max_frame_bytes` bytes, not counting headers and line breaks.
    pub fn new(max_frame_bytes: usize) -> Self {
        Self { max_frame_bytes, framing: None, byte_order_mark_checked: false, state: State::Between }
    }

    /// The framing that the client chose; `None` until its first message begins.
    pub fn framing(&self) -> Option<Framing> {
        self.framing
    }

    /// Skips blanks and enters the next frame. Returns `false` if more input is needed.
    fn enter_frame(&mut self, src: &mut BytesMut) -> bool {
        if !self.byte_order_mark_checked {
            if src.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(src) {
                return false;
            }
            self.byte_order_mark_checked = true;
            if src.starts_with(BYTE_ORDER_MARK) {
                src.advance(BYTE_ORDER_MARK.len());
            }
        }
        let n_blanks = src.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        src.advance(n_blanks);
        let Some(first) = src.first() else { return false };
        if self.framing.is_none() {
            // Any other byte begins a line that is not a message; it is answered, and the framing stays undecided.
            self.framing = match first {
                b'{' | b'[' => Some(Framing::Lines),
                b'C' | b'c' => Some(Framing::Headers),
                _ => None,
            };
        }
        self.state = match self.framing {
            Some(Framing::Headers) => State::HeaderBlock { length: None, consumed: 0, scanned: 0 },
            Some(Framing::Lines) | None => State::Line { scanned: 0 },
        };
        true
    }

    fn line(&mut self, src: &mut BytesMut, scanned: usize) -> Option<Frame> {
        let too_large = Frame::Bad(BadFrame::TooLarge { limit: self.max_frame_bytes });
        let Some(end) = find_line_break(src, scanned) else {
            if src.len() > self.max_frame_bytes {
                src.clear();
                self.state = State::SkipLine;
                return Some(too_large);
            }
            self.state = State::Line { scanned: src.len() };
            return None;
        };
        self.state = State::Between;
        let line = src.split_to(end).freeze();
        src.advance(1);
        Some(if line.len() > self.max_frame_bytes { too_large } else { Frame::Message(line) })
    }

    /// Reads one header line, or the blank line that ends the block. `Err` if more input is needed.
    fn header_line(
        &mut self,
        src: &mut BytesMut,
        (length, consumed, scanned): (Option<u64>, usize, usize),
    ) -> Result<Option<Frame>, NeedMore> {
        let end = find_line_break(src, scanned);
        if consumed + end.unwrap_or(src.len()) > MAX_HEADER_BYTES {
            // Skips one byte, since otherwise the search would find the line that was just refused.
            src.advance(1);
            return Ok(Some(self.seek_after(BadFrame::HeadersTooLarge)));
        }
        let Some(end) = end else {
            self.state = State::HeaderBlock { length, consumed, scanned: src.len() };
            return Err(NeedMore);
        };
        let line = src.split_to(end);
        src.advance(1);
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(self.end_of_headers(length));
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return Ok(Some(self.seek_after(BadFrame::NotAHeader { got: excerpt(line) })));
        };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let length = if name.trim_ascii_end().eq_ignore_ascii_case(CONTENT_LENGTH) {
            match parse_length(value) {
                Some(length) => Some(length),
                None => {
                    return Ok(Some(self.seek_after(BadFrame::LengthNotANumber { got: excerpt(value) })));
                }
            }
        } else {
            length
        };
        self.state = State::HeaderBlock { length, consumed: consumed + end + 1, scanned: 0 };
        Ok(None)
    }

    fn end_of_headers(&mut self, length: Option<u64>) -> Option<Frame> {
        let Some(length) = length else {
            return Some(self.seek_after(BadFrame::LengthMissing));
        };
        match usize::try_from(length) {
            Ok(length) if length <= self.max_frame_bytes => {
                self.state = State::Body { length };
                None
            }
            _ => {
                self.state = State::SkipBody { left: length };
                Some(Frame::Bad(BadFrame::TooLarge { limit: self.max_frame_bytes }))
            }
        }
    }

    fn seek_after(&mut self, bad: BadFrame) -> Frame {
        self.state = State::Seek;
        Frame::Bad(bad)
    }
}

/// The decoder needs more input.
struct NeedMore;

impl Decoder for FrameDecoder {
    type Item = Frame;
    type Error = io::Error;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, io::Error> {
        loop {
            match self.state {
                State::Between => {
                    if !self.enter_frame(src) {
                        return Ok(None);
                    }
                }
                State::Line { scanned } => return Ok(self.line(src, scanned)),
                State::SkipLine => {
                    let Some(end) = find_line_break(src, 0) else {
                        src.clear();
                        return Ok(None);
                    };
                    src.advance(end + 1);
                    self.state = State::Between;
                }
                State::HeaderBlock { length, consumed, scanned } => {
                    match self.header_line(src, (length, consumed, scanned)) {
                        Ok(None) => {}
                        Ok(frame) => return Ok(frame),
                        Err(NeedMore) => return Ok(None),
                    }
                }
                State::Body { length } => {
                    if src.len() < length {
                        src.reserve(length - src.len());
                        return Ok(None);
                    }
                    self.state = State::Between;
                    return Ok(Some(Frame::Message(src.split_to(length).freeze())));
                }
                State::SkipBody { left } => {
                    let n_skipped = usize::try_from(left).unwrap_or(usize::MAX).min(src.len());
                    src.advance(n_skipped);
                    let left = left - n_skipped as u64;
                    if left > 0 {
                        self.state = State::SkipBody { left };
                        return Ok(None);
                    }
                    self.state = State::Between;
                }
                State::Seek => {
                    // The body of a bad block has no line break after it, so the next header may begin anywhere.
                    let header = src
                        .windows(CONTENT_LENGTH.len())
                        .position(|it| it.eq_ignore_ascii_case(CONTENT_LENGTH));
                    let Some(start) = header else {
                        let n_kept = (CONTENT_LENGTH.len() - 1).min(src.len());
                        src.advance(src.len() - n_kept);
                        return Ok(None);
                    };
                    src.advance(start);
                    self.state = State::Between;
                }
            }
        }
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, io::Error> {
        if let Some(frame) = self.decode(src)? {
            return Ok(Some(frame));
        }
        let rest = src.split().freeze();
        let frame = match std::mem::replace(&mut self.state, State::Between) {
            // The last line needs no line break.
            State::Line { .. } | State::Between => (!rest.is_empty()).then_some(Frame::Message(rest)),
            State::HeaderBlock { .. } | State::Body { .. } => Some(Frame::Bad(BadFrame::Truncated)),
            State::SkipLine | State::SkipBody { .. } | State::Seek => None,
        };
        Ok(frame)
    }
}

fn find_line_break(src: &[u8], from: usize) -> Option<usize> {
    memchr::memchr(b'\n', src.get(from..)?).map(|position| from + position)
}

fn parse_length(value: &[u8]) -> Option<u64> {
    // Only digits: `u64::from_str` would also accept a plus sign.
    if !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// The beginning of a header, short enough for an error message.
fn excerpt(line: &[u8]) -> String {
    const MAX_CHARS: usize = 40;
    String::from_utf8_lossy(line).chars().take(MAX_CHARS).collect()
}

#[cfg(test)]
mod tests;
