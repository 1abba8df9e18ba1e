//! A snapshot's folder in Cloud Storage as a store.
//!
//! ```text
//!   small file   bytes in memory ─────────────► digest right? ─► one request, checked against its CRC32C
//!   large file   claim ─► upload, span by span ─► digest right? ─► the last 256 KiB, with the CRC32C of all
//!                  └ `.openmodel/moving/PATH`: who moves it, its upload, the digests' state
//! ```
//!
//! Cloud Storage makes an object of an upload when its last bytes arrive, so the last bytes wait until
//! the digest of all is known: a wrong file is never there, not even for a moment.
//!
//! A claim is alive while it changes. Whoever sees it unchanged for [`LEASE`] takes the file over, and
//! goes on with the same upload after the last sealed span.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use openmodel_cloud::google::storage::{self, CHUNK_UNIT, Description, Exact, Object, Upload};
use openmodel_cloud::transport::ApiError;
use openmodel_cloud::{Secret, Transport};
use openmodel_schemas::quantity::Bytes;
use openmodel_schemas::snapshot::{ARRIVED, SnapshotUri};

use crate::digest::{Crc32c, Digests, Midstate};
use crate::ports::{Begun, Body, Kept, Kind, Span, Store, Trouble, Wanted};
use crate::snapshot::OWN;
use claim::{Claim, Claimed, holder};
use split::Split;

mod claim;
mod finish;
mod split;
mod upload;

/// Folder of the claims, inside the snapshot's.
pub(crate) const MOVING: &str = ".openmodel/moving/";

/// The note on each object that says what its content is.
pub(crate) const IDENTITY: &str = "openmodel-identity";

/// Up to so many bytes a file is held in memory and sent in one request.
pub(crate) const SMALL: u64 = 1 << 20;

/// How long a claim stands that does not change.
pub const LEASE: Duration = Duration::from_secs(30);

/// Bound of one request that moves no file.
const REQUEST: Duration = Duration::from_mins(2);

/// A snapshot's folder.
pub struct BucketStore {
    transport: Transport,
    uri: SnapshotUri,
    storage_class: Option<String>,
    lease: Duration,
    /// Names this run in its claims.
    holder: String,
    /// What lay there when the folder was opened, by its path in it.
    listed: BTreeMap<String, Object>,
    /// The same contents elsewhere in Cloud Storage, by their identity.
    elsewhere: HashMap<String, Source>,
    /// Files of this run.
    moving: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Moving>>>>,
    /// Claims of others: what they were when last seen to change, and when.
    seen: Mutex<HashMap<String, (String, Instant)>>,
}

/// Where a content lies too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Bucket.
    pub bucket: String,
    /// Full name.
    pub name: String,
    /// Which content of that name.
    pub generation: i64,
    /// Its CRC32C, in Cloud Storage's writing.
    pub crc32c: String,
}

/// A file of this run.
#[derive(Debug)]
enum Moving {
    Small(BytesMut),
    Large(Large),
}

#[derive(Debug)]
struct Large {
    claim: Claim,
    /// Generation of the claim's object.
    generation: i64,
    /// Bytes that the upload has.
    persisted: u64,
    /// The last bytes of the file, which wait.
    tail: BytesMut,
}

impl BucketStore {
    /// The folder of a snapshot, listed once.
    pub async fn open(transport: Transport, uri: SnapshotUri) -> Result<Self, Trouble> {
        let mut store = Self {
            transport,
            uri,
            storage_class: None,
            lease: LEASE,
            holder: holder(),
            listed: BTreeMap::new(),
            elsewhere: HashMap::new(),
            moving: Mutex::default(),
            seen: Mutex::default(),
        };
        store.listed = store.list().await?;
        Ok(store)
    }

    /// Objects of this storage class, in place of the bucket's own.
    #[must_use]
    pub fn with_storage_class(mut self, class: Option<String>) -> Self {
        self.storage_class = class;
        self
    }

    /// Contents that lie elsewhere in Cloud Storage too: they are copied there, and not read again.
    #[must_use]
    pub fn with_sources(mut self, sources: HashMap<String, Source>) -> Self {
        self.elsewhere = sources;
        self
    }

