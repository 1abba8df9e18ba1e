//! The Hugging Face Hub as an origin: the plain resolve path, which redirects to signed addresses.
//!
//! A signed address expires, so each opening asks the Hub anew. What the Hub serves is held against what
//! it listed: another length is no file of ours.

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{StreamExt as _, TryStreamExt as _};
use openmodel_cloud::Transport;
use openmodel_cloud::huggingface::content;
use openmodel_cloud::transport::{ApiError, Flow};
use openmodel_schemas::name::CommitSha;
use openmodel_schemas::snapshot::Repository;

use crate::ports::{Body, Kind, Origin, Trouble, Wanted};

/// A repository at a commit.
#[derive(Debug, Clone)]
pub struct HubOrigin {
    /// How it is reached.
    pub transport: Transport,
    /// The repository.
    pub repository: Repository,
    /// The commit.
    pub commit: CommitSha,
}

impl Origin for HubOrigin {
    fn open<'a>(&'a self, file: &'a Wanted, offset: u64) -> BoxFuture<'a, Result<Body, Trouble>> {
        Box::pin(async move {
            let request = content(&self.repository, &self.commit, &file.path, offset);
            let opened = self.transport.open(&request).await;
            let flow = opened.map_err(|error| trouble(file, &error))?;
            let skipped = start(file, offset, &flow)?;
            let path = file.path.clone();
            let body = flow
                .body
                .map_err(move |error| Trouble::passing(format!("{path}: {error}")));
            Ok(without_first(body.boxed(), skipped))
        })
    }
}

/// How many bytes of the answer come before the offset; an answer about a file of another length is
/// refused.
fn start(file: &Wanted, offset: u64, flow: &Flow) -> Result<u64, Trouble> {
    let number = |text: &str| text.trim().parse::<u64>().ok();
    // `Content-Range: bytes 4096-8191/8192`, where the range was heeded.
    let range = flow.header("content-range").and_then(|text| {
        let (first, rest) = text.strip_prefix("bytes ")?.split_once('-')?;
        Some((number(first)?, number(rest.split_once('/')?.1)?))
    });
    let length = flow.header("content-length").and_then(number);
    let (first, whole) = match range {
        Some((first, whole)) => (first, Some(whole)),
        // The whole file, whatever was asked for.
        None => (0, length),
    };
    if let Some(whole) = whole.filter(|whole| *whole != file.size.0) {
        return Err(Trouble::last(format!(
            "{}: the Hub lists {} bytes and serves {whole}. Nothing of it was kept; try another revision",
            file.path, file.size.0
        )));
    }
    offset.checked_sub(first).ok_or_else(|| {
        Trouble::passing(format!(
            "{}: the Hub answered from byte {first} when it was asked from {offset}",
            file.path
        ))
    })
}

/// A body without its first bytes.
fn without_first(body: Body, skipped: u64) -> Body {
    if skipped == 0 {
        return body;
    }
    let mut left = skipped;
    body.map_ok(move |mut chunk: Bytes| {
        let cut = left.min(chunk.len() as u64);
        left -= cut;
        chunk.split_off(usize::try_from(cut).unwrap_or(usize::MAX))
    })
    .boxed()
}

fn trouble(file: &Wanted, error: &ApiError) -> Trouble {
    let status = error.status.map(|status| status.as_u16());
    let kind = match status {
        // Of the signed address, which may have expired. The Hub's own lasts.
        Some(403) if error.transient => Kind::Doubtful,
        _ if error.transient => Kind::Passing(error.retry_after),
        _ => Kind::Final,
    };
    Trouble {
        kind,
        message: format!("{}: {error}", file.path),
    }
}
