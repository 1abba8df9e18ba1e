//! Multipart uploads of the XML API: parts in any order, then one object of them.
//!
//! Source: <https://cloud.google.com/storage/docs/multipart-uploads>. They take no preconditions.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::condition::Conditions;
use super::object::{Draft, check_name};
use super::upload::Hashes;
use super::xml::{self, escaped, metadata};
use super::{Error, Storage};
use crate::blob::Blob;
use crate::clock::Time;
use crate::http::{Reply, Request};
use crate::ids;
use crate::world::{Call, World};

/// Smallest part but the last.
const PART: u64 = 5 << 20;
const PARTS: u32 = 10_000;

/// An upload that is not finished.
#[derive(Serialize, Deserialize)]
pub(super) struct Upload {
    pub(super) object: String,
    plain: Map<String, Value>,
    storage_class: Option<String>,
    key: Option<String>,
    pub(super) parts: BTreeMap<u32, Part>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Part {
    blob: Blob,
    written: Time,
}

impl Part {
    fn etag(&self) -> String {
        format!("\"{}\"", ids::hex(&self.blob.md5.unwrap_or_default()))
    }
}

impl Storage {
    fn upload(&mut self, bucket: &str, object: &str, id: &str) -> Result<&mut Upload, Error> {
        let found = self.bucket_mut(bucket)?.uploads.get_mut(id);
        found
            .filter(|upload| upload.object == object)
            .ok_or_else(|| {
                let text = "The requested upload was not found.";
                Error::legacy(404, Some("NoSuchUpload"), text)
            })
    }
}

/// `POST /{bucket}/{object}?uploads`
pub(super) fn start(
    world: &mut World,
    call: &Call<'_>,
    bucket: &str,
    object: &str,
) -> Result<Reply, Error> {
    check_name(object)?;
    let request = call.request;
    if Conditions::of_headers(request)? != Conditions::default() {
        let text = "A multipart upload takes no preconditions.";
        return Err(Error::legacy(400, Some("NotImplemented"), text));
    }
    let upload = Upload {
        object: object.to_owned(),
        plain: metadata(request),
        storage_class: request.header("x-goog-storage-class").map(str::to_owned),
        key: request
            .header("x-goog-encryption-kms-key-name")
            .map(str::to_owned),
        parts: BTreeMap::new(),
    };
    let id = world
        .fresh("multipart upload", &format!("{bucket}/{object}"))
        .replace('-', "");
    world
        .storage
        .bucket_mut(bucket)?
        .uploads
        .insert(id.clone(), upload);
    Ok(document(
        "InitiateMultipartUploadResult",
        &format!(
            "<Bucket>{bucket}</Bucket><Key>{}</Key><UploadId>{id}</UploadId>",
            escaped(object)
        ),
    ))
}

/// `PUT /{bucket}/{object}?partNumber=&uploadId=`
pub(super) fn put(
    world: &mut World,
    request: &Request,
    (bucket, object, id): (&str, &str, &str),
) -> Result<Reply, Error> {
    let now = world.now();
    let number = request
        .query("partNumber")
        .and_then(|text| text.parse().ok());
    let number = number
        .filter(|number| (1..=PARTS).contains(number))
        .ok_or_else(|| {
            let text = format!("Part number must be an integer between 1 and {PARTS}, inclusive.");
            Error::legacy(400, Some("InvalidArgument"), &text)
        })?;
    let upload = world.storage.upload(bucket, object, id)?;
    let received = request.received.as_ref().ok_or_else(Error::no_route)?;
    Hashes::of_headers(request)?.check(&received.blob)?;
    let part = Part {
        blob: received.blob.clone(),
        written: now,
    };
    let reply = Reply::empty(StatusCode::OK)
        .with("etag", &part.etag())
        .with(
            "x-goog-hash",
            &format!("crc32c={}", part.blob.crc32c_base64()),
        )
        .with("content-length", "0");
    upload.parts.insert(number, part);
    Ok(reply)
}

/// `GET /{bucket}/{object}?uploadId=`
pub(super) fn list(
    world: &mut World,
    (bucket, object, id): (&str, &str, &str),
) -> Result<Reply, Error> {
    let upload = world.storage.upload(bucket, object, id)?;
    let parts: Vec<String> = upload
        .parts
        .iter()
        .map(|(number, part)| {
            format!(
                "<Part><PartNumber>{number}</PartNumber><LastModified>{}</LastModified>\
                 <ETag>{}</ETag><Size>{}</Size></Part>",
                part.written.rfc3339_millis(),
                escaped(&part.etag()),
                part.blob.size
            )
        })
        .collect();
    let head = format!(
        "<Bucket>{bucket}</Bucket><Key>{}</Key><UploadId>{id}</UploadId><IsTruncated>false</IsTruncated>",
        escaped(object)
    );
    Ok(document("ListPartsResult", &(head + &parts.concat())))
}

/// `DELETE /{bucket}/{object}?uploadId=`
pub(super) fn abort(
    world: &mut World,
    (bucket, object, id): (&str, &str, &str),
) -> Result<Reply, Error> {
    world.storage.upload(bucket, object, id)?;
    world.storage.bucket_mut(bucket)?.uploads.remove(id);
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// `POST /{bucket}/{object}?uploadId=` with the list of parts.
pub(super) fn complete(
    world: &mut World,
    call: &Call<'_>,
    (bucket, object, id): (&str, &str, &str),
) -> Result<Reply, Error> {
    let now = world.now();
    let wanted = listed(&String::from_utf8_lossy(&call.request.body))?;
    let upload = world.storage.upload(bucket, object, id)?;
    let mut blobs = Vec::new();
    for (at, (number, etag)) in wanted.iter().enumerate() {
        let part = upload
            .parts
            .get(number)
            .filter(|part| part.etag().trim_matches('"') == etag);
        let part = part.ok_or_else(|| {
            let text = "One or more of the specified parts could not be found. The part may not \
                        have been uploaded, or the specified entity tag may not match the part's.";
            Error::legacy(400, Some("InvalidPart"), text)
        })?;
        if at + 1 < wanted.len() && part.blob.size < PART {
            let text = "Your proposed upload is smaller than the minimum allowed object size.";
            return Err(Error::legacy(400, Some("EntityTooSmall"), text));
        }
        blobs.push(part.blob.clone());
    }
    let draft = Draft {
        name: object.to_owned(),
        plain: upload.plain.clone(),
        storage_class: upload.storage_class.clone(),
        key: upload.key.clone(),
        blob: Blob::joined(&blobs),
        components: u32::try_from(blobs.len()).ok(),
    };
    let conditions = Conditions::default();
    let made = world.storage.create(bucket, draft, conditions, now)?;
    let (etag, generation, hashes) = (xml::etag(made), made.generation, made.hashes());
    world.storage.bucket_mut(bucket)?.uploads.remove(id);
    let place = format!("{}/{bucket}/{object}", call.base);
    let reply = document(
        "CompleteMultipartUploadResult",
        &format!(
            "<Location>{}</Location><Bucket>{bucket}</Bucket><Key>{}</Key><ETag>{}</ETag>",
            escaped(&place),
            escaped(object),
            escaped(&etag)
        ),
    );
    Ok(reply
        .with("x-goog-generation", &generation.to_string())
        .with("x-goog-hash", &hashes))
}

/// Numbers and entity tags of the parts, in the order given, which must rise.
fn listed(body: &str) -> Result<Vec<(u32, String)>, Error> {
    let malformed = || {
        let text = "The XML you provided was not well-formed or did not validate against our \
                    published schema.";
        Error::legacy(400, Some("MalformedXML"), text)
    };
    let expression =
        |text: &str| Regex::new(text).map_err(|error| Error::internal(error.to_string()));
    let each = expression(r"(?s)<Part>(.*?)</Part>")?;
    let number = expression(r"<PartNumber>\s*(\d+)\s*</PartNumber>")?;
    let etag =
        expression("<ETag>\\s*(?:\"|&quot;|&#34;)?([0-9a-fA-F]+)(?:\"|&quot;|&#34;)?\\s*</ETag>")?;
    let mut parts: Vec<(u32, String)> = Vec::new();
    for part in each.captures_iter(body) {
        let number = number
            .captures(&part[1])
            .and_then(|found| found[1].parse().ok());
        let etag = etag
            .captures(&part[1])
            .map(|found| found[1].to_ascii_lowercase());
        let (Some(number), Some(etag)) = (number, etag) else {
            return Err(malformed());
        };
        if parts.last().is_some_and(|(last, _)| *last >= number) {
            let text = "The list of parts was not in ascending order. Parts must be ordered by part \
                        number.";
            return Err(Error::legacy(400, Some("InvalidPartOrder"), text));
        }
        parts.push((number, etag));
    }
    if parts.is_empty() {
        Err(malformed())
    } else {
        Ok(parts)
    }
}

fn document(root: &str, inner: &str) -> Reply {
    let text = format!(
        "<?xml version='1.0' encoding='UTF-8'?>\n<{root} xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>{inner}</{root}>"
    );
    Reply::text(StatusCode::OK, "application/xml; charset=UTF-8", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_parts_is_read_in_its_order() {
        let part = |number: u32| {
            format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>&quot;0A{number}&quot;</ETag></Part>"
            )
        };
        let list = |numbers: &[u32]| -> String {
            let parts: String = numbers.iter().map(|number| part(*number)).collect();
            format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>")
        };
        let found = listed(&list(&[1, 3])).expect("well formed");
        assert_eq!(found, [(1, "0a1".to_owned()), (3, "0a3".to_owned())]);
        assert!(listed(&list(&[3, 1])).is_err());
        assert!(listed(&list(&[])).is_err());
        assert!(listed("<Part><PartNumber>1</PartNumber></Part>").is_err());
    }
}
