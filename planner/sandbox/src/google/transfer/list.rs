//! The list of URLs that a transfer takes: its format, and the names its objects get.
//!
//! ```text
//! TsvHttpData-1.0
//! https://host/path ⇥ 1357 ⇥ wHENa08V36iPYAsOa2JAdw==     size and MD5 may be left out
//! ```
//!
//! Source: <https://cloud.google.com/storage-transfer/docs/create-url-list>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;

const FORMAT: &str = "TsvHttpData-1.0";

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) url: Url,
    /// In bytes.
    pub(super) size: Option<u64>,
    pub(super) md5: Option<[u8; 16]>,
}

impl Entry {
    /// The name of its object: `HOST/PATH`, without port and query.
    pub(super) fn name(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        format!("{host}{}", self.url.path())
    }
}

/// The entries of a list; what is against it, if it is none.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, String> {
    let mut lines = text.lines();
    if lines.next() != Some(FORMAT) {
        return Err(format!("The first line of the URL list must be {FORMAT}."));
    }
    let mut entries = Vec::new();
    let mut last = "";
    for (at, line) in lines.enumerate().filter(|(_, line)| !line.is_empty()) {
        let wrong = |what: &str| format!("Line {} of the URL list {what}.", at + 2);
        let mut fields = line.split('\t');
        let text = fields.next().unwrap_or_default();
        let url = Url::parse(text).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or_else(|| wrong("has no HTTP or HTTPS URL"))?;
        if text < last {
            return Err(wrong("is not in UTF-8 lexicographical order"));
        }
        last = text;
        let mut field = || fields.next().filter(|field| !field.is_empty());
        let (size, md5) = (field(), field());
        if fields.next().is_some() {
            return Err(wrong("has more than three fields"));
        }
        let size = size.map(str::parse).transpose();
        let size = size.map_err(|_| wrong("has a size that is no number of bytes"))?;
        let md5 = md5.map(|md5| STANDARD.decode(md5).ok()?.try_into().ok());
        let md5 = match md5 {
            Some(None) => return Err(wrong("has an MD5 that is not the base64 of 16 bytes")),
            other => other.flatten(),
        };
        entries.push(Entry { url, size, md5 });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_and_md5_may_be_left_out_and_ports_are_not_in_names() {
        let text = "TsvHttpData-1.0\nhttp://a:80/x%20y?z=1\nhttps://b.example/c/d\t5\t\n\
                    https://b.example/e\t7\twHENa08V36iPYAsOa2JAdw==\n";
        let entries = parse(text).expect("a list");
        let names: Vec<_> = entries.iter().map(Entry::name).collect();
        assert_eq!(names, ["a/x%20y", "b.example/c/d", "b.example/e"]);
        assert_eq!((entries[0].size, entries[1].size), (None, Some(5)));
        assert_eq!(entries[1].md5, None);
        assert_eq!(entries[2].md5.map(|md5| md5[0]), Some(0xc0));
    }

    #[test]
    fn a_list_that_breaks_the_rules_is_refused_by_its_line() {
        for (text, words) in [
            ("http://a/b\n", "The first line"),
            ("TsvHttpData-1.0\nftp://a/b\n", "Line 2"),
            ("TsvHttpData-1.0\nhttp://b/b\nhttp://a/b\n", "Line 3"),
            ("TsvHttpData-1.0\nhttp://a/b\tmany\n", "no number of bytes"),
            ("TsvHttpData-1.0\nhttp://a/b\t1\tabc\n", "16 bytes"),
            ("TsvHttpData-1.0\nhttp://a/b\t1\t\tx\n", "three fields"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(words), "{error}");
        }
    }
}