    /// Claims that stand for another time than [`LEASE`].
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// The snapshot.
    #[must_use]
    pub const fn uri(&self) -> &SnapshotUri {
        &self.uri
    }

    /// How it is reached.
    pub(crate) const fn transport(&self) -> &Transport {
        &self.transport
    }

    /// What lay in the folder when it was opened, by its path in it.
    pub(crate) const fn listed(&self) -> &BTreeMap<String, Object> {
        &self.listed
    }

    /// Bytes of the files that lay there when it was opened, those that wait to be verified too.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        let is_file = |path: &str| !path.starts_with(OWN) || path.starts_with(ARRIVED);
        let files = self.listed.iter().filter(|(path, _)| is_file(path));
        files.map(|(_, object)| Bytes(object.size)).sum()
    }

    /// Whether the content of a file lies elsewhere in Cloud Storage too.
    pub(crate) fn is_elsewhere(&self, file: &Wanted) -> bool {
        self.elsewhere.contains_key(&file.identity.to_string())
    }

    pub(crate) async fn list(&self) -> Result<BTreeMap<String, Object>, Trouble> {
        let folder = format!("{}/", self.uri.folder());
        let objects = list(&self.transport, |token| {
            storage::list_objects(self.uri.bucket(), &folder, token)
        });
        let found = objects.await.map_err(|error| self.trouble("", &error))?;
        let relative = |object: Object| {
            let path = object.name.strip_prefix(&folder)?.to_owned();
            Some((path, object))
        };
        Ok(found.into_iter().filter_map(relative).collect())
    }

    /// A file that is there, or can be copied from elsewhere in Cloud Storage.
    pub(crate) async fn settled(&self, file: &Wanted) -> Result<Option<Begun>, Trouble> {
        if let Some(object) = self.listed.get(&file.path) {
            return self.whole(file, object).map(Begun::Whole).map(Some);
        }
        let Some(source) = self.elsewhere.get(&file.identity.to_string()) else {
            return Ok(None);
        };
        Ok(self.copy(file, source).await?.map(Begun::Copied))
    }

    async fn begin_file(&self, file: &Wanted) -> Result<Begun, Trouble> {
        if let Some(begun) = self.settled(file).await? {
            return Ok(begun);
        }
        if file.size.0 <= SMALL {
            self.set(file, Moving::Small(BytesMut::new()));
            return Ok(Begun::From(None));
        }
        let (mut large, fresh) = match self.claim(file).await? {
            Claimed::Mine(large, fresh) => (large, fresh),
            Claimed::Theirs => return Ok(Begun::Busy),
            Claimed::There => {
                let object = self.find(file).await?.unwrap_or_default();
                return self.whole(file, &object).map(Begun::Whole);
            }
        };
        // Another run may have finished it since the folder was listed.
        if let Some(object) = self.find(file).await? {
            self.forget(file, &large).await?;
            return self.whole(file, &object).map(Begun::Whole);
        }
        if !fresh && !self.resume(file, &mut large).await? {
            self.reopen(file, &mut large).await?;
        }
        let sealed = large.claim.sealed.clone();
        self.set(file, Moving::Large(large));
        Ok(Begun::From(sealed))
    }

    /// An object under a file's name is that file, or somebody else's.
    pub(crate) fn whole(&self, file: &Wanted, object: &Object) -> Result<Kept, Trouble> {
        let same = object.metadata.get(IDENTITY) == Some(&file.identity.to_string())
            && object.size == file.size.0;
        let crc32c = object.crc32c.parse::<Crc32c>();
        match crc32c {
            Ok(crc32c) if same => Ok(Kept {
                generation: object.generation,
                crc32c,
            }),
            _ => Err(self.another(file)),
        }
    }

    /// The same where the file's CRC32C is known: a note alone can lie.
    pub(crate) fn whole_as(
        &self,
        file: &Wanted,
        object: &Object,
        crc32c: &str,
    ) -> Result<Kept, Trouble> {
        if object.crc32c == crc32c {
            self.whole(file, object)
        } else {
            Err(self.another(file))
        }
    }

    fn another(&self, file: &Wanted) -> Trouble {
        Trouble::last(format!(
            "{}: another object lies at gs://{}/{} that is not this file of the Hub. Remove it, or choose \
             another prefix",
            file.path,
            self.uri.bucket(),
            self.uri.object(&file.path)
        ))
    }

    /// Copy the content from where it lies too, if it still does.
    pub(crate) async fn copy(
        &self,
        file: &Wanted,
        source: &Source,
    ) -> Result<Option<Kept>, Trouble> {
        let from = Exact {
            bucket: &source.bucket,
            name: &source.name,
            generation: source.generation,
        };
        let (name, metadata) = (self.uri.object(&file.path), metadata(file));
        let to = self.description(&name, &metadata);
        let mut token = None;
        let copy = loop {
            let request = storage::rewrite(from, &to, token.as_deref());
            let answer = self.transport.json::<storage::Rewrite>(&request, soon());
            match answer.await {
                Ok(answer) if answer.done => break answer.resource.unwrap_or_default(),
                Ok(answer) => token = answer.rewrite_token,
                Err(error) if error.is_not_found() => return Ok(None),
                Err(error) if error.is_conflict() => {
                    let object = self.find(file).await?;
                    let whole = |object| self.whole_as(file, &object, &source.crc32c);
                    return object.map(whole).transpose();
                }
                Err(error) => return Err(self.trouble(&file.path, &error)),
            }
        };
        if copy.crc32c != source.crc32c {
            self.delete(&name, copy.generation).await?;
            return Ok(None);
        }
        self.whole(file, &copy).map(Some)
    }

    async fn append_to(&self, file: &Wanted, span: Span, mut body: Body) -> Result<(), Trouble> {
        let moving = self.get(file)?;
        let mut moving = moving.lock().await;
        let large = match &mut *moving {
            Moving::Small(bytes) => {
                bytes.clear();
                while let Some(chunk) = body.next().await {
                    bytes.extend_from_slice(&chunk?);
                }
                return complete(file, span, bytes.len() as u64);
            }
            Moving::Large(large) => large,
        };
        // What the upload has already is not sent again; what ends the file waits.
        let end = span.end().min(tail_start(file));
        let start = large.persisted.max(span.offset).min(end);
        let split = Split::new(body, start - span.offset, end - start);
        if start < end {
            self.put(file, large, start, end, split.stream()).await?;
        }
        large.tail.clear();
        split.rest(&mut large.tail).await?;
        complete(
            file,
            span,
            end.max(span.offset) - span.offset + large.tail.len() as u64,
        )
    }

    /// Delete an object, if it is still that content.
    pub(crate) async fn delete(&self, name: &str, generation: i64) -> Result<(), Trouble> {
        let request = storage::delete_object(self.exact(name, generation));
        match self.transport.send(&request, soon()).await {
            Err(error) if !error.is_not_found() && !error.is_conflict() => {
                Err(self.trouble(name, &error))
            }
            _ => Ok(()),
        }
    }

    pub(crate) async fn find(&self, file: &Wanted) -> Result<Option<Object>, Trouble> {
        let request = storage::get_object(self.uri.bucket(), &self.uri.object(&file.path));
        match self.transport.json::<Object>(&request, soon()).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(self.trouble(&file.path, &error)),
        }
    }

    pub(crate) fn trouble(&self, path: &str, error: &ApiError) -> Trouble {
        let place = if path.is_empty() {
            self.uri.to_string()
        } else {
            path.to_owned()
        };
        let kind = if path.is_empty() && error.is_not_found() {
            // A folder without objects is an empty listing: what is not found is the bucket.
            Kind::NoBucket
        } else if error.transient || is_gone(error) && !path.is_empty() {
            Kind::Passing(error.retry_after)
        } else if error
            .status
            .is_some_and(|status| [402, 403].contains(&status.as_u16()))
        {
            Kind::Denied
        } else {
            Kind::Final
        };
        Trouble {
            kind,
            message: format!("{place}: {error}"),
        }
    }

    fn description<'a>(
        &'a self,
        name: &'a str,
        metadata: &'a BTreeMap<String, String>,
    ) -> Description<'a> {
        Description {
            bucket: self.uri.bucket(),
            name,
            metadata,
            storage_class: self.storage_class.as_deref(),
        }
    }

    fn exact<'a>(&'a self, name: &'a str, generation: i64) -> Exact<'a> {
        Exact {
            bucket: self.uri.bucket(),
            name,
            generation,
        }
    }

    fn upload<'a>(&'a self, name: &'a str, id: &'a Secret) -> Upload<'a> {
        Upload {
            bucket: self.uri.bucket(),
            name,
            id,
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, HashMap<String, (String, Instant)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, file: &Wanted, moving: Moving) {
        let moving = Arc::new(tokio::sync::Mutex::new(moving));
        let mut all = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(file.path.clone(), moving);
    }

    fn get(&self, file: &Wanted) -> Result<Arc<tokio::sync::Mutex<Moving>>, Trouble> {
        let all = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        let moving = all.get(&file.path).cloned();
        moving.ok_or_else(|| Trouble::last(format!("{}: it was not begun", file.path)))
    }

    fn unset(&self, file: &Wanted) {
        let mut all = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&file.path);
    }
}

