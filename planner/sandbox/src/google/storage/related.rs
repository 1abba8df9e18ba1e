//! Taking a `multipart/related` body apart while it comes in: JSON first, then a content.
//!
//! ```text
//! --b ⏎ headers ⏎⏎ {"name": …} ⏎ --b ⏎ headers ⏎⏎ bytes of the object … ⏎ --b--
//! ```
//!
//! Lines may end in CRLF, as RFC 2046 has it, or in LF alone, as gcloud sends them. The content
//! ends with the body, so only its tail is searched for the last delimiter.

/// Most bytes before the content.
const HEAD: usize = 1 << 20;

/// What has been seen of a body.
pub(super) struct Related {
    boundary: Vec<u8>,
    /// Before the content: all of it. After that: what may belong to the last delimiter.
    held: Vec<u8>,
    /// The metadata and the content's media type, once they are known.
    head: Option<Head>,
}

pub(super) struct Head {
    pub(super) metadata: Vec<u8>,
    pub(super) media_type: Option<String>,
    /// Whether lines end in CRLF; else a CR at the end is the content's own.
    crlf: bool,
}

impl Related {
    /// For the value of a `Content-Type` header; nothing when it has no boundary.
    pub(super) fn of(content_type: &str) -> Option<Self> {
        let (kind, parameters) = content_type.split_once(';')?;
        if !kind.trim().eq_ignore_ascii_case("multipart/related") {
            return None;
        }
        let boundary = parameters.split(';').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case("boundary")
                .then(|| value.trim().trim_matches(['"', '\'']))
        })?;
        Some(Self {
            boundary: format!("--{boundary}").into_bytes(),
            held: Vec::new(),
            head: None,
        })
    }

    /// Take more of the body; what of it is certainly content.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
        self.held.extend_from_slice(bytes);
        if self.head.is_none() {
            let Some((head, start)) = self.split_head() else {
                return if self.held.len() > HEAD {
                    Err("The multipart body has no second part.")
                } else {
                    Ok(Vec::new())
                };
            };
            self.head = Some(head);
            self.held.drain(..start);
        }
        // CRLF, the delimiter, "--", and a line end or spaces after it.
        let kept = self.boundary.len() + 64;
        let sure = self.held.len().saturating_sub(kept);
        Ok(self.held.drain(..sure).collect())
    }

    /// The end of the body: the head, and the rest of the content.
    pub(super) fn finish(self) -> Result<(Head, Vec<u8>), &'static str> {
        let head = self.head.ok_or("The multipart body has no second part.")?;
        let at = last(&self.held, &self.boundary)
            .ok_or("The multipart body does not end with its boundary.")?;
        let mut rest = self.held;
        let closed = rest[at + self.boundary.len()..].starts_with(b"--");
        rest.truncate(at);
        if !closed || rest.pop_if(|end| *end == b'\n').is_none() {
            return Err("The multipart body does not end with its boundary.");
        }
        rest.pop_if(|end| head.crlf && *end == b'\r');
        Ok((head, rest))
    }

    /// The head, when all of it is here, and where the content starts.
    fn split_head(&self) -> Option<(Head, usize)> {
        let first = find(&self.held, &self.boundary, 0)?;
        let (_, json) = headers(&self.held, first + self.boundary.len())?;
        let second = find(&self.held, &self.boundary, json)?;
        let (types, content) = headers(&self.held, second + self.boundary.len())?;
        let head = Head {
            metadata: self.held[json..second].to_vec(),
            media_type: types,
            crlf: self.held[..json].ends_with(b"\r\n"),
        };
        Some((head, content))
    }
}

/// The `Content-Type` of the headers that start here, and where what follows them starts.
fn headers(bytes: &[u8], start: usize) -> Option<(Option<String>, usize)> {
    let mut kind = None;
    let mut at = find(bytes, b"\n", start)? + 1;
    loop {
        let end = find(bytes, b"\n", at)?;
        let line = String::from_utf8_lossy(&bytes[at..end]);
        let line = line.trim();
        at = end + 1;
        if line.is_empty() {
            return Some((kind, at));
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-type")
        {
            kind = Some(value.trim().to_owned());
        }
    }
}

fn find(bytes: &[u8], what: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(what.len())
        .position(|window| window == what)
        .map(|at| from + at)
}

fn last(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).rposition(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(end: &str, step: usize, content: &str) {
        let kind = "multipart/related; boundary=\"b-1\"";
        let body = [
            "--b-1",
            "Content-Type: application/json",
            "",
            "{\"name\": \"a\"}",
            "--b-1",
            "content-type: text/x",
            "",
            content,
            "--b-1--",
        ]
        .join(end);
        let mut related = Related::of(kind).expect("a boundary");
        let mut seen = Vec::new();
        for piece in body.as_bytes().chunks(step) {
            seen.extend(related.push(piece).expect("well formed"));
        }
        let (head, rest) = related.finish().expect("an end");
        seen.extend(rest);
        assert_eq!(String::from_utf8_lossy(&seen), content, "{end:?} by {step}");
        assert_eq!(
            String::from_utf8_lossy(&head.metadata).trim(),
            "{\"name\": \"a\"}"
        );
        assert_eq!(head.media_type.as_deref(), Some("text/x"));
    }

    #[test]
    fn both_line_ends_and_any_pieces_give_the_same() {
        let long = "0123456789\n".repeat(40);
        for end in ["\r\n", "\n"] {
            for step in [1, 7, 4096] {
                for content in ["", "\n", "ends in CR\r", "one\r\n\r\ntwo", &long] {
                    check(end, step, content);
                }
            }
        }
    }

    #[test]
    fn a_body_that_stops_half_way_is_not_taken() {
        let mut related = Related::of("multipart/related; boundary=b").expect("a boundary");
        related.push(b"--b\n\n{}\n--b\n\ncontent").expect("so far");
        assert!(related.finish().is_err());
        assert!(Related::of("multipart/related").is_none());
        assert!(Related::of("text/plain; boundary=b").is_none());
    }
}
