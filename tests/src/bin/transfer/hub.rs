//! The device's Hub: one repository, its listing and its files.

use serde_json::{Value, json};

use crate::content::{COMMIT, NAME, Sample};
use crate::device::{Answer, Device};
use crate::link::Head;

/// What is answered.
pub(crate) enum Reply {
    Short(Answer),
    /// A head, which says that so many bytes would follow.
    Head(Answer, u64),
    /// A head, and so many bytes of the block from a place on.
    File(Answer, u64, u64),
}

pub(crate) fn answer(device: &Device, head: &Head) -> Reply {
    if let Some(rest) = head.path.strip_prefix(&format!("/api/models/{NAME}")) {
        return Reply::Short(api(device, rest));
    }
    let path = head.path.strip_prefix(&format!("/{NAME}/resolve/"));
    let Some((_, path)) = path.and_then(|path| path.split_once('/')) else {
        return Reply::Short(Answer::nothing());
    };
    if path.is_empty() {
        return Reply::Short(page(device));
    }
    match device.samples.iter().find(|sample| sample.path == path) {
        Some(sample) => file(sample, head),
        None => Reply::Short(Answer::nothing().with("X-Error-Code", "EntryNotFound")),
    }
}

fn api(device: &Device, rest: &str) -> Answer {
    let all =
        |describe: fn(&Sample) -> Value| device.samples.iter().map(describe).collect::<Value>();
    if rest.starts_with("/tree/") {
        return Answer::json(&all(|sample| {
            json!({
                "type": "file",
                "oid": &sample.sha256[..40],
                "size": sample.size,
                "path": sample.path,
                "lfs": {"oid": sample.sha256, "size": sample.size, "pointerSize": 135},
            })
        }));
    }
    if rest.starts_with("/paths-info/") {
        return Answer::json(&json!([]));
    }
    Answer::json(&json!({
        "_id": "0123456789abcdef01234567",
        "id": NAME,
        "modelId": NAME,
        "sha": COMMIT,
        "private": false,
        "gated": false,
        "tags": [],
        "siblings": all(|sample| json!({"rfilename": sample.path})),
    }))
}

/// A page of links, as rclone reads a server's folder.
fn page(device: &Device) -> Answer {
    let links = device.samples.iter();
    let links = links.map(|sample| format!("<a href=\"{0}\">{0}</a>\n", sample.path));
    Answer::of(200, "text/html", links.collect::<String>())
}

fn file(sample: &Sample, head: &Head) -> Reply {
    let answer = Answer::of(200, "application/octet-stream", "")
        .with("ETag", format!("\"{}\"", sample.sha256))
        .with("X-Linked-ETag", format!("\"{}\"", sample.sha256))
        .with("X-Linked-Size", sample.size.to_string())
        .with("X-Repo-Commit", COMMIT)
        .with("Last-Modified", "Wed, 01 Jan 2025 00:00:00 GMT")
        .with("Accept-Ranges", "bytes");
    let range = head.header("range").and_then(|text| {
        let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
        let last = last.parse().unwrap_or(u64::MAX).min(sample.size - 1);
        Some((first.parse::<u64>().ok()?.min(last), last))
    });
    let (first, length) = range.map_or((0, sample.size), |(first, last)| (first, last - first + 1));
    let answer = match range {
        Some((first, last)) => Answer {
            status: 206,
            ..answer.with(
                "Content-Range",
                format!("bytes {first}-{last}/{}", sample.size),
            )
        },
        None => answer,
    };
    if head.method == "HEAD" {
        return Reply::Head(answer, length);
    }
    Reply::File(answer, sample.start + first, length)
}