impl Store for BucketStore {
    fn begin<'a>(&'a self, file: &'a Wanted) -> BoxFuture<'a, Result<Begun, Trouble>> {
        Box::pin(self.begin_file(file))
    }

    fn append<'a>(
        &'a self,
        file: &'a Wanted,
        span: Span,
        body: Body,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(self.append_to(file, span, body))
    }

    fn seal<'a>(
        &'a self,
        file: &'a Wanted,
        after: &'a Midstate,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move {
            let moving = self.get(file)?;
            let mut moving = moving.lock().await;
            // Bytes that wait are in memory alone: nothing is sealed behind them.
            if let Moving::Large(large) = &mut *moving
                && after.length <= large.persisted
            {
                large.claim.sealed = Some(after.clone());
                self.rewrite_claim(file, large).await?;
            }
            Ok(())
        })
    }

    fn finish<'a>(
        &'a self,
        file: &'a Wanted,
        digests: &'a Digests,
    ) -> BoxFuture<'a, Result<Kept, Trouble>> {
        Box::pin(self.finish_file(file, digests))
    }

    fn discard<'a>(&'a self, file: &'a Wanted) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move {
            let moving = self.get(file)?;
            if let Moving::Large(large) = &*moving.lock().await {
                self.cancel(file, &large.claim).await?;
                self.forget(file, large).await?;
            }
            self.unset(file);
            Ok(())
        })
    }

    fn release<'a>(&'a self, file: &'a Wanted) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move {
            let Ok(moving) = self.get(file) else {
                return Ok(());
            };
            if let Moving::Large(large) = &mut *moving.lock().await {
                large.claim.holder.clear();
                self.rewrite_claim(file, large).await?;
            }
            self.unset(file);
            Ok(())
        })
    }
}

