//! `objects.insert`: a content with its metadata, in one request or by a resumable session.

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::super::discovery::Method;
use super::condition::{Conditions, integer};
use super::object::{Draft, check_name, settable};
use super::resumable::Session;
use super::{Checked, Error, shaped};
use crate::blob::{Blob, Writer};
use crate::http::{Reply, Request};
use crate::world::World;

/// What a client says the content hashes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Hashes {
    crc32c: Option<String>,
    md5: Option<String>,
}

impl Hashes {
    /// Of an object's metadata.
    fn of_body(body: &Value) -> Self {
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        Self {
            crc32c: text("crc32c"),
            md5: text("md5Hash"),
        }
    }

    /// Of `X-Goog-Hash: crc32c=…,md5=…`, once or twice, and `Content-MD5`.
    pub(super) fn of_headers(request: &Request) -> Result<Self, Error> {
        let mut hashes = Self::default();
        let values = request.headers.get_all("x-goog-hash").iter();
        let values = values.filter_map(|value| value.to_str().ok());
        for one in values.flat_map(|value| value.split(',')) {
            match one.trim().split_once('=') {
                Some(("crc32c", value)) => hashes.crc32c = Some(value.to_owned()),
                Some(("md5", value)) => hashes.md5 = Some(value.to_owned()),
                _ => {
                    let text = format!("Invalid X-Goog-Hash header: {one}");
                    return Err(Error::legacy(400, None, &text));
                }
            }
        }
        if let Some(md5) = request.header("content-md5") {
            hashes.md5 = Some(md5.to_owned());
        }
        Ok(hashes)
    }

    /// These, and where they say nothing those.
    pub(super) fn and(&self, other: &Self) -> Self {
        Self {
            crc32c: self.crc32c.clone().or_else(|| other.crc32c.clone()),
            md5: self.md5.clone().or_else(|| other.md5.clone()),
        }
    }

    /// Refuse a content that is not what it was said to be.
    pub(super) fn check(&self, blob: &Blob) -> Result<(), Error> {
        let pairs = [
            ("CRC32C", self.crc32c.clone(), Some(blob.crc32c_base64())),
            ("MD5", self.md5.clone(), blob.md5_base64()),
        ];
        for (name, said, found) in pairs {
            let (Some(said), Some(found)) = (said, found) else {
                continue;
            };
            if STANDARD.decode(&said).is_err() {
                let text = format!("Invalid {name} \"{said}\": it is not base64.");
                return Err(Error::legacy(400, None, &text));
            }
            if said != found {
                let text = format!(
                    "Provided {name} \"{said}\" doesn't match calculated {name} \"{found}\"."
                );
                return Err(Error::legacy(400, None, &text));
            }
        }
        Ok(())
    }
}

/// `POST /upload/storage/v1/b/{bucket}/o?uploadType=media|multipart|resumable`
pub(super) fn insert(
    world: &mut World,
    checked: &Checked<'_>,
    method: &'static Method,
) -> Result<Reply, Error> {
    let request = checked.request();
    let bucket = checked.path(0).to_owned();
    let text = "Upload requests must include an uploadType URL parameter and a URL path beginning \
                with /upload/";
    let wrong = || Error::legacy(400, Some("wrongUrlForUpload"), text);
    let under_upload =
        request.path.starts_with("/upload/") || request.path.starts_with("/resumable/");
    let kind = request
        .query("uploadType")
        .filter(|_| under_upload)
        .ok_or_else(wrong)?;
    let conditions = Conditions::of(request, "")?;
    let draft = draft(checked)?;
    let hashes = Hashes::of_headers(request)?.and(&Hashes::of_body(&checked.body));
    let now = world.now();
    match kind {
        "resumable" => start(world, checked, &bucket, draft, conditions, hashes),
        "media" | "multipart" if request.received.is_some() => {
            hashes.check(&draft.blob)?;
            let object = world.storage.create(&bucket, draft, conditions, now)?;
            let view = object.view(&bucket, checked.call.base);
            shaped(method, view, request)
        }
        "multipart" => {
            let text = "A multipart upload is of type multipart/related, with the metadata in JSON \
                        and the content in two parts that end with the boundary.";
            Err(Error::legacy(400, None, text))
        }
        _ => Err(wrong()),
    }
}

/// The object that a request describes, with the content that came with it.
fn draft(checked: &Checked<'_>) -> Result<Draft, Error> {
    let (request, body) = (checked.request(), &checked.body);
    let query = |name: &str| request.query(name).map(str::to_owned);
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    let name = text("name").or_else(|| query("name")).unwrap_or_default();
    check_name(&name)?;
    let received = request.received.as_ref();
    let mut plain = settable(body);
    let announced = request.header("x-upload-content-type").map(str::to_owned);
    let media_type = received.and_then(|received| received.media_type.clone());
    for (name, value) in [
        ("contentType", announced.or(media_type)),
        ("contentEncoding", query("contentEncoding")),
    ] {
        if let (None, Some(value)) = (plain.get(name), value) {
            plain.insert(name.to_owned(), value.into());
        }
    }
    Ok(Draft {
        name,
        plain,
        storage_class: text("storageClass"),
        key: query("kmsKeyName").or_else(|| text("kmsKeyName")),
        blob: received.map_or_else(
            || Writer::new(true).finish(),
            |received| received.blob.clone(),
        ),
        components: None,
    })
}

/// Open a session and say where it is.
fn start(
    world: &mut World,
    checked: &Checked<'_>,
    bucket: &str,
    draft: Draft,
    conditions: Conditions,
    hashes: Hashes,
) -> Result<Reply, Error> {
    let request = checked.request();
    let live = world.storage.bucket(bucket)?.find(&draft.name, None);
    conditions.allow(live.map(super::object::Object::stamp))?;
    let header = "x-upload-content-length";
    let announced = integer(header, request.header(header))?;
    let announced = announced.and_then(|size| u64::try_from(size).ok());
    let id = world
        .fresh("upload", &format!("{bucket}/{}", draft.name))
        .replace('-', "");
    let location = format!(
        "{}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&name={}&upload_id={id}",
        checked.call.base,
        url::form_urlencoded::byte_serialize(draft.name.as_bytes()).collect::<String>(),
    );
    let expires = world.now().plus(world.storage.upload_time());
    let keep = !world.storage.settings.discard_content;
    let session = Session::new(bucket, draft, conditions, hashes, announced, expires, keep);
    world.storage.sessions.insert(id.clone(), session);
    Ok(Reply::empty(StatusCode::OK)
        .with("location", &location)
        .with("x-guploader-uploadid", &id)
        .with("content-length", "0"))
}
