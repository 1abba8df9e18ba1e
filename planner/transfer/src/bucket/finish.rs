//! The end of a file: its last bytes go, and what Cloud Storage makes of them is what was read.
//!
//! ```text
//!   last request ─► an object          its CRC32C is that of what was read, or it goes again
//!              └──► refused, or lost   what lies there now is the file by the same CRC32C, or somebody else's
//! ```

use openmodel_cloud::Secret;
use openmodel_cloud::google::storage::{self, Object};
use openmodel_cloud::transport::ApiError;

use super::{BucketStore, Large, Moving, metadata, soon};
use crate::digest::Digests;
use crate::ports::{Kept, Trouble, Wanted};

impl BucketStore {
    pub(super) async fn finish_file(
        &self,
        file: &Wanted,
        digests: &Digests,
    ) -> Result<Kept, Trouble> {
        let moving = self.get(file)?;
        let mut moving = moving.lock().await;
        let crc32c = digests.crc32c.to_string();
        match &mut *moving {
            Moving::Small(bytes) => {
                let (name, metadata) = (self.uri.object(&file.path), metadata(file));
                let description = self.description(&name, &metadata);
                let request = storage::insert_object(&description, &crc32c, bytes, 0);
                let kept = match self.transport.json::<Object>(&request, soon()).await {
                    Ok(object) => self.made(file, &object, &crc32c).await,
                    // Another run was faster, or an answer of ours was lost.
                    Err(error) if error.is_conflict() => {
                        let found = self.find(file).await?;
                        let found = found.ok_or_else(|| self.spoiled(file, &error));
                        found.and_then(|object| self.whole_as(file, &object, &crc32c))
                    }
                    Err(error) => return Err(self.spoiled(file, &error)),
                };
                self.unset(file);
                kept
            }
            Moving::Large(large) => self.finish_upload(file, large, &crc32c).await,
        }
    }

    async fn finish_upload(
        &self,
        file: &Wanted,
        large: &Large,
        crc32c: &str,
    ) -> Result<Kept, Trouble> {
        let name = self.uri.object(&file.path);
        let id = Secret::new(&*large.claim.upload);
        let (start, length) = (large.persisted, large.tail.len() as u64);
        let upload = self.upload(&name, &id);
        let request = storage::put_chunk(upload, start, length, file.size.0, Some(crc32c))
            .raw("application/octet-stream", large.tail.clone().freeze());
        let kept = match self.transport.put_once(&request).await {
            Ok(answer) => {
                let object: Object = answer
                    .json()
                    .map_err(|error| Trouble::passing(format!("{}: {error}", file.path)))?;
                self.made(file, &object, crc32c).await
            }
            // Wrong bytes end an upload; another object under this name does too. Of an answer that was
            // lost the object is there.
            Err(error) => match self.find(file).await? {
                Some(object) => self.whole_as(file, &object, crc32c),
                None if error.transient => return Err(self.trouble(&file.path, &error)),
                None => Err(self.spoiled(file, &error)),
            },
        };
        self.forget(file, large).await?;
        self.unset(file);
        kept
    }

    /// What a request of ours made is what was read, or it goes: nobody else has written it.
    pub(super) async fn made(
        &self,
        file: &Wanted,
        object: &Object,
        crc32c: &str,
    ) -> Result<Kept, Trouble> {
        if object.crc32c == crc32c {
            return self.whole(file, object);
        }
        let name = self.uri.object(&file.path);
        self.delete(&name, object.generation).await?;
        Err(Trouble::passing(format!(
            "{}: the bytes differ that Cloud Storage made an object of (CRC32C {}, read {crc32c}); it was removed",
            file.path, object.crc32c
        )))
    }

    /// What Cloud Storage refuses of bytes that are right: they changed on the way, or the name was
    /// taken meanwhile. Either is looked at again.
    fn spoiled(&self, file: &Wanted, error: &ApiError) -> Trouble {
        let trouble = self.trouble(&file.path, error);
        match error.status.map(|status| status.as_u16()) {
            Some(400 | 404 | 410 | 412) => Trouble::passing(trouble.message),
            _ => trouble,
        }
    }
}
