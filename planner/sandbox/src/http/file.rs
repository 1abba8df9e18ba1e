//! Serving files of any size: ranges, conditional requests, and bytes made as they are sent.

use std::ops::Range;
use std::sync::Arc;

use axum::http::{Method, StatusCode};
use bytes::Bytes;

use super::{Content, Reply, Request};

/// Bytes that can be read at any place, held in memory or computed.
pub(crate) trait Source: Send + Sync {
    /// Length in bytes.
    fn size(&self) -> u64;
    /// The bytes of `range`, which lies inside the file.
    fn read(&self, range: Range<u64>) -> Bytes;
}

impl Source for Bytes {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self, range: Range<u64>) -> Bytes {
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(self.len());
        self.slice(place(range.start)..place(range.end))
    }
}

/// A part of a file, to be sent in chunks.
#[derive(Clone)]
pub(crate) struct Piece {
    source: Arc<dyn Source>,
    range: Range<u64>,
}

impl Piece {
    pub(crate) fn size(&self) -> u64 {
        self.range.end - self.range.start
    }
}

impl Iterator for Piece {
    type Item = Bytes;

    /// The next chunk, at most 256 KiB.
    fn next(&mut self) -> Option<Bytes> {
        const CHUNK: u64 = 256 << 10;
        let end = self.range.end.min(self.range.start + CHUNK);
        let range = self.range.start..end;
        self.range.start = end;
        (!range.is_empty()).then(|| self.source.read(range))
    }
}

/// Answer a GET or HEAD for a file: whole, in part (206), unchanged (304) or out of range (416).
pub(crate) fn serve(request: &Request, source: Arc<dyn Source>, etag: &str) -> Reply {
    let size = source.size();
    let known = request
        .header("if-none-match")
        .is_some_and(|known| matches(known, etag));
    if known {
        return Reply::empty(StatusCode::NOT_MODIFIED).with("etag", etag);
    }
    let wanted = request.header("range").filter(|_| {
        request
            .header("if-range")
            .is_none_or(|condition| matches(condition, etag))
    });
    let (status, range) = match wanted.map_or(Wanted::Whole, |text| wanted_range(text, size)) {
        Wanted::Whole => (StatusCode::OK, 0..size),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Nothing => {
            return Reply::empty(StatusCode::RANGE_NOT_SATISFIABLE)
                .with("content-range", &format!("bytes */{size}"));
        }
    };
    let mut reply = Reply::empty(status)
        .with("etag", etag)
        .with("accept-ranges", "bytes")
        .with("content-length", &(range.end - range.start).to_string());
    if status == StatusCode::PARTIAL_CONTENT {
        let place = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        reply = reply.with("content-range", &place);
    }
    if request.method != Method::HEAD {
        reply.content = Content::File(Piece { source, range });
    }
    reply
}

/// Whether an `If-None-Match` or `If-Range` value names this entity tag.
fn matches(condition: &str, etag: &str) -> bool {
    condition
        .split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag == etag)
}

#[derive(Debug, PartialEq)]
enum Wanted {
    Whole,
    Part(Range<u64>),
    Nothing,
}

/// RFC 9110 §14.2; a malformed or multiple range is ignored, as the Hub's CDN does.
fn wanted_range(text: &str, size: u64) -> Wanted {
    let Some((first, last)) = text
        .strip_prefix("bytes=")
        .and_then(|spec| spec.split_once('-'))
    else {
        return Wanted::Whole;
    };
    let range = match (first.trim().parse::<u64>(), last.trim()) {
        (Ok(first), "") => first..size,
        (Ok(first), last) => match last.parse::<u64>() {
            Ok(last) if last >= first => first..last.saturating_add(1).min(size),
            _ => return Wanted::Whole,
        },
        (Err(_), last) if first.trim().is_empty() => match last.parse::<u64>() {
            Ok(count) => size.saturating_sub(count)..size,
            Err(_) => return Wanted::Whole,
        },
        (Err(_), _) => return Wanted::Whole,
    };
    if range.start >= range.end {
        Wanted::Nothing
    } else {
        Wanted::Part(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_as_rfc_9110_has_them() {
        assert_eq!(wanted_range("bytes=0-3", 10), Wanted::Part(0..4));
        assert_eq!(wanted_range("bytes=8-", 10), Wanted::Part(8..10));
        assert_eq!(wanted_range("bytes=8-99", 10), Wanted::Part(8..10));
        assert_eq!(wanted_range("bytes=-3", 10), Wanted::Part(7..10));
        assert_eq!(wanted_range("bytes=-99", 10), Wanted::Part(0..10));
        assert_eq!(wanted_range("bytes=10-", 10), Wanted::Nothing);
        assert_eq!(wanted_range("bytes=-0", 10), Wanted::Nothing);
        assert_eq!(wanted_range("bytes=3-1", 10), Wanted::Whole);
        assert_eq!(wanted_range("bytes=0-1,4-5", 10), Wanted::Whole);
        assert_eq!(wanted_range("lines=0-1", 10), Wanted::Whole);
    }

    #[test]
    fn a_piece_is_sent_in_chunks_that_add_up() {
        let bytes = Bytes::from(vec![7; 600 << 10]);
        let piece = Piece {
            source: Arc::new(bytes),
            range: 1..(600 << 10),
        };
        let chunks: Vec<_> = piece.map(|chunk| chunk.len()).collect();
        assert_eq!(chunks, [256 << 10, 256 << 10, (88 << 10) - 1]);
    }
}
