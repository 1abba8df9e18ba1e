//! The uploads of a store: opened, continued, fed and given up.

use std::io;

use bytes::Bytes;
use futures::stream::BoxStream;
use openmodel_cloud::Secret;
use openmodel_cloud::google::storage::{self, Object};
use openmodel_cloud::transport::Response;

use super::claim::Claim;
use super::{BucketStore, Large, is_gone, metadata, soon};
use crate::ports::{Trouble, Wanted};

impl BucketStore {
    /// Learn how far an upload of an earlier run is; false where it can be continued no more.
    pub(super) async fn resume(&self, file: &Wanted, large: &mut Large) -> Result<bool, Trouble> {
        let name = self.uri.object(&file.path);
        let id = Secret::new(&*large.claim.upload);
        let request = storage::upload_status(self.upload(&name, &id), file.size.0);
        match self.transport.put_once(&request).await {
            Ok(answer) if answer.status.is_success() => Ok(false),
            Ok(answer) => {
                large.persisted = storage::persisted(&answer);
                let sealed = large.claim.sealed.as_ref().map_or(0, |state| state.length);
                // What is sealed is in the upload, or it is not the one that was sealed.
                Ok(large.persisted >= sealed)
            }
            Err(error) if is_gone(&error) => Ok(false),
            Err(error) => Err(self.trouble(&file.path, &error)),
        }
    }

    /// Begin again with an upload of this run's.
    pub(super) async fn reopen(&self, file: &Wanted, large: &mut Large) -> Result<(), Trouble> {
        let upload = self.open_upload(file).await?.ok_or_else(|| {
            // It is found when the file is begun anew.
            Trouble::passing(format!("{}: another run has finished it", file.path))
        })?;
        upload.expose().clone_into(&mut large.claim.upload);
        large.claim.sealed = None;
        large.persisted = 0;
        self.rewrite_claim(file, large).await
    }

    /// Put bytes into the upload, and show meanwhile that this run lives.
    pub(super) async fn put(
        &self,
        file: &Wanted,
        large: &mut Large,
        start: u64,
        end: u64,
        stream: BoxStream<'static, io::Result<Bytes>>,
    ) -> Result<(), Trouble> {
        let name = self.uri.object(&file.path);
        let id = Secret::new(&*large.claim.upload);
        let length = end - start;
        let request = storage::put_chunk(self.upload(&name, &id), start, length, file.size.0, None);
        let put = self.transport.upload(&request, length, stream);
        tokio::pin!(put);
        let mut beat = 0;
        let answer = loop {
            tokio::select! {
                answer = &mut put => break answer,
                () = tokio::time::sleep(self.lease / 3) => {
                    beat += 1;
                    self.beat(file, large, beat).await?;
                }
            }
        };
        let answer = answer.map_err(|error| self.trouble(&file.path, &error))?;
        if answer.status.is_success() {
            // Our last bytes wait: somebody has finished it who has read the claim.
            return self.early(file, large, &answer).await;
        }
        large.persisted = storage::persisted(&answer);
        if large.persisted == end {
            return Ok(());
        }
        Err(Trouble::passing(format!(
            "{}: Cloud Storage kept {} of {end} bytes",
            file.path, large.persisted
        )))
    }

    /// Remove the object that an upload became before our last bytes.
    async fn early(
        &self,
        file: &Wanted,
        large: &mut Large,
        answer: &Response,
    ) -> Result<(), Trouble> {
        // Unless it is that of a run which has taken the file over.
        self.rewrite_claim(file, large).await?;
        let object: Object = answer
            .json()
            .map_err(|error| Trouble::passing(format!("{}: {error}", file.path)))?;
        let name = self.uri.object(&file.path);
        self.delete(&name, object.generation).await?;
        Err(Trouble::passing(format!(
            "{}: somebody else has finished the upload; what it became was removed",
            file.path
        )))
    }

    /// Open an upload; `None`: the object is there by now.
    pub(super) async fn open_upload(&self, file: &Wanted) -> Result<Option<Secret>, Trouble> {
        let (name, metadata) = (self.uri.object(&file.path), metadata(file));
        let request = storage::open_upload(&self.description(&name, &metadata), file.size.0);
        let opened = match self.transport.send(&request, soon()).await {
            Ok(opened) => opened,
            Err(error) if error.is_conflict() => return Ok(None),
            Err(error) => return Err(self.trouble(&file.path, &error)),
        };
        let id = storage::upload_id(&opened).ok_or_else(|| {
            let why = "Cloud Storage opened an upload without saying where";
            Trouble::passing(format!("{}: {why}", file.path))
        })?;
        Ok(Some(id))
    }

    pub(super) async fn cancel(&self, file: &Wanted, claim: &Claim) -> Result<(), Trouble> {
        let name = self.uri.object(&file.path);
        let id = Secret::new(&*claim.upload);
        let request = storage::cancel_upload(self.upload(&name, &id));
        match self.transport.send(&request, soon()).await {
            // 499 is how Cloud Storage confirms it.
            Err(error) if !is_gone(&error) && error.status.is_none_or(|s| s.as_u16() != 499) => {
                Err(self.trouble(&file.path, &error))
            }
            _ => Ok(()),
        }
    }
}