impl Large {
    fn new(claim: Claim, generation: i64) -> Self {
        Self {
            claim,
            generation,
            persisted: 0,
            tail: BytesMut::new(),
        }
    }
}

/// All pages of a listing.
pub(crate) async fn list(
    transport: &Transport,
    page: impl Fn(&str) -> openmodel_cloud::transport::Request,
) -> Result<Vec<Object>, ApiError> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let next: storage::ObjectPage = transport.json(&page(&token), soon()).await?;
        all.extend(next.items);
        if next.next_page_token.is_empty() {
            return Ok(all);
        }
        token = next.next_page_token;
    }
}

/// Where the bytes begin that wait for the digest: chunks before them are whole units.
fn tail_start(file: &Wanted) -> u64 {
    file.size.0.saturating_sub(1) / CHUNK_UNIT * CHUNK_UNIT
}

fn metadata(file: &Wanted) -> BTreeMap<String, String> {
    BTreeMap::from([(IDENTITY.to_owned(), file.identity.to_string())])
}

pub(crate) fn complete(file: &Wanted, span: Span, length: u64) -> Result<(), Trouble> {
    if length == span.length {
        return Ok(());
    }
    Err(Trouble::passing(format!(
        "{}: it ended after {length} of {} bytes",
        file.path, span.length
    )))
}

/// An upload that Cloud Storage does not know any more.
fn is_gone(error: &ApiError) -> bool {
    matches!(error.status.map(|status| status.as_u16()), Some(404 | 410))
}

fn soon() -> tokio::time::Instant {
    tokio::time::Instant::now() + REQUEST
}
